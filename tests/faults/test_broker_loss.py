"""Three brokers, replication 3: each is killed with -9 and comes back, in turn, under load.

SPDX-License-Identifier: Apache-2.0
"""

import time

from checker import check, events_of, results_of
from daemons import read_runs, recorder_agent, seconds
from sender import Campaign, github_workflow_id, plan_deliveries

AGENTS = [f"agent-{n:02d}" for n in range(40)]
RATE = 60  # per second: three brokers, two daemons, the agents and this test share two cores
DEADLINE_S = 8  # of the github scheme


def test_a_broker_lost_and_back_each_in_turn(three_nodes, make_bridge, quick, seed):
    bridge = make_bridge(three_nodes)
    runs_file = bridge.workspace.file("runs")
    bridge.github_triggers(AGENTS)
    ingress = bridge.ingress()
    runner = bridge.runner([recorder_agent("*", runs_file, 5)],
                           {"session_timeout": "30s", "takeover_grace": "35s", "concurrency": 4})
    victims = three_nodes.nodes[:1] if quick else three_nodes.nodes
    span_s = 25 * len(victims)
    campaign = Campaign(ingress, plan_deliveries(seed, AGENTS, RATE * span_s, repeated=0.02), rate=RATE).start()
    for node in victims:
        time.sleep(3)
        node.kill9()
        time.sleep(11)  # Kafka notices after 9 s
        node.restart()
        three_nodes.wait_in_sync(seconds(120))
    accepted = campaign.join()
    assert ingress.alive() and runner.alive()
    sent = {github_workflow_id(d.agent_id, d.delivery_id): d.agent_id for d in campaign.sent}
    records = bridge.results(len(sent), timeout=180)
    findings = check(sent, {a.workflow_id for a in accepted}, events_of(bridge.read("events")), results_of(records),
                     read_runs(runs_file), [(at, at) for at in runner.moments_in_log("revoked")])
    print(f"{len(records)} results; answers {campaign.answers}; slowest answer {campaign.slowest_answer:.1f} s")
    assert not findings, f"{len(findings)} findings:\n" + "\n".join(findings[:30])
    assert set(campaign.answers) <= {202, 503}, "a request stayed without an answer"
    assert campaign.slowest_answer < DEADLINE_S + 2
    runner.stop()
    ingress.stop()


def test_without_enough_replicas_nothing_is_promised(three_nodes, make_bridge):
    """Two of three brokers frozen: min.insync.replicas cannot be met, so every answer is 503, in time."""
    bridge = make_bridge(three_nodes)
    bridge.github_triggers(AGENTS[:1])
    ingress = bridge.ingress()
    first = Campaign(ingress, plan_deliveries(1, AGENTS[:1], 1, repeated=0)).start()
    assert len(first.join()) == 1
    frozen = three_nodes.nodes[1:]
    for node in frozen:
        node.pause()
    try:
        plans = plan_deliveries(2, AGENTS[:1], 3, repeated=0)
        campaign = Campaign(ingress, plans, patience=120).start()
        time.sleep(12)
        assert set(campaign.answers) <= {503} and campaign.slowest_answer < DEADLINE_S + 2, campaign.answers
    finally:
        for node in frozen:
            node.resume()
    three_nodes.wait_ready()
    three_nodes.wait_in_sync(seconds(120))
    assert len(campaign.join()) == 3
    ingress.stop()
