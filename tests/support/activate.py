"""Starts a program with listening sockets handed over, as systemd does: activate.py NAME=PLACE... -- PROGRAM...

PLACE is a port on this machine or the path of a Unix socket.  SPDX-License-Identifier: Apache-2.0
"""

import os
import socket
import sys

FIRST_FD = 3


def listening(place):
    if place.isdigit():
        return socket.create_server(("127.0.0.1", int(place)))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(64)
    return listener


def main():
    end = sys.argv.index("--")
    names, places = zip(*(argument.split("=", 1) for argument in sys.argv[1:end]))
    # High descriptors first: dup2 must not close one that is still to be moved.
    high = [os.dup2(listening(place).detach(), 100 + number) for number, place in enumerate(places)]
    for number, fd in enumerate(high):
        os.dup2(fd, FIRST_FD + number)
        os.close(fd)
    os.environ.update(LISTEN_PID=os.environ.get("LISTEN_PID", str(os.getpid())), LISTEN_FDS=str(len(names)),
                      LISTEN_FDNAMES=":".join(names))
    os.execv(sys.argv[end + 1], sys.argv[end + 1:])


main()
