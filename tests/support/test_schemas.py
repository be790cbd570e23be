"""The published JSON Schemas: each is one, its good examples pass and its bad ones don't; and they know every setting.

SPDX-License-Identifier: Apache-2.0
"""

import glob
import json
import os
import re

import jsonschema
import pytest

from process import ROOT

SCHEMAS = os.path.join(ROOT, "schemas")
NAMES = sorted(os.path.basename(path)[: -len(".schema.json")] for path in glob.glob(f"{SCHEMAS}/*.schema.json"))
EXPECTED = {"result", "event-headers", "trigger", "trigger-header", "evidence-header", "journal", "result-headers",
            "dead-letter-headers", "trigger-record"}


def read(*path):
    with open(os.path.join(SCHEMAS, *path), encoding="utf-8") as text:
        return json.load(text)


def validator(name):
    return jsonschema.Draft202012Validator(read(f"{name}.schema.json"))


def examples(name):
    return read("examples", f"{name}.json")


def test_every_schema_is_there_with_examples():
    assert EXPECTED <= set(NAMES)
    assert [name for name in NAMES if not os.path.exists(f"{SCHEMAS}/examples/{name}.json")] == []


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_draft_2020_12(name):
    schema = read(f"{name}.schema.json")
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:drawbridge:{name}"
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", NAMES)
def test_good_examples_pass(name):
    good = examples(name)["good"]
    assert good
    for document in good:
        problems = [problem.message for problem in validator(name).iter_errors(document)]
        assert not problems, document


@pytest.mark.parametrize("name", NAMES)
def test_bad_examples_fail(name):
    bad = examples(name)["bad"]
    assert len(bad) >= 3
    for example in bad:
        assert not validator(name).is_valid(example["document"]), example["why"]


@pytest.mark.parametrize("header, name", [("drawbridge-trigger", "trigger-header"),
                                          ("drawbridge-evidence", "evidence-header")])
def test_headers_that_hold_json_hold_what_their_schema_says(header, name):
    for document in examples("event-headers")["good"]:
        validator(name).validate(json.loads(document[header]))


def test_trigger_schema_knows_every_setting_of_a_trigger():
    with open(os.path.join(ROOT, "bridge", "ingress", "trigger_source.c"), encoding="utf-8") as text:
        source = text.read()
    table = source[source.index("trigger_file_options[] = {"):]
    table = table[: table.index("\n};")]
    settings = set(re.findall(r'\.name = "(\w+)"', table))
    assert len(settings) > 10
    assert set(read("trigger.schema.json")["properties"]) == settings | {"verify"}


def test_trigger_schema_knows_every_word_of_a_scheme():
    with open(os.path.join(ROOT, "common", "scheme_load.c"), encoding="utf-8") as text:
        source = text.read()
    table = source[source.index("scheme_word_options[] = {"):]
    words = set(re.findall(r'\.name = "(\w+)"', table[: table.index("\n};")])) - {"aliases"}
    assert len(words) > 15
    verify = read("trigger.schema.json")["properties"]["verify"]["oneOf"][1]["properties"]
    assert set(verify) == words | {"scheme", "secrets", "verify_token", "topic_arns", "variant"}
    assert set(verify["variant"]["properties"]) == words


def test_published_names_come_first():
    published = ["agent_id", "triggered_at", "success", "workflow_id", "output", "error"]
    assert read("result.schema.json")["required"][:6] == published
    for document in examples("result")["good"]:
        assert list(document)[:6] == published
