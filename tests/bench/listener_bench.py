#!/usr/bin/python3
"""What the ingress's listener costs and bears: start, memory, slow senders, idle connections, twice the load.

    cmake --build --preset release --target bench drawbridge-ingress && tests/bench/listener_bench.py [--seconds 60]

One real Kafka node; load, broker and ingress share this machine.  A measure: it prints each figure beside its goal, and
ends with 1 if one was missed.

SPDX-License-Identifier: Apache-2.0
"""

import argparse
import os
import socket
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests", "support"))

import daemons  # noqa: E402
from flood import Crowd, Load, capacity, descriptors, load, overload, rss_mib, slow_crowds  # noqa: E402
from kafka import FAST_JVM, KafkaCluster  # noqa: E402
from process import Failure, wait_until  # noqa: E402
from raw import SIGNED, post, signature  # noqa: E402

IDLE = 10000
missed = []


def told(what, value, goal, unit):
    """Prints a figure; `goal` is its upper bound."""
    good = value <= goal
    print(f"  {what:<58} {value:9.1f} {unit:<4} goal {goal:g} {'' if good else '  <-- missed'}", flush=True)
    if not good:
        missed.append(what)


class Bench:
    def __init__(self, cluster):
        self.bridge = daemons.Bridge(cluster.bootstrap)
        self.bridge.write_triggers([daemons.github_trigger("signed", self.bridge.secret_file)])

    def ingress(self, **http):
        return self.bridge.ingress({"http": {"connections_max": IDLE + 1000, **http}, "log": {"level": "warn"}})

    def close(self):
        self.bridge.close()


def start_up(bench, times=15):
    """From fork to the first connection that is accepted; Python's part in it is included."""
    took = []
    for _ in range(times):
        daemon = bench.bridge.ingress({"log": {"level": "warn"}}, start=False)
        began = time.monotonic()
        daemon.start(ready=False)
        while True:
            try:
                socket.create_connection(("127.0.0.1", daemon.port), timeout=5).close()
                break
            except ConnectionRefusedError:
                if time.monotonic() - began > 10:
                    raise Failure("it does not listen") from None
                time.sleep(0.0005)
        took.append((time.monotonic() - began) * 1000)
        daemon.wait_ready()
        daemon.stop()
    told("start to listening, median", statistics.median(took), 100, "ms")
    told("start to listening, slowest", max(took), 100, "ms")


def memory(bench):
    daemon = bench.ingress()
    pid = daemon.process.pid
    time.sleep(1)
    told("resident, idle", rss_mib(pid), 25, "MiB")
    under_way, busy = Load(daemon.port, 256, 100000, 5, shed=True), []
    while under_way.running():
        busy.append(rss_mib(pid))
        time.sleep(0.2)
    report = under_way.result()
    told(f"resident, 256 busy connections, {report['accepted'] / 5:.0f}/s", max(busy), 80, "MiB")
    daemon.stop()


def slow_senders(bench):
    daemon = bench.ingress()
    quiet = load(daemon.port, 8, 500, 10)
    crowds = slow_crowds(daemon.port, 1000)
    report = load(daemon.port, 8, 500, 25)
    told("p99 at 500/s alone", quiet["p99_us"] / 1000, 50, "ms")
    told("p99 at 500/s beside 1,000 slow senders", report["p99_us"] / 1000, 50, "ms")
    told("answers to good requests other than 202", report["other_status"], 0, "")
    print(f"  slow connections swept meanwhile: {sum(crowd.reopened for crowd in crowds)}")
    for crowd in crowds:
        crowd.close()
    daemon.stop()


def idle_connections(bench):
    daemon = bench.ingress(idle_timeout="10m")
    began = time.monotonic()
    crowd = Crowd(daemon.port, IDLE, post(b"{}", signature(b"{}"), target=SIGNED), interval=5)
    wait_until(lambda: crowd.answered == IDLE, 60, lambda: f"{crowd.answered} of {IDLE} have their first answer")
    print(f"  {IDLE} connections opened and answered in {time.monotonic() - began:.1f} s")
    time.sleep(5)
    told(f"{IDLE} idle connections that are not held", IDLE - len(crowd.sockets) + crowd.reopened, 0, "")
    told(f"resident, {IDLE} idle connections", rss_mib(daemon.process.pid), 400, "MiB")
    report = load(daemon.port, 8, 500, 5)
    told("p99 at 500/s beside them", report["p99_us"] / 1000, 50, "ms")
    crowd.close()
    daemon.stop()


def twice_the_load(bench, duration):
    daemon = bench.ingress()
    can = capacity(daemon.port, 5)
    before = load(daemon.port, 64, can / 5, 5)
    report, resident = overload(daemon.port, daemon.process.pid, 2 * can, duration)
    after = load(daemon.port, 64, can / 5, 8)
    print(f"  64 busy connections: {can:.0f}/s; then {2 * can:.0f}/s offered for {duration} s on 1,024: "
          f"{report['statuses']}, {report['shed']} found no free connection, p99 {report['p99_us'] / 1000:.0f} ms")
    odd = sum(count for status, count in report["statuses"].items() if status not in (200, 202, 429, 503))
    told("answers other than 2xx, 429, 503", odd + report["unanswered"], 0, "")
    settled = resident[len(resident) // 6]
    told("memory it grew by, once under load", max(resident[len(resident) // 6:]) - settled, 10, "MiB")
    print(f"  resident: {settled:.0f} MiB at the begin, {resident[-1]:.0f} at the end; p99 at a fifth of the "
          f"load before: {before['p99_us'] / 1000:.1f} ms, after, by second: "
          + ", ".join(f"{1000 * p99:.1f}" for p99 in after["p99_by_second"].values()))
    settled_ms = 1000 * statistics.median(after["p99_by_second"][second] for second in range(4, 8))
    told("p99 from the 5th second after on, median", settled_ms, max(5, 2 * before["p99_us"] / 1000), "ms")
    daemon.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="of the overload")
    options = parser.parse_args()
    enough, limit = descriptors(IDLE + 500)
    if not enough:
        sys.exit(f"the hard limit of descriptors is {limit}; this takes {IDLE + 500} (ulimit -Hn)")
    cluster = KafkaCluster(1, jvm=FAST_JVM).start()
    bench = Bench(cluster)
    try:
        for part in (start_up, memory, slow_senders, idle_connections):
            print(part.__name__.replace("_", " "))
            part(bench)
        print("twice the load")
        twice_the_load(bench, options.seconds)
    finally:
        bench.close()
        cluster.close()
    print("all within their goals" if not missed else "missed: " + "; ".join(missed))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
