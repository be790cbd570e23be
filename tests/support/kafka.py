#!/usr/bin/python3
"""Real Apache Kafka for the tests: one node, or three with replication 3 and min.insync.replicas 2 (KRaft).

The jars are resolved once by Maven and cached.  From the command line:

    tests/support/kafka.py --nodes 1 --topics      prints the bootstrap address and serves until Ctrl-C or end of input

SPDX-License-Identifier: Apache-2.0
"""

import argparse
import base64
import fcntl
import glob
import hashlib
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from process import CACHE, Failure, Process, Workspace, free_port, wait_until  # noqa: E402

POM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kafka-pom.xml")
JAVA_LEAST = 17
READY_S = 120
# Starts fast, and three of them fit beside the tests.  For measurements: the compilers' best, and room for it.
SMALL_JVM = ("-Xmx400m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
FAST_JVM = ("-Xmx1g", "-Xms1g", "-XX:+UseSerialGC")

LOG4J = """
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss.SSS} %p %m (%c{1})%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
"""


def java():
    """Path of a java that can run Kafka 4."""
    home = os.environ.get("JAVA_HOME")
    candidates = [os.path.join(home, "bin", "java")] if home else []
    candidates += [shutil.which("java")] + sorted(glob.glob("/usr/lib/jvm/*/bin/java"))
    seen = []
    for path in candidates:
        if not path or not os.path.exists(path):
            continue
        text = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
        version = re.search(r'version "(\d+)', text)
        if version and int(version.group(1)) >= JAVA_LEAST:
            return path
        seen.append(f"{path} is {version.group(1) if version else 'unknown'}")
    raise Failure(f"Kafka 4 needs Java {JAVA_LEAST} or later; found {', '.join(seen) or 'none'}. "
                  "Install a JRE, e.g. the package default-jre-headless.")


def jars():
    """Folder with Kafka's jars; resolved through Maven the first time."""
    with open(POM, "rb") as pom:
        text = pom.read()
    version = re.search(rb"<kafka.version>(.*?)<", text).group(1).decode()
    folder = os.path.join(CACHE, f"kafka-{version}-{hashlib.sha256(text).hexdigest()[:8]}")
    if os.path.isdir(folder):
        return folder
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, ".kafka.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(folder):
            return folder
        if not shutil.which("mvn"):
            raise Failure("Kafka's jars are resolved by Maven, and there is no mvn. Install the package maven.")
        print(f"resolving Apache Kafka {version} into {folder}", file=sys.stderr)
        fresh = tempfile.mkdtemp(prefix=".kafka-", dir=CACHE)
        try:
            run = subprocess.run(
                ["mvn", "-B", "-q", "-f", POM, "dependency:copy-dependencies", "-DincludeScope=runtime",
                 f"-DoutputDirectory={fresh}"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
            if run.returncode != 0 or not glob.glob(os.path.join(fresh, "kafka_*.jar")):
                raise Failure(f"Maven could not resolve Kafka's jars:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
            os.chmod(fresh, 0o755)
            os.rename(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


class KafkaNode:
    """One broker and controller in one process.  Stop, kill, freeze and start it as the test likes."""

    def __init__(self, cluster, number):
        self.cluster, self.number = cluster, number
        self.port, self.controller_port = free_port(), free_port()
        self.folder = cluster.workspace.file(f"node-{number}", "")
        self.log_path = cluster.workspace.file(f"node-{number}", "kafka.log")
        self.config_path = cluster.workspace.file(f"node-{number}", "server.properties")
        self.process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def write_config(self, properties):
        own = {
            "node.id": self.number,
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "log.dirs": os.path.join(self.folder, "data"),
        }
        with open(self.config_path, "w", encoding="ascii") as out:
            for name, value in {**properties, **own}.items():
                out.write(f"{name}={value}\n")

    def command(self, main, *arguments):
        return [java(), *self.cluster.jvm, "-Xshare:auto",
                "-XX:-UsePerfData", f"-Dlog4j2.configurationFile={self.cluster.log4j_path}",
                "-cp", os.path.join(self.cluster.jars, "*"), main, *arguments]

    def format(self):
        run = subprocess.run(
            self.command("kafka.tools.StorageTool", "format", f"--cluster-id={self.cluster.cluster_id}",
                         "--config", self.config_path),
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if run.returncode != 0:
            raise Failure(f"formatting the storage of node {self.number} failed:\n{run.stdout}{run.stderr}")

    def start(self):
        """Starts the broker; use wait_ready, or the cluster's, before relying on it."""
        if self.process and self.process.alive():
            raise Failure(f"node {self.number} is already running")
        self.process = Process(self.command("kafka.Kafka", self.config_path), self.log_path,
                               name=f"kafka node {self.number}")

    def accepts(self):
        """True once the broker accepts connections; raises when it died instead."""
        if not self.process.alive():
            raise Failure(f"node {self.number} ended with {self.process.poll()}; {self.log_path}:\n"
                          f"{self.process.log_tail()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def wait_ready(self, timeout=READY_S):
        wait_until(self.accepts, timeout, lambda: f"node {self.number} ready ({self.log_path})")

    def alive(self):
        return bool(self.process and self.process.alive())

    def kill9(self):
        self.process.kill9()

    def stop(self, timeout=60):
        """A controlled shutdown."""
        return self.process.stop(timeout)

    def pause(self):
        self.process.pause()

    def resume(self):
        self.process.resume()

    def restart(self):
        if self.alive():
            self.kill9()
        self.start()
        self.wait_ready()


class KafkaCluster:
    """Apache Kafka with `nodes` (1 or 3) combined nodes on free loopback ports, in a folder of its own.

    `properties` override the broker settings below.  As a context manager it starts, and ends everything; on an
    exception the folder with the logs stays and its path is printed.
    """

    def __init__(self, nodes=1, properties=None, jvm=SMALL_JVM):
        self.workspace = Workspace("kafka")
        self.jvm = jvm
        self.jars = jars()
        self.cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self.log4j_path = self.workspace.file("log4j2.properties")
        with open(self.log4j_path, "w", encoding="ascii") as out:
            out.write(LOG4J)
        self.nodes = [KafkaNode(self, number + 1) for number in range(nodes)]
        for node in self.nodes:
            node.write_config({**self._settings(nodes), **(properties or {})})
        self.failed = False

    def _settings(self, nodes):
        replication = 3 if nodes >= 3 else 1
        in_sync = 2 if nodes >= 3 else 1
        voters = ",".join(f"{n.number}@127.0.0.1:{n.controller_port}" for n in self.nodes)
        return {
            "process.roles": "broker,controller",
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "auto.create.topics.enable": "false",
            "unclean.leader.election.enable": "false",
            "default.replication.factor": replication,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replication,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": replication,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": 4,
            # Tests wait for these; production may keep Kafka's defaults.
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 6000,
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
            # Three brokers and everything else share two cores and a heap of 400 MB each.
            "num.network.threads": 2,
            "num.io.threads": 4,
            "background.threads": 2,
            "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
        }

    @property
    def bootstrap(self):
        return ",".join(node.address for node in self.nodes)

    def start(self):
        formats = [threading.Thread(target=self._format_one, args=(node,)) for node in self.nodes]
        self._problems = []
        for thread in formats:
            thread.start()
        for thread in formats:
            thread.join()
        if self._problems:
            raise self._problems[0]
        for node in self.nodes:
            node.start()
        self.wait_ready()
        return self

    def _format_one(self, node):
        try:
            node.format()
        except Failure as problem:
            self._problems.append(problem)

    def wait_ready(self, timeout=READY_S):
        """Every running node accepts connections and the metadata names all of them."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        running = [node for node in self.nodes if node.alive()]
        for node in running:
            node.wait_ready(timeout)
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

        def complete():
            for node in running:
                node.accepts()
            try:
                return len(admin.list_topics(timeout=5).brokers) >= len(running)
            except KafkaException:
                return False

        wait_until(complete, timeout, lambda: f"{len(running)} brokers in the metadata ({self.workspace.path})")

    def wait_in_sync(self, timeout=90):
        """Every partition of every topic has its full set of in-sync replicas, as after a restart."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

        def complete():
            try:
                topics = admin.list_topics(timeout=5).topics.values()
            except KafkaException:
                return False
            return all(len(p.isrs) == len(p.replicas) and p.leader >= 0
                       for t in topics for p in t.partitions.values())

        wait_until(complete, timeout, "all replicas in sync", interval=0.3)

    def create_topics(self, partitions=6, names=None):
        from topics import create_topics

        create_topics(self.bootstrap, partitions, 3 if len(self.nodes) >= 3 else 1, names)

    def close(self):
        for node in self.nodes:
            if node.alive():
                node.kill9()
        self.workspace.close(keep=self.failed)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.failed = True
            self.close()
            raise

    def __exit__(self, kind, *_):
        self.failed = self.failed or kind is not None
        self.close()


def _wait_for_the_end():
    """Until a signal, or the end of standard input where that is a terminal or a pipe."""
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: over.set())
    mode = os.fstat(0).st_mode
    if os.isatty(0) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        def until_end_of_input():
            while os.read(0, 4096):
                pass
            over.set()
        threading.Thread(target=until_end_of_input, daemon=True).start()
    while not over.wait(0.2):
        pass


def main():
    parser = argparse.ArgumentParser(description="Serve a real Apache Kafka for tests until Ctrl-C or end of input.")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    parser.add_argument("--topics", action="store_true", help="create Drawbridge's topics")
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--jars", action="store_true", help="only resolve the jars and print their folder")
    parser.add_argument("--java", action="store_true", help="only find a java that can run Kafka, and print its path")
    options = parser.parse_args()
    if options.jars or options.java:
        print(jars() if options.jars else java())
        return
    began = time.monotonic()
    with KafkaCluster(options.nodes) as cluster:
        if options.topics:
            cluster.create_topics(options.partitions)
        print(cluster.bootstrap, flush=True)
        print(f"ready after {time.monotonic() - began:.1f} s; logs in {cluster.workspace.path}", file=sys.stderr)
        _wait_for_the_end()


if __name__ == "__main__":
    try:
        main()
    except Failure as problem:
        sys.exit(f"kafka.py: {problem}")
