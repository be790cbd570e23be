"""The tool `drawbridge`: send, results, replay, topics and check against real daemons and a real Kafka.

SPDX-License-Identifier: Apache-2.0
"""

import collections
import hashlib
import json
import os
import shlex
import subprocess
import threading
import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource

from daemons import SLOWNESS, program, seconds, shell_agent, write_config
from process import free_port, wait_until
from sender import workflow_id
from topics import NAMES

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PUSH = os.path.join(ROOT, "schemas", "examples", "github-push.json")
OK, NO, USAGE, UNAVAILABLE, FAILURE = range(5)
COMMANDS = ("dev", "send", "sign", "verify", "results", "replay", "topics", "trigger", "check")


def tool(*arguments, stdin=b"", timeout=60, env=None):
    """Runs the tool without a terminal; (exit code, stdout, stderr)."""
    run = subprocess.run([program("drawbridge"), *map(str, arguments)], input=stdin, capture_output=True,
                         timeout=timeout * SLOWNESS, env={**os.environ, **(env or {})}, check=False)
    return run.returncode, run.stdout.decode(), run.stderr.decode()


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def connection(bridge):
    """--config with the bridge's brokers and topic names."""
    path = bridge.workspace.file("tool.cfg")
    topics = {role: name for role, name in bridge.names.items() if role != "triggers"}
    write_config(path, {"kafka": {"bootstrap_servers": bridge.bootstrap},
                        "topics": {**topics, "triggers": bridge.names["triggers"]}})
    return "--config", path


# ---- the command line ----


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_and_exit_codes(command):
    code, out, err = tool(command, "--help")
    assert code == OK and not err
    assert f"drawbridge {command}" in out and "Examples:" in out and "Exit codes:" in out


def test_the_list_of_commands_and_the_version():
    code, out, err = tool("--help")
    assert code == OK and not err and all(f"  {command} " in out for command in COMMANDS)
    code, out, _ = tool("--version")
    assert code == OK and out.startswith("drawbridge ")


@pytest.mark.parametrize("arguments", [
    (), ("nonsense",), ("send", "--nonsense"), ("send", "--count", "0"), ("send", "--count"), ("results",),
    ("topics", "-b", "x"), ("topics", "wipe", "-b", "x"), ("replay", "-b", "x", "--offsets", "1:2"),
    ("results", "-b", "x", "--status", "great"), ("send", "-s", "literal", PUSH), ("send", PUSH),
    ("results", "-b", "x", "-X", "sasl.password=hunter2"), ("check", "extra"), ("dev", "--secret", "hunter2"),
    ("send", "-s", "env:HOME", "--count", "2", PUSH), ("results", "-b", "x", "-X", "no.such.property=1"),
])
def test_a_wrong_command_line_is_told_on_stderr(arguments):
    code, out, err = tool(*arguments)
    assert code == USAGE and not out and err
    assert "hunter2" not in err and "literal" not in err


def test_nobody_answers():
    nowhere = f"127.0.0.1:{free_port()}"
    for arguments in (("results", "-b", nowhere), ("topics", "check", "-b", nowhere, "--timeout", "3s"),
                      ("replay", "-b", nowhere, "--yes"),
                      ("send", "-s", "env:TOOL_SECRET", "-l", nowhere, "--give-up-after", "500ms", PUSH)):
        code, out, err = tool(*arguments, env={"TOOL_SECRET": "x"})
        assert code == UNAVAILABLE and not out and err, arguments


# ---- topics ----


def topic_settings(bootstrap, topic):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    return {name: entry.value for name, entry in admin.describe_configs([resource])[resource].result().items()}


def test_topics_are_made_checked_and_mended(kafka, make_bridge):
    bridge = make_bridge(kafka)
    names = {role: f"{bridge.number}-made.{role}" for role in NAMES}
    path = bridge.workspace.file("made.cfg")
    write_config(path, {"kafka": {"bootstrap_servers": kafka.bootstrap}, "topics": names})

    code, out, err = tool("topics", "check", "-c", path)
    assert code == NO and out.count("missing") == 6 and "topics create" in err
    code, out, err = tool("topics", "create", "-c", path, "--partitions", 5)
    assert code == OK and out.count(" ok: ") == 6, out + err
    metadata = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=10).topics
    assert {role: len(metadata[name].partitions) for role, name in names.items()} == \
        {role: 1 if role == "triggers" else 5 for role in NAMES}
    assert tool("topics", "create", "-c", path, "--partitions", 7)[0] == OK  # changes nothing
    assert topic_settings(kafka.bootstrap, names["journal"])["cleanup.policy"] == "compact"

    # not incremental: whatever is not named falls back to the default, compaction included
    resource = ConfigResource(ConfigResource.Type.TOPIC, names["journal"], set_config={"retention.ms": "1000"})
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.alter_configs([resource])[resource].result()
    wait_until(lambda: topic_settings(kafka.bootstrap, names["journal"])["retention.ms"] == "1000", 10, "the change")
    code, out, err = tool("topics", "check", "-c", path)
    assert code == NO and out.count("drifted") == 1
    assert f"{names['journal']}: cleanup.policy is delete, should be compact" in err
    command = shlex.split(next(line for line in err.splitlines() if "to mend it" in line).split("to mend it: ")[1])
    assert command[0] == "kafka-configs.sh"
    subprocess.run(kafka.nodes[0].command("kafka.admin.ConfigCommand", *command[1:]), check=True, capture_output=True,
                   timeout=seconds(60), stdin=subprocess.DEVNULL)
    wait_until(lambda: tool("topics", "check", "-c", path)[0] == OK, seconds(10), "the drift is mended")
    assert topic_settings(kafka.bootstrap, names["journal"])["retention.ms"] == "1000"  # mending resets nothing


def test_unequal_partition_counts_are_told(kafka, make_bridge):
    bridge = make_bridge(kafka)
    path = bridge.workspace.file("unequal.cfg")
    names = dict(bridge.names, results=f"{bridge.number}-small.results")
    for partitions, topics in ((3, names), (6, dict(names, journal=f"{bridge.number}-x.journal"))):
        write_config(path, {"kafka": {"bootstrap_servers": kafka.bootstrap}, "topics": topics})
        code, _, err = tool("topics", "create", "-c", path, "--partitions", partitions)
    assert code == NO and f"{names['results']} has 3 partitions, should have 6" in err


# ---- send ----


@pytest.fixture
def sending(bridge):
    """(ingress, options of send)"""
    bridge.github_triggers(["solo"] + [f"load-{i}" for i in range(1, 9)])
    ingress = bridge.ingress()
    return ingress, ("--secret", f"file:{bridge.secret_file}", "--listen", f"127.0.0.1:{ingress.port}")


def test_one_delivery_arrives_byte_for_byte(bridge, sending):
    _, options = sending
    code, out, err = tool("send", *options, "--agent", "solo", "--delivery", "my-id-1", PUSH)
    assert code == OK, err
    answer = json.loads(out)
    assert answer["event_id"] == "my-id-1" and "accepted" in err
    [event] = bridge.read("events")
    with open(PUSH, "rb") as push:
        assert event.value == push.read()
    assert event.key == b"solo" and event.header("ce_type") == "com.github.push"
    assert event.header("ce_workflowid") == answer["workflow_id"]

    code, out, _ = tool("send", *options, "--agent", "solo", "--delivery", "my-id-1", stdin=b'{"from": "stdin"}')
    assert code == OK and json.loads(out)["workflow_id"] == answer["workflow_id"]


def test_what_is_not_accepted_is_told_by_the_exit_code(bridge, sending):
    _, options = sending
    code, out, err = tool("send", *options, "--agent", "nobody", PUSH)
    assert code == NO and "nobody" in json.loads(out)["detail"] and "status 404" in err
    code, out, _ = tool("send", *options, "--agent", "solo", stdin=b"{bad")
    assert code == NO and "not valid JSON" in json.loads(out)["detail"]
    code, out, err = tool("send", "-s", "env:WRONG", *options[2:], "--agent", "solo", PUSH, env={"WRONG": "wrong one"})
    assert code == NO and json.loads(out) == {"detail": "Invalid signature"} and "wrong one" not in err
    code, out, err = tool("send", *options, "--agent", "nobody", "--count", 5)
    assert code == NO and json.loads(out)["refused"] == 5
    assert not bridge.read("events")


def check_load(bridge, log_path, count, agents):
    """The log against the topic: every line is an event with that body; order kept; returns (log, events)."""
    with open(log_path, encoding="ascii") as log:
        log = lines(log.read())
    events = bridge.read("events")
    by_delivery = collections.defaultdict(list)
    for event in events:
        by_delivery[event.header("ce_id")].append(event)
    first = [line for line in log if line["copy"] == 1]
    assert len(first) == count and len({line["delivery_id"] for line in first}) == count
    assert {line["agent_id"] for line in first} == set(agents)
    for line in log:
        for event in by_delivery[line["delivery_id"]]:
            assert hashlib.sha256(event.value).hexdigest() == line["sha256"]
            assert event.key.decode() == line["agent_id"] and event.header("ce_workflowid") == line["workflow_id"]
            assert json.loads(event.value)["sequence"] == line["sequence"]
        assert by_delivery[line["delivery_id"]]
    assert len({event.value for event in events}) == count
    sequences = collections.defaultdict(list)
    for event in events:  # by partition and offset; all of one agent stand in one partition
        sequence = json.loads(event.value)["sequence"]
        if sequence not in sequences[event.key]:
            sequences[event.key].append(sequence)
    for key, seen in sequences.items():
        assert seen == list(range(1, len(seen) + 1)), key
    return log, events


def test_load_is_logged_as_it_stands_in_the_topic(bridge, sending):
    _, options = sending
    log_path = bridge.workspace.file("accepted.jsonl")
    code, out, err = tool("send", *options, "--agent", "load", "--agents", 8, "--count", 400, "--resend", 0.2,
                          "--size", 2000, "--log", log_path, "--parallel", 5)
    assert code == OK, err
    summary = json.loads(out)
    log, events = check_load(bridge, log_path, 400, [f"load-{i}" for i in range(1, 9)])
    assert summary["accepted"] == 400 and 40 <= summary["repeated"] <= 120
    assert len(log) == len(events) == 400 + summary["repeated"]
    assert all(len(event.value) == 2000 for event in events)


def test_the_rate_is_kept(bridge, sending):
    _, options = sending
    started = time.monotonic()
    code, out, _ = tool("send", *options, "--agent", "load", "--agents", 8, "--count", 100, "--rate", 50)
    assert code == OK and json.loads(out)["accepted"] == 100
    assert 1.9 <= time.monotonic() - started <= seconds(8)


def test_load_outlives_a_killed_ingress(bridge, sending):
    """What got no answer is sent again with the same id; in the end everything is accepted, once logged, in order."""
    ingress, options = sending
    log_path = bridge.workspace.file("accepted.jsonl")
    outcome = []
    load = threading.Thread(target=lambda: outcome.append(
        tool("send", *options, "--agent", "load", "--agents", 4, "--count", 300, "--rate", 100, "--log", log_path,
             "--timeout", "2s", "--give-up-after", "60s", timeout=120)))
    load.start()
    for _ in range(2):
        time.sleep(1)
        ingress.kill9()
        time.sleep(0.3)
        ingress.start()
    load.join()
    code, out, err = outcome[0]
    assert code == OK, err
    assert json.loads(out)["retries"] > 0
    check_load(bridge, log_path, 300, [f"load-{i}" for i in range(1, 5)])


# ---- results ----


def result(agent, number, status="succeeded", **more):
    return {"agent_id": agent, "triggered_at": "2026-11-23T12:00:00.000000+00:00", "success": status == "succeeded",
            "workflow_id": f"wh-{number:032x}", "output": f"output {number}",
            "error": None if status == "succeeded" else "it went wrong", "status": status, "attempts": 1,
            "backend": "command", "ended_at": "2026-11-23T12:00:01.000000+00:00", "duration_ms": 1000, **more}


def transaction(bridge, results, commit=True):
    producer = Producer({"bootstrap.servers": bridge.bootstrap, "transactional.id": f"{bridge.number}-test",
                         "partitioner": "murmur2_random"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for row in results:
        producer.produce(bridge.names["results"], key=row["agent_id"], value=json.dumps(row))
    producer.flush(30)
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def test_results_show_what_is_committed(bridge, connection):
    transaction(bridge, [result("a", 1), result("b", 2, "failed")])
    transaction(bridge, [result("a", 99)], commit=False)
    transaction(bridge, [result("a", 3, "timed_out"), result("c", 4, output="\x1b[2Jzażółć\nline")])

    def numbers(*arguments):
        code, out, err = tool("results", *connection, *arguments)
        assert code == OK, err
        return sorted(int(row["workflow_id"][3:], 16) for row in lines(out))

    assert numbers() == [1, 2, 3, 4]
    assert numbers("--agent", "a") == [1, 3]
    assert numbers("--status", "failed") == [2]
    assert numbers("--workflow", f"wh-{4:032x}") == [4]
    assert numbers("--agent", "a", "--status", "failed") == []
    assert numbers("--since", "1h") == [1, 2, 3, 4]
    assert numbers("--since", "2999-01-01T00:00:00Z") == []

    code, table, _ = tool("results", *connection, "--format", "table")
    assert code == OK and len(table.splitlines()) == 5
    assert "it went wrong" in table and "zażółć line" in table and "\x1b" not in table


def test_waiting_for_one_result(bridge, connection):
    transaction(bridge, [result("a", 1), result("a", 2, "failed")])
    assert tool("results", *connection, "--wait", f"wh-{1:032x}")[0] == OK
    code, out, _ = tool("results", *connection, "--wait", f"wh-{2:032x}")
    assert code == NO and json.loads(out)["error"] == "it went wrong"
    code, out, err = tool("results", *connection, "--wait", f"wh-{3:032x}", "--timeout", "1s")
    assert code == UNAVAILABLE and not out and f"wh-{3:032x}" in err
    later = threading.Timer(1, transaction, (bridge, [result("a", 3)]))
    later.start()
    assert tool("results", *connection, "--wait", f"wh-{3:032x}", "--timeout", "30s")[0] == OK
    later.join()


def test_following_ends_when_nobody_reads(bridge, connection):
    transaction(bridge, [result("a", n) for n in range(20)])
    follow = subprocess.Popen([program("drawbridge"), "results", *connection, "--follow"], stdout=subprocess.PIPE)
    assert json.loads(follow.stdout.readline())["agent_id"] == "a"
    follow.stdout.close()
    transaction(bridge, [result("a", 100)])
    assert follow.wait(seconds(20)) is not None


# ---- replay ----


def test_replay_writes_the_same_event_as_a_new_workflow(bridge, connection, sending):
    _, options = sending
    bodies = [b'{"n": 1.50, "n": 2}', b'{"second": "\xc5\xbc"}', b"{}"]
    for number, body in enumerate(bodies):
        agent = "load-1" if number < 2 else "load-2"
        assert tool("send", *options, "--agent", agent, "--delivery", f"d{number}", stdin=body)[0] == OK
    old = {event.header("ce_id"): event for event in bridge.read("events")}

    code, out, err = tool("replay", *connection, "--agent", "load-1", "--dry-run", "--replay-id", "again")
    planned = lines(out)
    assert code == OK and len(planned) == 2 and "2 events would be replayed" in err
    assert len(bridge.read("events")) == 3

    code, out, err = tool("replay", *connection, "--agent", "load-1", "--replay-id", "again")
    assert code == OK, err
    assert [row["workflow_id"] for row in lines(out)] == [row["workflow_id"] for row in planned]
    replayed = [event for event in bridge.read("events") if event.header("drawbridge-replay")]
    assert len(replayed) == 2
    for event in replayed:
        before = old[event.header("ce_id")]
        assert event.value == before.value and event.key == before.key and event.partition == before.partition
        assert event.header("ce_workflowid") == workflow_id(
            "load-1", "github", "/agents/load-1/webhook", event.header("ce_id"), "again")
        assert json.loads(event.header("drawbridge-replay")) == {
            "replay_id": "again", "workflow_id": before.header("ce_workflowid"), "agent_id": "load-1",
            "partition": before.partition, "offset": before.offset}
        assert event.header("ce_recordedtime") > before.header("ce_recordedtime")
        changed = {"ce_workflowid", "ce_recordedtime", "drawbridge-replay"}
        assert {h for h in event.headers if h[0] not in changed} == {h for h in before.headers if h[0] not in changed}

    # the same replay once more: the originals again under the same ids, never its own records
    code, out, _ = tool("replay", *connection, "--agent", "load-1", "--replay-id", "again")
    assert code == OK and {row["workflow_id"] for row in lines(out)} == {row["workflow_id"] for row in planned}
    assert len(bridge.read("events")) == 7


def test_replay_chooses_by_time_offsets_and_agent(bridge, connection, sending):
    _, options = sending
    assert tool("send", *options, "--agent", "load", "--agents", 2, "--count", 20)[0] == OK
    middle = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    time.sleep(1.5)
    assert tool("send", *options, "--agent", "solo", "--count", 5, "--run", "later")[0] == OK
    events = bridge.read("events")

    def chosen(*arguments):
        code, out, err = tool("replay", *connection, "--dry-run", *arguments)
        assert code == OK, err
        return {(row["partition"], row["offset"]) for row in lines(out)}

    everything = {(e.partition, e.offset) for e in events}
    late = {(e.partition, e.offset) for e in events if e.key == b"solo"}
    assert chosen() == everything
    assert chosen("--since", middle) == late
    assert chosen("--until", middle) == everything - late
    partition = events[0].partition
    assert chosen("--offsets", f"{partition}:1-3") == {(partition, 1), (partition, 2), (partition, 3)}
    assert chosen("--offsets", f"{partition}:1-3", "--agent", "nobody") == set()

    started = time.monotonic()
    code, out, _ = tool("replay", *connection, "--since", middle, "--to-agent", "load-1", "--rate", 2)
    assert code == OK and {row["agent_id"] for row in lines(out)} == {"load-1"}
    assert time.monotonic() - started >= 2.0  # five events: at 0, 0.5, ... 2 s
    moved = [e for e in bridge.read("events") if e.header("drawbridge-replay")]
    assert len(moved) == 5 and {e.key for e in moved} == {b"load-1"}
    assert {e.header("ce_agentid") for e in moved} == {"load-1"}


def test_a_replay_runs_again_and_its_repetition_does_not(bridge, connection, sending):
    _, options = sending
    bridge.runner([shell_agent("*", "cat > /dev/null; echo ran")])
    for number in range(3):
        assert tool("send", *options, "--agent", "solo", "--delivery", f"r{number}", PUSH)[0] == OK
    bridge.results(3)
    for _ in range(2):
        code, out, err = tool("replay", *connection, "--replay-id", "twice")
        assert code == OK and len(lines(out)) == 3, err
    assert tool("send", *options, "--agent", "solo", "--delivery", "last", PUSH)[0] == OK
    results = bridge.results(7)
    assert len(results) == 7  # three, three replayed, and the last, which came after every replayed record
    ids = [r.json()["workflow_id"] for r in results]
    assert len(set(ids)) == 7
    assert {workflow_id("solo", "github", "/agents/solo/webhook", f"r{n}", "twice") for n in range(3)} <= set(ids)


# ---- check ----


def test_check_tells_all_problems_of_both_files_at_once(bridge):
    bridge.github_triggers(["solo"])
    ingress = bridge.ingress(start=False)
    runner = bridge.runner([shell_agent("solo", "true")], start=False)
    code, out, err = tool("check", "--ingress", ingress.config_path, "--runner", runner.config_path)
    assert code == OK and not out and "warning" not in err, err

    with open(ingress.config_path, "a", encoding="utf-8") as config:
        config.write("htpp = { listen = 1; };\ndrain = \"soon\";\n")
    with open(runner.config_path, "a", encoding="utf-8") as config:
        config.write("concurency = 4;\n")
    code, _, err = tool("check", "--ingress", ingress.config_path, "--runner", runner.config_path)
    assert code == NO
    for daemon, word in ((ingress, "htpp"), (ingress, "drain"), (runner, "concurency")):
        path = daemon.config_path
        assert any(line.startswith(f"{path}:") and word in line for line in err.splitlines()), err


def test_check_warns_of_what_only_both_files_show(bridge):
    bridge.github_triggers(["solo", "stranger"])
    ingress = bridge.ingress(start=False)
    runner = bridge.runner([shell_agent("solo", "true")], {"topics": {"events": "elsewhere"}}, start=False)
    code, _, err = tool("check", "--ingress", ingress.config_path, "--runner", runner.config_path)
    assert code == OK
    assert "topics.events" in err and "elsewhere" in err and "'stranger'" in err and "'solo'" not in err
