"""The ingress by itself: readiness, outage and recovery, deadlines, a full queue, reload, drain, configuration errors.

Brokers only have to answer, delay or fail here: the mock cluster does that on request.  What promises rest on (events
in Kafka, byte for byte, once) is tested on real brokers elsewhere.

SPDX-License-Identifier: Apache-2.0
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from daemons import SECRET, Bridge, github_trigger, program, seconds, wait_log
from mock import MockKafka
from process import wait_until
from sender import Connection, github_headers, github_workflow_id

PRODUCE = 0  # Kafka's API key
OUT_OF_ORDER_SEQUENCE_NUMBER = 45
BODY = b'{"action":"opened"}'


class Stage:
    def __init__(self, settings=None, triggers=None, away=False):
        self.kafka = MockKafka({"stage.events": 4})
        if away:
            self.kafka.command("down 1")
        self.bridge = Bridge(self.kafka.bootstrap, topics=False)
        self.bridge.write_triggers(triggers or [github_trigger("demo", self.bridge.secret_file),
                                                {"agent_id": "open", "verify": "none"}])
        base = {"topics": {"events": "stage.events"}, "publish": {"deadline": "1500ms"}, **(settings or {})}
        self.ingress = self.bridge.ingress(base, start=False)
        self.ingress.start(ready=not away)

    def deliver(self, agent="demo", delivery="d-1", body=BODY, headers=None):
        connection = Connection(self.ingress, timeout=seconds(20))
        try:
            return connection.deliver(agent, delivery, body, headers=headers)
        finally:
            connection.close()

    def timed(self, **more):
        begin = time.monotonic()
        status, headers, content = self.deliver(**more)
        return status, time.monotonic() - begin, headers, content

    def deliver_at_once(self, count, prefix="", **more):
        """Starts `count` deliveries side by side; the list fills with their statuses, join ends the waiting."""
        statuses = []

        def one(number):
            statuses.append(self.deliver(delivery=f"{prefix}{number}", **more)[0])

        senders = [threading.Thread(target=one, args=(number,)) for number in range(count)]
        for sender in senders:
            sender.start()

        def join():
            for sender in senders:
                sender.join()
            return statuses

        return join

    def close(self, failed):
        self.bridge.failed = failed
        self.bridge.close()
        self.kafka.close()


@pytest.fixture
def make_stage(request):
    stages = []

    def make(*args, **kwargs):
        stages.append(Stage(*args, **kwargs))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close(getattr(request.node, "went_wrong", False))


# ---- what an accepted delivery says ----

def test_the_answer_and_the_log_of_an_accepted_delivery(make_stage):
    stage = make_stage()
    status, headers, content = stage.deliver(delivery="abc-1")
    assert status == 202 and headers["Content-Type"] == "application/json"
    assert json.loads(content) == {
        "status": "triggered", "agent_id": "demo", "workflow_id": github_workflow_id("demo", "abc-1"),
        "message": "Agent triggered successfully", "event_id": "abc-1"}
    assert json.loads(stage.deliver(delivery="abc-1")[2])["workflow_id"] == github_workflow_id("demo", "abc-1")
    wait_log(stage.ingress, "event_id=abc-1")
    line = next(l for l in stage.ingress.log.splitlines() if "event_id=abc-1" in l)
    for part in ("event=request", "status=202", "outcome=accepted", "agent=demo", "peer=127.0.0.1",
                 f"bytes={len(BODY)}", "duration_us=", "partition=", "offset="):
        assert part in line, (part, line)


def test_a_delivery_without_an_id_gets_a_fresh_one(make_stage):
    stage = make_stage()
    ids = set()
    for _ in range(20):
        connection = Connection(stage.ingress)
        status, _, content = connection.request("POST", stage.ingress.path("open"), BODY,
                                                {"Content-Type": "application/json"})
        connection.close()
        assert status == 202
        ids.add(json.loads(content)["event_id"])
    assert len(ids) == 20
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", i) for i in ids)


def test_webhook_info(make_stage):
    stage = make_stage()
    connection = Connection(stage.ingress)
    status, headers, content = connection.request("GET", stage.ingress.path("demo"), headers={"Host": "evil.example"})
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert json.loads(content) == {
        "webhook_url": f"http://127.0.0.1:{stage.ingress.port}/api/v1/agents/demo/webhook", "agent_id": "demo",
        "methods": ["POST"], "content_type": "application/json", "event_source": "",
        "description": "A push to the repository"}
    assert connection.request("GET", stage.ingress.path("nobody"))[0] == 404
    status, headers, _ = connection.request("PUT", stage.ingress.path("demo"), b"{}")
    assert status == 405 and headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    connection.close()


# ---- Kafka away ----

def test_it_listens_before_kafka_is_there(make_stage):
    stage = make_stage(away=True)
    wait_until(lambda: "listening" in stage.ingress.log, seconds(10), "it listens")
    wait_until(lambda: "no partition of topic 'stage.events'" in stage.ingress.manage("/readyz")[1],
               seconds(10), "it says what is missing")
    status, took, headers, _ = stage.timed()
    assert status == 503 and took < seconds(0.5) and int(headers["Retry-After"]) > 0
    assert stage.ingress.manage("/healthz")[0] == 200
    stage.kafka.command("up 1")
    wait_until(lambda: stage.deliver()[0] == 202, seconds(10), "accepted")


def test_an_outage_is_told_quickly_and_ends_by_itself(make_stage):
    stage = make_stage()
    assert stage.deliver()[0] == 202
    stage.kafka.command("down 1")
    wait_until(lambda: stage.ingress.manage("/readyz")[0] == 503, seconds(10), "not ready")
    assert "connected leader" in stage.ingress.manage("/readyz")[1]
    for _ in range(5):
        status, took, headers, content = stage.timed()
        assert status == 503 and took < seconds(0.5), took
        assert int(headers["Retry-After"]) > 0 and json.loads(content) == {"detail": "Kafka is not available"}
    assert stage.timed(headers={"X-Hub-Signature-256": "sha256=" + "0" * 64})[0] == 401  # still judged first
    stage.kafka.command("up 1")
    begin = time.monotonic()
    wait_until(lambda: stage.deliver()[0] == 202, seconds(10), "accepted again")
    assert time.monotonic() - begin < seconds(3)
    assert stage.ingress.manage("/readyz")[0] == 200


def test_no_sender_waits_beyond_the_deadline(make_stage):
    stage = make_stage()
    stage.kafka.command("rtt 1 4000")
    status, took, headers, content = stage.timed()
    assert status == 503 and 1.4 < took < seconds(2.5), took
    assert json.loads(content) == {"detail": "Kafka did not answer in time"} and int(headers["Retry-After"]) > 0
    # With nothing acknowledged, the next ones need not wait; and the late report is counted, not delivered.
    status, took, _, _ = stage.timed()
    assert status == 503 and took < seconds(0.5)
    stage.kafka.command("rtt 1 0")
    wait_until(lambda: stage.ingress.metric("drawbridge_ingress_late_reports_total") == 1, seconds(15),
               "the late report")
    wait_until(lambda: stage.deliver()[0] == 202, seconds(10), "accepted again")


def test_a_fatal_producer_is_replaced_while_listening(make_stage):
    """An out-of-order sequence number is how the idempotent producer dies at a leader change."""
    stage = make_stage({"publish": {"deadline": "8s"}})
    for round_number in (1, 2):
        stage.kafka.command("rtt 1 300")
        stage.kafka.command(f"fail {PRODUCE} {OUT_OF_ORDER_SEQUENCE_NUMBER} 1")
        statuses = stage.deliver_at_once(10, f"{round_number}-")()
        assert len(statuses) == 10 and set(statuses) <= {202, 503} and 503 in statuses
        stage.kafka.command("rtt 1 0")
        assert stage.ingress.metric("drawbridge_ingress_producer_rebuilds_total") == round_number
        wait_until(lambda: stage.deliver()[0] == 202, seconds(10), "accepted by the new producer")
    assert stage.ingress.alive()


def test_a_full_queue_is_told_at_once(make_stage):
    stage = make_stage({"publish": {"deadline": "10s", "queue_max": "2MiB"}, "http": {"body_max": "512KiB"}})
    stage.kafka.command("rtt 1 3000")
    body = b'"' + b"x" * 400000 + b'"'
    join = stage.deliver_at_once(4, body=body)
    wait_until(lambda: stage.ingress.metric("drawbridge_ingress_queue_bytes") > 1600000, seconds(5), "the queue fills")
    status, took, headers, content = stage.timed(body=body)
    assert status == 503 and took < seconds(1) and int(headers["Retry-After"]) > 0
    assert json.loads(content) == {"detail": "Too many events are waiting"}
    assert join() == [202] * 4
    assert stage.ingress.metric("drawbridge_ingress_requests_total", outcome="queue_full") == 1


# ---- triggers ----

def test_reload_takes_all_or_nothing(make_stage):
    stage = make_stage()
    triggers = [github_trigger("demo", stage.bridge.secret_file), github_trigger("second", stage.bridge.secret_file)]
    assert stage.deliver("second")[0] == 404
    stage.bridge.write_triggers(triggers)
    stage.ingress.hangup()
    wait_until(lambda: stage.deliver("second")[0] == 202, seconds(5), "the new trigger serves")
    assert stage.ingress.metric("drawbridge_ingress_trigger_reloads_total") == 1
    assert stage.deliver("open")[0] == 404
    wrong = {"agent_id": "third", "verify": {"scheme": "nonsense", "secrets": ["env:A"]}}
    stage.bridge.write_triggers([*triggers, wrong])
    stage.ingress.hangup()
    wait_until(lambda: stage.ingress.metric("drawbridge_ingress_trigger_reload_failures_total") == 1, seconds(5),
               "the failure is counted")
    assert stage.deliver("second")[0] == 202 and stage.deliver("third")[0] == 404
    assert "no scheme 'nonsense'" in stage.ingress.log and SECRET not in stage.ingress.log


def test_a_rotated_secret_is_taken_beside_the_old_one(make_stage):
    stage = make_stage()
    other = stage.bridge.workspace.file("other")
    with open(other, "w", encoding="ascii") as out:
        os.fchmod(out.fileno(), 0o600)
        out.write("new secret\n")
    trigger = github_trigger("demo", stage.bridge.secret_file)
    trigger["verify"]["secrets"] = [f"file:{other}", f"file:{stage.bridge.secret_file}"]
    stage.bridge.write_triggers([trigger])
    stage.ingress.hangup()
    connection = Connection(stage.ingress)

    def accepted(secret):
        return connection.request("POST", stage.ingress.path("demo"), BODY, github_headers(secret, BODY, "x"))[0] == 202

    wait_until(lambda: accepted("new secret"), seconds(5), "the new secret")
    assert accepted(SECRET) and not accepted("third secret")
    connection.close()


def test_sources(make_stage):
    proxy = {"http": {"trusted_proxies": ["127.0.0.1"]}}
    stage = make_stage(proxy, triggers=[
        {"agent_id": "inside", "allowed_ips": ["192.0.2.0/24", "2001:db8::/32"]},
        {"agent_id": "origin", "event_source": "https://github.com", "verify": "none"},
        {**github_trigger("both", None), "verify": {"scheme": "github", "secrets": ["env:PATH"]},
         "allowed_ips": ["192.0.2.0/24"]}])

    def status(agent, **headers):
        connection = Connection(stage.ingress)
        try:
            return connection.request("POST", stage.ingress.path(agent), BODY,
                                      {"Content-Type": "application/json",
                                       **{k.replace("_", "-"): v for k, v in headers.items()}})[0]
        finally:
            connection.close()

    assert status("inside") == 403
    assert status("inside", X_Forwarded_For="192.0.2.7") == 202
    assert status("inside", X_Forwarded_For="2001:db8::7") == 202
    assert status("inside", X_Forwarded_For="192.0.2.7, 198.51.100.1") == 403
    assert status("inside", X_Forwarded_For="rubbish") == 403
    assert status("origin") == 403
    assert status("origin", Origin="https://github.com") == 202
    assert status("origin", Origin="https://github.com.evil.example") == 403
    assert status("both", X_Forwarded_For="198.51.100.1") == 403
    assert status("both", X_Forwarded_For="192.0.2.7") == 401


# ---- the end ----

def test_drain_answers_who_waits_and_closes_who_is_idle(make_stage):
    stage = make_stage({"publish": {"deadline": "8s"}})
    idle = http.client.HTTPConnection("127.0.0.1", stage.ingress.port, timeout=seconds(5))
    idle.request("GET", stage.ingress.path("demo"))
    assert idle.getresponse().read()
    stage.kafka.command("rtt 1 1500")
    join = stage.deliver_at_once(8)
    wait_until(lambda: stage.ingress.metric("drawbridge_ingress_queue_events") == 8, seconds(5), "they wait")
    begin = time.monotonic()
    stage.ingress.process.signal(signal.SIGTERM)
    wait_until(lambda: stage.ingress.manage("/readyz")[1] == "shutting down\n", seconds(2), "not ready any more")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", stage.ingress.port), timeout=1).close()
    assert stage.ingress.process.wait(seconds(20)) == 0
    assert join() == [202] * 8
    assert time.monotonic() - begin < seconds(6)
    assert idle.sock.recv(1) == b""
    idle.close()


@pytest.mark.parametrize("signals", [1, 2], ids=["drain passed", "second signal"])
def test_a_drain_that_ends_early_answers_with_503(make_stage, signals):
    stage = make_stage({"publish": {"deadline": "60s"}, "drain": "1s" if signals == 1 else "60s"})
    stage.kafka.command("rtt 1 30000")
    answers = []
    sender = threading.Thread(target=lambda: answers.append(stage.deliver()))
    sender.start()
    wait_until(lambda: stage.ingress.metric("drawbridge_ingress_queue_events") == 1, seconds(5), "it waits")
    for _ in range(signals):
        stage.ingress.process.signal(signal.SIGTERM)
        time.sleep(0.3)
    assert stage.ingress.process.wait(seconds(20)) == 2
    sender.join()
    assert answers[0][0] == 503
    assert "stopped before everything was answered" in stage.ingress.log


def test_a_body_under_way_is_finished_in_the_drain(make_stage):
    stage = make_stage()
    s = socket.create_connection(("127.0.0.1", stage.ingress.port), timeout=seconds(5))
    lines = [f"POST {stage.ingress.path('demo')} HTTP/1.1", "Host: a", f"Content-Length: {len(BODY)}",
             *(f"{name}: {value}" for name, value in github_headers(SECRET, BODY, "x").items())]
    s.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + BODY[:5])
    wait_until(lambda: stage.ingress.metric("drawbridge_ingress_requests_inflight") == 1, seconds(5), "it is under way")
    stage.ingress.process.signal(signal.SIGTERM)
    wait_until(lambda: stage.ingress.manage("/readyz")[1] == "shutting down\n", seconds(2), "draining")
    s.sendall(BODY[5:])
    assert s.recv(4096).startswith(b"HTTP/1.1 202 ")
    assert stage.ingress.process.wait(seconds(20)) == 0
    s.close()


# ---- configuration ----

def run_check(stage, *more):
    return subprocess.run([program("drawbridge-ingress"), "--config", stage.ingress.config_path, *more],
                          capture_output=True, text=True, timeout=seconds(20), check=False)


def test_check_config_finds_everything_at_once(make_stage):
    stage = make_stage()
    assert run_check(stage, "--check-config").returncode == 0
    stage.bridge.write_triggers([{"agent_id": "a b", "verify": "none"},
                                 {"agent_id": "c", "secret": "env:NO_SUCH_NAME_HERE"}])
    result = run_check(stage, "--check-config")
    assert result.returncode == 1
    assert "agent_id" in result.stderr and "NO_SUCH_NAME_HERE" in result.stderr
    assert run_check(stage).returncode == 1  # nor does it start with these
    stage.ingress.settings["http"]["body_max"] = "1 banana"
    stage.ingress.settings["http"]["colour"] = "red"
    stage.ingress.settings["kafka"]["acks"] = "1"
    stage.ingress.write_settings()
    result = run_check(stage, "--check-config")
    assert result.returncode == 1
    for word in ("body_max", "colour", "acks"):
        assert word in result.stderr, result.stderr
    assert all(re.match(r".+:\d+: ", line) for line in result.stderr.splitlines()), result.stderr


def test_refused_credentials_end_it_before_it_was_ready(make_stage):
    """TLS spoken to something that answers in plain text: waiting for better weather would be in vain."""
    stage = make_stage()
    servers = f"127.0.0.1:{stage.ingress.port}"
    stage.ingress.settings["kafka"] = {"bootstrap_servers": servers, "security_protocol": "ssl"}
    stage.ingress.settings["http"]["listen"] = stage.ingress.settings["manage"]["listen"] = "127.0.0.1:0"
    stage.ingress.write_settings()
    result = run_check(stage)
    assert result.returncode == 1 and "Kafka refuses the credentials" in result.stderr, result.stderr


def test_a_taken_port_is_a_sentence(make_stage):
    stage = make_stage()
    result = run_check(stage)
    assert result.returncode == 2 and "listen on" in result.stderr and "in use" in result.stderr
