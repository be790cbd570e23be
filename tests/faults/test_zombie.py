"""A runner that is frozen beyond its session and wakes up: no second result, no process of its left.

SPDX-License-Identifier: Apache-2.0
"""

import time

from checker import check, events_of, results_of
from daemons import read_runs, recorder_agent, seconds
from process import process_lives, wait_until
from sender import Campaign, github_workflow_id, plan_deliveries

AGENTS = [f"agent-{n}" for n in range(12)]


def test_a_frozen_runner_wakes_to_find_its_runs_taken(bridge):
    """Half of its commands end while it is frozen, half still run when it wakes."""
    runs_file = bridge.workspace.file("runs")
    bridge.github_triggers(AGENTS)
    ingress = bridge.ingress()
    retry = {"max_attempts": 10, "backoff": "100ms"}
    agents = [recorder_agent(a, runs_file, 3000 if n % 2 else 60_000, retry=retry, timeout="120s")
              for n, a in enumerate(AGENTS)]
    zombie = bridge.runner(agents)
    campaign = Campaign(ingress, plan_deliveries(4, AGENTS, len(AGENTS), repeated=0)).start()
    campaign.join()
    wait_until(lambda: len(read_runs(runs_file)) == len(AGENTS), seconds(20), "all runs under way")
    before = read_runs(runs_file)
    began = time.time()
    zombie.pause()
    quick = [recorder_agent(a, runs_file, 200, retry=retry) for a in AGENTS]
    heir = bridge.runner(quick, start=False)
    heir.start(ready=False)
    heir.wait_ready(90)
    wait_until(lambda: len({r.workflow_id for r in read_runs(runs_file) if r.pid not in {b.pid for b in before}})
               == len(AGENTS), seconds(60), "the heir started every run again")
    long_pids = [r.pid for r in before if process_lives(r.pid)]
    assert len(long_pids) >= len(AGENTS) // 2 - 1, "nothing of the zombie's was still running"
    zombie.resume()
    over = time.time()
    wait_until(lambda: not any(process_lives(pid) for pid in long_pids), seconds(10), "the zombie's processes are gone")
    records = bridge.results(len(AGENTS), 60)
    time.sleep(3)
    records = bridge.read("results")
    sent = {github_workflow_id(d.agent_id, d.delivery_id): d.agent_id for d in campaign.sent}
    # Both lived at once for a while: no process can be fenced faster than its runner wakes.  Everything else holds.
    findings = [f for f in check(sent, set(sent), events_of(bridge.read("events")), results_of(records),
                                 read_runs(runs_file), [(began, over)]) if "twice at the same time" not in f]
    assert not findings, "\n".join(findings)
    zombie.wait_ready(60)  # it serves again as a new member
    more = Campaign(ingress, plan_deliveries(5, AGENTS, 24, repeated=0)).start()
    assert len(more.join()) == 24


def test_a_short_freeze_changes_nothing(bridge):
    """Within the session: no run comes a second time."""
    runs_file = bridge.workspace.file("runs")
    bridge.github_triggers(AGENTS)
    ingress = bridge.ingress()
    runner = bridge.runner([recorder_agent("*", runs_file, 2500)])
    Campaign(ingress, plan_deliveries(6, AGENTS, len(AGENTS), repeated=0)).start().join()
    wait_until(lambda: len(read_runs(runs_file)) == len(AGENTS), seconds(20), "all runs under way")
    runner.pause()
    time.sleep(3.5)
    runner.resume()
    records = bridge.results(len(AGENTS), 30)
    assert [r.json()["attempts"] for r in records] == [1] * len(AGENTS)
    assert len(read_runs(runs_file)) == 2 * len(AGENTS)
    runner.stop()


def test_freezes_in_the_middle_of_transactions(bridge, quick, seed):
    """Under load there is always a batch under way and a next one behind it: what a woken runner still wants to write
    for partitions that it lost must be refused by the brokers (traps, facts 1 to 3)."""
    runs_file = bridge.workspace.file("runs")
    agents = [f"agent-{n:02d}" for n in range(30)]
    bridge.github_triggers(agents)
    ingress = bridge.ingress()
    retry = {"max_attempts": 50, "backoff": "50ms", "max_backoff": "100ms"}
    # The dead runner's time is short: its children end by themselves in milliseconds.
    runners = [bridge.runner([recorder_agent("*", runs_file, 5, retry=retry)], {"takeover_grace": "1s"})
               for _ in range(2)]
    freezes, rate = (2 if quick else 6), 60
    campaign = Campaign(ingress, plan_deliveries(seed, agents, rate * freezes * 14, repeated=0.05), rate=rate).start()
    intervals = []
    for number in range(freezes):
        time.sleep(2)
        began = time.time()
        runners[number % 2].pause()
        wait_until(lambda: any(at > began for at in runners[1 - number % 2].moments_in_log("revoked")), seconds(20),
                   "the other runner is told of the loss")
        time.sleep(3)
        runners[number % 2].resume()
        intervals.append((began, time.time() + 3))
    accepted = campaign.join()
    sent = {github_workflow_id(d.agent_id, d.delivery_id): d.agent_id for d in campaign.sent}
    bridge.results(len(sent), 90)
    time.sleep(2)
    results = bridge.read("results")
    intervals += [(at, at) for r in runners for at in r.moments_in_log("revoked") + r.moments_in_log("lost")]
    findings = check(sent, {a.workflow_id for a in accepted}, events_of(bridge.read("events")), results_of(results),
                     read_runs(runs_file), intervals)
    assert not findings, f"{len(findings)} findings:\n" + "\n".join(findings[:20])
    for daemon in (*runners, ingress):
        daemon.stop()
