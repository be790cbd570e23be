"""The independent reader and the partitioner, against Kafka itself.  SPDX-License-Identifier: Apache-2.0"""

import os
import subprocess
import tempfile

from confluent_kafka import Producer

from kafka import java, jars
from topics import create_topics, java_partition, murmur2, read_topic

# From Kafka"s own UtilsTest.testMurmur2, as Java"s signed ints.
KAFKA_UNIT_TEST = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536,
                   b"a-little-bit-longer-string": -1486304829,
                   b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
                   b"abc": 479470107}
# Partitions of six that Kafka"s Java client (4.1) chose for these keys.
JAVA_CHOSE = {"agent-0": 5, "agent-1": 1, "agent-2": 3, "agent-3": 1, "agent-4": 5, "agent-5": 1,
             "agent-6": 4, "agent-7": 0, "a": 4, "triage": 0, "~._-": 3}

JAVA = """
import org.apache.kafka.common.utils.Utils;
public class Partition {
    public static void main(String[] keys) {
        for (String key : keys)
            System.out.println(Utils.toPositive(Utils.murmur2(key.getBytes())) % 6);
    }
}
"""


def test_murmur2_gives_kafkas_published_values():
    for key, signed in KAFKA_UNIT_TEST.items():
        assert murmur2(key) == signed & 0xFFFFFFFF, key


def test_partitions_equal_those_of_the_java_client():
    assert {key: java_partition(key.encode(), 6) for key in JAVA_CHOSE} == JAVA_CHOSE
    keys = [f"agent-{n}" for n in range(60)] + ["a", "triage", "~._-", "x" * 128]
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "Partition.java")
        with open(source, "w", encoding="ascii") as out:
            out.write(JAVA)
        compiler = os.path.join(os.path.dirname(os.path.realpath(java())), "javac")
        if os.path.exists(compiler):  # only a JDK runs a source file; with a JRE the table above stands alone
            run = subprocess.run([java(), "-cp", os.path.join(jars(), "*"), source, *keys], capture_output=True,
                                 text=True, check=True)
            assert [int(line) for line in run.stdout.split()] == [java_partition(k.encode(), 6) for k in keys]


def test_the_reader_sees_what_is_committed_and_waits_for_what_is_open(kafka):
    create_topics(kafka.bootstrap, 2, 1, {"results": "reader.results"})
    writer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": "reader-test",
                       "transaction.timeout.ms": 3000})
    writer.init_transactions()
    for value, end in ((b"one", writer.commit_transaction), (b"never", writer.abort_transaction),
                       (b"two", writer.commit_transaction)):
        writer.begin_transaction()
        writer.produce("reader.results", key=b"k", value=value, headers=[("h", b"1"), ("h", b"2")], partition=1)
        writer.flush()
        end()
    writer.begin_transaction()
    writer.produce("reader.results", key=b"k", value=b"left open", partition=1)
    writer.flush()
    seen = read_topic(kafka.bootstrap, "reader.results", timeout=30)  # the broker aborts the open one after 3 s
    assert [r.value for r in seen] == [b"one", b"two"]
    assert seen[0].header("h") == "2" and seen[0].partition == 1
    assert len(read_topic(kafka.bootstrap, "reader.results", isolation="read_uncommitted")) == 4
