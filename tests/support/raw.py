"""Raw bytes on a socket of the ingress: requests piece by piece, answers taken apart, a server to send them to.

Brokers only have to answer here: the mock cluster does.  SPDX-License-Identifier: Apache-2.0
"""

import functools
import hashlib
import hmac
import re
import socket
import struct
import time

from daemons import SECRET, Bridge, github_trigger, merged, seconds
from mock import MockKafka

PATH = "/api/v1/agents/open/webhook"
SIGNED = "/api/v1/agents/signed/webhook"
BODY_MAX = 16 * 1024
JSON = "Content-Type: application/json"
CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"
UNKNOWN = "/api/v1/agents/no/webhook"
FORM = "Content-Type: application/x-www-form-urlencoded"
# What a second request behind a doubtful first one would be answered with, if it were ever read.
SMUGGLED = b"GET /api/v1/agents/open/webhook HTTP/1.1\r\nHost: a\r\n\r\n"


def signature(body):
    return "X-Hub-Signature-256: sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def head(*headers, method="POST", target=PATH, version="HTTP/1.1", host="Host: a"):
    lines = [f"{method} {target} {version}", *([host] if host else []), *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def post(body=b"{}", *headers, **more):
    return head(f"Content-Length: {len(body)}", JSON, *headers, **more) + body


def chunked(*chunks, trailer=b"\r\n", headers=(JSON,), **more):
    data = b"".join(f"{len(c):x}\r\n".encode() + c + b"\r\n" for c in chunks)
    return head("Transfer-Encoding: chunked", *headers, **more) + data + b"0\r\n" + trailer


class Socket:
    """One raw connection; answers are taken apart only as far as the tests ask.  `place` is a port on this machine or
    the path of a Unix socket; with a `tls` context TLS is spoken inside."""

    def __init__(self, place, tls=None):
        if isinstance(place, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(seconds(5))
            self.socket.connect(place)
        else:
            self.socket = socket.create_connection(("127.0.0.1", place), timeout=seconds(5))
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.data = b""
        self.closed = False

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # closed while we sent: the reading side tells

    def _read(self, timeout):
        self.socket.settimeout(timeout)
        try:
            piece = self.socket.recv(65536)
        except socket.timeout:
            return False
        except ConnectionError:
            piece = b""
        self.data += piece
        self.closed = self.closed or not piece
        return True

    def answers(self):
        """Statuses of the complete answers so far."""
        found, rest = [], self.data
        while True:
            match = re.match(rb"HTTP/1\.[01] (\d{3})[^\r]*\r\n((?:[^\r]+\r\n)*)\r\n", rest)
            if not match:
                return found
            status = int(match.group(1))
            length = re.search(rb"(?im)^content-length: *(\d+)", match.group(2))
            size = int(length.group(1)) if length and status not in (100, 204) and not self.bodiless else 0
            if len(rest) < match.end() + size:
                return found
            if status != 100:
                found.append(status)
            rest = rest[match.end() + size:]

    bodiless = False

    def collect(self, count, timeout, quiet=0.03):
        """Reads until `count` answers are there and nothing more comes for `quiet` seconds, or the connection is
        closed."""
        deadline = time.monotonic() + timeout
        while not self.closed and time.monotonic() < deadline:
            enough = len(self.answers()) >= count
            if not self._read(quiet if enough else max(0.01, deadline - time.monotonic())) and enough:
                break
        return self.answers()

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends with RST instead of FIN, whatever is under way."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@functools.lru_cache
def shared_kafka():
    """One mock cluster for all servers of a test run; it ends with us, when its standard input does."""
    return MockKafka({"raw.events": 3})


class Server:
    """An ingress on the mock cluster with three triggers: open, off and signed.  `own_kafka` for a test that makes the
    cluster slow."""

    def __init__(self, settings=None, tls=None, place=None, own_kafka=False, **start):
        self.tls = tls
        self.own_kafka = own_kafka
        self.kafka = MockKafka({"raw.events": 3}) if own_kafka else shared_kafka()
        self.bridge = Bridge(self.kafka.bootstrap, topics=False)
        self.bridge.write_triggers([
            {"agent_id": "open", "verify": "none"},
            {"agent_id": "off", "enabled": False, "verify": "none"},
            github_trigger("signed", self.bridge.secret_file),
        ])
        # `closed without an answer` is seen at once; what is only slow is another test's business.
        base = {"http": {"body_max": f"{BODY_MAX}", "header_timeout": "5s", "body_timeout": "5s"},
                "topics": {"events": "raw.events"}}
        self.ingress = self.bridge.ingress(merged(base, settings), **start)
        self.place = place or self.ingress.port

    def serves(self):
        """A signed delivery on a fresh connection is accepted."""
        s = self.connect()
        try:
            s.send(post(b"{}", signature(b"{}"), target=SIGNED))
            return s.collect(1, seconds(5), quiet=0.001) == [202]
        finally:
            s.close()

    def connect(self):
        return Socket(self.place, self.tls)

    def close(self, failed):
        self.bridge.failed = failed
        try:
            if self.ingress.alive():
                self.ingress.stop()
        finally:
            self.bridge.close()
            if self.own_kafka:
                self.kafka.close()
