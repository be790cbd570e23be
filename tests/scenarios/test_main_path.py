"""From a signed POST to one result: real payloads, byte for byte, on real Kafka, seen by independent eyes.

SPDX-License-Identifier: Apache-2.0
"""

import collections
import hashlib
import json
import uuid

import pytest

from daemons import Bridge, read_runs, recorder_agent, shell_agent
from payloads import github_payloads, large_payload
from process import wait_until
from records import assert_event, assert_journal, assert_result, headers_of
from sender import Connection, github_workflow_id

pytestmark = pytest.mark.tsan

AGENTS = [f"agent-{n}" for n in range(8)]
PARTITIONS = 6
Sent = collections.namedtuple("Sent", "agent_id delivery_id event body status answer")


class Story:
    """What was sent, and everything that then stood in the topics."""

    def __init__(self, kafka):
        self.bridge = Bridge(kafka.bootstrap, PARTITIONS)
        try:
            self._run()
        except BaseException:
            self.bridge.failed = True
            self.bridge.close()
            raise

    def _run(self):
        bridge = self.bridge
        bridge.github_triggers(AGENTS + ["echo"])
        self.runs_file = bridge.workspace.file("runs")
        self.ingress = bridge.ingress()
        self.runner = bridge.runner([recorder_agent("*", self.runs_file), shell_agent("echo", "cat")])
        payloads = github_payloads()
        assert len(payloads) > 300
        self.sent = []
        connection = Connection(self.ingress)
        for number, (event, body) in enumerate(payloads):
            self.sent.append(self._deliver(connection, AGENTS[number % len(AGENTS)], event, body))
        self.sent.append(self._deliver(connection, "triage", "push", b"{}"))  # an agent without a trigger: 404
        self.large = self._deliver(connection, AGENTS[3], "push", large_payload())
        self.sent.append(self.large)
        self.echoed = self._deliver(connection, "echo", "push", json.dumps({"ref": "ümlaut", "n": [1, 2]}).encode())
        self.sent.append(self.echoed)
        self.again = self._deliver(connection, AGENTS[0], payloads[0][0], payloads[0][1], self.sent[0].delivery_id)
        connection.close()
        self.accepted = [s for s in self.sent if s.status == 202]
        bridge.results(len(self.accepted), timeout=90)
        wait_until(lambda: self.runner.metric("drawbridge_runner_duplicates_total") >= 1, 30, "the second copy was met")
        self.events, self.results = bridge.read("events"), bridge.read("results")
        self.journal, self.dead_letters = bridge.read("journal"), bridge.read("dead_letters")
        self.by_workflow = {e.header("ce_workflowid"): e for e in reversed(self.events)}

    @staticmethod
    def _deliver(connection, agent_id, event, body, delivery_id=None):
        delivery_id = delivery_id or str(uuid.uuid4())
        status, _, content = connection.deliver(agent_id, delivery_id, body, event)
        return Sent(agent_id, delivery_id, event, body, status, json.loads(content))


@pytest.fixture(scope="module")
def story(kafka, request):
    told = Story(kafka)
    yield told
    told.bridge.failed = getattr(request.session, "went_wrong", False)
    told.bridge.close()


def event_type(sent):
    action = json.loads(sent.body).get("action")
    return f"com.github.{sent.event}" + (f".{action}" if isinstance(action, str) else "")


def test_every_delivery_is_answered_as_the_contract_says(story):
    for sent in story.sent:
        if sent.agent_id == "triage":
            assert (sent.status, sent.answer) == (
                404, {"detail": "No webhook trigger registered for agent 'triage'"})
            continue
        assert sent.status == 202, (sent.event, sent.answer)
        assert sent.answer == {"status": "triggered", "agent_id": sent.agent_id,
                               "workflow_id": github_workflow_id(sent.agent_id, sent.delivery_id),
                               "message": "Agent triggered successfully", "event_id": sent.delivery_id}


def test_every_event_stands_in_the_topic_byte_for_byte(story):
    assert len(story.events) == len(story.accepted) + 1  # one was sent twice
    for sent in story.accepted:
        event = story.by_workflow[github_workflow_id(sent.agent_id, sent.delivery_id)]
        assert hashlib.sha256(event.value).digest() == hashlib.sha256(sent.body).digest(), sent.event
        assert_event(event, sent.agent_id, sent.delivery_id, event_type(sent), sent.body, PARTITIONS)
        assert event.header("http-x-github-event") == sent.event


def test_a_body_of_900_kb_is_one_of_them(story):
    event = story.by_workflow[story.large.answer["workflow_id"]]
    assert len(event.value) == 900_000
    assert hashlib.sha256(event.value).hexdigest() == hashlib.sha256(large_payload()).hexdigest()


def test_every_delivery_has_exactly_one_result(story):
    counts = collections.Counter(r.json()["workflow_id"] for r in story.results)
    assert set(counts) == {s.answer["workflow_id"] for s in story.accepted}
    assert set(counts.values()) == {1}
    for result in story.results:
        assert result.json()["success"], result.json()
        assert_result(result, story.by_workflow[result.json()["workflow_id"]])


def test_a_redelivery_is_answered_alike_and_runs_nothing(story):
    assert story.again.status == 202
    assert story.again.answer == story.sent[0].answer
    workflow_id = story.again.answer["workflow_id"]
    assert sum(e.header("ce_workflowid") == workflow_id for e in story.events) == 2
    assert sum(r.workflow_id == workflow_id and r.kind == "start" for r in read_runs(story.runs_file)) == 1


def test_every_run_was_a_process_that_ran_once(story):
    starts = collections.Counter(r.workflow_id for r in read_runs(story.runs_file) if r.kind == "start")
    assert starts == {s.answer["workflow_id"]: 1 for s in story.accepted if s.agent_id != "echo"}


def test_the_command_is_told_everything_about_its_event(story):
    workflow_id = story.echoed.answer["workflow_id"]
    result = next(r.json() for r in story.results if r.json()["workflow_id"] == workflow_id)
    told = json.loads(result["output"])
    assert told["v"] == 1 and told["workflow_id"] == workflow_id and told["agent_id"] == "echo"
    assert told["attempt"] == 1 and told["checkpoints"] == {} and told["signals"] == []
    payload = json.loads(story.echoed.body)
    assert told["prompt"] == ("Event received: A push to the repository\nPayload: "
                              + json.dumps(payload, indent=2))  # escapes stay as they were sent
    event = told["event"]
    assert event["id"] == story.echoed.delivery_id and event["type"] == "com.github.push"
    body = event["body"]
    assert (json.loads(body) if isinstance(body, str) else body) == payload
    assert "signature" not in result["output"].lower(), "what could be replayed is passed on to the command"


def test_the_journal_holds_what_the_schema_says_and_nothing_open(story):
    """Last entry by key, as compaction would leave it: every run is closed and has no body any more."""
    newest = {}
    for record in story.journal:
        newest[record.partition, record.key] = record
        assert_journal(record)
    closed = {key.decode(): r for (_, key), r in newest.items() if key.startswith(b"wh-") and r.value is not None}
    assert set(closed) == {s.answer["workflow_id"] for s in story.accepted}
    for workflow_id, record in closed.items():
        assert record.value == b"", workflow_id
        assert json.loads(record.header("drawbridge-run"))["state"] == "closed"
        assert record.partition == story.by_workflow[workflow_id].partition
    positions = {p: json.loads(r.value)["next"] for (p, key), r in newest.items() if key == b"@position"}
    ends = collections.Counter(e.partition for e in story.events)
    assert {p: n for p, n in positions.items() if n > 0} == dict(ends)


def test_nothing_went_to_the_dead_letters(story):
    assert story.dead_letters == []


def test_no_log_line_and_no_record_holds_the_secret_or_a_body(story):
    logs = story.ingress.log + story.runner.log
    for text in ("it is a secret to everybody", "refs/heads/main", "sha256="):
        assert text not in logs, text
    for record in story.events:
        assert "it is a secret" not in str(headers_of(record))


def test_the_ingress_writes_one_line_for_each_request(story):
    workflow_id = story.large.answer["workflow_id"]
    assert sum(workflow_id in line for line in story.ingress.log.splitlines()) == 1


def test_both_daemons_end_with_zero(story):
    """Last in this file: a clean end after all that, and no leak where a sanitizer looks on."""
    story.runner.stop()
    story.ingress.stop()


def test_one_trace_leads_from_the_request_to_the_result(story):
    sent = story.accepted[0]
    workflow = github_workflow_id(sent.agent_id, sent.delivery_id)
    parent = story.by_workflow[workflow].header("traceparent")
    results = [r for r in story.results if r.json()["workflow_id"] == workflow]
    assert [r.header("traceparent") for r in results] == [parent]
    mark = f"trace_id={parent[3:35]}"
    assert mark in next(line for line in story.ingress.log.splitlines() if workflow in line)
    for event in ("run started", "run finished"):
        line = next(line for line in story.runner.log.splitlines() if event in line and workflow in line)
        assert mark in line, line
