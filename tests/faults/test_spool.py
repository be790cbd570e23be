"""The spool: what got a 202 while Kafka was away is one event that the runner acts on, in the order of its agent.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import random
import sqlite3
import threading
import time
import uuid

from confluent_kafka.admin import AdminClient, NewTopic

from checker import check, events_of, results_of
from daemons import github_trigger, read_runs, recorder_agent, seconds, wait_log
from process import wait_until
from sender import Campaign, Connection, github_workflow_id, plan_deliveries

AGENTS = [f"agent-{n:02d}" for n in range(50)]


def spool_settings(bridge, name="spool"):
    return {"spool": {"directory": os.path.join(bridge.workspace.path, name)}}


def spooled(ingress):
    return ingress.metric("drawbridge_ingress_spool_events")


def wait_drained(ingress, timeout=60):
    wait_until(lambda: spooled(ingress) == 0, seconds(timeout), "the spool is empty")


def order_findings(plans, events):
    """Each agent's events stand in the topic in the order in which it was sent (the first copy of each counts)."""
    place = {}
    for event in events:
        place.setdefault(event.workflow_id, (event.partition, event.offset))
    found = []
    for plan in plans:
        ids = list(dict.fromkeys(github_workflow_id(d.agent_id, d.delivery_id) for d in plan))
        at = [place[i] for i in ids if i in place]
        if at != sorted(at):
            found.append(f"order: the events of {plan[0].agent_id} stand in another order than they were sent")
    return found


class Outage(threading.Thread):
    """Kafka is away for a while, and the ingress is killed meanwhile."""

    def __init__(self, seed, kafka, ingress, outage_s, kills):
        super().__init__(daemon=True)
        rng = random.Random(seed)
        self.kafka, self.ingress, self.outage_s = kafka, ingress, outage_s
        self.marks = sorted(rng.uniform(0.1, 0.95) * outage_s for _ in range(kills))
        self.ready_text, self.span, self.problem = "", None, None

    def run(self):
        try:
            node = self.kafka.nodes[0]
            self.span = (time.time(), time.time() + self.outage_s)
            node.kill9()
            began = time.monotonic()
            for at in self.marks:
                time.sleep(max(0.0, began + at - time.monotonic()))
                self.ingress.kill9()
                self.ingress.start()  # ready without Kafka
                self.ready_text = self.ingress.manage("/readyz")[1]
            time.sleep(max(0.0, began + self.outage_s - time.monotonic()))
            node.restart()
        except BaseException as problem:  # shown by the test
            self.problem = problem


def test_every_202_is_one_event_after_an_outage_under_kill_9(own_kafka, make_bridge, quick, seed):
    rate, outage_s = (100, 6) if quick else (300, 60)
    bridge = make_bridge(own_kafka)
    runs_file = bridge.workspace.file("runs")
    bridge.github_triggers(AGENTS)
    ingress = bridge.ingress(spool_settings(bridge))
    runner = bridge.runner([recorder_agent("*", runs_file)], {"concurrency": 32})
    plans = plan_deliveries(seed, AGENTS, rate * (outage_s + 6), repeated=0.01)
    campaign = Campaign(ingress, plans, rate=rate).start()
    time.sleep(3)
    outage = Outage(seed, own_kafka, ingress, outage_s, 3)
    outage.start()
    outage.join()
    if outage.problem:
        raise outage.problem
    accepted = campaign.join()
    wait_drained(ingress)
    ids = {a.workflow_id for a in accepted}
    bridge.results(len(ids), timeout=180)
    runner.stop()
    ingress.stop()
    events, results = events_of(bridge.read("events")), results_of(bridge.read("results"))
    sent = {github_workflow_id(d.agent_id, d.delivery_id): d.agent_id for d in campaign.sent}
    print(f"{len(ids)} accepted, {len(events)} events, {len(results)} results; answers {campaign.answers}; "
          f"slowest {campaign.slowest_answer:.2f} s; while away: {outage.ready_text.strip()}")
    assert len(ids) == len(sent) and len(campaign.accepted) == len(campaign.sent)
    # What had run but could not be committed when Kafka went is run again.
    disturbed = [outage.span] + [(at, at) for at in runner.moments_in_log("revoked")]
    findings = (check(sent, ids, events, results, read_runs(runs_file), disturbed) + order_findings(plans, events))
    assert not findings, f"{len(findings)} findings:\n" + "\n".join(findings[:30])
    assert set(campaign.answers) <= {202, None}, campaign.answers
    assert "ready; Kafka is away" in outage.ready_text and "spool: " in outage.ready_text, outage.ready_text


def deliver(ingress, agent_id, body=b"{}"):
    connection = Connection(ingress)
    began = time.monotonic()
    status, _, content = connection.deliver(agent_id, str(uuid.uuid4()), body)
    connection.close()
    return status, json.loads(content), time.monotonic() - began


def test_a_frozen_broker_a_stop_and_events_that_kafka_never_takes(own_kafka, make_bridge):
    bridge = make_bridge(own_kafka)
    node = own_kafka.nodes[0]
    small = f"{bridge.number}.small"
    admin = AdminClient({"bootstrap.servers": own_kafka.bootstrap})
    admin.create_topics([NewTopic(small, 2, 1, config={"max.message.bytes": "20000"})])[small].result()
    bridge.names["events"] = small
    bridge.write_triggers([github_trigger("agent-a", bridge.secret_file, deadline="3s"),
                           github_trigger("agent-b", bridge.secret_file, deadline="3s"),
                           github_trigger("agent-off", bridge.secret_file, deadline="3s", spool=False)])
    ingress = bridge.ingress(spool_settings(bridge))
    wait_until(lambda: "away" not in ingress.manage("/readyz")[1], seconds(20), "Kafka is there")
    assert deliver(ingress, "agent-a", b'{"n": 0}')[0] == 202 and spooled(ingress) == 0
    noise = json.dumps([random.Random(n).random() for n in range(3000)]).encode()  # stays large when compressed
    assert deliver(ingress, "agent-a", noise)[0] == 413

    node.pause()
    status, answer, took = deliver(ingress, "agent-a", b'{"n": 1}')
    assert (status, answer["status"]) == (202, "triggered") and 1.9 < took < 2.9, took
    for number, agent_id in ((2, "agent-a"), (3, "agent-b")):
        assert deliver(ingress, agent_id, json.dumps({"n": number}).encode())[0] == 202
    assert deliver(ingress, "agent-a", noise)[0] == 202
    assert deliver(ingress, "agent-a", b'{"n": 4}')[0] == 202
    assert deliver(ingress, "agent-off")[0] == 503
    assert ingress.manage("/readyz")[0] == 200
    assert ingress.metric("drawbridge_ingress_requests_total", outcome="spooled") == 5 == spooled(ingress)
    assert ingress.metric("drawbridge_ingress_spool_oldest_seconds") >= 0
    ingress.stop(timeout=20)  # exit code 0: what is not published stays
    ingress.start()
    assert spooled(ingress) == 5 and deliver(ingress, "agent-b", b'{"n": 5}')[0] == 202
    node.resume()
    own_kafka.wait_ready()
    wait_drained(ingress)
    assert ingress.metric("drawbridge_ingress_spool_refused") == 1
    assert "1 refused" in ingress.manage("/readyz")[1]
    wait_log(ingress, "spooled event refused for good")
    assert deliver(ingress, "agent-a", b'{"n": 6}')[0] == 202
    ingress.stop()
    numbers = {}
    for record in bridge.read("events"):
        numbers.setdefault(record.key.decode(), []).append(record.json()["n"])
    first = {agent: list(dict.fromkeys(found)) for agent, found in numbers.items()}
    assert first == {"agent-a": [0, 1, 2, 4, 6], "agent-b": [3, 5]}, numbers
    with sqlite3.connect(os.path.join(bridge.workspace.path, "spool", "spool.db")) as db:
        rows = db.execute("SELECT agent_id, reason FROM refused").fetchall()
        assert [agent for agent, _ in rows] == ["agent-a"] and "too large" in rows[0][1], rows


def test_a_spool_that_cannot_be_used_is_refused_at_start(bridge):
    bridge.github_triggers(AGENTS[:1])
    settings = spool_settings(bridge)
    first = bridge.ingress(settings)
    second = bridge.ingress(settings, start=False).start(ready=False)
    wait_log(second, "another process uses")
    wait_until(lambda: not second.alive(), seconds(10), "the second one ended")
    first.stop()
    with open(os.path.join(bridge.workspace.path, "spool", "spool.db"), "r+b") as file:
        file.write(b"x" * 4096)
    first.start(ready=False)
    wait_log(first, "move the directory away")
    wait_until(lambda: not first.alive(), seconds(10), "it ended")
