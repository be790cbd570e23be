"""Triggers from the compacted topic, as `drawbridge trigger` writes them and every ingress follows, on real Kafka.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import re
import subprocess
import time
import uuid

import jsonschema
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from daemons import SLOWNESS, program, seconds, wait_log
from process import ROOT, wait_until
from sender import Connection
from topics import create_topics, read_topic

OK, NO, USAGE, UNAVAILABLE, FAILURE = range(5)
IN_FORCE_S = 2  # a change is in force on every replica
BODY = b'{"action":"opened"}'


class Registry:
    """Ingresses that follow one triggers topic, and the tool beside them."""

    def __init__(self, bridge):
        self.bridge = bridge
        self.key_file = bridge.workspace.file("registry.key")
        self.tool("keygen", connect=False)
        self.topic = bridge.names["triggers"]
        self.ingresses = []

    def ingress(self, settings=None, start=True):
        base = {"triggers": {"topic": self.topic, "key_file": self.key_file}}
        for group, words in (settings or {}).items():
            base[group] = {**base.get(group, {}), **words}
        daemon = self.bridge.ingress(base, start=start)
        self.ingresses.append(daemon)
        return daemon

    def config(self):
        return self.ingresses[0].config_path

    def tool(self, *arguments, expect=OK, connect=True, env=None):
        """The tool's stdout, with --config of the first ingress, or with --key-file alone."""
        connection = ("--config", self.config()) if connect else ("--key-file", self.key_file)
        run = subprocess.run([program("drawbridge"), "trigger", *arguments, *connection], capture_output=True,
                             timeout=seconds(60), check=False, text=True, env={**os.environ, **(env or {})})
        assert run.returncode == expect, (arguments, run.stdout, run.stderr)
        self.stderr = run.stderr
        return run.stdout

    def write(self, agent_id, value):
        """A record as anybody may write it who can reach the topic."""
        producer = Producer({"bootstrap.servers": self.bridge.bootstrap})
        producer.produce(self.topic, value, agent_id)
        assert producer.flush(30) == 0

    def record(self, agent_id):
        record = json.loads(self.tool("get", agent_id))
        with open(os.path.join(ROOT, "schemas", "trigger-record.schema.json"), encoding="utf-8") as schema:
            jsonschema.validate(record, json.load(schema))
        return record

    def ls(self, expect=OK):
        return {row["agent_id"]: row for row in map(json.loads, self.tool("ls", "--format", "json",
                                                                          expect=expect).splitlines())}

    def status(self, ingress, agent_id, secret):
        connection = Connection(ingress, timeout=seconds(20))
        try:
            return connection.deliver(agent_id, str(uuid.uuid4()), BODY, secret=secret)[0]
        finally:
            connection.close()

    def expect(self, agent_id, secret, status):
        """Every ingress answers so within the time that a change may take."""
        deadline = time.monotonic() + IN_FORCE_S * SLOWNESS
        for ingress in self.ingresses:
            while (answered := self.status(ingress, agent_id, secret)) != status:
                assert time.monotonic() < deadline, (ingress.name, agent_id, answered, ingress.process.log_tail())
                time.sleep(0.02)


@pytest.fixture
def registry(bridge):
    return Registry(bridge)


def added(output):
    """(url, secret) of what `add` and `rotate` print."""
    return tuple(re.search(rf"^{word} +(\S+)$", output, re.MULTILINE).group(1) for word in ("url", "secret"))


def test_the_life_of_a_trigger(registry):
    one, two = registry.ingress(), registry.ingress()
    registry.expect("triage", "x", 404)
    url, secret = added(registry.tool("add", "triage", "--description", "A push", "--metadata", "team=platform",
                                      "--set", "body_max=64KiB"))
    assert url == f"http://127.0.0.1:{one.port}/api/v1/agents/triage/webhook"
    assert re.fullmatch("[0-9a-f]{64}", secret) and "Payload URL" in registry.stderr and url in registry.stderr
    registry.expect("triage", secret, 202)
    registry.expect("triage", "another secret", 401)
    record = registry.record("triage")
    assert record["description"] == "A push" and record["metadata"] == {"team": "platform"}
    assert secret not in json.dumps(record)

    # rotate: both are good, then only the new one
    _, fresh = added(registry.tool("rotate", "triage"))
    assert fresh != secret
    registry.expect("triage", fresh, 202)
    registry.expect("triage", secret, 202)
    assert [s["name"] for s in registry.ls()["triage"]["secrets"]] == ["current", "previous"]
    _, third = added(registry.tool("rotate", "triage", "--overlap", "0"))
    registry.expect("triage", third, 202)
    registry.expect("triage", fresh, 401)
    assert registry.record("triage")["metadata"] == {"team": "platform"}

    registry.tool("disable", "triage")
    registry.expect("triage", third, 403)
    assert registry.ls()["triage"]["enabled"] is False
    registry.tool("enable", "triage")
    registry.expect("triage", third, 202)

    registry.tool("rm", "triage")
    registry.expect("triage", third, 404)
    registry.tool("rm", "triage", expect=NO)
    registry.tool("get", "triage", expect=NO)
    assert registry.ls() == {}
    for ingress in (one, two):
        assert ingress.metric("drawbridge_ingress_trigger_records_total", verdict="removed") >= 1
        for text in (secret, fresh, third):
            assert text not in ingress.log
        ingress.stop()


def test_a_bad_record_changes_nothing_and_is_reported(registry):
    ingress = registry.ingress()
    _, secret = added(registry.tool("add", "triage"))
    registry.expect("triage", secret, 202)
    good = registry.record("triage")
    moved = {**good, "agent_id": "other"}
    bad = {
        "not JSON": b"{",
        "unsigned": b'{"agent_id": "triage", "verify": "none"}',
        "a variable": b'{"agent_id": "triage", "secret": "env:HOME"}',
        "a file": b'{"agent_id": "triage", "secret": "file:/etc/hostname"}',
        "a setting more": json.dumps({**good, "dedupe": "body"}).encode(),
        "re-enabled": json.dumps({**good, "enabled": False}).encode(),
        "another agent's": json.dumps(moved).encode(),
    }
    for number, (what, value) in enumerate(bad.items(), 1):
        registry.write("triage", value)
        wait_until(lambda n=number: ingress.metric("drawbridge_ingress_trigger_records_total", verdict="refused") == n,
                   seconds(10), f"the record is refused: {what}")
        assert registry.status(ingress, "triage", secret) == 202, what
    registry.write("other", json.dumps(moved))
    registry.write("no/agent", b"{}")
    wait_until(lambda: ingress.metric("drawbridge_ingress_trigger_records_total", verdict="refused") == len(bad) + 2,
               seconds(10), "all are refused")
    assert registry.status(ingress, "other", secret) == 404
    assert ingress.metric("drawbridge_ingress_triggers_refused") == 2
    assert "trigger record refused" in ingress.log and "does not open" in ingress.log
    rows = registry.ls(expect=NO)
    assert rows["triage"]["in_force"] and "does not open" in rows["triage"]["problem"]
    assert not rows["other"]["in_force"] and rows["other"]["problem"]
    table = registry.tool("ls", expect=NO)
    assert "BAD RECORD" in table and secret not in table
    # a good one ends it
    _, fresh = added(registry.tool("add", "triage", "--replace"))
    registry.expect("triage", fresh, 202)
    assert ingress.metric("drawbridge_ingress_triggers_refused") == 1
    # and the one it replaced does not come back
    registry.write("triage", json.dumps(good))
    wait_until(lambda: ingress.metric("drawbridge_ingress_triggers_refused") == 2, seconds(10), "it is refused")
    assert registry.status(ingress, "triage", fresh) == 202
    assert "written again" in registry.ls(expect=NO)["triage"]["problem"]


def test_the_tool_writes_nothing_that_the_ingress_would_refuse(registry):
    registry.ingress()
    for arguments in (("add", "a", "--scheme", "nonsense"), ("add", "a", "--set", "colour=red"),
                      ("add", "a", "--set", "body_max=64 KiB"), ("add", "a", "--allow-ip", "github.com"),
                      ("add", "a", "--scheme", "stripe"), ("add", "a", "--secret", "hunter2"), ("add", "a/b"),
                      ("add",), ("ls", "a"), ("rotate", "a"), ("set", "a", "--set", "x=1"), ("nonsense",),
                      ("add", "a", "--set", "verify.secrets=[]"), ("add", "a", "--metadata", "x")):
        registry.tool(*arguments, expect=USAGE)
        assert registry.stderr and "hunter2" not in registry.stderr
    assert read_topic(registry.bridge.bootstrap, registry.topic) == []
    given = {"TEST_SIGNING_SECRET": "whsec_given"}
    out = registry.tool("add", "a", "--secret", "env:TEST_SIGNING_SECRET", env=given)
    assert "whsec_given" not in out + registry.stderr and "secret  " not in out
    registry.expect("a", "whsec_given", 202)
    registry.tool("add", "a", expect=NO)
    # a secret for a file of the directory, where it opens for its agent only
    sealed = registry.tool("seal", "b", "--secret", "env:TEST_SIGNING_SECRET", env=given).strip()
    verify = {"scheme": "github", "secrets": [sealed]}
    registry.bridge.write_triggers([{"agent_id": "b", "verify": verify}])
    registry.ingresses[0].hangup()
    wait_until(lambda: registry.status(registry.ingresses[0], "b", "whsec_given") == 202, seconds(10), "it opens")
    registry.bridge.write_triggers([{"agent_id": "c", "verify": verify}])
    registry.ingresses[0].hangup()
    wait_log(registry.ingresses[0], "triggers kept as they were")


def test_a_restart_has_read_everything_before_it_is_ready(registry):
    first = registry.ingress()
    _, secret = added(registry.tool("add", "a"))
    _, other = added(registry.tool("add", "b"))
    registry.tool("rm", "b")
    registry.expect("a", secret, 202)
    late = registry.ingress()  # ready means: read to the end
    assert registry.status(late, "a", secret) == 202
    assert registry.status(late, "b", other) == 404
    # the directory goes first, and SIGHUP reads it again beside the topic
    registry.bridge.github_triggers(["a"])
    first.hangup()
    wait_until(lambda: registry.status(first, "a", secret) == 401, seconds(10), "the directory's trigger is in force")
    registry.bridge.write_triggers([])
    first.hangup()
    wait_until(lambda: registry.status(first, "a", secret) == 202, seconds(10), "the topic's trigger is back")
    # a new key on top: what was sealed before still opens, and what is sealed now opens after SIGHUP
    registry.tool("keygen", connect=False)
    for ingress in registry.ingresses:
        ingress.hangup()
    _, fresh = added(registry.tool("rotate", "a"))
    registry.expect("a", fresh, 202)
    registry.expect("a", secret, 202)
    with open(registry.key_file, encoding="ascii") as keys:
        assert len(keys.read().split()) == 2
    assert os.stat(registry.key_file).st_mode & 0o777 == 0o600


def test_a_topic_that_comes_late_and_comes_again(registry, quick):
    bootstrap = registry.bridge.bootstrap
    registry.topic = f"{registry.topic}-late"
    names = {"triggers": registry.topic}
    ingress = registry.ingress(start=False)
    ingress.start(ready=False)
    wait_log(ingress, "listening")
    wait_until(lambda: "does not exist" in ingress.manage("/readyz")[1], seconds(20),
               lambda: f"it says what is missing, not {ingress.manage('/readyz')}")
    assert registry.status(ingress, "a", "x") == 503  # never a 404 that a sender would take as final
    create_topics(bootstrap, 1, 1, names)
    ingress.wait_ready()
    _, secret = added(registry.tool("add", "a"))
    registry.expect("a", secret, 202)
    if quick:
        return
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.delete_topics([registry.topic])[registry.topic].result()
    time.sleep(1)
    assert registry.status(ingress, "a", secret) == 202  # what was in force stays so
    create_topics(bootstrap, 1, 1, names)
    wait_until(lambda: registry.status(ingress, "a", secret) == 404, seconds(30), "the new topic is read")
    _, fresh = added(registry.tool("add", "a"))
    registry.expect("a", fresh, 202)


def test_a_topic_with_two_partitions_is_refused(registry):
    """The ingresses would read only the first."""
    registry.topic = f"{registry.topic}-wide"
    registry.ingress(start=False)
    admin = AdminClient({"bootstrap.servers": registry.bridge.bootstrap})
    admin.create_topics([NewTopic(registry.topic, num_partitions=2)])[registry.topic].result()
    wait_until(lambda: registry.topic in admin.list_topics(timeout=10).topics, seconds(20), "the topic is there")
    registry.tool("add", "a", expect=USAGE)
    assert "2 partitions" in registry.stderr
