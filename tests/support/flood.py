"""Many connections at once: idle ones, dripping ones, and an even load beside them.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import resource
import select
import socket
import subprocess
import tempfile
import threading
import time

from daemons import BIN
from process import Failure, _spawner
from raw import SIGNED, head, post, signature

LOAD = os.path.join(os.path.dirname(BIN), "bench", "paced_load")


def descriptors(wanted):
    """Raises our limit as far as it goes; what it is then."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard >= wanted, hard


def rss_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024


class Crowd:
    """`count` connections.  Each sends `first`, then a byte of `drip` every `interval` seconds; one that is closed by
    the other side is opened again, so that the crowd stays as large as it is."""

    def __init__(self, port, count, first=b"", drip=b"", interval=0.5):
        self.port, self.first, self.drip, self.interval = port, first, drip, interval
        self.sockets, self.reopened, self.answered = {}, 0, 0
        self._poll = select.epoll()
        self._stop = threading.Event()
        for _ in range(count):
            self._open()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _open(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        if self.first:
            s.sendall(self.first)
        s.setblocking(False)
        self.sockets[s.fileno()] = [s, 0]
        self._poll.register(s.fileno(), select.EPOLLIN)

    def _read(self, fd):
        try:
            data = self.sockets[fd][0].recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.answered += data.count(b"HTTP/1.1 ")
        if not data:
            self.sockets.pop(fd)[0].close()
            if not self._stop.is_set():
                self.reopened += 1
                self._open()

    def _drip_all(self):
        for entry in list(self.sockets.values()):
            entry[1] += 1
            try:
                entry[0].send(self.drip[entry[1] % len(self.drip):][:1])
            except OSError:
                pass  # closed: _read opens another

    def _run(self):
        due = time.monotonic() + self.interval
        while not self._stop.is_set():
            for fd, _ in self._poll.poll(max(0, due - time.monotonic()), 512):
                if fd in self.sockets:
                    self._read(fd)
            if time.monotonic() >= due:
                due += self.interval
                if self.drip:
                    self._drip_all()

    def close(self):
        self._stop.set()
        self._thread.join()
        for s, _ in self.sockets.values():
            s.close()
        self._poll.close()


def slow_crowds(port, count):
    """A thousand of the kinds there are: silence, a header that never ends, a body that never does."""
    part = count // 3
    return [Crowd(port, count - 2 * part, b"POST " + SIGNED.encode() + b" HTTP/1.1\r\nHost: a\r\n", b"X-A: b\r\n"),
            Crowd(port, part, head("Content-Length: 16000", "Content-Type: application/json",
                                   signature(b"x"), target=SIGNED), b" "),
            Crowd(port, part)]


class Load:
    """tests/bench/paced_load: signed deliveries at an even rate, on a process of its own."""

    def __init__(self, port, connections, rate, seconds, shed=False, body=b'{"a":"' + b"x" * 1000 + b'"}'):
        if not os.path.exists(LOAD):
            raise Failure(f"there is no {LOAD}; build the target paced_load")
        request = post(body, signature(body), "X-GitHub-Delivery: " + "0" * 36, target=SIGNED)
        with tempfile.NamedTemporaryFile() as requests:
            requests.write(b"%d\n%s" % (len(request), request))
            requests.seek(0)
            arguments = [LOAD, port, connections, max(1, int(rate)), seconds, int(time.time()) % 10**9]
            self._process = _spawner.popen([*map(str, arguments), *(["shed"] if shed else [])], stdin=requests,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def running(self):
        return self._process.poll() is None

    def result(self):
        out, err = self._process.communicate(timeout=900)
        if not out:
            raise Failure(f"paced_load: {err.strip()}")
        report = json.loads(out)
        report["statuses"] = {int(status): count for status, count in report["statuses"].items()}
        report["p99_by_second"] = {int(s): us / 1e6 for s, us in report.pop("p99_us_by_second").items()}
        return report


def load(*arguments, **named):
    return Load(*arguments, **named).result()


def capacity(port, seconds=2):
    """Deliveries a second that 64 busy connections get accepted."""
    return load(port, 64, 100000, seconds, shed=True)["accepted"] / seconds


def overload(port, pid, rate, seconds, connections=1024, **named):
    """The load's report, and our resident memory in MiB each half second of it."""
    under_way, memory = Load(port, connections, rate, seconds, shed=True, **named), []
    while under_way.running():
        memory.append(rss_mib(pid))
        time.sleep(0.5)
    return under_way.result(), memory
