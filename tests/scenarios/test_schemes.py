"""Every provider's signature: the published vectors through `drawbridge verify` and as HTTP requests through the
ingress (on the mock cluster: who may come in does not depend on Kafka); what `drawbridge sign` makes comes in.

SPDX-License-Identifier: Apache-2.0
"""

import http.client
import json
import os
import re
import subprocess
import time

import pytest

from daemons import SLOWNESS, Bridge, program
from mock import MockKafka
from process import ROOT

VECTORS = os.path.join(ROOT, "tests", "vectors", "signatures.jsonl")
KEYS = os.path.join(ROOT, "tests", "vectors", "keys")
PROVIDERS = os.path.join(ROOT, "schemas", "providers.cfg")
FORM = "application/x-www-form-urlencoded"
# RFC 8032, 7.1, test 1: the key pair that Discord's vectors use.
SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HEX_KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"


def key(name):
    with open(os.path.join(KEYS, name), encoding="ascii") as text:
        return text.read()


def tool(*arguments, stdin=b"", env=None):
    run = subprocess.run([program("drawbridge"), *arguments], input=stdin, capture_output=True, check=False,
                         timeout=60 * SLOWNESS, env={**os.environ, **(env or {})})
    return run.returncode, run.stdout, run.stderr.decode()


def vectors():
    with open(VECTORS, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def scheme_names():
    with open(PROVIDERS, encoding="utf-8") as text:
        return re.findall(r"^  ([a-z0-9-]+):$", text.read(), flags=re.MULTILINE)


def scheme_of(vector):
    """As an operator would configure it."""
    if vector["provider"] != "hubspot":
        return vector["provider"]
    version = vector["headers"].get("X-HubSpot-Signature-Version")
    return f"hubspot-{version}" if version else "hubspot-v3"


# What a delivery of each scheme needs beside the default: secret to sign and to verify, body, content type.
def delivery_of(scheme):
    both, body, kind = ("key text", "key text"), b'{"type":"t"}', "application/json"
    if scheme in ("standard-webhooks", "svix", "openai", "gitlab-signing"):
        both = (STANDARD, STANDARD)
    elif scheme == "discord":
        both = (SEED, PUBLIC)
    elif scheme == "sendgrid":
        both, body = (key("p256-private"), key("p256-public")), b'[{"event":"delivered"}]\r\n'
    elif scheme == "aws-sns":
        both, kind = (key("rsa-private.pem"), key("rsa-public.pem")), "text/plain; charset=UTF-8"
        body = b'{"Type":"Notification","MessageId":"m","TopicArn":"arn:aws:sns:eu-west-1:1:t","Message":"hi"}'
    elif scheme.startswith("adyen"):
        both = (HEX_KEY, HEX_KEY)
        body = b'{"notificationItems":[{"NotificationRequestItem":{"pspReference":"p","eventCode":"AUTHORISATION",' \
               b'"success":"true","amount":{"value":10,"currency":"EUR"}}}]}'
    elif scheme == "twilio":
        body, kind = b"CallSid=CA1&From=%2B14158675309&Body=a+b", FORM
    elif scheme == "linear":
        body = b'{"webhookTimestamp":%d}' % (time.time() * 1000)
    elif scheme == "microsoft-graph":
        body = b'{"value":[{"changeType":"created"},{"changeType":"updated"}]}'
    return both, body, kind


def sign(scheme, secret, body, kind, url, more=()):
    """(headers, body) of a signed delivery."""
    code, out, err = tool("sign", "--scheme", scheme, "--secret", "env:KEY", "--url", url, "--id", "id-1", "--header",
                          f"Content-Type: {kind}", *more, stdin=body, env={"KEY": secret})
    assert code == 0, f"{scheme}: {err}"
    if out.startswith(b"{"):
        return [("Content-Type", kind)], out
    return [("Content-Type", kind)] + [tuple(line.split(": ", 1)) for line in out.decode().splitlines()], body


def post(ingress, agent_id, headers, body, query=""):
    connection = http.client.HTTPConnection("127.0.0.1", ingress.port, timeout=30)
    try:
        connection.putrequest("POST", ingress.path(agent_id) + query)
        for name, value in headers + [("Content-Length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def mocked(request):
    bridge = Bridge("", 6, topics=False)
    mock = MockKafka({bridge.names["events"]: 6})
    bridge.bootstrap = mock.bootstrap
    yield bridge
    bridge.failed = getattr(request.node, "went_wrong", False)
    bridge.close()
    mock.close()


def trigger(agent_id, scheme, secrets, **words):
    verify = {"scheme": scheme, "secrets": secrets, **words}
    if scheme == "aws-sns":
        verify["topic_arns"] = ["arn:aws:sns:eu-west-1:1:t"]
    return {"agent_id": agent_id, "verify": verify, "content_types": ["*"]}


# ---- offline ----


def test_all_vectors_agree_offline():
    code, out, err = tool("verify", "--vectors", VECTORS)
    lines = out.decode().splitlines()
    assert (code, lines[-1]) == (0, f"{len(vectors())} agree, 0 differ"), err
    assert lines[0] == "standardwebhooks-01 ok" and "github-04 bad malformed" in lines


def test_a_wrong_expectation_is_told(tmp_path):
    wrong = vectors()[0]
    wrong["expect"] = "bad"
    path = tmp_path / "wrong.jsonl"
    path.write_text(json.dumps(wrong) + "\n\nno json\n", encoding="utf-8")
    code, out, err = tool("verify", "--vectors", str(path))
    assert (code, out.decode().splitlines()) == (1, ["standardwebhooks-01 ok", "line-2 bad unreadable",
                                                     "0 agree, 2 differ"])
    assert "expected bad" in err


def test_one_request_is_judged():
    env = {"S": "It's a Secret to Everybody"}
    good = "X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    judge = ("verify", "--scheme", "github", "--secret", "env:S", "--header")
    assert tool(*judge, good, stdin=b"Hello, World!", env=env)[:2] == (0, b"ok secret-1\n")
    assert tool(*judge, good, stdin=b"Hello, World?", env=env)[:2] == (1, b"bad mismatch\n")
    assert tool(*judge, "Other: x", stdin=b"Hello, World!", env=env)[:2] == (1, b"bad missing\n")
    assert tool(*judge, "no header", stdin=b"", env=env)[0] == 2
    assert tool(*judge, good, stdin=b"", env={"S": ""})[0] == 2
    assert tool("verify", "--scheme", "nobody", "--secret", "env:S", env=env)[0] == 2
    assert tool("verify", "--scheme", "square", "--secret", "env:S", env=env)[0] == 2  # it signs the URL
    slack = ("verify", "--scheme", "slack", "--secret", "env:S", "--header", "X-Slack-Request-Timestamp: 1531420618",
             "--header", "X-Slack-Signature: v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503")
    body = next(v for v in vectors() if v["id"] == "slack-01")["body"].encode()
    env = {"S": "8f742231b10e8888abcd99yyyzzz85a5"}
    assert tool(*slack, "--now", "1531420918", stdin=body, env=env)[:2] == (0, b"ok secret-1\n")
    assert tool(*slack, "--now", "1531420919", stdin=body, env=env)[:2] == (1, b"bad stale\n")


def test_a_scheme_of_ones_own_is_as_good(tmp_path):
    path = tmp_path / "own.cfg"
    path.write_text('schemes: { home: { signature_header = "X-Home"; signed = "{header:X-Id}/{timestamp}/{body}"; '
                    'timestamp = "{header:X-Time}"; encoding = "base64"; delivery_id = "{header:X-Id}"; }; };',
                    encoding="utf-8")
    env = {"S": "secret"}
    code, out, err = tool("sign", "--schemes", str(path), "--scheme", "home", "--secret", "env:S", "--id", "7",
                          stdin=b"{}", env=env)
    assert code == 0, err
    headers = [part for line in out.decode().splitlines() for part in ("--header", line)]
    judge = ("verify", "--schemes", str(path), "--scheme", "home", "--secret", "env:S")
    code, _, err = tool(*judge, *headers, stdin=b"{}", env=env)
    assert code == 0 and "delivery id 7" in err
    shifted = [h.replace("X-Id: 7", "X-Id: 7/1") for h in headers]
    assert tool(*judge, *shifted, stdin=b"{}", env=env)[:2] == (1, b"bad malformed\n")


# ---- through the ingress ----


def test_the_vectors_get_their_verdict_over_http(mocked):
    """Those that neither depend on the clock nor sign a URL of their own, word for word."""
    chosen, triggers = [], []
    for vector in vectors():
        secrets = vector["secret"] if isinstance(vector["secret"], list) else [vector["secret"]]
        if "now" in vector or "url" in vector or "" in secrets or "whsec_" in secrets:
            continue
        if vector["provider"] in ("zendesk", "linear", "sendgrid", "discord", "aws-sns"):
            continue  # they sign a time, though the vector names no clock
        agent_id = f"v-{vector['id']}"
        chosen.append((agent_id, vector))
        triggers.append(trigger(agent_id, scheme_of(vector), secrets))
    assert len(chosen) >= 40
    mocked.write_triggers(triggers)
    ingress = mocked.ingress({"http": {"public_url": "https://hooks.example.org"}})
    for agent_id, vector in chosen:
        headers = [(name, value) for name, values in vector["headers"].items()
                   for value in (values if isinstance(values, list) else [values])]
        if "content-type" not in {name.lower() for name, _ in headers}:
            headers.append(("Content-Type", "application/octet-stream"))
        status = post(ingress, agent_id, headers, vector["body"].encode())
        assert status == (202 if vector["expect"] == "ok" else 401) or \
            (status == 200 and vector["expect"] == "ok"), (vector["id"], status)
    ingress.stop()


def test_what_is_signed_now_comes_in_and_nothing_else(mocked):
    """Every built-in scheme: signed now, with one byte changed, with another secret's signature, too old."""
    names = scheme_names()
    assert len(names) >= 45
    public_url = "https://hooks.example.org"
    mocked.write_triggers([trigger(name, name, [delivery_of(name)[0][1]]) for name in names])
    ingress = mocked.ingress({"http": {"public_url": public_url}})
    query = "?from=%3Aa"
    for name in names:
        (secret, _), body, kind = delivery_of(name)
        url = public_url + ingress.path(name) + query
        headers, body = sign(name, secret, body, kind, url)
        if name == "cloudevents":
            headers += [("ce-specversion", "1.0"), ("ce-type", "example.happened")]
        assert post(ingress, name, headers, body, query) in (200, 202), name
        assert post(ingress, name, [("Content-Type", kind)], b"{}", query) == 401, name
        token = name in ("gitlab-token", "datadog", "opsgenie", "okta", "eventgrid", "cloudevents")
        if token:
            assert post(ingress, name, [(h, v + "x" if h == "Authorization" or "Token" in h else v)
                                                for h, v in headers], body, query) == 401, name
        elif len(headers) > 1:
            assert post(ingress, name, headers, body + b" ", query) == 401, name
        else:
            changed = re.sub(rb'"(token|hmacSignature|MessageId|clientState)":"', rb'"\1":"x', body, count=1)
            assert changed != body and post(ingress, name, headers, changed, query) == 401, name
        if name in ("twilio", "square", "hubspot-v2", "hubspot-v3"):
            assert post(ingress, name, headers, body, query + "x") == 401, name
        if name in ("slack", "stripe", "zoom", "paddle", "calendly", "standard-webhooks", "hubspot-v3", "sendgrid"):
            for moved in (-7200, 7200):
                old, old_body = sign(name, secret, body, kind, url, ("--now", str(int(time.time()) + moved)))
                assert post(ingress, name, old, old_body, query) == 401, name
    ingress.stop()


def test_a_secret_is_rotated_in_sight(mocked):
    secrets = ({"name": "new", "value": "new secret"},
               {"name": "old", "value": "old secret", "until": "2099-01-01T00:00:00Z"},
               {"name": "gone", "value": "gone secret", "until": "2020-01-01T00:00:00Z"})
    words = {"timestamp": "{header:X-Time}", "signed": "{timestamp}:{body}"}
    mocked.write_triggers([trigger("a", "grafana", secrets, **words)])
    ingress = mocked.ingress()
    used = "drawbridge_ingress_secret_verified_total"

    def deliver(secret):
        """Signed by the very words that the trigger says."""
        path = mocked.workspace.file("words.cfg")
        with open(path, "w", encoding="ascii") as out:
            out.write('schemes: { own: { signature_header = "X-Grafana-Alerting-Signature"; '
                      'timestamp = "{header:X-Time}"; signed = "{timestamp}:{body}"; }; };')
        headers, body = sign("own", secret, b"{}", "application/json", "https://x.example", ("--schemes", path))
        return post(ingress, "a", headers, body)

    assert deliver("old secret") == 202 and deliver("gone secret") == 401 and deliver("new secret") == 202
    mocked.write_triggers([trigger("a", "grafana", secrets[:2], **words)])
    ingress.hangup()
    time.sleep(0.5)
    assert deliver("old secret") == 202  # what was counted stays
    assert [ingress.metric(used, agent="a", secret=name) for name in ("new", "old")] == [1, 2]
    seen = ingress.metric("drawbridge_ingress_secret_last_seen_seconds", agent="a", secret="old")
    assert abs(seen - time.time()) < 30
    assert "outcome=unauthorized" in ingress.log and "reason=expired" in ingress.log
    evidence = [json.loads(r.header("drawbridge-evidence"))
                for r in mocked.read("events", isolation="read_uncommitted")]
    assert sorted(e["key"] for e in evidence) == ["new", "old", "old"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", e["signed_at"]) for e in evidence)
    ingress.stop()


def test_the_signature_tells_deliveries_apart(mocked):
    mocked.write_triggers([{**trigger("a", "github", ["key text"]), "dedupe": "signature"}])
    ingress = mocked.ingress()
    for delivery_id, body in (("1", b"{}"), ("2", b"{}"), ("3", b"[]")):
        headers, _ = sign("github", "key text", body, "application/json", "https://x.example")
        headers = [(n, delivery_id if n == "X-GitHub-Delivery" else v) for n, v in headers]
        assert post(ingress, "a", headers, body) == 202
    records = mocked.read("events", isolation="read_uncommitted")
    ids = {r.header("ce_id"): r.header("ce_workflowid") for r in records}
    assert len(ids) == 3 and ids["1"] == ids["2"] != ids["3"]
    ingress.stop()


def test_the_readme_is_right_word_by_word(mocked, monkeypatch):
    """Every trigger that README.md prints, with the commands it prints."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as text:
        readme = text.read()
    rows = re.findall(r"^\| .*\| `(verify = \{ scheme = \"([a-z-]+)\"; secrets = \[\"env:(\w+)\"\]; \};)` \|$", readme,
                      flags=re.MULTILINE)
    whole = re.search(r"^triggers = \(.*?^\);$", readme, flags=re.MULTILINE | re.DOTALL).group(0)
    assert len(rows) == 7 and "tolerance" in whole
    secrets = {name: STANDARD if scheme in ("gitlab-signing", "standard-webhooks") else f"secret of {name}"
               for _, scheme, name in rows}
    secrets["STRIPE_OLD"], home = "old secret", secrets["HOME_SECRET"]
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    listed = "".join(f'{{ agent_id = "row-{n}"; {row[0]} }},' for n, row in enumerate(rows))
    for name, text in (("whole.cfg", whole), ("rows.cfg", f"triggers = ( {listed.rstrip(',')} );")):
        with open(os.path.join(mocked.triggers_dir, name), "w", encoding="utf-8") as out:
            out.write(text)
    ingress = mocked.ingress()
    body = b'{"type":"ping","kind":"warm"}\n'
    for number, (_, scheme, name) in enumerate(rows):
        headers, _ = sign(scheme, secrets[name], body, "application/json", "https://x.example")
        assert post(ingress, f"row-{number}", headers, body) == 202, scheme
        assert post(ingress, f"row-{number}", headers[:-1] + [(headers[-1][0], headers[-1][1] + "x")], body) == 401
    for secret in ("STRIPE_SECRET", "STRIPE_OLD"):
        code, out, err = tool("send", "--scheme", "stripe", "--secret", f"env:{secret}", "--agent", "billing",
                              "--listen", f"127.0.0.1:{ingress.port}", stdin=body)
        assert code == 0 and json.loads(out)["status"] == "triggered", err
    path = mocked.workspace.file("home.cfg")
    with open(path, "w", encoding="utf-8") as out:
        words = re.search(r"verify = \{ (signature_header.*?)secrets", whole, flags=re.DOTALL).group(1)
        out.write(f"schemes: {{ home: {{ {words} }}; }};")
    headers, _ = sign("home", home, body, "application/json", "https://x.example", ("--schemes", path))
    assert post(ingress, "home", headers, body) == 202
    ingress.stop()
