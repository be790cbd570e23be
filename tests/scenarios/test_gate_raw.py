"""Raw bytes on the ingress's socket: framing, headers, sizes, slow senders.  After each case the server still serves.

The table (raw_cases.py) says for each case which status may come (0: closed without one), how many answers, and whether
the connection is closed.

SPDX-License-Identifier: Apache-2.0
"""

import socket
import time

import pytest

from daemons import SECRET, seconds
from process import wait_until
from raw import BODY_MAX, JSON, PATH, SIGNED, UNKNOWN, Server, Socket, head, post, signature
from raw_cases import GROUPS

CASES = [pytest.param(case, id=f"{group}: {case.name}") for group, cases in GROUPS.items() for case in cases]
assert len(CASES) >= 250


@pytest.fixture(scope="module")
def server(request):
    it = Server()
    yield it
    it.close(getattr(request.session, "went_wrong", False))


@pytest.fixture(scope="module")
def hasty(request):
    it = Server({"http": {"body_max": f"{BODY_MAX}", "header_timeout": "1s", "body_timeout": "1s", "idle_timeout": "1s",
                          "connections_max": 64}})
    yield it
    it.close(getattr(request.session, "went_wrong", False))


@pytest.mark.parametrize("case", CASES)
def test_raw(server, case):
    s = Socket(server.ingress.port)
    s.bodiless = case.raw.startswith(b"HEAD")
    try:
        s.send(case.raw)
        if case.ends:
            time.sleep(0.1)  # an end that comes with the bytes is seen only at the deadline (libmicrohttpd 0.9)
            s.socket.shutdown(socket.SHUT_WR)
        wanted = 0 if case.statuses == {0} else case.answers
        answers = s.collect(wanted, seconds(3), quiet=seconds(3) if case.closes else 0.03)
        # What stops in the middle of a body is only told apart from silence by an end of ours.
        if not answers and not s.closed:
            s.socket.shutdown(socket.SHUT_WR)
            answers = s.collect(1, seconds(3))
        assert set(answers or [0]) <= case.statuses, (answers, s.data[:500])
        if wanted:
            assert len(answers) == wanted or 0 in case.statuses, (answers, s.data[:2000])
        if case.closes is not None:
            assert s.closed == case.closes, (answers, s.data[:500])
    finally:
        s.close()
    assert server.serves()


def test_every_request_is_counted_once(server):
    def total():
        return sum(value for name, value in server.ingress.metrics().items()
                   if name.startswith("drawbridge_ingress_requests_total"))
    before = total()
    for _ in range(10):
        assert server.serves()
    assert total() == before + 10


def test_bodies_and_secrets_are_not_logged(server):
    marker = b'{"marker":"7f3e9a"}'
    s = Socket(server.ingress.port)
    s.send(post(marker, signature(marker), target=SIGNED))
    assert s.collect(1, seconds(3)) == [202]
    s.close()
    log = server.ingress.log
    assert "outcome=accepted" in log
    assert "7f3e9a" not in log and SECRET not in log and signature(marker).split("=")[1] not in log


def test_refusals_tell_an_unverified_sender_nothing(server):
    """Missing, malformed and wrong signatures are answered alike."""
    answers = set()
    for header in ("X-A: b", "X-Hub-Signature-256: sha256=00", signature(b"other")):
        s = Socket(server.ingress.port)
        s.send(post(b"{}", header, target=SIGNED))
        s.collect(1, seconds(3))
        s.close()
        answers.add(s.data.split(b"\r\n\r\n", 1)[1])
    assert answers == {b'{"detail":"Invalid signature"}'}


# ---- slow senders: closed by deadline, however they drip ----

def dripped_until_closed(port, raw, interval, limit, first=b""):
    """Seconds until the server closed the connection; None if it did not within the limit."""
    s = Socket(port)
    begin = time.monotonic()
    s.send(first)
    try:
        for byte in raw:
            s.send(bytes([byte]))
            if s._read(interval) and s.closed:
                return time.monotonic() - begin, s.data
            if time.monotonic() - begin > limit:
                return None, s.data
        s.collect(1000, limit)
        return (time.monotonic() - begin if s.closed else None), s.data
    finally:
        s.close()


@pytest.mark.parametrize("name, first, raw", [
    ("silence", b"", b""),
    ("dripped request line", b"", post(b"{}", "X-A: " + "a" * 500)),
    ("dripped header", b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: a\r\n", b"X-A: " + b"a" * 500),
    ("headers that stop", head("Content-Length: 2", JSON)[:-2], b""),
    ("body that never comes", head("Content-Length: 100", JSON), b""),
    ("dripped body", head("Content-Length: 500", JSON), b"[" + b" " * 498 + b"]"),
    ("dripped signed body", head("Content-Length: 500", JSON, signature(b"x"), target=SIGNED),
        b"[" + b" " * 498 + b"]"),
    ("dripped chunks", head("Transfer-Encoding: chunked", JSON), b"1\r\n \r\n" * 100),
    ("dripped chunk size", head("Transfer-Encoding: chunked", JSON), b"0" * 500),
    ("dripped body for an unknown agent", head("Content-Length: 500", JSON, target=UNKNOWN), b" " * 500),
    ("idle after an answer", post(), b""),
    ("idle after an answer, then a dripped request", post(), post(b"{}", "X-A: " + "a" * 500)),
], ids=lambda value: value if isinstance(value, str) else "")
def test_slow_sender_is_closed(hasty, name, first, raw):
    took, data = dripped_until_closed(hasty.ingress.port, raw, 0.05, seconds(4), first)
    assert took is not None, f"{name}: still open"
    assert took < seconds(2.5), f"{name}: closed only after {took:.1f} s"
    assert took > 0.8, f"{name}: closed after {took:.1f} s already"
    assert (b" 202 " in data) == name.startswith("idle")
    assert hasty.serves()


def test_timed_out_connections_are_counted(hasty):
    before = hasty.ingress.metric("drawbridge_ingress_timed_out_total")
    s = Socket(hasty.ingress.port)
    s.collect(1, seconds(3))
    assert s.closed
    s.close()
    wait_until(lambda: hasty.ingress.metric("drawbridge_ingress_timed_out_total") > before, seconds(3), "it is counted")


def test_a_slow_but_honest_sender_is_served(hasty):
    s = Socket(hasty.ingress.port)
    for byte in post():
        s.send(bytes([byte]))
        time.sleep(0.002)
    assert s.collect(1, seconds(3)) == [202]
    s.close()


def test_silent_connections_do_not_lock_others_out(hasty):
    """All places taken by silence: they are swept, and those in the backlog come in."""
    idle = [Socket(hasty.ingress.port) for _ in range(80)]
    try:
        wait_until(hasty.serves, seconds(8), "it serves again")
    finally:
        for s in idle:
            s.close()


def test_senders_that_vanish_leave_nothing_behind(server):
    for raw in (b"", b"PO", head("Content-Length: 100", JSON)[:-1], head("Content-Length: 100", JSON) + b"{",
                head("Transfer-Encoding: chunked", JSON) + b"5\r\n{", post()):
        for _ in range(10):
            s = Socket(server.ingress.port)
            s.send(raw)
            s.close()
    assert server.serves()
    wait_until(lambda: server.ingress.metric("drawbridge_ingress_requests_inflight") == 0
               and server.ingress.metric("drawbridge_ingress_body_bytes") == 0
               and server.ingress.metric("drawbridge_ingress_connections") == 0, seconds(10),
               "requests, bytes and connections are back to zero")


def test_memory_for_bodies_is_bounded():
    it = Server({"http": {"body_max": "1MiB", "inflight_body_max": "2MiB", "body_timeout": "20s"}})
    half = head("Content-Length: 900000", JSON) + b"[" + b" " * 800000
    held = []
    try:
        for _ in range(2):
            s = Socket(it.ingress.port)
            s.send(half)
            held.append(s)
        wait_until(lambda: it.ingress.metric("drawbridge_ingress_body_bytes") > 1500000, seconds(5), "bodies are held")
        late = Socket(it.ingress.port)
        late.send(post(b"[" + b" " * 899998 + b"]"))
        assert late.collect(1, seconds(5)) == [503]
        assert b"Retry-After: " in late.data
        late.close()
        assert it.serves()  # a small one still fits
        for s in held:
            s.send(b" " * 99998 + b"]")
            assert s.collect(1, seconds(5)) == [202]
            s.close()
    finally:
        it.close(False)
