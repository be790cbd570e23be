"""Exactly one result for every accepted delivery, while runners and the ingress are killed with -9.

SPDX-License-Identifier: Apache-2.0
"""

import random
import threading
import time

import pytest

from checker import check, events_of, results_of, second_runs
from daemons import Runner, read_runs, recorder_agent, seconds
from process import process_lives, wait_until
from sender import Campaign, github_workflow_id, plan_deliveries
from topics import LiveReader

AGENTS = [f"agent-{n:02d}" for n in range(50)]


class Killer(threading.Thread):
    """Kills runners, and the ingress twice, at random moments, and starts each again a little later."""

    def __init__(self, seed, ingress, runners, kills, span_s):
        super().__init__(daemon=True)
        self.rng = random.Random(seed)
        self.ingress, self.runners, self.kills = ingress, runners, kills
        self.span_s = span_s
        self.moments, self.starts, self.problem = [], [], None

    def run(self):
        try:
            marks = sorted(self.rng.uniform(0.05, 1.0) * self.span_s for _ in range(self.kills))
            ingress_marks = sorted(self.rng.uniform(0.1, 0.8) * self.span_s for _ in range(2))
            plan = sorted([(at, "runner") for at in marks] + [(at, "ingress") for at in ingress_marks])
            began = time.monotonic()
            for at, what in plan:
                time.sleep(max(0.0, began + at - time.monotonic()))
                self._kill(self.ingress if what == "ingress" else self.rng.choice(self.runners))
        except BaseException as problem:  # shown by the test
            self.problem = problem

    def _kill(self, victim):
        victim.kill9()
        if isinstance(victim, Runner):
            self.moments.append(time.time())
        time.sleep(self.rng.uniform(0.05, 1.5))
        if isinstance(victim, Runner):
            self.starts.append(time.time())
        victim.start(ready=False)


def disturbances(killer, runners):
    """What explains a second run: each kill, and each time a runner had to let go of partitions because of one."""
    found = [(at, at) for at in killer.moments]
    for runner in runners:
        found += [(at, at) for at in runner.moments_in_log("revoked")]
    return found


def campaign_under_kills(bridge, seed, deliveries, kills, rate, settings):
    runs_file = bridge.workspace.file("runs")
    bridge.github_triggers(AGENTS)
    ingress = bridge.ingress()
    agent = recorder_agent("*", runs_file, 20, retry={"max_attempts": 100, "backoff": "100ms", "max_backoff": "200ms"})
    runners = [bridge.runner([agent], settings) for _ in range(2)]
    live = LiveReader(bridge.bootstrap, bridge.names["results"])
    plans = plan_deliveries(seed, AGENTS, deliveries)
    campaign = Campaign(ingress, plans, rate=rate).start()
    killer = Killer(seed, ingress, runners, kills, deliveries / rate)
    killer.start()
    killer.join()
    if killer.problem:
        raise killer.problem
    accepted = {a.workflow_id: a.delivery for a in campaign.join()}
    for daemon in [ingress, *runners]:
        daemon.wait_ready(90)
    bridge.results(len(accepted), timeout=120)
    time.sleep(3)  # whatever would come too much comes now
    results = bridge.read("results")
    live.close()
    return campaign, accepted, killer, runners, results, live, read_runs(runs_file)


@pytest.mark.tsan
@pytest.mark.parametrize("membership", ["dynamic", "static"])
def test_exactly_one_result_under_kill_9(bridge, quick, seed, membership):
    deliveries, kills, rate = (300, 3, 15) if quick else (3000, 10, 32)
    settings = {"session_timeout": "6s", "takeover_grace": "8s", "static_membership": membership == "static"}
    campaign, accepted, killer, runners, results, live, runs = campaign_under_kills(
        bridge, seed, deliveries, kills, rate, settings)

    sent = {github_workflow_id(d.agent_id, d.delivery_id): d.agent_id for d in campaign.sent}
    assert len(sent) == deliveries and len(accepted) == deliveries and len(campaign.accepted) == len(campaign.sent)
    for workflow_id, delivery in accepted.items():
        assert workflow_id == github_workflow_id(delivery.agent_id, delivery.delivery_id)
    explained = disturbances(killer, runners)
    findings = check(sent, set(accepted), events_of(bridge.read("events")), results_of(results), runs, explained)
    print(f"{len(results)} results; {len(killer.moments)} runner kills; {second_runs(runs)} second runs; "
          f"answers {campaign.answers}; slowest {campaign.slowest_answer:.2f} s")
    assert not findings, f"{len(findings)} findings:\n" + "\n".join(findings[:30])
    assert len(killer.moments) >= kills and campaign.unanswered >= 1, "the kills did not hit anything"
    seen = [(r.partition, r.offset) for r in live.records]
    assert sorted(seen) == [(r.partition, r.offset) for r in results], "a reader during the faults saw something else"
    assert bridge.read("dead_letters") == []
    for daemon in bridge.daemons:
        daemon.stop()


@pytest.mark.parametrize("membership", ["dynamic", "static"])
def test_a_killed_runner_takes_its_processes_along(bridge, membership):
    """And the run is started again, once, elsewhere or by its successor, with the next attempt."""
    runs_file = bridge.workspace.file("runs")
    bridge.github_triggers(AGENTS[:4])
    ingress = bridge.ingress()
    settings = {"static_membership": membership == "static"}
    runner = bridge.runner([recorder_agent("*", runs_file, 4000)], settings)
    campaign = Campaign(ingress, plan_deliveries(1, AGENTS[:4], 4, repeated=0)).start()
    campaign.join()
    wait_until(lambda: len(read_runs(runs_file)) == 4, seconds(15), "four runs under way")
    pids = [r.pid for r in read_runs(runs_file)]
    runner.kill9()
    wait_until(lambda: not any(process_lives(pid) for pid in pids), 3, "the children died with their runner")
    runner.start()
    records = bridge.results(4, 60)
    assert [r.json()["attempts"] for r in records] == [2] * 4
    assert len([r for r in read_runs(runs_file) if r.kind == "start"]) == 8

