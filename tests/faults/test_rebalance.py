"""Runners come and go in an orderly way: runs are adopted or handed over, none is lost, none is counted twice.

SPDX-License-Identifier: Apache-2.0
"""

import collections

import pytest

from checker import check, events_of, results_of
from daemons import read_runs, recorder_agent, seconds
from process import wait_until
from sender import Campaign, github_workflow_id, plan_deliveries

AGENTS = [f"agent-{n}" for n in range(12)]


def start_long_runs(bridge, work_ms, settings=None):
    runs_file = bridge.workspace.file("runs")
    bridge.github_triggers(AGENTS)
    ingress = bridge.ingress()
    agent = recorder_agent("*", runs_file, work_ms)
    runner = bridge.runner([agent], settings)
    campaign = Campaign(ingress, plan_deliveries(7, AGENTS, len(AGENTS), repeated=0)).start()
    campaign.join()
    wait_until(lambda: len(read_runs(runs_file)) == len(AGENTS), seconds(20), "all runs under way")
    return runs_file, agent, runner, ingress, campaign


def starts_of(runs_file):
    return collections.Counter(r.workflow_id for r in read_runs(runs_file) if r.kind == "start")


@pytest.mark.tsan
def test_a_second_runner_joins_in_the_middle_of_long_runs(bridge):
    """What stays is adopted (frozen, thawed, the same process); what moves starts anew, its attempt not counted."""
    runs_file, agent, first, _, campaign = start_long_runs(bridge, 8000)
    second = bridge.runner([agent])
    records = bridge.results(len(AGENTS), 60)
    assert [r.json()["attempts"] for r in records] == [1] * len(AGENTS)
    starts = starts_of(runs_file)
    moved = [w for w, n in starts.items() if n == 2]
    assert set(starts.values()) <= {1, 2}
    assert 1 <= len(moved) < len(AGENTS), starts  # some moved, some stayed and were adopted
    sent = {github_workflow_id(d.agent_id, d.delivery_id): d.agent_id for d in campaign.sent}
    moments = [(at, at) for r in (first, second) for at in r.moments_in_log("revoked")]
    findings = check(sent, set(sent), events_of(bridge.read("events")), results_of(records), read_runs(runs_file),
                     moments)
    assert not findings, "\n".join(findings)
    first.stop()
    second.stop()


def test_a_runner_that_leaves_hands_over(bridge):
    """SIGTERM with runs that outlive its drain: it stops them, exits with 0, and the next runner starts them
    at once."""
    runs_file, _, first, _, _ = start_long_runs(bridge, 60_000, {"drain": "1s"})
    first.stop()
    second = bridge.runner([recorder_agent("*", runs_file, 50)])
    records = bridge.results(len(AGENTS), 20)
    assert [r.json()["attempts"] for r in records] == [1] * len(AGENTS), "a stopped attempt was counted"
    assert set(starts_of(runs_file).values()) == {2}
    second.stop()


def test_a_runner_that_leaves_finishes_what_it_can(bridge):
    """SIGTERM with runs that end within its drain: their results are written before it exits."""
    runs_file, _, first, _, _ = start_long_runs(bridge, 1500)
    first.stop()
    assert len(bridge.read("results")) == len(AGENTS)
    assert set(starts_of(runs_file).values()) == {1}


def test_runners_that_come_and_go_under_load(bridge, quick, seed):
    """A rebalance every few seconds, all of them orderly: no failed attempt, no second result, order kept."""
    runs_file = bridge.workspace.file("runs")
    bridge.github_triggers(AGENTS)
    ingress = bridge.ingress()
    agent = recorder_agent("*", runs_file, 30)
    first = bridge.runner([agent])
    second = bridge.runner([agent], start=False)
    rate, storms = 25, 3 if quick else 8
    campaign = Campaign(ingress, plan_deliveries(seed, AGENTS, storms * 5 * rate), rate=rate).start()
    moments = []
    for _ in range(storms):
        second.start()
        second.stop()
        moments += second.moments_in_log("revoked")
    accepted = campaign.join()
    moments += first.moments_in_log("revoked")
    sent = {github_workflow_id(d.agent_id, d.delivery_id): d.agent_id for d in campaign.sent}
    records = bridge.results(len(sent), 60)
    findings = check(sent, {a.workflow_id for a in accepted}, events_of(bridge.read("events")), results_of(records),
                     read_runs(runs_file), [(at, at) for at in moments])
    assert not findings, "\n".join(findings[:20])
    assert {r.json()["attempts"] for r in records} == {1}
    first.stop()
    ingress.stop()
