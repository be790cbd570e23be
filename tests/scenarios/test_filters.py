"""What a trigger takes and what it leaves: the filter by event type, rates, CloudEvents in both modes, the count and
the line of what was denied, the trace.  On the mock cluster: nothing here rests on what Kafka promises.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import re
import threading
import time
import uuid

import jsonschema
import pytest
import yaml

from daemons import SECRET, Bridge, github_trigger, wait_log
from mock import MockKafka
from process import ROOT, wait_until
from records import assert_valid, headers_of
from sender import Connection, github_headers, workflow_id

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
JSON = {"Content-Type": "application/json"}
CE_JSON = "application/cloudevents+json"
BINARY = {**JSON, "ce-specversion": "1.0", "ce-id": "42", "ce-source": "/shop/orders", "ce-type": "com.example.order"}


class Gate:
    def __init__(self):
        self.kafka = MockKafka({"gate.events": 2})
        self.bridge = Bridge(self.kafka.bootstrap, topics=False)
        self.bridge.names["events"] = "gate.events"
        secret = self.bridge.secret_file
        self.bridge.write_triggers([
            github_trigger("filtered", secret, events=["com.github.issues.*", "com.github.push", "!*.labeled"]),
            github_trigger("linear-like", secret, events=["nothing"], response_status=200),
            github_trigger("slow", secret, rate="10/min", burst=2),
            {"agent_id": "open", "verify": "none"},
            {"agent_id": "events", "verify": "none", "content_types": ["application/json", CE_JSON],
             "events": ["com.example.*"]},
        ])
        self.ingress = self.bridge.ingress({"topics": {"events": "gate.events"}})

    def deliver(self, agent, event="push", body=b"{}", headers=None):
        connection = Connection(self.ingress)
        try:
            return connection.deliver(agent, str(uuid.uuid4()), body, event, headers=headers)
        finally:
            connection.close()

    def post(self, agent, body, headers):
        connection = Connection(self.ingress)
        try:
            status, _, content = connection.request("POST", self.ingress.path(agent), body, headers)
            return status, json.loads(content)
        finally:
            connection.close()

    def record(self, workflow):
        return next(r for r in self.bridge.read("events", isolation="read_uncommitted")
                    if r.header("ce_workflowid") == workflow)

    def denials(self, agent, reason):
        return self.ingress.metrics().get(
            f'drawbridge_ingress_denials_total{{agent="{agent}",reason="{reason}"}}', 0)


@pytest.fixture(scope="module")
def gate():
    it = Gate()
    yield it
    it.ingress.stop()
    it.bridge.close()
    it.kafka.close()


# ---- the filter ----

def test_an_unwanted_event_is_ignored_and_says_so(gate):
    before = gate.ingress.metric("drawbridge_ingress_requests_total", outcome="ignored")
    published = len(gate.bridge.read("events", isolation="read_uncommitted"))
    for event, body, taken in [("push", b"{}", True), ("issues", b'{"action":"opened"}', True),
                               ("issues", b'{"action":"labeled"}', False), ("star", b'{"action":"created"}', False)]:
        status, _, content = gate.deliver("filtered", event, body)
        answer = json.loads(content)
        assert status == 202 and answer["status"] == ("triggered" if taken else "ignored"), answer
        assert taken == bool(answer["workflow_id"])
    assert gate.ingress.metric("drawbridge_ingress_requests_total", outcome="ignored") == before + 2
    assert len(gate.bridge.read("events", isolation="read_uncommitted")) == published + 2


def test_ignored_has_the_status_that_the_sender_insists_on(gate):
    status, _, content = gate.deliver("linear-like")
    assert status == 200 and json.loads(content)["status"] == "ignored"


def test_a_forged_event_is_refused_before_it_is_filtered(gate):
    assert gate.deliver("filtered", "star", headers={"X-Hub-Signature-256": "sha256=" + "0" * 64})[0] == 401


# ---- the rate ----

def test_beyond_the_rate_429_says_when(gate):
    assert [gate.deliver("slow")[0] for _ in range(2)] == [202, 202]
    status, headers, content = gate.deliver("slow")
    assert status == 429 and 1 <= int(headers["Retry-After"]) <= 6
    assert "Too many requests" in json.loads(content)["detail"]
    assert gate.denials("slow", "rate_limited") == 1
    assert gate.deliver("filtered")[0] == 202  # another agent's business


def test_forged_requests_use_up_nobodys_rate_and_a_reload_refills_none(gate):
    wait = int(gate.deliver("slow")[1]["Retry-After"])
    reloads = gate.ingress.metric("drawbridge_ingress_trigger_reloads_total")
    gate.ingress.hangup()
    wait_until(lambda: gate.ingress.metric("drawbridge_ingress_trigger_reloads_total") > reloads, 10, "reloaded")
    assert gate.deliver("slow")[0] == 429
    for _ in range(20):
        assert gate.deliver("slow", headers={"X-Hub-Signature-256": "sha256=" + "0" * 64})[0] == 401
    time.sleep(wait + 0.1)
    assert gate.deliver("slow")[0] == 202


# ---- CloudEvents ----

def test_binary_mode(gate):
    headers = {**BINARY, "ce-time": "2026-11-26T12:00:00+01:00", "ce-subject": "%C3%A4%20b", "ce-agentid": "other"}
    status, answer = gate.post("events", b'{"n":1}', headers)
    assert status == 202 and answer["event_id"] == "/shop/orders 42"
    assert answer["workflow_id"] == workflow_id("events", "none", "/agents/events/webhook", "/shop/orders 42")
    record = gate.record(answer["workflow_id"])
    found = headers_of(record)
    assert record.value == b'{"n":1}' and found["content-type"] == "application/json"
    assert found["ce_type"] == "com.example.order" and found["ce_time"] == "2026-11-26T11:00:00.000000Z"
    assert found["ce_source"] == "/agents/events/webhook" and found["ce_agentid"] == "events"
    assert found["ce_subject"] == "ä b"
    assert_valid("event-headers", found)


def test_structured_mode(gate):
    body = json.dumps({"specversion": "1.0", "id": "7", "source": "https://a.example/x", "type": "com.example.y",
                       "subject": "s", "data": {"a": 1}}).encode()
    status, answer = gate.post("events", body, {"Content-Type": f"{CE_JSON}; charset=utf-8"})
    assert status == 202 and answer["event_id"] == "https://a.example/x 7"
    record = gate.record(answer["workflow_id"])
    found = headers_of(record)
    assert record.value == body and found["content-type"] == "application/json"
    assert found["ce_type"] == "com.example.y" and found["ce_subject"] == "s"
    assert found["ce_source"] == "/agents/events/webhook"
    assert_valid("event-headers", found)


def test_their_types_are_filtered_as_any(gate):
    assert gate.post("events", b"{}", {**BINARY, "ce-type": "org.other"})[1]["status"] == "ignored"


@pytest.mark.parametrize("agent, headers, body, status, detail", [
    ("events", {**BINARY, "ce-id": ""}, b"{}", 400, "attribute 'id'"),
    ("events", {**BINARY, "ce-specversion": "0.3"}, b"{}", 400, "'specversion' is not 1.0"),
    ("events", {**JSON, "ce-id": "1"}, b"{}", 400, "'specversion' is missing"),
    ("events", {"Content-Type": CE_JSON}, b'{"specversion":"1.0"}', 400, "'id' is missing"),
    ("events", {"Content-Type": CE_JSON}, b'{"specversion":', 400, "not valid JSON"),
    ("events", {"Content-Type": "application/cloudevents-batch+json"}, b"[]", 415, "content type"),
    ("events", {"Content-Type": "application/cloudevents+avro"}, b"x", 415, "content type"),
    ("open", {"Content-Type": CE_JSON}, b"{}", 415, "content type"),
])
def test_what_is_no_cloudevent_is_refused(gate, agent, headers, body, status, detail):
    answer = gate.post(agent, body, headers)
    assert answer[0] == status and detail in answer[1]["detail"], answer


def test_a_trigger_that_lists_none_takes_the_headers_for_any(gate):
    status, answer = gate.post("open", b"{}", BINARY)
    assert status == 202 and answer["event_id"] != "/shop/orders 42"
    assert headers_of(gate.record(answer["workflow_id"]))["ce_type"] == "drawbridge.webhook"


# ---- denials ----

def test_denials_are_counted_by_agent_and_reason_and_told_in_samples(gate):
    before = gate.denials("filtered", "signature_mismatch")
    for _ in range(12):
        assert gate.deliver("filtered", headers={"X-Hub-Signature-256": "sha256=" + "1" * 64})[0] == 401
    assert gate.deliver("filtered", headers={"X-Hub-Signature-256": "rubbish"})[0] == 401
    for agent in ("nobody", "nobody-else"):
        assert gate.deliver(agent)[0] == 404
    assert gate.denials("filtered", "signature_mismatch") == before + 12
    assert gate.denials("filtered", "signature_malformed") == 1
    assert gate.denials("(unknown)", "not_found") == 2
    wait_log(gate.ingress, "reason=signature_malformed")
    lines = [line for line in gate.ingress.log.splitlines()
             if "event=denied" in line and "agent=filtered" in line and "signature_mismatch" in line]
    assert 5 <= len(lines) <= 11, lines  # of at least 13 denials, in two minutes at most but for the first
    assert all("peer=127.0.0.1" in line and "status=401" in line and "left_out=" in line for line in lines)
    assert "1" * 64 not in gate.ingress.log


# ---- the trace ----

def test_a_trace_is_taken_over_into_the_record_and_the_log(gate):
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "a=1,b=2"}
    answer = json.loads(gate.deliver("filtered", headers=headers)[2])
    found = headers_of(gate.record(answer["workflow_id"]))
    assert found["traceparent"] == f"00-{TRACE}-{PARENT}-01" and found["tracestate"] == "a=1,b=2"
    wait_log(gate.ingress, f"trace_id={TRACE}")


def test_without_one_or_with_a_bad_one_a_trace_is_begun(gate):
    traces = set()
    for headers in ({}, {"traceparent": f"00-{'0' * 32}-{PARENT}-01", "tracestate": "a=1"}):
        answer = json.loads(gate.deliver("filtered", headers=headers)[2])
        found = headers_of(gate.record(answer["workflow_id"]))
        traces.add(found["traceparent"])
        assert re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-00", found["traceparent"])
        assert "tracestate" not in found
        wait_log(gate.ingress, f"trace_id={found['traceparent'][3:35]}")
    assert len(traces) == 2


# ---- what is published about it ----

def test_answers_are_those_of_the_openapi_document(gate):
    with open(os.path.join(ROOT, "schemas", "openapi.yaml"), encoding="utf-8") as text:
        document = yaml.safe_load(text)
    (path, operations), = document["paths"].items()
    assert gate.ingress.path("a") == gate.ingress.prefix + path.replace("{agent_id}", "a")
    signed = github_headers(SECRET, b"{}", "openapi-1")
    seen = set()
    for method, agent, headers, name in [
            ("POST", "open", JSON, "Triggered"), ("POST", "filtered", {**signed, "X-GitHub-Event": "star"}, "Ignored"),
            ("GET", "open", {}, "WebhookInfo"), ("GET", "nobody", {}, "Detail"), ("POST", "filtered", JSON, "Detail"),
            ("POST", "open", {"Content-Type": "text/html"}, "Detail"), ("POST", "nobody", JSON, "Detail"),
            ("POST", "events", {**BINARY, "ce-id": ""}, "Detail"), ("OPTIONS", "open", {}, None),
            ("OPTIONS", "open", {"WebHook-Request-Origin": "a.example"}, "Detail"), ("HEAD", "open", {}, None)]:
        connection = Connection(gate.ingress)
        status, _, content = connection.request(method, gate.ingress.path(agent), b"{}" if method == "POST" else None,
                                                headers)
        connection.close()
        assert str(status) in operations[method.lower()]["responses"], (method, agent, status)
        seen.add(status)
        if name is None:
            assert content == b""
            continue
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(json.loads(content))
    assert seen == {200, 202, 204, 400, 401, 404, 405, 415}


# ---- all together ----

def test_beyond_so_many_requests_under_way_503():
    kafka = MockKafka({"full.events": 1})
    bridge = Bridge(kafka.bootstrap, topics=False)
    bridge.write_triggers([{"agent_id": "open", "verify": "none"}])
    ingress = bridge.ingress({"topics": {"events": "full.events"}, "http": {"requests_max": 4}})
    kafka.command("rtt 1 1500")
    answers = []

    def one():
        connection = Connection(ingress)
        status, headers, _ = connection.request("POST", ingress.path("open"), b"{}", JSON)
        answers.append((status, headers.get("Retry-After")))
        connection.close()

    senders = [threading.Thread(target=one) for _ in range(12)]
    try:
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert sorted(answers, key=str) == [(202, None)] * 4 + [(503, "2")] * 8
        assert "reason=requests_max" in ingress.log
        ingress.stop()
    finally:
        bridge.close()
        kafka.close()
