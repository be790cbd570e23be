"""What stands in the topics, read by an independent client (Debian's confluent_kafka), never by our own reader.

SPDX-License-Identifier: Apache-2.0
"""

import dataclasses
import json
import threading
import time
import uuid

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from process import Failure, wait_until

NAMES = {
    "events": "drawbridge.events",
    "results": "drawbridge.results",
    "dead_letters": "drawbridge.dead-letters",
    "journal": "drawbridge.journal",
    "control": "drawbridge.control",
    "triggers": "drawbridge.triggers",
}

DAY_MS = 24 * 3600 * 1000
_CLEAN = {"unclean.leader.election.enable": "false"}
# The same settings as common/kafka_topics.c; test_topics.py compares them with what `drawbridge topics create` makes.
CONFIGS = {
    "events": {"cleanup.policy": "delete", "retention.ms": 7 * DAY_MS, "max.message.bytes": 1310720, **_CLEAN},
    "results": {"cleanup.policy": "delete", "retention.ms": 30 * DAY_MS, "max.message.bytes": 2 << 20, **_CLEAN},
    "dead_letters": {"cleanup.policy": "delete", "retention.ms": 30 * DAY_MS, "max.message.bytes": 2 << 20, **_CLEAN},
    "journal": {"cleanup.policy": "compact", "max.message.bytes": 2 << 20, "segment.bytes": 64 << 20,
                "segment.ms": 3600 * 1000, "min.cleanable.dirty.ratio": "0.1", "delete.retention.ms": DAY_MS, **_CLEAN},
    "control": {"cleanup.policy": "delete", "retention.ms": 7 * DAY_MS, **_CLEAN},
    "triggers": {"cleanup.policy": "compact", "segment.ms": DAY_MS, "delete.retention.ms": 7 * DAY_MS, **_CLEAN},
}


@dataclasses.dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes
    headers: tuple  # of (name, bytes), in order

    def header(self, name):
        """Text of the last header of that name, or None."""
        values = [value for header, value in self.headers if header == name]
        return values[-1].decode() if values else None

    def json(self):
        return json.loads(self.value)


def create_topics(bootstrap, partitions=6, replication=1, names=None):
    """Drawbridge's topics, with an independent client; returns when every partition has a leader."""
    names = names or NAMES
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = [NewTopic(names[role], num_partitions=1 if role == "triggers" else partitions,
                    replication_factor=replication, config={k: str(v) for k, v in config.items()})
           for role, config in CONFIGS.items() if role in names]
    for topic, future in admin.create_topics(new, operation_timeout=30).items():
        try:
            future.result()
        except KafkaException as problem:
            if problem.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise Failure(f"create topic {topic}: {problem}") from None
    wanted = [topic.topic for topic in new]

    def all_led():
        present = admin.list_topics(timeout=10).topics
        return all(t in present and present[t].partitions and all(p.leader >= 0 for p in present[t].partitions.values())
                   for t in wanted)

    wait_until(all_led, 30, "every partition has a leader")


def _consumer(bootstrap, isolation):
    return Consumer({
        "bootstrap.servers": bootstrap, "group.id": f"test-{uuid.uuid4()}", "isolation.level": isolation,
        "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "error",
        "fetch.wait.max.ms": 20, "reconnect.backoff.max.ms": 500, "fetch.message.max.bytes": 4 << 20,
    })


def partitions_of(bootstrap, topic):
    metadata = AdminClient({"bootstrap.servers": bootstrap}).list_topics(topic, timeout=30).topics[topic]
    if metadata.error:
        raise Failure(f"topic {topic}: {metadata.error}")
    return sorted(metadata.partitions)


def offset_ranges(bootstrap, topic):
    """(first offset, high watermark) by partition: of everything written, decided or not."""
    reader = _consumer(bootstrap, "read_uncommitted")
    try:
        return {p: reader.get_watermark_offsets(TopicPartition(topic, p), timeout=30)
                for p in partitions_of(bootstrap, topic)}
    finally:
        reader.close()


def _record(message):
    return Record(message.topic(), message.partition(), message.offset(), message.timestamp()[1], message.key(),
                  message.value(), tuple((n, bytes(v) if v is not None else b"") for n, v in message.headers() or ()))


def read_topic(bootstrap, topic, timeout=60, isolation="read_committed", partitions=None):
    """Every record that a reader of that isolation sees, up to what was the end at the call.

    A read_committed reader stands still at the first open transaction, so this waits until all that stood there at the
    call is decided (or raises).  Order: by partition, then offset.
    """
    ranges = {p: r for p, r in offset_ranges(bootstrap, topic).items() if partitions is None or p in partitions}
    ends = {p: end for p, (_, end) in ranges.items()}
    open_partitions = {p for p, (begin, end) in ranges.items() if end > begin}
    found = {p: [] for p in ends}
    if not open_partitions:
        return []
    reader = _consumer(bootstrap, isolation)
    try:
        reader.assign([TopicPartition(topic, p, ranges[p][0]) for p in open_partitions])
        deadline = time.monotonic() + timeout
        while open_partitions:
            message = reader.poll(0.2)
            if message is None:
                if time.monotonic() > deadline:
                    raise Failure(f"{topic}: partitions {sorted(open_partitions)} not readable to their ends "
                                  f"{ends} within {timeout} s (an open transaction?)")
            elif message.error() is None:
                if message.offset() < ends[message.partition()]:
                    found[message.partition()].append(_record(message))
            elif message.error().code() == KafkaError._PARTITION_EOF:
                if message.offset() >= ends[message.partition()]:
                    open_partitions.discard(message.partition())
            elif message.error().code() not in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                raise Failure(f"{topic}: {message.error()}")
    finally:
        reader.close()
    return [record for p in sorted(found) for record in found[p]]


def wait_for_records(bootstrap, topic, count, timeout, what=None, isolation="read_committed", matching=None):
    """Reads until `count` records (that match) are there; returns all that match.  For small topics."""
    seen = []

    def enough():
        seen[:] = [r for r in read_topic(bootstrap, topic, timeout, isolation) if matching is None or matching(r)]
        return len(seen) >= count

    wait_until(enough, timeout, lambda: f"{what or topic}: {len(seen)} of {count} records", interval=0.2)
    return list(seen)


def murmur2(data):
    """Kafka's Java hash of a key (32 bit, seed 0x9747b28c), as an unsigned number."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def java_partition(key, count):
    """The partition that a Java producer's default partitioner chooses for a key."""
    return (murmur2(key) & 0x7FFFFFFF) % count


class LiveReader:
    """A read_committed reader that looks on while things break; `records` is everything it has seen so far."""

    def __init__(self, bootstrap, topic):
        self.records = []
        self._over = threading.Event()
        self._reader = _consumer(bootstrap, "read_committed")
        self._reader.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions_of(bootstrap, topic)])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._over.is_set():
            message = self._reader.poll(0.2)
            if message is not None and message.error() is None:
                self.records.append(_record(message))
        self._reader.close()

    def close(self):
        self._over.set()
        self._thread.join()
