"""The records of the contract, checked field by field, and against the published JSON Schemas by jsonschema.

SPDX-License-Identifier: Apache-2.0
"""

import functools
import glob
import json
import os
import re

import jsonschema

from process import ROOT, Failure
from sender import workflow_id
from topics import java_partition

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|\+00:00)")


@functools.lru_cache(maxsize=None)
def _validator(name):
    path = os.path.join(ROOT, "schemas", f"{name}.schema.json")
    if not os.path.exists(path):
        raise Failure(f"there is no {path}; present: {sorted(map(os.path.basename, glob.glob(ROOT + '/schemas/*')))}")
    with open(path, encoding="utf-8") as text:
        schema = json.load(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.draft202012_format_checker)


def assert_valid(name, document):
    problems = [f"{'/'.join(map(str, p.path)) or '(root)'}: {p.message}"
                for p in _validator(name).iter_errors(document)]
    assert not problems, f"{name}: {problems}\n{json.dumps(document)[:1000]}"


def headers_of(record):
    names = [name for name, _ in record.headers]
    assert len(names) == len(set(names)), f"a header stands twice: {names}"
    return {name: value.decode() for name, value in record.headers}


def assert_event(record, agent_id, delivery_id, event_type, body, partitions):
    """An event record as the contract has it, for a delivery with the github scheme and no event_source."""
    headers = headers_of(record)
    assert record.key == agent_id.encode()
    assert record.value == body, f"{delivery_id}: {len(record.value or b'')} bytes, sent {len(body)}"
    assert record.partition == java_partition(record.key, partitions)
    assert headers["content-type"] == "application/json"
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_id"] == delivery_id
    assert headers["ce_type"] == event_type
    assert headers["ce_source"] == f"/agents/{agent_id}/webhook"
    assert headers["ce_agentid"] == headers["ce_partitionkey"] == agent_id
    assert headers["ce_workflowid"] == workflow_id(agent_id, "github", headers["ce_source"], delivery_id)
    assert TIME.fullmatch(headers["ce_time"]) and TIME.fullmatch(headers["ce_recordedtime"])
    trigger = json.loads(headers["drawbridge-trigger"])
    assert trigger["dedupe_s"] == 3 * 24 * 3600
    assert trigger["description"] == "A push to the repository"
    evidence = json.loads(headers["drawbridge-evidence"])
    assert evidence["scheme"] == "github" and evidence["peer"].startswith("127.0.0.1")
    assert headers["http-x-github-delivery"] == delivery_id
    assert not any("signature" in name for name in headers), "a replayable signature stands in the topic"
    assert_valid("event-headers", headers)
    assert_valid("trigger-header", trigger)
    assert_valid("evidence-header", evidence)


def assert_result(record, event):
    """A result record for that event record."""
    value, headers = record.json(), headers_of(record)
    assert list(value)[:6] == ["agent_id", "triggered_at", "success", "workflow_id", "output", "error"]
    assert record.key == event.key and record.partition == event.partition
    assert value["agent_id"] == event.key.decode()
    assert value["workflow_id"] == event.header("ce_workflowid")
    assert value["event_id"] == event.header("ce_id")
    assert value["source"] == {"topic": event.topic, "partition": event.partition, "offset": event.offset}
    assert value["success"] == (value["error"] is None) == (value["status"] == "succeeded")
    assert headers["ce_type"] == f"drawbridge.run.{value['status']}" and headers["ce_id"] == value["workflow_id"]
    assert headers["ce_specversion"] == "1.0"
    for name in ("triggered_at", "ended_at"):
        assert TIME.fullmatch(value[name]), value[name]
    assert_valid("result", value)
    assert_valid("result-headers", headers)


def assert_dead_letter(record, event):
    """The event record unchanged, in its partition, and three headers more."""
    assert (record.key, record.value, record.partition) == (event.key, event.value, event.partition)
    assert record.headers[:len(event.headers)] == event.headers
    extra = dict(record.headers[len(event.headers):])
    assert set(extra) == {"drawbridge-error", "drawbridge-attempts", "drawbridge-source"}
    assert_valid("dead-letter-headers", headers_of(record))


def assert_journal(record):
    """Every JSON document of a journal entry is one of the schema's."""
    if record.header("drawbridge-run"):
        assert_valid("journal", json.loads(record.header("drawbridge-run")))
    elif record.value:
        assert_valid("journal", record.json())
