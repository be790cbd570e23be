"""Edges of the runner's ground: whose slot, whose journal, whose offsets, how many partitions.

SPDX-License-Identifier: Apache-2.0
"""

import json
import shutil
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions

import daemons
from daemons import read_runs, recorder_agent, seconds, shell_agent
from process import wait_until
from topics import CONFIGS, partitions_of


def produce(bridge, count, agent="edge", first=0):
    """Foreign events: no headers of ours, so each is a delivery of its own by its place (J23)."""
    producer = Producer({"bootstrap.servers": bridge.bootstrap, "partitioner": "murmur2_random"})
    for n in range(first, first + count):
        producer.produce(bridge.names["events"], key=f"{agent}-{n % 7}".encode(), value=json.dumps({"n": n}).encode())
    producer.flush()


def exit_code(runner, timeout=30):
    return runner.process.wait(seconds(timeout))


def test_two_processes_of_one_slot(bridge):
    """J27: the newcomer fences the first, which ends with 3 and does not fight back."""
    runs_file = bridge.workspace.file("runs")
    settings = {"slot": "the-same"}
    first = bridge.runner([recorder_agent("*", runs_file)], settings)
    produce(bridge, 20)
    assert len(bridge.results(20, 30)) == 20
    second = bridge.runner([recorder_agent("*", runs_file)], settings, start=False)
    second.start(ready=False)
    wait_until(lambda: "assigned" in second.log, seconds(30), "the second one is assigned")
    produce(bridge, 40, first=20)
    assert exit_code(first) == 3
    assert "another process uses the slot" in first.log
    assert len(bridge.results(60, 60)) == 60
    time.sleep(1)
    assert len(bridge.read("results")) == 60
    second.stop()


def test_a_journal_belongs_to_one_group(bridge):
    """J25: fencing is per group, so a runner of another group touches nothing and says whose journal it is."""
    runs_file = bridge.workspace.file("runs")
    first = bridge.runner([recorder_agent("*", runs_file)])
    produce(bridge, 14)
    assert len(bridge.results(14, 30)) == 14
    first.stop()
    stranger = bridge.runner([recorder_agent("*", runs_file)], {"group_id": "strangers"}, start=False)
    stranger.start(ready=False)
    wait_until(lambda: "belongs to group" in stranger.log, seconds(30), "the refusal")
    status, text = stranger.manage("/readyz")
    assert status == 503 and f"{bridge.number}.runner" in text and "strangers" in text, text
    produce(bridge, 14, first=14)
    time.sleep(2)
    assert len(bridge.read("results")) == 14 and len(read_runs(runs_file)) == 28
    stranger.stop()
    first.start()
    assert len(bridge.results(28, 30)) == 28
    first.stop()


def test_the_journals_position_beats_the_groups_offset(bridge):
    """J6: an operator who sets the group's offsets back starts nothing twice, and forward loses nothing."""
    runs_file = bridge.workspace.file("runs")
    runner = bridge.runner([recorder_agent("*", runs_file)])
    produce(bridge, 30)
    assert len(bridge.results(30, 30)) == 30
    runner.stop()
    produce(bridge, 5, first=30)
    consumer = Consumer({"bootstrap.servers": bridge.bootstrap, "group.id": f"{bridge.number}.runner"})
    where = [TopicPartition(bridge.names["events"], p, 0 if p % 2 else 100) for p in range(bridge.partitions)]
    consumer.commit(offsets=where, asynchronous=False)
    consumer.close()
    runner.start()
    assert len(bridge.results(35, 30)) == 35
    time.sleep(2)
    assert len(bridge.read("results")) == 35
    assert "group offset is not the journal's" in runner.log
    runner.stop()


def test_a_runner_without_its_launcher_takes_nothing(bridge, monkeypatch, tmp_path):
    """It could run no command: found out before anything is taken from Kafka, not by a result that says so."""
    shutil.copy(daemons.program("drawbridge-runner"), tmp_path)
    monkeypatch.setattr(daemons, "BIN", str(tmp_path))
    runner = bridge.runner([recorder_agent("*", bridge.workspace.file("runs"))], start=False)
    runner.start(ready=False)
    assert exit_code(runner) == 2
    assert f"launcher 'drawbridge-launch' not found in {tmp_path}" in runner.log


def test_unequal_topics_are_refused_at_start(bridge):
    """J16: keys would move; the sentence says which topic has how many."""
    admin = AdminClient({"bootstrap.servers": bridge.bootstrap})
    name = bridge.names["control"]
    for future in admin.create_partitions([NewPartitions(name, bridge.partitions + 1)]).values():
        future.result()
    wait_until(lambda: len(partitions_of(bridge.bootstrap, name)) == bridge.partitions + 1, seconds(20), "one more")
    time.sleep(0.5)  # for the other brokers' metadata
    runner = bridge.runner([recorder_agent("*", bridge.workspace.file("runs"))], start=False)
    runner.start(ready=False)
    assert exit_code(runner) == 1
    assert f"topic '{name}' has {bridge.partitions + 1} partitions" in runner.log


def test_a_journal_that_another_release_wrote_is_left_alone(bridge):
    """Failure matrix 36: nothing of that partition is touched, the others work."""
    producer = Producer({"bootstrap.servers": bridge.bootstrap})
    producer.produce(bridge.names["journal"], partition=0, key=b"@position", value=b'{"v":99}')
    producer.flush()
    runner = bridge.runner([recorder_agent("*", bridge.workspace.file("runs"))], start=False)
    runner.start(ready=False)
    wait_until(lambda: "written by another release" in runner.log, seconds(30), "the refusal")
    producer.produce(bridge.names["events"], partition=0, key=b"a", value=b"{}")
    producer.produce(bridge.names["events"], partition=1, key=b"b", value=b"{}")
    producer.flush()
    records = bridge.results(1, 30)
    time.sleep(1)
    assert [r.partition for r in bridge.read("results")] == [1] == [r.partition for r in records]
    runner.stop()


def test_a_take_over_holds_no_more_than_body_memory(bridge):
    """J12: what a runner had admitted when it was killed is far more than the next one may hold.  The bodies stay in
    the journal until their turn comes; each run gets its own, whole and in order."""
    agents, each, size = 7, 12, 150_000
    go, order = bridge.workspace.file("go"), bridge.workspace.file("order")
    script = (f'text=$(cat); while [ ! -e {go} ]; do sleep 0.1; done; '
              'mark=$(echo "$text" | grep -o "mark-[0-9]*-" | head -n 1); '
              f'echo "$mark" >> {order}; echo "$mark" ${{#text}}')
    runner = bridge.runner([shell_agent("*", script)], {"body_memory": "64MiB", "slot": "the-same"})
    producer = Producer({"bootstrap.servers": bridge.bootstrap, "partitioner": "murmur2_random"})
    for n in range(agents * each):
        body = json.dumps({"text": f"mark-{n}-" + "x" * size}).encode()
        producer.produce(bridge.names["events"], key=f"edge-{n % agents}".encode(), value=body)
        producer.poll(0)
    producer.flush()

    def runs(state):
        return runner.metric("drawbridge_runner_runs", state=state)

    wait_until(lambda: (runs("running"), runs("admitted")) == (agents, agents * (each - 1)), seconds(30), "admitted")
    runner.kill9()
    runner.settings["body_memory"] = "1MiB"
    runner.write_settings()
    runner.start()
    wait_until(lambda: runs("running") == agents, seconds(40), "each agent runs again")
    away = runner.metric("drawbridge_runner_bodies_away")
    held = runner.metric("drawbridge_runner_event_bytes")
    assert away >= agents * each - (1 << 20) / size - 2 * agents, away  # the one that runs, and the next
    assert held < (1 << 20) + 2 * agents * (size + 4096) + agents * each * 4096, held
    with open(go, "w", encoding="ascii"):
        pass
    results = [record.json() for record in bridge.results(agents * each, 60)]
    assert len(results) == agents * each and all(r["success"] for r in results)
    sizes = {int(r["output"].split()[1]) for r in results}
    assert size < min(sizes) and max(sizes) - min(sizes) < 10, sizes  # they differ in their numbers alone
    assert sorted(int(r["output"].split("-")[1]) for r in results) == list(range(agents * each))
    with open(order, encoding="ascii") as lines:
        done = [int(line.split("-")[1]) for line in lines]
    for agent in range(agents):
        mine = [n for n in done if n % agents == agent]
        assert mine == sorted(mine)
    assert runner.metric("drawbridge_runner_bodies_away") == 0
    print(f"{away:.0f} bodies left in the journal, {held:.0f} bytes held")
    runner.stop()


def set_journal_policy(bridge, policy):
    values = {**CONFIGS["journal"], "cleanup.policy": policy}  # not incremental: what is not named becomes the default
    resource = ConfigResource(ConfigResource.Type.TOPIC, bridge.names["journal"],
                              set_config={name: str(value) for name, value in values.items()})
    admin = AdminClient({"bootstrap.servers": bridge.bootstrap})
    admin.alter_configs([resource])[resource].result()


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_a_journal_that_is_not_compacted_any_more_is_told(bridge, policy):
    """Failure matrix 30: found while running, said with what to do; no run waits for it; refused at the next start."""
    def unsafe(expected):
        return lambda: runner.metric("drawbridge_runner_journal_unsafe") == expected

    runner = bridge.runner([recorder_agent("*", bridge.workspace.file("runs"))], {"journal_check": "1s"})
    time.sleep(3)  # asked twice by now
    assert unsafe(0)() and "journal" not in "".join(line for line in runner.log.splitlines() if "level=error" in line)
    set_journal_policy(bridge, policy)
    wait_until(unsafe(1), seconds(20), "the metric tells")
    complaint = next(line for line in runner.log.splitlines() if "the journal is not safe" in line)
    assert "level=error" in complaint and bridge.names["journal"] in complaint, complaint
    assert f"policy={policy}" in complaint and "set cleanup.policy=compact" in complaint, complaint
    produce(bridge, 20)
    assert len(bridge.results(20, 30)) == 20 and runner.ready()

    set_journal_policy(bridge, "compact")
    wait_until(unsafe(0), seconds(20), "the metric tells that it is mended")
    assert "level=info" in next(line for line in runner.log.splitlines() if "the journal is safe again" in line)
    set_journal_policy(bridge, policy)
    wait_until(unsafe(1), seconds(20), "the metric tells again")
    runner.stop()
    runner.start(ready=False)
    assert exit_code(runner) == 1
    assert f"topic '{bridge.names['journal']}' must have cleanup.policy=compact" in runner.log


def test_a_journal_of_which_nothing_can_be_learned_is_as_it_was(own_kafka, make_bridge):
    """An answer that does not come changes nothing, and the loop does not wait for it."""
    bridge = make_bridge(own_kafka)
    runner = bridge.runner([recorder_agent("*", bridge.workspace.file("runs"))], {"journal_check": "1s"})
    set_journal_policy(bridge, "delete")
    wait_until(lambda: runner.metric("drawbridge_runner_journal_unsafe") == 1, seconds(20), "the metric tells")
    own_kafka.nodes[0].pause()
    wait_until(lambda: "topic settings unknown" in runner.log, seconds(30), "no answer")
    assert runner.metric("drawbridge_runner_journal_unsafe") == 1 and "the loop stood still" not in runner.log
    own_kafka.nodes[0].resume()
    set_journal_policy(bridge, "compact")
    wait_until(lambda: runner.metric("drawbridge_runner_journal_unsafe") == 0, seconds(30), "mended")
    runner.stop()
