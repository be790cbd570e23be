"""The README's table of Kafka ACLs is enough: both daemons do their work with nothing else, on an authorising broker.

SPDX-License-Identifier: Apache-2.0
"""

import collections
import os
import re
import socket
import struct
import subprocess
import uuid

import pytest

from daemons import Bridge, program, seconds, shell_agent
from kafka import KafkaCluster
from process import ROOT, free_port, wait_until
from sender import Connection

PASSWORD = "correct horse battery staple"
RESOURCES = {"Topic": 2, "Group": 3, "TransactionalId": 5}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
LITERAL, PREFIXED, ALLOW = 3, 4, 3
Row = collections.namedtuple("Row", "program resource name operations")


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def readme_rows():
    """Rows of the README's table: | `program` | resource | `name` | operations | ... |"""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as page:
        table = [line.replace(" (prefixed)", "").strip("|\n ").split("|") for line in page if line.startswith("| `")]
    rows = [[cell.strip(" `") for cell in line] for line in table]
    return [Row(*row[:3], row[3].split(", ")) for row in rows if len(row) >= 4 and row[1] in RESOURCES]


class AuthorisingCluster(KafkaCluster):
    """One node with a second listener, where every client has a name and may do nothing but what ACLs allow."""

    def __init__(self):
        users = " ".join(f'user_{user}="{PASSWORD}"' for user in ("ingress", "runner"))
        super().__init__(1, {
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENT:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.client.plain.sasl.jaas.config":
                f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        })
        node = self.nodes[0]
        self.client_address = f"127.0.0.1:{free_port()}"
        with open(node.config_path, "a", encoding="ascii") as out:
            out.write(f"listeners=PLAINTEXT://{node.address},CONTROLLER://127.0.0.1:{node.controller_port},"
                      f"CLIENT://{self.client_address}\n"
                      f"advertised.listeners=PLAINTEXT://{node.address},CLIENT://{self.client_address}\n")

    def allow(self, user, row, name):
        """Creates the row's ACLs: CreateAcls, version 1, as in Kafka's protocol guide; no client of Debian can."""
        pattern = PREFIXED if name.endswith(".") else LITERAL
        body = struct.pack(">i", len(row.operations))
        for operation in row.operations:
            body += struct.pack(">b", RESOURCES[row.resource]) + text(name) + struct.pack(">b", pattern)
            body += text(f"User:{user}") + text("*") + struct.pack(">bb", OPERATIONS[operation], ALLOW)
        request = struct.pack(">hhi", 30, 1, 7) + text("test") + body
        with socket.create_connection(("127.0.0.1", self.nodes[0].port), timeout=30) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as stream:
                answer = stream.read(struct.unpack(">i", stream.read(4))[0])
        correlation, _, count = struct.unpack_from(">iii", answer)
        assert (correlation, count) == (7, len(row.operations))
        at = 12
        for _ in range(count):
            error, size = struct.unpack_from(">hh", answer, at)
            assert error == 0, (row, error)
            at += 4 + max(size, 0)


@pytest.fixture(scope="module")
def bridge():
    with AuthorisingCluster() as cluster:
        one = Bridge(cluster.bootstrap, 3)
        one.cluster = cluster
        one.password_file = one.workspace.file("password")
        with open(one.password_file, "w", encoding="ascii") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(PASSWORD + "\n")
        yield one
        one.close()


def login(bridge, user, password=None):
    return {"kafka": {"bootstrap_servers": bridge.cluster.client_address, "security_protocol": "sasl_plaintext",
                      "sasl_mechanisms": "PLAIN", "sasl_username": user,
                      "sasl_password": password or f"file:{bridge.password_file}"}}


def test_the_table_names_every_topic_of_the_runner():
    rows = [row for row in readme_rows() if row.program == "drawbridge-runner"]
    assert {row.name for row in rows if row.resource == "Topic"} == {
        "drawbridge.events", "drawbridge.control", "drawbridge.journal", "drawbridge.results",
        "drawbridge.dead-letters"}


def test_a_wrong_password_ends_a_daemon_with_1(bridge):
    bridge.github_triggers(["a"])
    for daemon in (bridge.ingress(login(bridge, "ingress", "hunter2"), start=False),
                   bridge.runner([shell_agent("a", "true")], login(bridge, "runner", "hunter2"), start=False)):
        daemon.start(ready=False)
        wait_until(lambda d=daemon: not d.alive(), seconds(30), f"{daemon.name} gives up")
        assert daemon.process.poll() == 1, daemon.log
        assert "hunter2" not in daemon.log


def test_the_table_is_enough(bridge):
    bridge.github_triggers(["good", "bad"])
    key_file = bridge.workspace.file("registry.key")
    subprocess.run([program("drawbridge"), "trigger", "keygen", "--key-file", key_file], check=True)
    registry = {"triggers": {"topic": bridge.names["triggers"], "key_file": key_file}}
    ingress = bridge.ingress({**login(bridge, "ingress"), **registry}, start=False)
    agents = [shell_agent("good", "cat > /dev/null; echo fine")]
    runner = bridge.runner(agents, login(bridge, "runner"), start=False)
    names = {"<group_id>": runner.settings["group_id"], "<group_id>.": runner.settings["group_id"] + "."}
    names.update({f"drawbridge.{role.replace('_', '-')}": name for role, name in bridge.names.items()})
    for row in readme_rows():
        user = row.program.rsplit("-", 1)[-1]
        bridge.cluster.allow(user, row, names[row.name])
    ingress.start()
    runner.start()
    connection = Connection(ingress)
    for agent in ("good", "bad"):  # one result, and one with a dead letter
        body = b'{"zen": "Speak like a human."}'
        assert connection.deliver(agent, str(uuid.uuid4()), body)[0] == 202
    connection.close()
    results = [record.json() for record in bridge.results(2)]
    assert sorted(result["agent_id"] for result in results if result["success"]) == ["good"]
    assert len(bridge.read("dead_letters")) == 1
    runner.stop()
    ingress.stop()
    refusals = re.compile(r"authori[sz]ation failed", re.IGNORECASE)
    for daemon in (ingress, runner):
        assert not [line for line in daemon.log.splitlines() if refusals.search(line)]
