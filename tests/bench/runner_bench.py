#!/usr/bin/python3
"""How fast is drawbridge-runner beside the least that could do its work?  One real Kafka node, both in turn.

    cmake --build --preset release --target bench drawbridge-runner && tests/bench/runner_bench.py

Runs per second: /bin/true for each of the events that wait in the topic, beside a bare posix_spawn loop that starts as
many at a time, without Kafka.  A start has to be committed before it happens, so a slot waits for a transaction between
two processes: for commands as short as this the concurrency has to exceed their rate times the transaction's duration.
Delay: from the time that stands in the event to the first instruction of its process,
at an even rate, beside a bare loop that consumes and commits each event in a transaction and starts nothing.  Programs,
broker and feeder share this machine: compare only what one run prints.  A measure, no test: nothing passes or fails.

SPDX-License-Identifier: Apache-2.0
"""

import argparse
import datetime
import json
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import daemons  # noqa: E402
from checker import instant  # noqa: E402
from ingress_bench import body_of, run_json  # noqa: E402
from kafka import FAST_JVM, KafkaCluster  # noqa: E402
from process import Failure, Process, Workspace, wait_until  # noqa: E402
from sender import workflow_id  # noqa: E402
from topics import offset_ranges, read_topic  # noqa: E402

BODIES = [body_of("bench", number) for number in range(100)]
WARM_UP_S = 3
DEADLINE_S = 300


class Feeder:
    """Writes events as the ingress would, with an independent client."""

    def __init__(self, bootstrap, topic, agents):
        from confluent_kafka import Producer

        self.topic = topic
        self.agents = [f"agent-{i:03d}" for i in range(agents)]
        self.producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "partitioner": "murmur2_random",
                                  "socket.nagle.disable": True, "log_level": 0})

    def send(self, number):
        """Event `number`; returns its workflow id."""
        agent = self.agents[number % len(self.agents)]
        delivery, source = f"delivery-{number}", f"/agents/{agent}/webhook"
        run = workflow_id(agent, "github", source, delivery)
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        headers = {"content-type": "application/json", "ce_specversion": "1.0", "ce_id": delivery, "ce_source": source,
                   "ce_type": "com.github.pull_request", "ce_time": now, "ce_agentid": agent, "ce_workflowid": run,
                   "ce_partitionkey": agent, "ce_recordedtime": now,
                   "drawbridge-trigger": '{"event_source":"","description":"A change","metadata":{},"dedupe_s":259200}',
                   "drawbridge-evidence": '{"scheme":"github","key":"secret"}'}
        self.producer.produce(self.topic, BODIES[number % len(BODIES)], agent, headers=list(headers.items()))
        self.producer.poll(0)
        return run

    def fill(self, count):
        for number in range(count):
            self.send(number)
        self.flush()

    def pace(self, rate, seconds):
        """`rate` events a second, evenly; returns their workflow ids in order."""
        begin = time.monotonic()
        runs = []
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, begin + number / rate - time.monotonic()))
            runs.append(self.send(number))
        self.flush()
        return runs

    def flush(self):
        if self.producer.flush(60):
            raise Failure(f"{self.topic}: not all events were written")


def cpu_s(pid):
    """User and system time of a process and its threads so far; that of its children does not count."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def bare_runs(options):
    figures = run_json([os.path.join(options.build, "bench", "bare_spawn"), options.events, options.concurrency,
                        "/bin/true"])
    return {"per_s": figures["per_second"]}


def written(cluster, topic):
    """Offsets used in a topic: its records, and the markers of its transactions."""
    return sum(end for _, end in offset_ranges(cluster.bootstrap, topic).values())


def our_runs(cluster, options):
    """From the first start to the last result, by the results' own times and that of the last record."""
    bridge = daemons.Bridge(cluster.bootstrap)
    try:
        Feeder(cluster.bootstrap, bridge.names["events"], options.agents).fill(options.events)
        agent = {"id": "*", "command": ["/bin/true"], "timeout": "60s", "concurrency": 1}
        runner = bridge.runner([agent], {"concurrency": options.concurrency})
        wait_until(lambda: written(cluster, bridge.names["results"]) >= options.events,
                   DEADLINE_S, "results of all events", interval=0.2)
        spent = cpu_s(runner.process.pid)
        results = read_topic(cluster.bootstrap, bridge.names["results"])
        values = [record.json() for record in results]
        while len({value["workflow_id"] for value in values if value["success"]}) < options.events:
            time.sleep(0.2)
            results = read_topic(cluster.bootstrap, bridge.names["results"])
            values = [record.json() for record in results]
        began = min(instant(value["started_at"]) for value in values)
        ended = max(record.timestamp_ms for record in results) / 1000
        transactions = runner.metric("drawbridge_runner_transaction_seconds_count")
        transaction_s = runner.metric("drawbridge_runner_transaction_seconds_sum")
        runner.stop()
        return {"per_s": options.events / (ended - began), "cpu_ms": spent / options.events * 1000,
                "transactions": transactions, "transaction_ms": transaction_s / transactions * 1000}
    finally:
        bridge.close()


def bare_delay(cluster, options):
    bridge = daemons.Bridge(cluster.bootstrap)
    workspace = Workspace("bench")
    try:
        total = int(options.rate * (WARM_UP_S + options.seconds))
        process = Process([os.path.join(options.build, "bench", "bare_transactions"), cluster.bootstrap,
                           bridge.names["events"], bridge.names["journal"], f"{bridge.number}.bare",
                           int(options.rate * WARM_UP_S), total - int(options.rate * WARM_UP_S)],
                          workspace.file("bare.log"))
        wait_until(lambda: "ready" in process.log_text(), 60, lambda: f"bare_transactions:\n{process.log_tail()}")
        feeder = Feeder(cluster.bootstrap, bridge.names["events"], options.agents)
        feeder.pace(options.rate, WARM_UP_S + options.seconds)
        if process.wait(60) != 0:
            raise Failure(f"bare_transactions:\n{process.log_tail()}")
        return json.loads(process.log_text().strip().rsplit("\n", 1)[-1])
    finally:
        workspace.close(keep=False)
        bridge.close()


def our_delay(cluster, options):
    """By the process's own clock: the recorder writes its line first of all."""
    bridge = daemons.Bridge(cluster.bootstrap)
    try:
        lines = bridge.workspace.file("runs")
        runner = bridge.runner([daemons.recorder_agent("*", lines)], {"concurrency": options.concurrency})
        before = time.time()
        feeder = Feeder(cluster.bootstrap, bridge.names["events"], options.agents)
        runs = feeder.pace(options.rate, WARM_UP_S + options.seconds)
        wait_until(lambda: len(daemons.read_runs(lines)) >= 2 * len(runs), 60, "all runs recorded")
        started = {line.workflow_id: line.at for line in daemons.read_runs(lines) if line.kind == "start"}
        recorded = {record.header("ce_workflowid"): instant(record.header("ce_recordedtime"))
                    for record in read_topic(cluster.bootstrap, bridge.names["events"])}
        spent = cpu_s(runner.process.pid) / (time.time() - before)
        runner.stop()
        delays = [(started[run] - recorded[run]) * 1000 for run in runs[int(options.rate * WARM_UP_S):]]
        return {"p50_ms": percentile(delays, 0.5), "p99_ms": percentile(delays, 0.99), "max_ms": max(delays),
                "cpu_share": spent}
    finally:
        bridge.close()


def say(title, name, figures):
    text = "  ".join(f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {value}"
                     for key, value in figures.items())
    print(f"{title:<22} {name:<5} {text}", flush=True)


def judge(title, value, way, limit):
    met = value >= limit if way == "at least" else value <= limit
    print(f"{title:<38} {value:8.2f}   (wanted: {way} {limit}: {'met' if met else 'MISSED'})")


def summary(rounds):
    middle = {title: {name: {key: statistics.median(f[key] for f in figures) for key in figures[0]}
                      for name, figures in both.items()} for title, both in rounds.items()}
    print("\nmedians of the rounds")
    for title, both in middle.items():
        for name, figures in both.items():
            say(title, name, figures)
    runs, delay = middle.get("runs"), middle.get("delay")
    if runs:
        judge("runs per second, ours / bare", runs["ours"]["per_s"] / runs["bare"]["per_s"], "at least", 0.5)
    if delay:
        judge("delay to the process, p50 in ms", delay["ours"]["p50_ms"], "at most", 30)
        judge("delay to the process, p99 in ms", delay["ours"]["p99_ms"], "at most", 80)
        judge("delay p50, ours / bare commit", delay["ours"]["p50_ms"] / delay["bare"]["p50_ms"], "at most", 1.3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"), help="a release build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=4, help="rounds before those that count: a new broker is slow")
    parser.add_argument("--events", type=int, default=10000,
                        help="of the measure of runs per second: some seconds, as new topics are slow at first")
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=128, help="processes at once, the bare loop's as well")
    parser.add_argument("--rate", type=int, default=50, help="events/s of the measure of delay")
    parser.add_argument("--seconds", type=int, default=20, help="of the measure of delay")
    parser.add_argument("--only", choices=("runs", "delay"))
    options = parser.parse_args()
    daemons.BIN = os.path.join(options.build, "bin")
    measures = {"runs": {"bare": lambda cluster: bare_runs(options),
                         "ours": lambda cluster: our_runs(cluster, options)},
                "delay": {"bare": lambda cluster: bare_delay(cluster, options),
                          "ours": lambda cluster: our_delay(cluster, options)}}
    rounds = {}
    with KafkaCluster(1, jvm=FAST_JVM) as cluster:
        for _ in range(options.warm_up):
            say("warm-up", "ours", our_runs(cluster, options))
        for number in range(options.rounds):
            print(f"round {number + 1}", flush=True)
            for title, both in measures.items():
                if options.only and title != options.only:
                    continue
                for name, measure in both.items():
                    figures = measure(cluster)
                    rounds.setdefault(title, {}).setdefault(name, []).append(figures)
                    say(title, name, figures)
    summary(rounds)


if __name__ == "__main__":
    try:
        main()
    except Failure as problem:
        sys.exit(f"runner_bench.py: {problem}")
