"""Kafka away and back, and a clean end under load: every request is answered.

SPDX-License-Identifier: Apache-2.0
"""

import json
import threading
import time
import uuid

from daemons import Bridge, recorder_agent, seconds
from kafka import KafkaCluster
from process import free_port, wait_until
from sender import Campaign, Connection, plan_deliveries

AGENTS = [f"agent-{n}" for n in range(20)]


def deliver(ingress, agent_id="agent-0", body=b"{}"):
    connection = Connection(ingress)
    try:
        began = time.monotonic()
        status, headers, content = connection.deliver(agent_id, str(uuid.uuid4()), body)
        return status, headers, json.loads(content), time.monotonic() - began
    finally:
        connection.close()


def test_kafka_away_is_503_and_the_bridge_recovers_by_itself(own_kafka, make_bridge):
    bridge = make_bridge(own_kafka)
    node = own_kafka.nodes[0]
    bridge.github_triggers(AGENTS)
    ingress = bridge.ingress()
    runner = bridge.runner([recorder_agent("*", bridge.workspace.file("runs"))])
    assert deliver(ingress)[0] == 202
    bridge.results(1)
    node.kill9()
    for _ in range(3):
        status, headers, content, duration = deliver(ingress)
        assert status == 503 and int(headers["Retry-After"]) >= 1, (status, content)
        assert duration < 10 and "detail" in content
    wait_until(lambda: ingress.manage("/readyz")[0] == 503, seconds(30), "the ingress says that it is not ready")
    assert ingress.manage("/healthz")[0] == 200
    node.restart()
    back = time.monotonic()
    wait_until(lambda: deliver(ingress)[0] == 202, seconds(15), "accepted again")
    accepted_after = time.monotonic() - back
    count = len(bridge.read("events"))
    wait_until(lambda: ingress.manage("/readyz")[0] == 200, seconds(15), "the ingress is ready again")
    bridge.results(2, 60)
    print(f"first 202 {accepted_after:.1f} s after the broker was back, first result "
          f"{time.monotonic() - back:.1f} s; {count} events")
    # What got 503 may have been written (its deadline came first): never less results than events.
    wait_until(lambda: len(bridge.read("results")) == len(bridge.read("events")), seconds(30), "a result for each")
    runner.stop()
    ingress.stop()


def test_daemons_started_before_kafka_wait_for_it(make_bridge):
    """They listen at once, answer 503, and are ready when Kafka is."""
    cluster = KafkaCluster(1)
    try:
        cluster.nodes[0].format()
        bridge = Bridge(cluster.bootstrap, topics=False)
        try:
            bridge.github_triggers(AGENTS)
            ingress = bridge.ingress(start=False).start(ready=False)
            runner = bridge.runner([recorder_agent("*", bridge.workspace.file("runs"))], start=False)
            runner.start(ready=False)

            def listening():
                try:
                    return deliver(ingress)[0] == 503
                except OSError:
                    return False

            wait_until(listening, seconds(10), "the ingress answers 503 without Kafka")
            assert ingress.manage("/readyz")[0] == 503 and ingress.manage("/healthz")[0] == 200
            cluster.nodes[0].start()
            cluster.wait_ready()
            cluster.create_topics(names=bridge.names)
            ingress.wait_ready(60)
            runner.wait_ready(60)
            assert deliver(ingress)[0] == 202
            bridge.results(1, 30)
            runner.stop()
            ingress.stop()
        except BaseException:
            bridge.failed = cluster.failed = True
            raise
        finally:
            bridge.close()
    finally:
        cluster.close()


def test_a_stopping_ingress_answers_what_it_has_taken(own_kafka, make_bridge):
    """The broker is frozen, so that every request is waiting when TERM comes."""
    bridge = make_bridge(own_kafka)
    bridge.github_triggers(AGENTS)
    ingress = bridge.ingress()
    assert deliver(ingress)[0] == 202
    own_kafka.nodes[0].pause()
    statuses = []

    def one(agent_id):
        try:
            statuses.append(deliver(ingress, agent_id)[0])
        except OSError as problem:
            statuses.append(repr(problem))

    threads = [threading.Thread(target=one, args=(agent,)) for agent in AGENTS]
    for thread in threads:
        thread.start()
    time.sleep(1)
    assert not statuses, statuses
    ingress.process.signal(15)
    time.sleep(0.5)
    own_kafka.nodes[0].resume()
    for thread in threads:
        thread.join()
    assert len(statuses) == len(AGENTS) and set(statuses) <= {202, 503}, statuses
    assert ingress.process.wait(seconds(20)) == 0
    assert len(bridge.read("events")) >= statuses.count(202) + 1


def test_a_clean_end_of_both_daemons_under_load(bridge):
    runs_file = bridge.workspace.file("runs")
    bridge.github_triggers(AGENTS)
    ingress = bridge.ingress()
    runner = bridge.runner([recorder_agent("*", runs_file, 10)])
    campaign = Campaign(ingress, plan_deliveries(8, AGENTS, 4000, repeated=0), rate=200).start()
    time.sleep(4)
    ingress.stop()
    campaign.stopped.set()
    for thread in campaign._threads:
        thread.join()
    time.sleep(1)
    runner.stop()
    accepted = {a.workflow_id for a in campaign.accepted}
    assert len(accepted) > 100 and not campaign.problems, campaign.problems
    events = {e.header("ce_workflowid") for e in bridge.read("events")}
    assert accepted <= events
    ingress.start()
    runner.start()
    bridge.results(len(events), 30)
    counts = [r.json()["workflow_id"] for r in bridge.read("results")]
    assert sorted(counts) == sorted(events)


def test_triggers_are_reloaded_on_sighup_and_a_bad_file_changes_nothing(bridge):
    bridge.github_triggers(["agent-0"])
    ingress = bridge.ingress()
    assert deliver(ingress)[0] == 202 and deliver(ingress, "agent-1")[0] == 404
    bridge.github_triggers(["agent-0", "agent-1"])
    ingress.hangup()
    wait_until(lambda: deliver(ingress, "agent-1")[0] == 202, seconds(5), "the new trigger is served")
    bridge.write_triggers([{"agent_id": "agent-2", "verify": {"scheme": "unheard-of", "secrets": ["env:X"]}}])
    ingress.hangup()
    wait_until(lambda: "unheard-of" in ingress.log, seconds(5), "the bad file is reported")
    assert deliver(ingress, "agent-1")[0] == 202 and deliver(ingress, "agent-2")[0] == 404
    bridge.github_triggers(["agent-2"])
    ingress.hangup()
    wait_until(lambda: deliver(ingress, "agent-2")[0] == 202, seconds(5), "the mended file is served")
    assert deliver(ingress, "agent-0")[0] == 404
    ingress.stop()


def test_a_port_that_is_taken_is_said_clearly(bridge):
    bridge.github_triggers(["agent-0"])
    first = bridge.ingress()
    second = bridge.ingress({"http": {"listen": f"127.0.0.1:{first.port}"}}, start=False).start(ready=False)
    code = second.process.wait(seconds(15))
    assert code in (1, 2) and str(first.port) in second.log
    assert free_port() != first.port
