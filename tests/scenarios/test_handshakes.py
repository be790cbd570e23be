"""What providers ask beside deliveries, as real requests: every line of tests/vectors/handshakes.jsonl, and what must
not be answered.  Signed kinds are signed here, by independent code (hmac, openssl).  On the mock cluster.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import time

import pytest

from daemons import Bridge, wait_log
from mock import MockKafka
from process import ROOT
from sender import Connection

SECRET = "it-is-a-secret"


def vectors():
    with open(os.path.join(ROOT, "tests", "vectors", "handshakes.jsonl"), encoding="ascii") as lines:
        return [json.loads(line) for line in lines if line.strip()]


VECTORS = vectors()


def mac(secret, text, encode=bytes.hex):
    return encode(hmac.new(secret.encode(), text, hashlib.sha256).digest())


class Ed25519:
    """Discord's key pair, by openssl."""

    def __init__(self, folder):
        self.key = os.path.join(folder, "ed25519.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.key], check=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"], check=True,
                             capture_output=True).stdout
        self.public = der[-32:].hex()

    def sign(self, text):
        path = self.key + ".text"
        with open(path, "wb") as out:
            out.write(text)
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", self.key, "-rawin", "-in", path], check=True,
                              capture_output=True).stdout.hex()


def signed(provider, secret, body, key):
    """Headers that sign the body, or none where the provider signs nothing in a handshake."""
    now = str(int(time.time()))
    if provider == "slack":
        return {"X-Slack-Request-Timestamp": now,
                "X-Slack-Signature": "v0=" + mac(secret, f"v0:{now}:".encode() + body)}
    if provider == "zoom":
        return {"x-zm-request-timestamp": now, "x-zm-signature": "v0=" + mac(secret, f"v0:{now}:".encode() + body)}
    if provider == "discord":
        return {"X-Signature-Timestamp": now, "X-Signature-Ed25519": key.sign(now.encode() + body)}
    return {}


def trigger_of(agent, provider, config, key):
    """A trigger as an operator would write it for that provider."""
    secret = config.get("secret") or (key.public if provider == "discord" else SECRET)
    verify = {"scheme": provider, "secrets": [secret]}
    for word in ("verify_token", "topic_arns"):
        if word in config:
            verify[word] = config[word]
    if provider == "aws-sns":
        verify["tolerance"] = "0s"  # the vector's message is of 2012
    trigger = {"agent_id": agent, "verify": verify, "allowed_origins": config.get("allowed_origins", [])}
    if "rate" in config:
        trigger["rate"] = f"{config['rate']}/min"
    return trigger


class Door:
    def __init__(self):
        self.kafka = MockKafka({"door.events": 1})
        self.bridge = Bridge(self.kafka.bootstrap, topics=False)
        self.bridge.names["events"] = "door.events"
        self.key = Ed25519(self.bridge.workspace.file(""))
        more = [(name, {}) for name in ("slack", "zoom", "discord", "meta", "x", "intercom", "dropbox", "eventgrid",
                                        "msgraph", "okta")] + [("cloudevents", {"allowed_origins": ["*"]})]
        triggers = [trigger_of(v["id"], v["provider"], v["config"], self.key) for v in VECTORS]
        triggers += [trigger_of(provider, provider, config, self.key) for provider, config in more]
        triggers += [{"agent_id": "off", "enabled": False, "verify": "none", "handshake": ["echo-query"]},
                     {"agent_id": "fenced", "verify": "none", "handshake": ["echo-query", "graph-validation"],
                      "allowed_ips": ["192.0.2.1"]},
                     {"agent_id": "plain", "verify": "none"}]
        self.bridge.write_triggers(triggers)
        self.ingress = self.bridge.ingress({"topics": {"events": "door.events"}})

    def ask(self, agent, method, query="", body=None, headers=None):
        connection = Connection(self.ingress)
        try:
            return connection.request(method, self.ingress.path(agent) + query, body, headers or {})
        finally:
            connection.close()

    def post(self, provider, document, headers=None):
        body = json.dumps(document).encode()
        sign = signed(provider, self.key.public if provider == "discord" else SECRET, body, self.key)
        return self.ask(provider, "POST", "", body, {"Content-Type": "application/json", **sign, **(headers or {})})

    def published(self):
        return len(self.bridge.read("events", isolation="read_uncommitted"))


@pytest.fixture(scope="module")
def door():
    it = Door()
    yield it
    it.ingress.stop()
    it.bridge.close()
    it.kafka.close()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["id"])
def test_vector(door, vector):
    request, expected = vector["request"], vector["response"]
    headers = dict(request.get("headers", {}))
    body = request["body"].encode() if "body" in request else None
    if "X-Signature-Ed25519" not in headers:
        secret = vector["config"].get("secret", SECRET)
        headers.update(signed(vector["provider"], secret, body or b"", door.key))
    query = request.get("target", "/hook").removeprefix("/hook")
    status, found, content = door.ask(vector["id"], request["method"], query, body, headers)
    assert status == expected["status"], content
    if "content_type" in expected:
        assert found["Content-Type"].split(";")[0] == expected["content_type"]
    if "body" in expected:
        assert content.decode() == expected["body"]
    if "json" in expected:
        assert json.loads(content) == expected["json"]
    for name, value in expected.get("headers", {}).items():
        assert found[name] == value
    for name in expected.get("absent_headers", []):
        assert name not in found
    if status == 200 and content:
        assert found["X-Content-Type-Options"] == "nosniff"


def test_none_of_them_was_published(door):
    assert door.published() == 0
    assert door.ingress.metric("drawbridge_ingress_requests_total", outcome="handshake") >= len(VECTORS) - 2


def test_a_confirmation_is_handed_to_the_operator(door):
    wait_log(door.ingress, "SNS waits for an operator")
    line = next(line for line in door.ingress.log.splitlines() if "SNS waits for an operator" in line)
    assert "level=warn" in line and "confirm_url=\"https://sns.us-west-2.amazonaws.com/?Action=Confirm" in line
    assert "topic=arn:aws:sns:us-west-2:123456789012:MyTopic" in line


# ---- signed kinds: nothing without the signature, and a delivery stays one ----

@pytest.mark.parametrize("provider, document", [
    ("slack", {"type": "url_verification", "challenge": "abc"}),
    ("zoom", {"event": "endpoint.url_validation", "payload": {"plainToken": "abc"}}),
    ("discord", {"type": 1}),
    ("discord", {"type": 0}),
])
def test_a_signed_kind_is_verified_first(door, provider, document):
    good = door.post(provider, document)
    assert good[0] in (200, 204)
    bad = {"X-Slack-Signature": "v0=" + "0" * 64, "x-zm-signature": "v0=" + "0" * 64,
           "X-Signature-Ed25519": "0" * 128}
    assert door.post(provider, document, bad)[0] == 401
    status, _, content = door.ask(provider, "POST", "", json.dumps(document), {"Content-Type": "application/json"})
    assert status == 401 and b"abc" not in content


def test_discords_ping_of_webhook_events_has_no_body(door):
    status, headers, content = door.post("discord", {"version": 1, "type": 0})
    assert status == 204 and content == b"" and "Content-Type" not in headers


@pytest.mark.parametrize("provider, document", [
    ("slack", {"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention"}}),
    ("zoom", {"event": "meeting.started", "payload": {"plainToken": "abc"}}),
    ("discord", {"type": 2, "id": "1"}),
    ("discord", {"type": 1, "event": {"type": "ENTITLEMENT_CREATE"}}),
])
def test_a_delivery_is_published_all_the_same(door, provider, document):
    before = door.published()
    status, _, content = door.post(provider, document)
    assert status in (200, 202) and json.loads(content)["status"] == "triggered"
    assert door.published() == before + 1


def test_signed_kinds_are_answered_while_kafka_is_away(door):
    door.kafka.command("down 1")
    try:
        time.sleep(0.5)
        assert door.post("slack", {"type": "url_verification", "challenge": "abc"})[2] == b"abc"
    finally:
        door.kafka.command("up 1")
        door.ingress.wait_ready()


# ---- unsigned kinds ----

def test_a_get_without_the_parameter_is_webhook_info(door):
    for agent in ("dropbox", "meta", "okta", "x", "intercom"):
        status, _, content = door.ask(agent, "GET", "?other=1")
        assert status == 200 and json.loads(content)["agent_id"] == agent


def test_a_kind_that_is_not_declared_is_not_answered(door):
    status, _, content = door.ask("plain", "GET", "?challenge=abc&crc_token=x&hub.mode=subscribe")
    assert status == 200 and json.loads(content)["agent_id"] == "plain"
    assert door.ask("plain", "POST", "?validationToken=abc", b"", {"Content-Type": "text/plain"})[0] == 415
    found = door.ask("plain", "OPTIONS", headers={"WebHook-Request-Origin": "a.example"})
    assert found[0] == 405 and "WebHook-Allowed-Origin" not in found[1]


def test_echoes_are_bounded_and_plain(door):
    assert door.ask("dropbox", "GET", "?challenge=" + "a" * 1024)[2] == b"a" * 1024
    for query in ("?challenge=" + "a" * 1025, "?challenge=%0d%0aSet-Cookie:x", "?challenge=%c3%a4", "?challenge=",
                  "?challenge=%zz", "?challenge=a&challenge=b"):
        status, headers, content = door.ask("dropbox", "GET", query)
        assert status == 400 and headers["Content-Type"] == "application/json", query
        assert "challenge" in json.loads(content)["detail"]
    status, headers, content = door.ask("dropbox", "GET", "?challenge=%3Cscript%3Ealert(1)%3C/script%3E")
    assert (status, content) == (200, b"<script>alert(1)</script>")
    assert headers["Content-Type"] == "text/plain" and headers["X-Content-Type-Options"] == "nosniff"


def test_metas_token_must_be_right_and_configured(door):
    right = "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    assert door.ask("meta-hs-01", "GET", right + "meatyhamhock")[2] == b"1158201444"
    for agent, query in [("meta-hs-01", right + "wrong"), ("meta-hs-01", right), ("meta", right),
                         ("meta-hs-01", "?hub.mode=subscribe&hub.challenge=1158201444")]:
        status, _, content = door.ask(agent, "GET", query)
        assert status == 403 and b"1158201444" not in content


def test_x_proves_the_secret_and_signs_no_delivery(door):
    status, headers, content = door.ask("x", "GET", "?crc_token=abc")
    assert status == 200 and headers["Content-Type"] == "application/json"
    token = "sha256=" + mac(SECRET, b"abc", lambda b: base64.b64encode(b).decode())
    assert json.loads(content) == {"response_token": token}
    assert door.ask("x", "GET", "?crc_token=%7B%22a%22%3A1%7D")[0] == 400
    # What the answer does sign is never taken for a delivery.
    token = json.loads(door.ask("x", "GET", "?crc_token=123")[2])["response_token"]
    forged = {"Content-Type": "application/json", "x-twitter-webhooks-signature": token}
    assert door.ask("x", "POST", "", b"123", forged)[0] == 403


def test_eventgrid_needs_the_code_and_the_header(door):
    body = json.dumps([{"data": {"validationCode": "512d38b6"}}])
    kind = {"Content-Type": "application/json", "aeg-event-type": "SubscriptionValidation"}
    assert json.loads(door.ask("eventgrid", "POST", "", body, kind)[2]) == {"validationResponse": "512d38b6"}
    assert door.ask("eventgrid", "POST", "", body, {"Content-Type": "application/json"})[0] == 401
    assert door.ask("eventgrid", "POST", "", "[{}]", kind)[0] == 400
    assert door.ask("eventgrid", "POST", "", "[{", kind)[0] == 400
    assert door.ask("eventgrid", "POST", "", json.dumps(["x" * 20000]), kind)[0] == 413


def test_graphs_token_has_no_body(door):
    status, headers, content = door.ask("msgraph", "POST", "?validationToken=a%26b+c", b"",
                                        {"Content-Type": "text/plain"})
    assert (status, headers["Content-Type"], content) == (200, "text/plain", b"a&b c")
    status, _, content = door.ask("msgraph", "POST", "?validationToken=abc", b'{"value":[]}',
                                  {"Content-Type": "application/json"})
    assert status == 401 and b"abc" not in content


@pytest.mark.parametrize("headers, status", [
    ({"WebHook-Request-Origin": "any.example", "WebHook-Request-Rate": "120"}, 200),
    ({"WebHook-Request-Origin": "any.example"}, 200),
    ({"WebHook-Request-Origin": "not a name"}, 405),
    ({"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}, 405),
    ({}, 405),
])
def test_consent_to_any_origin_is_still_by_name_and_no_cors(door, headers, status):
    found = door.ask("cloudevents", "OPTIONS", headers=headers)
    assert found[0] == status and not any(name.lower().startswith("access-control") for name in found[1])
    assert found[1].get("WebHook-Allowed-Origin") == ("any.example" if status == 200 else None)
    assert found[1].get("WebHook-Allowed-Rate") == ("*" if status == 200 else None)


def test_a_head_is_answered(door):
    status, _, content = door.ask("intercom", "HEAD")
    assert (status, content) == (200, b"")


def test_disabled_and_fenced_triggers_answer_nothing(door):
    assert door.ask("off", "GET", "?challenge=abc")[0] == 403
    assert door.ask("fenced", "GET", "?challenge=abc")[0] == 403
    assert door.ask("fenced", "POST", "?validationToken=abc", b"", {"Content-Type": "text/plain"})[0] == 403


def test_whoever_asks_too_often_waits(door):
    connection = Connection(door.ingress)
    answers = [connection.request("GET", door.ingress.path("okta"), None, {"X-Okta-Verification-Challenge": "a"})
               for _ in range(200)]
    connection.close()
    statuses = [status for status, _, _ in answers]
    assert statuses[:50] == [200] * 50 and statuses.count(429) > 50
    assert all(int(headers["Retry-After"]) == 1 for status, headers, _ in answers if status == 429)
