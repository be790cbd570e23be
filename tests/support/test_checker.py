"""The judge judged: it finds nothing in a sound history and every planted fault.

SPDX-License-Identifier: Apache-2.0
"""

import random

import pytest

from checker import Event, Result, check, second_runs
from daemons import RunLine

KILL_AT = 50.0


class History:
    """Ten agents with twenty deliveries each; one run was cut short by a kill and came again."""

    def __init__(self):
        self.sent, self.events, self.results, self.runs = {}, [], [], []
        for agent in range(10):
            for number in range(20):
                workflow_id, agent_id = f"wh-{agent:02d}{number:02d}", f"agent-{agent}"
                at = 10.0 + number * 4 + agent * 0.01
                self.sent[workflow_id] = agent_id
                self.events.append(Event(workflow_id, agent_id, agent % 3, number * 10 + agent))
                self.results.append(Result(workflow_id, agent_id, agent % 3, True, at, at + 1, at + 1.1))
                self.runs += [RunLine("start", at, workflow_id, agent_id, 1, agent * 100 + number),
                              RunLine("end", at + 1, workflow_id, agent_id, 1, agent * 100 + number)]
        # wh-0009 started at 46, died with its runner at 50 and ran again until 52; the agent's next came at 53
        self.replace_result("wh-0009", started_at=51.0, ended_at=52.0, written_at=52.1)
        self.replace_result("wh-0010", started_at=53.0, ended_at=54.0, written_at=54.1)
        self.runs = [r for r in self.runs if r.workflow_id not in ("wh-0009", "wh-0010")]
        self.runs += [RunLine("start", 46.0, "wh-0009", "agent-0", 1, 9001),
                      RunLine("start", 51.0, "wh-0009", "agent-0", 2, 9002),
                      RunLine("end", 52.0, "wh-0009", "agent-0", 2, 9002),
                      RunLine("start", 53.0, "wh-0010", "agent-0", 1, 9003),
                      RunLine("end", 54.0, "wh-0010", "agent-0", 1, 9003)]
        # a delivery that was sent twice: one copy more in the events topic, no second result
        self.events.append(Event("wh-0105", "agent-1", 1, 9000))
        self.accepted = set(self.sent)
        self.kills = [(KILL_AT, KILL_AT)]

    def result(self, workflow_id):
        return next(i for i, r in enumerate(self.results) if r.workflow_id == workflow_id)

    def replace_result(self, workflow_id, **fields):
        index = self.result(workflow_id)
        self.results[index] = self.results[index]._replace(**fields)

    def check(self):
        return check(self.sent, self.accepted, self.events, self.results, self.runs, self.kills)


def test_a_sound_history_has_no_findings():
    assert History().check() == []
    assert second_runs(History().runs) == 1


def lost_result(h):
    h.results.pop(h.result("wh-0304"))


def lost_event(h):
    h.events = [e for e in h.events if e.workflow_id != "wh-0304"]


def lost_unacknowledged(h):
    """In the topic, never answered with 202 (the ingress died in between): still owed a result."""
    h.accepted.discard("wh-0304")
    h.results.pop(h.result("wh-0304"))


def duplicate_result(h):
    h.results.append(h.results[h.result("wh-0412")])


def swapped_starts(h):
    a, b = (h.results[h.result(w)] for w in ("wh-0503", "wh-0504"))
    h.replace_result("wh-0503", started_at=b.started_at, ended_at=b.ended_at)
    h.replace_result("wh-0504", started_at=a.started_at, ended_at=a.ended_at)


def overlap(h):
    a = h.results[h.result("wh-0503")]
    h.replace_result("wh-0504", started_at=a.started_at + 0.5)


def foreign_agent(h):
    h.replace_result("wh-0601", agent_id="agent-7")


def foreign_partition(h):
    h.replace_result("wh-0601", partition=2)


def never_sent_result(h):
    h.results.append(Result("wh-ffff", "agent-1", 1, True, 300.0, 301.0, 301.1))


def never_sent_event(h):
    h.events.append(Event("wh-ffff", "agent-1", 1, 5000))


def never_sent_run(h):
    h.runs.append(RunLine("start", 300.0, "wh-ffff", "agent-1", 1, 1))


def failed_result(h):
    h.replace_result("wh-0701", success=False)


def unexplained_second_run(h):
    h.runs.append(RunLine("start", 200.0, "wh-0802", "agent-8", 2, 777))


def second_run_after_the_result(h):
    """A kill came in time to explain it, but the result had been written before."""
    h.kills.append((16.0, 16.0))
    h.runs.append(RunLine("start", 17.5, "wh-0301", "agent-3", 2, 777))


def second_run_without_the_kill(h):
    h.kills = []


def second_run_by_a_kill_before_the_first(h):
    h.kills = [(44.0, 45.0)]


def two_at_once(h):
    """The kill explains the second run, but the first one lived on beside it."""
    h.runs.append(RunLine("end", 51.5, "wh-0009", "agent-0", 1, 9001))


def result_without_a_run(h):
    h.runs = [r for r in h.runs if r.workflow_id != "wh-0910"]


@pytest.mark.parametrize("plant, finding", [
    (lost_result, "loss: wh-0304 was accepted and has no result"),
    (lost_event, "loss: wh-0304 was accepted and is not in the events topic"),
    (lost_unacknowledged, "loss: wh-0304 is in the events topic and has no result"),
    (duplicate_result, "duplicate: wh-0412 has 2 results"),
    (swapped_starts, "order: wh-0504"),
    (overlap, "order: wh-0504 of agent-5 started while wh-0503 still ran"),
    (foreign_agent, "stranger: the result of wh-0601 names agent agent-7"),
    (foreign_partition, "stranger: the result of wh-0601 is in partition 2"),
    (never_sent_result, "stranger: wh-ffff has a result and was never sent"),
    (never_sent_event, "stranger: wh-ffff is in the events topic and was never sent"),
    (never_sent_run, "run: wh-ffff was run and never sent"),
    (failed_result, "failure: wh-0701 did not succeed"),
    (unexplained_second_run, "run: wh-0802 was run again"),
    (second_run_after_the_result, "run: wh-0301 was started at 17.500, after its result"),
    (second_run_without_the_kill, "run: wh-0009 was run again"),
    (second_run_by_a_kill_before_the_first, "run: wh-0009 was run again"),
    (two_at_once, "run: wh-0009 ran twice at the same time"),
    (result_without_a_run, "run: wh-0910 has a successful result and was never run"),
], ids=lambda p: getattr(p, "__name__", ""))
def test_a_planted_fault_is_found(plant, finding):
    history = History()
    plant(history)
    assert any(f.startswith(finding) for f in history.check()), history.check()


def test_faults_planted_at_random_places_are_all_found():
    rng = random.Random(3)
    for _ in range(300):
        history = History()
        victim = rng.choice(history.results)
        kind = rng.choice(["loss", "duplicate"])
        if kind == "loss":
            history.results.remove(victim)
        else:
            history.results.insert(rng.randrange(len(history.results)), victim)
        assert [f for f in history.check() if f.startswith(kind) and victim.workflow_id in f]
