"""The judge: what was sent and accepted, what stands in the topics and what the agents did, against the promises.

Pure functions over lists.  Every finding is a sentence; none means that the promises held.
SPDX-License-Identifier: Apache-2.0
"""

import collections
import datetime

Event = collections.namedtuple("Event", "workflow_id agent_id partition offset")
Result = collections.namedtuple("Result", "workflow_id agent_id partition success started_at ended_at written_at")

# How long after its end a run's finish may wait for its commit, so that a kill can still undo it.
COMMIT_S = 5.0


def instant(text):
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def events_of(records):
    return [Event(r.header("ce_workflowid"), r.key.decode(), r.partition, r.offset) for r in records]


def results_of(records):
    found = []
    for r in records:
        value = r.json()
        found.append(Result(value["workflow_id"], value["agent_id"], r.partition, value["success"],
                            instant(value["started_at"]) if value["started_at"] else None, instant(value["ended_at"]),
                            r.timestamp_ms / 1000))
    return found


def check(sent, accepted, events, results, runs, kills=(), order=True, commit_s=COMMIT_S):
    """All that is wrong.

    sent: workflow id -> agent, of everything that was ever sent.  accepted: workflow ids that were answered with 202.
    events, results: what a read_committed reader found, in partition and offset order.  runs: lines of the recorder.
    kills: (from, to) in seconds: a runner was killed (from = to), or the kill made partitions move meanwhile.  Only
    these explain a second run of a workflow, and only while the one before it ran or had ended commit_s ago at most.
    """
    by_workflow = collections.defaultdict(list)
    for result in results:
        by_workflow[result.workflow_id].append(result)
    first_event = {}
    for event in events:
        first_event.setdefault(event.workflow_id, event)
    return (_losses(accepted, first_event, by_workflow)
            + _duplicates(by_workflow)
            + _strangers(sent, first_event, by_workflow)
            + (_order(first_event, by_workflow) if order else [])
            + _runs(sent, by_workflow, runs, kills, commit_s))


def _losses(accepted, first_event, by_workflow):
    found = []
    for workflow_id in sorted(accepted):
        if workflow_id not in first_event:
            found.append(f"loss: {workflow_id} was accepted and is not in the events topic")
        if workflow_id not in by_workflow:
            found.append(f"loss: {workflow_id} was accepted and has no result")
    for workflow_id in sorted(set(first_event) - set(by_workflow) - set(accepted)):
        found.append(f"loss: {workflow_id} is in the events topic and has no result")
    return found


def _duplicates(by_workflow):
    return [f"duplicate: {workflow_id} has {len(found)} results"
            for workflow_id, found in sorted(by_workflow.items()) if len(found) > 1]


def _strangers(sent, first_event, by_workflow):
    found = []
    for workflow_id in sorted(set(first_event) - set(sent)):
        found.append(f"stranger: {workflow_id} is in the events topic and was never sent")
    for workflow_id, results in sorted(by_workflow.items()):
        if workflow_id not in sent:
            found.append(f"stranger: {workflow_id} has a result and was never sent")
            continue
        event = first_event.get(workflow_id)
        for result in results:
            if result.agent_id != sent[workflow_id]:
                found.append(f"stranger: the result of {workflow_id} names agent {result.agent_id}, "
                             f"it was sent to {sent[workflow_id]}")
            if event and result.partition != event.partition:
                found.append(f"stranger: the result of {workflow_id} is in partition {result.partition}, "
                             f"its event in {event.partition}")
            if not result.success:
                found.append(f"failure: {workflow_id} did not succeed")
    return found


def _order(first_event, by_workflow):
    """Runs of one agent start in the order of the events partition, one at a time."""
    agents = collections.defaultdict(list)
    for workflow_id, results in by_workflow.items():
        event = first_event.get(workflow_id)
        if event and results[0].started_at is not None:
            agents[event.agent_id].append((event.partition, event.offset, results[0]))
    found = []
    for agent_id, rows in sorted(agents.items()):
        rows.sort(key=lambda row: row[:2])
        for (_, _, earlier), (_, offset, later) in zip(rows, rows[1:]):
            if later.started_at < earlier.started_at:
                found.append(f"order: {later.workflow_id} of {agent_id} (offset {offset}) started before "
                             f"{earlier.workflow_id}, which came first")
            elif later.started_at < earlier.ended_at:
                found.append(f"order: {later.workflow_id} of {agent_id} started while {earlier.workflow_id} still ran")
    return found


def _runs(sent, by_workflow, runs, kills, commit_s):
    """Every result comes from a run; a second run needs a kill that cut the one before it short."""
    starts, ends = collections.defaultdict(list), {}
    for run in runs:
        if run.kind == "start":
            starts[run.workflow_id].append(run)
        else:
            ends[run.workflow_id, run.pid] = run.at
    found = []
    for workflow_id, results in sorted(by_workflow.items()):
        if any(result.success for result in results) and workflow_id not in starts:
            found.append(f"run: {workflow_id} has a successful result and was never run")
        for run in starts.get(workflow_id, ()):
            if run.at > results[0].written_at + 0.002:
                found.append(f"run: {workflow_id} was started at {run.at:.3f}, after its result of "
                             f"{results[0].written_at:.3f}")
    for workflow_id, launches in sorted(starts.items()):
        if workflow_id not in sent:
            found.append(f"run: {workflow_id} was run and never sent")
        for earlier, later in zip(launches, launches[1:]):
            end = ends.get((workflow_id, earlier.pid), later.at)
            if not any(begin <= min(later.at, end + commit_s) and over >= earlier.at for begin, over in kills):
                found.append(f"run: {workflow_id} was run again at {later.at:.3f} (attempt {later.attempt}), after "
                             f"{earlier.at:.3f}, and no kill explains it")
            if end > later.at:
                found.append(f"run: {workflow_id} ran twice at the same time, at {later.at:.3f}")
    return found


def second_runs(runs):
    """How many starts were not the first of their workflow."""
    starts = collections.Counter(run.workflow_id for run in runs if run.kind == "start")
    return sum(count - 1 for count in starts.values())
