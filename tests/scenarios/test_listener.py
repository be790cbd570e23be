"""The senders' listener: TLS and its reload, Unix sockets, sockets handed over, several processes on one port, what the
service manager hears, root given up.  Raw bytes where they matter; brokers only have to answer.

SPDX-License-Identifier: Apache-2.0
"""

import grp
import os
import pwd
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import warnings

import pytest

from certificates import Certificate
from daemons import program, seconds, shell_agent, wait_log
from process import ROOT, free_port, wait_until
from raw import SIGNED, Server, Socket, post, signature
from raw_cases import GROUPS

ACTIVATE = [sys.executable, os.path.join(ROOT, "tests", "support", "activate.py")]


@pytest.fixture(scope="module")
def folder():
    """Open to other users, for the tests that become one."""
    path = tempfile.mkdtemp(prefix="drawbridge-listener-")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def servers(request):
    made = []

    def make(*arguments, **named):
        made.append(Server(*arguments, **named))
        return made[-1]

    yield make
    for it in made:
        it.close(getattr(request.node, "went_wrong", False))


@pytest.fixture(scope="module")
def tls_server(request, folder):
    certificate = Certificate(folder, "module")
    it = Server({"http": {**certificate.settings, "header_timeout": "1s"}}, tls=certificate.context())
    yield it
    it.close(getattr(request.session, "went_wrong", False))


# ---- TLS ----

# A request that may stay without an answer is the deadline's business, here as in test_gate_raw.py.
TLS_CASES = [case for group in ("bodies", "signatures", "pipelines") for case in GROUPS[group]
             if 0 not in case.statuses and (group != "bodies" or "chunk" in case.name)]


def answered_as_listed(server, case):
    s = server.connect()
    try:
        s.send(case.raw)
        answers = s.collect(case.answers, seconds(3), quiet=seconds(3) if case.closes else 0.03)
        assert set(answers) <= case.statuses and len(answers) == case.answers, (answers, s.data[:500])
        if case.closes is not None:
            assert s.closed == case.closes
    finally:
        s.close()


@pytest.mark.parametrize("case", TLS_CASES, ids=lambda case: case.name)
def test_requests_over_tls(tls_server, case):
    answered_as_listed(tls_server, case)


RECORD = b"\x16\x03\x01"
NO_TLS = {
    "plain HTTP": post(),
    "plain HTTP, then TLS": post() + RECORD + b"\x00\xf1\x01\x00\x00\xed\x03\x03" + b"a" * 200,
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "application data before the handshake": b"\x17\x03\x03\x00\x20" + b"a" * 32,
    "a record of 2^16 - 1": RECORD + b"\xff\xff" + b"a" * 300,
    "an empty record": RECORD + b"\x00\x00" * 20,
    "a hello of nonsense": RECORD + b"\x00\x40\x01\x00\x00\x3c" + b"\xff" * 60,
    "a version of the future": b"\x16\x7f\x7f\x00\x10" + b"a" * 16,
    "SSL 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"a" * 40,
    "a server hello": RECORD + b"\x00\x30\x02\x00\x00\x2c\x03\x03" + b"a" * 42,
    "NULs": b"\0" * 512,
    "noise": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("name", NO_TLS)
def test_what_is_no_tls_is_closed(tls_server, name):
    s = Socket(tls_server.place)
    began = time.monotonic()
    s.send(NO_TLS[name])
    s.collect(1, seconds(4), quiet=seconds(4))
    assert s.closed and time.monotonic() - began < seconds(2.5), "at the latest by the deadline for the headers"
    assert b"HTTP" not in s.data
    s.close()
    assert tls_server.serves()


@pytest.mark.parametrize("cut", [0, 5, 200])
def test_a_handshake_that_stops_is_swept(tls_server, cut):
    """The first bytes of a true hello, and then silence."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls_server.tls.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    s = Socket(tls_server.place)
    began = time.monotonic()
    s.send(outgoing.read()[:cut])
    s.collect(1, seconds(4), quiet=seconds(4))
    assert s.closed and 0.8 < time.monotonic() - began < seconds(2.5)
    s.close()
    assert tls_server.serves()


def test_old_versions_are_refused(tls_server):
    def connects(version):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that they are old is the point
            context.minimum_version = context.maximum_version = version
        try:
            s = Socket(tls_server.place, context)
        except (ssl.SSLError, ConnectionError):
            return False
        s.close()
        return True

    assert connects(ssl.TLSVersion.TLSv1_2) and connects(ssl.TLSVersion.TLSv1_3)
    assert not connects(ssl.TLSVersion.TLSv1_1) and not connects(ssl.TLSVersion.TLSv1)


def expiry(server):
    return server.ingress.metric("drawbridge_ingress_tls_certificate_expiry_seconds")


def test_a_reload_drops_nobody(servers, folder):
    certificate = Certificate(folder, "reload")
    server = servers({"http": certificate.settings}, tls=certificate.context())
    first_expiry = expiry(server)
    assert abs(first_expiry - time.time() - 30 * 86400) < 3600
    before = server.connect()
    certificate.make(days=60)
    with pytest.raises(ssl.SSLError):  # the old one is still served, and the new context does not trust it
        Socket(server.place, certificate.context())
    server.ingress.hangup()
    wait_until(lambda: expiry(server) > first_expiry, seconds(5), "the new certificate")
    server.tls = certificate.context()
    assert server.serves()
    before.send(post(b"{}", signature(b"{}"), target=SIGNED))
    assert before.collect(1, seconds(3)) == [202]
    before.close()


def test_a_bad_certificate_changes_nothing(servers, folder):
    certificate, other = Certificate(folder, "kept"), Certificate(folder, "other")
    server = servers({"http": certificate.settings}, tls=certificate.context())
    shutil.copy(other.key, certificate.key)
    server.ingress.hangup()
    wait_log(server.ingress, "does not belong to the certificate")
    wait_log(server.ingress, "certificate kept as it was")
    assert server.serves()
    assert server.ingress.metric("drawbridge_ingress_tls_reload_failures_total") == 1
    certificate.make()
    server.ingress.hangup()
    server.tls = certificate.context()
    wait_until(lambda: "certificate" in server.ingress.log.split("kept as it was")[-1], seconds(5), "a good one again")
    assert server.serves()


def test_a_certificate_near_its_end_is_told(servers, folder):
    certificate = Certificate(folder, "short")
    certificate.make(days=3)
    server = servers({"http": certificate.settings}, tls=certificate.context())
    assert re.search(r"level=warn.*event=certificate.*valid_until=\d{4}-.*warning=\"?expires soon", server.ingress.log)


def checked(folder, **http):
    """What --check-config says of these http settings."""
    path = os.path.join(folder, "check.cfg")
    with open(path, "w", encoding="utf-8") as out:
        rows = "".join(f'{name} = "{value}"; ' for name, value in http.items())
        out.write(f'http: {{ {rows} }};\nkafka: {{ bootstrap_servers = "localhost:9"; }};\n'
                  f'triggers: {{ directory = "{folder}/none"; }};\n')
    os.makedirs(os.path.join(folder, "none"), exist_ok=True)
    run = subprocess.run([program("drawbridge-ingress"), "--check-config", "--config", path], capture_output=True,
                         text=True, check=False, timeout=30)
    return run.returncode, run.stderr


def test_problems_are_told_before_the_start(folder):
    good, other = Certificate(folder, "good"), Certificate(folder, "stranger")
    assert checked(folder, **good.settings) == (0, "")
    for http, words in (
            ({"tls_certificate": good.certificate}, "go together"),
            ({"tls_certificate": good.certificate, "tls_key": other.key}, "does not belong"),
            ({"tls_certificate": good.certificate, "tls_key": "/nowhere"}, "/nowhere"),
            ({"tls_certificate": good.key, "tls_key": good.key}, "holds no PEM certificate"),
            ({"listen": "unix:relative"}, "begins with '/'"),
            ({"listen": "8080"}, "nor unix:/path, systemd or systemd:NAME")):
        code, text = checked(folder, **http)
        assert code == 1 and words in text, text


# ---- Unix sockets ----

def test_a_unix_socket(servers, folder):
    path = os.path.join(folder, "a.sock")
    server = servers({"http": {"listen": f"unix:{path}", "socket_mode": "0666"}}, place=path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o666
    assert server.serves()
    assert "peer=unix" in server.ingress.log
    s = server.connect()
    s.send(post(b"{}", "X-Forwarded-For: 198.51.100.7"))
    assert s.collect(1, seconds(3)) == [202]
    s.close()
    assert "198.51.100.7" not in server.ingress.log, "nobody said that who connects may speak for others"
    server.ingress.stop()
    assert not os.path.exists(path)


@pytest.mark.parametrize("case", [c for c in GROUPS["framing"] + GROUPS["pipelines"] if 0 not in c.statuses][::3],
                         ids=lambda case: case.name)
def test_requests_over_a_unix_socket(unix_server, case):
    answered_as_listed(unix_server, case)


@pytest.fixture(scope="module")
def unix_server(request, folder):
    path = os.path.join(folder, "module.sock")
    it = Server({"http": {"listen": f"unix:{path}"}}, place=path)
    yield it
    it.close(getattr(request.session, "went_wrong", False))


def test_a_trusted_unix_peer_speaks_for_others(servers, folder):
    path = os.path.join(folder, "b.sock")
    server = servers({"http": {"listen": f"unix:{path}", "trusted_proxies": ["unix"]}}, place=path, start=False)
    server.bridge.write_triggers([{"agent_id": "near", "allowed_ips": ["198.51.100.0/24"], "verify": "none"}])
    server.ingress.start()
    for line, status in (("X-Forwarded-For: 198.51.100.7", 202), ("X-Forwarded-For: 203.0.113.1, 198.51.100.7", 202),
                         ("X-Forwarded-For: 198.51.100.7, 203.0.113.1", 403), ("X-Forwarded-For: nonsense", 403),
                         ("X-Forwarded-For: ::", 403), ("X-A: b", 403)):
        s = server.connect()
        s.send(post(b"{}", line, target="/api/v1/agents/near/webhook"))
        assert s.collect(1, seconds(3)) == [status], line
        s.close()


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(servers, folder):
    path = os.path.join(folder, "c.sock")
    settings = {"http": {"listen": f"unix:{path}"}}
    first = servers(settings, place=path)
    second = first.bridge.ingress({**settings, "topics": {"events": "raw.events"}}, start=False)
    second.start(ready=False)
    assert second.process.wait(seconds(10)) == 2
    assert "another process listens on" in second.log
    assert first.serves()
    first.ingress.kill9()
    assert os.path.exists(path)
    first.ingress.start()
    assert first.serves()


# ---- sockets handed over, several processes ----

@pytest.mark.parametrize("name", ["systemd", "systemd:http"])
def test_a_socket_that_is_handed_over(servers, name):
    port = free_port()
    server = servers({"http": {"listen": name}}, place=port, wrapper=[*ACTIVATE, f"http={port}", "--"])
    assert server.serves()
    assert f"port={port}" in server.ingress.log


def test_two_sockets_by_name_one_of_them_unix(servers, folder):
    path = os.path.join(folder, "d.sock")
    server = servers({"http": {"listen": "systemd:http"}}, place=path,
                     wrapper=[*ACTIVATE, f"other={free_port()}", f"http={path}", "--"])
    assert server.serves()
    server.ingress.stop()
    assert os.path.exists(path), "it is not ours to remove"


def test_sockets_for_another_process_are_not_taken(servers):
    server = servers({"http": {"listen": "systemd"}}, place=1, start=False)
    server.ingress.start(ready=False, wrapper=[*ACTIVATE, f"http={free_port()}", "--"], env={"LISTEN_PID": "1"})
    assert server.ingress.process.wait(seconds(10)) == 2
    assert "for another process" in server.ingress.log
    server.ingress.start(ready=False)
    assert server.ingress.process.wait(seconds(10)) == 2
    assert "no socket was handed over" in server.ingress.log


def test_two_ingresses_share_one_port(servers):
    port = free_port()
    http = {"listen": f"127.0.0.1:{port}", "reuse_port": True}
    server = servers({"http": http}, place=port)
    second = server.bridge.ingress({"http": http, "topics": {"events": "raw.events"}})
    for _ in range(60):
        assert server.serves()

    def accepted(daemon):
        return daemon.metric("drawbridge_ingress_requests_total", outcome="accepted")

    assert accepted(server.ingress) + accepted(second) == 60
    assert accepted(server.ingress) > 0 and accepted(second) > 0, "the kernel deals out by a hash of the ports"
    second.stop()
    for _ in range(20):
        assert server.serves()


# ---- the service manager ----

class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = os.path.join(folder, f"notify-{free_port()}")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)

    def hears(self, timeout=10):
        self.socket.settimeout(seconds(timeout))
        return self.socket.recv(4096).decode()

    def hears_at_last(self, wanted):
        """Whatever was said before."""
        while self.hears() != wanted:
            pass

    def waiting(self):
        said = []
        self.socket.setblocking(False)
        try:
            while True:
                said.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return said


def test_the_service_manager_hears_how_it_is(servers, folder):
    manager = Manager(folder)
    server = servers(start=False)
    server.ingress.start(env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "400000"})
    assert manager.hears() == "READY=1"
    time.sleep(1)
    said = manager.waiting()
    assert set(said) == {"WATCHDOG=1"} and 3 < len(said) < 10 * seconds(1), "twice as often as it must: each 200 ms"
    server.ingress.hangup()
    said = [manager.hears()]
    while "READY=1" not in said:
        said.append(manager.hears())
    reloading = [text for text in said if text.startswith("RELOADING=1\nMONOTONIC_USEC=")]
    assert len(reloading) == 1 and said.index(reloading[0]) < said.index("READY=1")
    assert abs(int(reloading[0].rsplit("=", 1)[1]) / 1e6 - time.monotonic()) < seconds(5)
    server.ingress.stop()
    manager.hears_at_last("STOPPING=1")


def test_the_runner_says_so_too(bridge, folder):
    manager = Manager(folder)
    runner = bridge.runner([shell_agent("open", "true")], start=False)
    runner.start(env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "3000000"})
    assert manager.hears() == "READY=1"
    assert manager.hears() == "WATCHDOG=1"
    runner.stop()
    manager.hears_at_last("STOPPING=1")


# ---- limits and root ----

@pytest.mark.parametrize("head_max,taken,refused", [("8KiB", 6 << 10, 9 << 10), ("64KiB", 48 << 10, 70 << 10)])
def test_a_head_has_room_up_to_head_max(servers, head_max, taken, refused):
    server = servers({"http": {"head_max": head_max}})

    def answers(*headers):
        s = server.connect()
        s.send(post(b"{}", *headers))
        try:
            return s.collect(1, seconds(5)), s.closed
        finally:
            s.close()

    assert answers("X-Long: " + "a" * taken) == ([202], False)
    assert answers(*[f"X-{n:02d}: {'a' * 40}" for n in range(40)]) == ([202], False)  # more than any sender's
    status, closed = answers("X-Long: " + "a" * refused)
    assert status in ([], [431]) and closed
    assert server.serves()


def test_connections_stay_below_the_limit_of_descriptors(servers):
    server = servers({"http": {"connections_max": 4096}}, wrapper=["prlimit", "--nofile=100:300", "--"])
    assert re.search(r"descriptors=300 .*connections_max=4096 .*connections=172", server.ingress.log)
    held = [Socket(server.place) for _ in range(250)]
    try:
        wait_until(lambda: server.ingress.metric("drawbridge_ingress_connections") == 172, seconds(10), "172 are taken")
        assert "Too many open files" not in server.ingress.log
    finally:
        for s in held:
            s.close()
    wait_until(server.serves, seconds(10), "it serves again")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
def test_root_is_given_up(servers, folder):
    certificate = Certificate(folder, "root")
    nobody = pwd.getpwnam("nobody")
    group = grp.getgrgid(nobody.pw_gid).gr_name
    server = servers({"user": "nobody", "http": certificate.settings}, tls=certificate.context())
    with open(f"/proc/{server.ingress.process.pid}/status", encoding="ascii") as status:
        facts = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    assert facts["Uid"].split() == [str(nobody.pw_uid)] * 4 and facts["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == 0 and facts["NoNewPrivs"] == "1"
    assert "0" not in facts["Groups"].split()
    assert server.serves()
    # The key was root's alone: told at once, and a reload changes nothing.
    assert "SIGHUP will not be able to read the certificate again" in server.ingress.log
    server.ingress.hangup()
    wait_log(server.ingress, "certificate kept as it was")
    assert server.serves()
    certificate.make()
    shutil.chown(certificate.key, "root", group)
    os.chmod(certificate.key, 0o440)
    server.ingress.hangup()
    server.tls = certificate.context()
    wait_until(lambda: server.ingress.log.count("event=certificate") >= 2, seconds(5), "the group reads it")
    assert server.serves()


# ---- the peer goes at every stage ----

WHOLE = post(b'{"a":1}', signature(b'{"a":1}'), target=SIGNED)
STAGES = {
    "before a byte": 0,
    "in the method": 2,
    "behind the method": 5,
    "in the target": 20,
    "in the version": WHOLE.index(b"HTTP/1.1") + 4,
    "behind the request line": WHOLE.index(b"\r\n") + 2,
    "between CR and LF": WHOLE.index(b"\r\n") + 1,
    "in a header's name": WHOLE.index(b"Content-Length") + 7,
    "in a header's value": WHOLE.index(b"application/json") + 7,
    "before the empty line": WHOLE.index(b"\r\n\r\n") + 2,
    "behind the headers": WHOLE.index(b"\r\n\r\n") + 4,
    "in the body": len(WHOLE) - 3,
    "before the answer": len(WHOLE),
}


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("place", ["plain", "tls", "unix"])
@pytest.mark.parametrize("stage", STAGES)
def test_the_peer_goes(stage, place, how, tls_server, unix_server):
    server = {"tls": tls_server, "unix": unix_server}.get(place) or unix_server
    if place == "plain":
        server = tls_server  # its port without TLS inside: the bytes are no handshake
        s = Socket(server.place)
    else:
        s = server.connect()
    s.send(WHOLE[:STAGES[stage]])
    if how == "reset" and place != "unix":
        s.reset()
    else:
        s.close()
    assert server.serves()


def test_nothing_is_left_of_those_that_went(tls_server, unix_server):
    for server in (tls_server, unix_server):
        wait_until(lambda it=server: it.ingress.metric("drawbridge_ingress_requests_inflight") == 0
                   and it.ingress.metric("drawbridge_ingress_body_bytes") == 0, seconds(10), "nothing is in flight")
