"""What becomes of runs: retries, limits, order, dead letters, and records that nobody of ours wrote.

SPDX-License-Identifier: Apache-2.0
"""

import collections
import json
import os
import time
import uuid

import pytest
from confluent_kafka import Producer

from checker import instant
from daemons import Bridge, read_runs, recorder, recorder_agent, seconds, shell_agent
from process import wait_until
from records import assert_dead_letter, assert_result, assert_valid, headers_of
from sender import Connection
from topics import java_partition, wait_for_records

FAST_RETRY = {"max_attempts": 3, "backoff": "200ms", "max_backoff": "1s"}


def retry(**more):
    return {**FAST_RETRY, **more}


@pytest.fixture(scope="module")
def stage(kafka, request):
    """One ingress and one runner with an agent for each part."""
    bridge = Bridge(kafka.bootstrap)
    files = {name: bridge.workspace.file(name) for name in ("order", "parallel", "flaky", "long", "capped")}
    agents = [
        shell_agent("flaky", f'echo "$DRAWBRIDGE_ATTEMPT $(date +%s%N)" >> {files["flaky"]}; '
                             '[ "$DRAWBRIDGE_ATTEMPT" -ge 3 ] && echo done && exit 0; echo not yet >&2; exit 1',
                    retry=retry(backoff="400ms")),
        shell_agent("hopeless", "echo it is broken >&2; exit 1", retry=retry()),
        shell_agent("permanent", "echo wrong data >&2; exit 65", retry=retry()),
        shell_agent("temporary", '[ "$DRAWBRIDGE_ATTEMPT" -ge 2 ] && exit 0; exit 75', retry=retry()),
        shell_agent("crashes", "kill -SEGV $$", retry=retry(max_attempts=2)),
        shell_agent("hangs", "trap '' TERM; sleep 300 & wait; sleep 300", timeout="500ms", grace="300ms",
                    retry=retry(max_attempts=1)),
        shell_agent("polite", "trap 'exit 0' TERM; sleep 300 & wait", timeout="500ms", grace="10s",
                    retry=retry(max_attempts=1)),
        shell_agent("floods", "yes 'a line of the flood' | head -c 100000000", output_max="64KiB"),
        shell_agent("umlaut", "printf 'gr\\303\\274n \\377 end'"),
        shell_agent("environment", "env | sort; pwd; echo $PPID > /dev/null; ls /proc/self/fd | wc -l"),
        shell_agent("silent", ":"),
        shell_agent("ignores-input", "exec < /dev/null; echo fine"),
        shell_agent("unstartable", "", command=["/nonexistent/program"], retry=retry()),
        recorder_agent("order", files["order"], 5),
        recorder_agent("parallel", files["parallel"], 700, concurrency=4),
        recorder_agent("long", files["long"], 4000),
    ]
    known = [a["id"] for a in agents]
    bridge.github_triggers(known + ["nobody"])
    bridge.ingress_daemon, bridge.runner_daemon = bridge.ingress(), bridge.runner(agents)
    bridge.files = files
    bridge.connection = Connection(bridge.ingress_daemon)
    yield bridge
    bridge.failed = getattr(request.session, "went_wrong", False)
    bridge.close()


def send(bridge, agent_id, body=b'{"n":1}', delivery_id=None):
    status, _, content = bridge.connection.deliver(agent_id, delivery_id or str(uuid.uuid4()), body)
    assert status == 202, content
    return json.loads(content)["workflow_id"]


def result_of(bridge, workflow_id, timeout=20):
    """The one result of a workflow, checked against its event; and the record."""
    record, = bridge.results(1, timeout, lambda r: r.json()["workflow_id"] == workflow_id)
    event = next(e for e in bridge.read("events") if e.header("ce_workflowid") == workflow_id)
    assert_result(record, event)
    return record.json()


def dead_letters_of(bridge, workflow_id):
    return [r for r in bridge.read("dead_letters") if r.header("ce_workflowid") == workflow_id]


def test_a_failing_run_is_tried_again_with_growing_pauses(stage):
    result = result_of(stage, send(stage, "flaky"))
    assert result["success"] and result["attempts"] == 3 and result["output"] == "done\n"
    with open(stage.files["flaky"], encoding="ascii") as lines:
        attempts, times = zip(*(map(int, line.split()) for line in lines))
    assert attempts == (1, 2, 3)
    first, second = [(b - a) / 1e9 for a, b in zip(times, times[1:])]
    assert 0.15 < first < seconds(1.5) and 0.3 < second < seconds(2.5)  # 400 and 800 ms, with jitter
    assert dead_letters_of(stage, result["workflow_id"]) == []


def test_a_run_that_always_fails_ends_as_failed_and_in_the_dead_letters(stage):
    workflow_id = send(stage, "hopeless", b'{"keep":"this"}')
    result = result_of(stage, workflow_id)
    assert (result["status"], result["success"]) == ("failed", False)
    assert (result["attempts"], result["dead_lettered"]) == (3, True)
    assert "it is broken" in result["error"]
    letter, = dead_letters_of(stage, workflow_id)
    event = next(e for e in stage.read("events") if e.header("ce_workflowid") == workflow_id)
    assert_dead_letter(letter, event)
    assert "it is broken" in letter.header("drawbridge-error") and letter.header("drawbridge-attempts") == "3"
    assert str(event.offset) in letter.header("drawbridge-source")


@pytest.mark.parametrize("agent_id, status, attempts, dead, error", [
    ("permanent", "failed", 1, True, "wrong data"),
    ("temporary", "succeeded", 2, False, None),
    ("crashes", "failed", 2, True, "signal"),
    ("hangs", "timed_out", 1, True, ""),
    ("polite", "timed_out", 1, True, ""),
    ("unstartable", "failed", None, True, "/nonexistent/program"),
])
def test_the_way_a_command_ends_decides(stage, agent_id, status, attempts, dead, error):
    workflow_id = send(stage, agent_id)
    result = result_of(stage, workflow_id, timeout=30)
    assert (result["status"], result["dead_lettered"]) == (status, dead), result
    if attempts is not None:
        assert result["attempts"] == attempts, result
    if error is not None:
        assert error in result["error"], result
    assert len(dead_letters_of(stage, workflow_id)) == dead


def test_a_timed_out_group_leaves_no_process_behind(stage):
    workflow_id = send(stage, "hangs")
    result_of(stage, workflow_id, timeout=30)

    def of_the_run():
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as environment:
                    if f"DRAWBRIDGE_WORKFLOW_ID={workflow_id}".encode() in environment.read():
                        found.append(pid)
            except OSError:
                pass
        return found

    wait_until(lambda: not of_the_run(), 5, lambda: f"processes of the run are gone: {of_the_run()}")


def test_output_is_bounded_and_says_so(stage):
    result = result_of(stage, send(stage, "floods"), timeout=60)
    assert result["success"] and result["output_truncated"] is True
    assert 60_000 < len(result["output"]) <= 65_536 and result["output"].startswith("a line of the flood\n")


def test_output_that_is_no_text_becomes_text(stage):
    result = result_of(stage, send(stage, "umlaut"))
    assert result["output"].startswith("grün ") and result["output"].endswith(" end")


def test_no_output_is_an_empty_text(stage):
    assert result_of(stage, send(stage, "silent"))["output"] in ("", None)


def test_a_command_may_ignore_its_input(stage):
    large = json.dumps({"x": "y" * 500_000}).encode()
    assert result_of(stage, send(stage, "ignores-input", large))["output"] == "fine\n"


def test_the_environment_of_a_command_is_clean(stage):
    workflow_id = send(stage, "environment")
    lines = result_of(stage, workflow_id)["output"].splitlines()
    names = {line.split("=", 1)[0] for line in lines if "=" in line}
    assert {"DRAWBRIDGE_WORKFLOW_ID", "DRAWBRIDGE_AGENT_ID", "DRAWBRIDGE_ATTEMPT", "PATH"} <= names
    assert names <= {"DRAWBRIDGE_WORKFLOW_ID", "DRAWBRIDGE_AGENT_ID", "DRAWBRIDGE_ATTEMPT", "DRAWBRIDGE_START", "PATH",
                     "HOME", "LANG", "LC_ALL", "PWD", "TZ", "_", "SHLVL", "OLDPWD"}
    assert f"DRAWBRIDGE_WORKFLOW_ID={workflow_id}" in lines
    assert int(lines[-1]) <= 4, "descriptors of the runner leak into the command"  # 0, 1, 2 and ls's own


def test_an_agent_that_nobody_configured_ends_in_the_dead_letters(stage):
    workflow_id = send(stage, "nobody")
    result = result_of(stage, workflow_id)
    assert (result["status"], result["error"]) == ("failed", "Agent 'nobody' not found in registry")
    assert result["dead_lettered"] and result["started_at"] is None and result["backend"] is None
    assert len(dead_letters_of(stage, workflow_id)) == 1


def test_one_agents_runs_keep_their_order_and_never_overlap(stage):
    ids = [send(stage, "order", json.dumps({"n": n}).encode()) for n in range(40)]
    stage.results(40, 60, lambda r: r.json()["agent_id"] == "order")
    lines = read_runs(stage.files["order"])
    assert [(r.kind, r.workflow_id) for r in lines] == [(kind, i) for i in ids for kind in ("start", "end")]


def test_concurrency_lets_so_many_run_and_no_more(stage):
    for n in range(10):
        send(stage, "parallel", json.dumps({"n": n}).encode())
    stage.results(10, 60, lambda r: r.json()["agent_id"] == "parallel")
    running, most = 0, 0
    for run in sorted(read_runs(stage.files["parallel"]), key=lambda r: r.at):
        running += 1 if run.kind == "start" else -1
        most = max(most, running)
    assert most == 4


def test_a_long_run_does_not_hold_up_others(stage):
    """Not even those of its own partition."""
    long_id = send(stage, "long")
    partition = java_partition(b"long", stage.partitions)
    wait_until(lambda: read_runs(stage.files["long"]), seconds(10), "the long run started")
    neighbour = next(a for a in ("silent", "ignores-input", "temporary", "umlaut", "permanent", "order", "parallel",
                                 "crashes", "floods", "environment", "flaky", "hopeless")
                     if java_partition(a.encode(), stage.partitions) == partition)
    quick_id = send(stage, neighbour)
    quick_result, long_result = result_of(stage, quick_id), result_of(stage, long_id)
    assert instant(quick_result["started_at"]) < instant(long_result["ended_at"])


def produce(bridge, key, value, headers=None, partition=None):
    producer = Producer({"bootstrap.servers": bridge.bootstrap, "partitioner": "murmur2_random"})
    where = {} if partition is None else {"partition": partition}
    producer.produce(bridge.names["events"], key=key, value=value, headers=headers or [], **where)
    assert producer.flush(20) == 0


def test_a_foreign_record_without_our_headers_is_run_too(stage):
    produce(stage, b"silent", b'{"from":"a pipeline"}', [("content-type", b"application/json")])
    event = next(e for e in stage.read("events") if e.value == b'{"from":"a pipeline"}')
    record, = stage.results(1, 20, lambda r: r.json()["source"]["offset"] == event.offset
                            and r.json()["source"]["partition"] == event.partition)
    assert record.json()["success"] and record.partition == event.partition


@pytest.mark.parametrize("key, value, headers", [
    (None, b'{"no":"key"}', []),
    (b"no spaces allowed", b"{}", []),
    (b"silent", None, []),
    (b"silent", b"{}", [("ce_workflowid", b"../../etc/passwd")]),
    (b"silent", b"{}", [("drawbridge-trigger", b"{not json")]),
    (b"x" * 200, b"{}", []),
], ids=["no key", "bad agent", "no value", "bad workflow id", "bad trigger", "agent too long"])
def test_a_record_that_is_no_event_goes_to_the_dead_letters(stage, key, value, headers):
    """And what comes after it in the same partition is run."""
    before = len(stage.read("dead_letters"))
    mark = str(uuid.uuid4()).encode()
    partition = java_partition(b"silent", stage.partitions)
    produce(stage, key, value, headers + [("x-mark", mark)], partition)
    letters = wait_for_records(stage.bootstrap, stage.names["dead_letters"], 1, seconds(20),
                               matching=lambda r: r.header("x-mark") == mark.decode())
    assert len(letters) == 1 and len(stage.read("dead_letters")) == before + 1
    letter = letters[0]
    where = json.loads(letter.header("drawbridge-source"))
    coordinates = f"{where['topic']}/{where['partition']}/{where['offset']}".encode()
    assert letter.key == (coordinates if key is None else key)  # without a key it is named by where it came from
    assert (letter.value or b"") == (value or b"") and letter.partition == partition
    assert_valid("dead-letter-headers", headers_of(letter))
    assert result_of(stage, send(stage, "silent"))["success"]


def test_a_foreign_record_larger_than_the_journal_takes_fails_and_blocks_nothing(stage):
    """Traps 8, J11: its snapshot could never be admitted."""
    agent = "silent"
    producer = Producer({"bootstrap.servers": stage.bootstrap, "partitioner": "murmur2_random",
                         "message.max.bytes": 2_000_000})
    producer.produce(stage.names["events"], key=agent, value=b'"' + b"x" * 1_300_000 + b'"')
    assert producer.flush(20) == 0
    result = result_of(stage, send(stage, agent))
    assert result["success"]
    large = next(e for e in stage.read("events") if len(e.value or b"") > 1_000_000)
    records = stage.results(1, 20, lambda r: r.json()["source"]["offset"] == large.offset
                            and r.json()["source"]["partition"] == large.partition)
    assert len(records) == 1


def test_a_redelivery_long_after_the_end_starts_nothing(stage):
    delivery_id = str(uuid.uuid4())
    workflow_id = send(stage, "order", b'{"twice":1}', delivery_id)
    result_of(stage, workflow_id)
    time.sleep(0.5)
    assert send(stage, "order", b'{"twice":1}', delivery_id) == workflow_id
    follower = send(stage, "order", b'{"after":1}')
    result_of(stage, follower)
    counts = collections.Counter(r.json()["workflow_id"] for r in stage.read("results"))
    assert counts[workflow_id] == 1
    assert sum(r.workflow_id == workflow_id and r.kind == "start" for r in read_runs(stage.files["order"])) == 1


def test_the_metrics_tell_what_happened(stage):
    text = stage.runner_daemon.manage("/metrics")[1]
    assert "# TYPE" in text and "drawbridge_runner_" in text
    text = stage.ingress_daemon.manage("/metrics")[1]
    assert "drawbridge_ingress_" in text


def test_the_stage_ends_clean(stage):
    assert os.path.exists(recorder())
    stage.runner_daemon.stop()
    stage.ingress_daemon.stop()
