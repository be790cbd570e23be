#!/usr/bin/python3
"""How fast is drawbridge-ingress beside a bare libmicrohttpd + librdkafka program?  One Kafka node, both in turn.

    cmake --build --preset release --target bench drawbridge-ingress && tests/bench/ingress_bench.py

Needs wrk.  1 KiB bodies of 100 agents, signed, a fresh delivery id each, acks=all; load, broker and program share this
machine, so compare only what one run prints, and only while "others" (everything that is neither, in percent of the
machine, with the kernel's network work) stays low.  All programs run from the beginning and are loaded in turn, a few
seconds each, so that a machine that gets slower or a broker that gets faster does so for all of them.  They have the
environment that our unit sets.  A measure, no test: nothing here passes or fails.

With --classes the ingress is measured with a scheme of each class as well: an HMAC over the body (ours), over a
timestamp and the body (stripe), Ed25519 (discord) and ECDSA on P-256 (sendgrid).

"bare" compresses as drawbridge-ingress does (lz4), so that the ratios show our own work; "plain" is the same program
without: the compression costs the sender processor time and spares the broker and the disk.

SPDX-License-Identifier: Apache-2.0
"""

import argparse
import hashlib
import hmac
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import daemons  # noqa: E402
from kafka import FAST_JVM, KafkaCluster  # noqa: E402
from process import Failure, Process, Workspace, free_port, wait_until  # noqa: E402

AGENTS = [f"agent-{i:02d}" for i in range(100)]
BODY_SIZE = 1024
PACED_CONNECTIONS = 64
BARE = {"plain": [], "bare": ["compression.type=lz4"]}
# One scheme of each class: the secret of the trigger, and what signs for it.
RFC8032_SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
RFC8032_PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
KEYS = os.path.join(ROOT, "tests", "vectors", "keys")
CLASSES = {"stripe": (daemons.SECRET, daemons.SECRET), "discord": (RFC8032_PUBLIC, RFC8032_SEED),
           "sendgrid": (os.path.join(KEYS, "p256-public"), os.path.join(KEYS, "p256-private"))}
SIGNED_FOR_S = 120
# (figure, which way is better, our limit for ours / bare)
GOALS = (("per_s", "at least", 0.85), ("cpu_s", "at most", 1.3), ("p50_ms", "at most", 1.2))


def body_of(agent, number):
    """JSON of BODY_SIZE bytes as a Git forge would send it: names, numbers, addresses, some text."""
    rng = random.Random(number)
    event = {"action": "opened", "number": number, "repository": {
        "id": rng.randrange(10**9), "full_name": f"example/{agent}", "private": False,
        "html_url": f"https://git.example.com/example/{agent}", "default_branch": "main", "open_issues": 7},
        "sender": {"login": f"user{rng.randrange(10**6)}", "id": rng.randrange(10**9), "site_admin": False},
        "labels": [{"id": rng.randrange(10**9), "name": name, "color": f"{rng.randrange(1 << 24):06x}"}
                   for name in ("bug", "help wanted", "priority")],
        "head": {"sha": f"{rng.getrandbits(160):040x}", "ref": f"feature/{rng.randrange(10**6)}"}, "body": ""}
    room = BODY_SIZE - len(json.dumps(event, separators=(",", ":")))
    words = "the change fixes what the last one broke and adds a test for it so that nobody has to ask again".split()
    text = ""
    while len(text) < room:
        text += rng.choice(words) + " "
    event["body"] = text[:room]
    return json.dumps(event, separators=(",", ":")).encode()


def github_signature(body):
    return "X-Hub-Signature-256: sha256=" + hmac.new(daemons.SECRET.encode(), body, hashlib.sha256).hexdigest() + "\r\n"


def write_requests(path, port, sign=github_signature):
    """The file that wrk's script and paced_load read; the delivery id is theirs to fill in."""
    with open(path, "wb") as out:
        for number, agent in enumerate(AGENTS):
            body = body_of(agent, number)
            assert len(body) == BODY_SIZE
            request = (f"POST /api/v1/agents/{agent}/webhook HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                       "User-Agent: GitHub-Hookshot/bench\r\nAccept: */*\r\nContent-Type: application/json\r\n"
                       f"X-GitHub-Delivery: {'0' * 36}\r\nX-GitHub-Event: pull_request\r\n{sign(body)}"
                       f"Content-Length: {BODY_SIZE}\r\n\r\n").encode() + body
            out.write(b"%d\n%s" % (len(request), request))


def unit_environment():
    """What deploy/systemd/drawbridge-ingress.service sets: allocator settings that belong to the daemon."""
    with open(os.path.join(ROOT, "deploy", "systemd", "drawbridge-ingress.service"), encoding="ascii") as unit:
        return dict(line.strip().split("=", 1)[1].split("=", 1) for line in unit if line.startswith("Environment="))


def cpu_s(pid):
    """User and system time of a process and its threads so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Subject:
    """One of the programs, running, with topics of its own."""

    def __init__(self, name, cluster, build):
        self.name, self.cluster = name, cluster
        self.bridge = daemons.Bridge(cluster.bootstrap)
        self.workspace = Workspace("bench")
        if name in BARE:
            self.port = free_port()
            self.process = Process([os.path.join(build, "bench", "bare_ingress"), self.port, cluster.bootstrap,
                                    self.bridge.names["events"], daemons.SECRET, *BARE[name]],
                                   self.workspace.file("bare.log"))
            wait_until(self._listens, 20, lambda: f"bare_ingress listening:\n{self.process.log_tail()}")
        else:
            self._write_triggers()
            daemon = self.bridge.ingress()
            self.process, self.port = daemon.process, daemon.port
        self.requests = self.workspace.file("requests")
        self.signed_at = 0.0

    def _write_triggers(self):
        if self.name == "ours":
            self.bridge.github_triggers(AGENTS)
            return
        self.key_files = [self._key_file(i, text) for i, text in enumerate(CLASSES[self.name])]
        verify = {"scheme": self.name, "secrets": [f"file:{self.key_files[0]}"]}
        self.bridge.write_triggers([{"agent_id": agent, "verify": verify} for agent in AGENTS])

    def _key_file(self, number, text):
        path = self.workspace.file(f"key-{number}")
        if os.path.exists(text):
            with open(text, encoding="ascii") as key:
                text = key.read()
        with open(path, "w", encoding="ascii") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(text)
        return path

    def _signature(self, body):
        sign = subprocess.run([daemons.program("drawbridge"), "sign", "--scheme", self.name, "--secret",
                               f"file:{self.key_files[1]}"], input=body, capture_output=True, check=True)
        return sign.stdout.decode().replace("\n", "\r\n")

    def sign(self):
        """Signatures with a timestamp are good for some minutes only."""
        if time.monotonic() - self.signed_at < SIGNED_FOR_S:
            return
        write_requests(self.requests, self.port, github_signature if self.name not in CLASSES else self._signature)
        self.signed_at = time.monotonic()

    def _listens(self):
        if not self.process.alive():
            raise Failure(f"bare_ingress ended:\n{self.process.log_tail()}")
        with open("/proc/net/tcp", encoding="ascii") as table:
            return f":{self.port:04X} 00000000:0000 0A" in table.read()

    def events(self):
        """Records in the events topic, by an independent client."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.cluster.bootstrap, "group.id": "bench", "log_level": 0})
        topic = self.bridge.names["events"]
        try:
            return sum(consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1]
                       for p in range(self.bridge.partitions))
        finally:
            consumer.close()

    def peak_reset(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w", encoding="ascii") as refs:
            refs.write("5")

    def peak_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

    def measure(self, load):
        """Runs `load` (returns its JSON) and adds what the program spent on it."""
        self.sign()
        self.peak_reset()
        events, before = self.events(), self._times()
        figures = load()
        spent, broker, client, busy, total = (b - a for a, b in zip(before, self._times()))
        events = self.events() - events
        return {**figures, "events": events, "cpu_s": spent / events * 100000 if events else 0.0,
                "peak_mb": self.peak_mb(), "others": 100 * max(0.0, busy - spent - broker - client) / total}

    def _times(self):
        """Processor seconds so far: program, broker, load (our children that ended), everything, that and idle."""
        with open("/proc/stat", encoding="ascii") as stat:
            ticks = [int(field) for field in stat.readline().split()[1:9]]
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        hertz = os.sysconf("SC_CLK_TCK")
        return (cpu_s(self.process.pid), cpu_s(self.cluster.nodes[0].process.pid),
                children.ru_utime + children.ru_stime, (sum(ticks) - ticks[3] - ticks[4]) / hertz, sum(ticks) / hertz)

    def close(self):
        from confluent_kafka.admin import AdminClient

        if self.process.alive():
            self.process.kill9()
        admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap, "log_level": 0})
        for future in admin.delete_topics(list(self.bridge.names.values())).values():
            future.result(30)
        self.bridge.close()
        self.workspace.close(keep=False)


def run_json(command, stdin=None, failures_allowed=False):
    run = subprocess.run([str(part) for part in command], stdin=stdin, capture_output=True, text=True, check=False)
    line = run.stdout.strip().rsplit("\n", 1)[-1]
    if not line.startswith("{") or (run.returncode != 0 and not failures_allowed):
        raise Failure(f"{command[0]} ended with {run.returncode}:\n{run.stdout[-1000:]}{run.stderr[-1000:]}")
    return json.loads(line)


def wrk(subject, connections, seconds):
    seed = random.randrange(1, 1 << 27)
    raw = run_json(["wrk", "-t", 2, "-c", connections, "-d", f"{seconds}s", "--timeout", "10s", "--latency", "-s",
                    os.path.join(HERE, "signed_posts.lua"), f"http://127.0.0.1:{subject.port}/", "--",
                    subject.requests, seed])
    return {"per_s": raw["requests"] / raw["duration_us"] * 1e6, "p50_ms": raw["p50_us"] / 1000,
            "p99_ms": raw["p99_us"] / 1000, "answers": raw["requests"], "not_202": raw["refused"],
            "broken": raw["broken"]}


def paced(subject, rate, seconds, build):
    with open(subject.requests, "rb") as requests:
        raw = run_json([os.path.join(build, "bench", "paced_load"), subject.port, PACED_CONNECTIONS, rate, seconds,
                        random.randrange(1, 1 << 30)], stdin=requests, failures_allowed=True)
    return {"per_s": raw["accepted"] / seconds, "p50_ms": raw["p50_us"] / 1000, "p99_ms": raw["p99_us"] / 1000,
            "answers": raw["sent"], "not_202": raw["other_status"], "broken": raw["unanswered"]}


def loads(options):
    """(title, function of a subject) of each load, in the order they run."""
    for connections in options.connections:
        yield f"{connections} connections", lambda s, c=connections: wrk(s, c, options.seconds)
    yield f"{options.rate}/s evenly", lambda s: paced(s, options.rate, options.seconds, options.build)


def row(title, name, f):
    return (f"{title:<16} {name:<8} {f['per_s']:9.0f}/s  p50 {f['p50_ms']:7.2f}  p99 {f['p99_ms']:7.2f} ms  "
            f"{f['cpu_s']:5.2f} CPU s/100k  {f['peak_mb']:6.1f} MB  others {f['others']:2.0f} %")


def check(title, name, f, connections):
    """Says it when an answer was not 202, or a 202 has no record (wrk leaves some requests unanswered when it ends)."""
    if f["not_202"] or f["broken"]:
        print(f"  !! {title}, {name}: {f['not_202']} answers were not 202, {f['broken']} requests had none", flush=True)
    if not f["answers"] - f["not_202"] <= f["events"] <= f["answers"] - f["not_202"] + connections:
        print(f"  !! {title}, {name}: {f['answers']} answers, but {f['events']} records in the topic", flush=True)


def profile(subject, options):
    """Where the processor time goes at 64 connections; perf's file stays for a closer look."""
    path = os.path.join(options.profile, f"perf-{subject.name}.data")
    recorder = subprocess.Popen(["perf", "record", "-q", "-F", "2000", "-g", "-o", path, "-p", str(subject.process.pid),
                                 "--", "sleep", str(options.seconds)])
    wrk(subject, 64, options.seconds)
    recorder.wait()
    report = subprocess.run(["perf", "report", "-i", path, "--stdio", "--no-children", "-g", "none", "-s", "dso,symbol",
                             "--percent-limit", "0.5"], capture_output=True, text=True, check=True).stdout
    print(f"profile of {subject.name} ({path})")
    print("\n".join(line for line in report.splitlines() if line and not line.startswith("#")), flush=True)


def play_round(subjects, options, figures):
    for title, load in loads(options):
        # In any order: what one leaves to the next shall not fall on the same one each time.
        for subject in random.sample(subjects, len(subjects)):
            result = subject.measure(lambda: load(subject))
            print(row(title, subject.name, result), flush=True)
            check(title, subject.name, result, max(options.connections))
            figures.setdefault(title, {}).setdefault(subject.name, []).append(result)


def play(cluster, options, figures):
    subjects = []
    try:
        for name in (*BARE, "ours", *(CLASSES if options.classes else ())):
            subjects.append(Subject(name, cluster, options.build))
            subjects[-1].sign()
            wrk(subjects[-1], 64, options.warm_up)
        for subject in subjects if options.profile else ():
            profile(subject, options)
        for number in range(options.rounds):
            print(f"round {number + 1}", flush=True)
            play_round(subjects, options, figures)
    finally:
        for subject in subjects:
            subject.close()


def ratio_of(both, name, other, key):
    """Of the same round, one beside the other: the machine is not the same in every round."""
    return statistics.median(ours[key] / theirs[key] for ours, theirs in zip(both[name], both[other]))


def summary(figures, rate_title):
    print("\nmedians of the rounds, and of the ratios in each round")
    for title, both in figures.items():
        middle = {name: {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
                  for name, rounds in both.items()}
        for name in middle:
            print(row(title, name, middle[name]))
        for name in CLASSES:
            if name in middle and title != rate_title:
                print(f"{'':<16} per_s   {name}/bare {ratio_of(both, name, 'bare', 'per_s'):5.2f}")
        for key, way, limit in GOALS:
            if key == "per_s" and title == rate_title:
                continue
            ratio = ratio_of(both, "ours", "bare", key)
            met = ratio >= limit if way == "at least" else ratio <= limit
            print(f"{'':<16} {key:<7} ours/bare {ratio:5.2f} (wanted: {way} {limit}: {'met' if met else 'MISSED'})   "
                  f"ours/plain {ratio_of(both, 'ours', 'plain', key):5.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"), help="a release build")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--warm-up", type=int, default=3, help="seconds of load before the first")
    parser.add_argument("--connections", type=lambda text: [int(c) for c in text.split(",")], default=[64, 256])
    parser.add_argument("--profile", metavar="FOLDER", help="profile each program with perf as well")
    parser.add_argument("--classes", action="store_true", help="a scheme of each class as well")
    parser.add_argument("--rate", type=int, default=2000, help="requests/s of the even load")
    options = parser.parse_args()
    daemons.BIN = os.path.join(options.build, "bin")
    figures = {}
    os.environ.update(unit_environment())
    # What was measured shall leave the disk soon: a round writes some gigabytes.
    broker = {"log.segment.delete.delay.ms": 100, "file.delete.delay.ms": 100, "log.retention.bytes": 1 << 26,
              "log.segment.bytes": 1 << 25, "log.retention.check.interval.ms": 5000}
    with KafkaCluster(1, broker, jvm=FAST_JVM) as cluster:
        play(cluster, options, figures)
    summary(figures, f"{options.rate}/s evenly")


if __name__ == "__main__":
    try:
        main()
    except Failure as problem:
        sys.exit(f"ingress_bench.py: {problem}")
