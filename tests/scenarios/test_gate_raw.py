"""Raw bytes on the ingress's socket: framing, headers, sizes, slow senders.  After each case the server still serves.

The table says for each case which status may come (0: closed without one), how many answers, and whether the connection
is closed.  libmicrohttpd's parser refuses some of these itself, with a status of its own that differs between its
versions; then several statuses are listed, and never a 2xx.  Brokers only have to answer here: the mock cluster does.

SPDX-License-Identifier: Apache-2.0
"""

import dataclasses
import hashlib
import hmac
import http.client
import os
import re
import socket
import time

import pytest

from daemons import SECRET, Bridge, github_trigger, seconds
from mock import MockKafka
from process import free_port, wait_until

PATH = "/api/v1/agents/open/webhook"
SIGNED = "/api/v1/agents/signed/webhook"
BODY_MAX = 16 * 1024
JSON = "Content-Type: application/json"
CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"
UNKNOWN = "/api/v1/agents/no/webhook"
FORM = "Content-Type: application/x-www-form-urlencoded"
# What a second request behind a doubtful first one would be answered with, if it were ever read.
SMUGGLED = b"GET /api/v1/agents/open/webhook HTTP/1.1\r\nHost: a\r\n\r\n"


def signature(body):
    return "X-Hub-Signature-256: sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def head(*headers, method="POST", target=PATH, version="HTTP/1.1", host="Host: a"):
    lines = [f"{method} {target} {version}", *([host] if host else []), *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def post(body=b"{}", *headers, **more):
    return head(f"Content-Length: {len(body)}", JSON, *headers, **more) + body


def chunked(*chunks, trailer=b"\r\n", headers=(JSON,), **more):
    data = b"".join(f"{len(c):x}\r\n".encode() + c + b"\r\n" for c in chunks)
    return head("Transfer-Encoding: chunked", *headers, **more) + data + b"0\r\n" + trailer


@dataclasses.dataclass
class Case:
    name: str
    raw: bytes
    status: object  # a number or a set; 0: closed without an answer
    closes: object = None  # None: either is right
    answers: int = 1

    @property
    def statuses(self):
        return self.status if isinstance(self.status, (set, frozenset)) else {self.status}


# What libmicrohttpd's own parser may say to what is no HTTP.
PARSER = frozenset({0, 400, 431, 501, 505})


def doubtful(name, raw, status=400):
    """Refused, closed, and what follows is never read."""
    return Case(name, raw + SMUGGLED, status, True)


FRAMING = [
    doubtful("two different Content-Length", head("Content-Length: 2", "Content-Length: 3", JSON) + b"{} "),
    doubtful("two equal Content-Length", head("Content-Length: 2", "Content-Length: 2", JSON) + b"{}"),
    doubtful("Content-Length twice, other case", head("Content-Length: 2", "content-length: 5", JSON) + b"{}"),
    doubtful("length and chunked", head("Content-Length: 2", "Transfer-Encoding: chunked", JSON) + CHUNKS),
    doubtful("chunked and length", head("Transfer-Encoding: chunked", "Content-Length: 2", JSON) + CHUNKS),
    doubtful("chunked and zero length", head("Transfer-Encoding: chunked", "Content-Length: 0", JSON) + CHUNKS),
    doubtful("gzip", head("Transfer-Encoding: gzip", JSON) + b"xx", {400, 501}),
    doubtful("gzip, chunked", head("Transfer-Encoding: gzip, chunked", JSON) + CHUNKS, {400, 501}),
    doubtful("chunked, gzip", head("Transfer-Encoding: chunked, gzip", JSON) + CHUNKS, {400, 501}),
    doubtful("chunked twice in one", head("Transfer-Encoding: chunked, chunked", JSON) + CHUNKS, {400, 501}),
    doubtful("chunked in two headers", head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", JSON) + CHUNKS),
    doubtful("gzip and chunked in two", head("Transfer-Encoding: gzip", "Transfer-Encoding: chunked", JSON)
             + CHUNKS, {400, 501}),
    doubtful("identity", head("Transfer-Encoding: identity", JSON) + b"{}", {400, 501}),
    doubtful("xchunked", head("Transfer-Encoding: xchunked", JSON) + CHUNKS, {400, 501}),
    doubtful("quoted chunked", head('Transfer-Encoding: "chunked"', JSON) + CHUNKS, {400, 501}),
    doubtful("chunked with a parameter", head("Transfer-Encoding: chunked;a=b", JSON) + CHUNKS, {400, 501}),
    doubtful("vertical tab before chunked", head("Transfer-Encoding: \x0bchunked", JSON) + CHUNKS, PARSER),
    doubtful("empty Transfer-Encoding", head("Transfer-Encoding:", JSON) + b"{}", {400, 501}),
    doubtful("chunked in HTTP/1.0", head("Transfer-Encoding: chunked", JSON, version="HTTP/1.0") + CHUNKS),
    doubtful("blank before the colon", head("Content-Length : 2", JSON) + b"{}"),
    doubtful("tab before the colon", head("Content-Length\t: 2", JSON) + b"{}"),
    doubtful("blank before the encoding's colon", head("Transfer-Encoding : chunked", JSON) + CHUNKS),
    doubtful("folded Content-Length", head("Content-Length:\r\n 2", JSON) + b"{}", {400, 501}),
    doubtful("folded Transfer-Encoding", head("Transfer-Encoding:\r\n chunked", JSON) + CHUNKS, {400, 501}),
    doubtful("folded header", head("X-A: 1\r\n 2", "Content-Length: 2", JSON) + b"{}"),
    doubtful("folded with a tab", head("X-A: 1\r\n\t2", "Content-Length: 2", JSON) + b"{}"),
    doubtful("fold as first header line", b"POST " + PATH.encode() + b" HTTP/1.1\r\n X-A: 1\r\nHost: a\r\n"
             b"Content-Length: 2\r\nContent-Type: application/json\r\n\r\n{}", PARSER),
    doubtful("a fold that would forge a name", head("X-Hub-Signature-25: sha256=00\r\n 6", "Content-Length: 2",
             JSON) + b"{}"),
    doubtful("plus in Content-Length", head("Content-Length: +2", JSON) + b"{}"),
    doubtful("minus in Content-Length", head("Content-Length: -2", JSON) + b"{}"),
    doubtful("list in Content-Length", head("Content-Length: 2, 2", JSON) + b"{}"),
    doubtful("list without a blank", head("Content-Length: 2,2", JSON) + b"{}"),
    doubtful("hex Content-Length", head("Content-Length: 0x2", JSON) + b"{}"),
    doubtful("fraction", head("Content-Length: 2.0", JSON) + b"{}"),
    doubtful("letters", head("Content-Length: two", JSON) + b"{}"),
    doubtful("empty Content-Length", head("Content-Length:", JSON) + b"{}"),
    doubtful("trailing text", head("Content-Length: 2 a", JSON) + b"{}"),
    doubtful("23 digits", head("Content-Length: " + "9" * 23, JSON) + b"{}", {400, 413}),
    doubtful("2^64", head("Content-Length: 18446744073709551616", JSON) + b"{}", {400, 413}),
    doubtful("2^64 - 1", head("Content-Length: 18446744073709551615", JSON) + b"{}", {400, 413}),
    doubtful("2^63", head("Content-Length: 9223372036854775808", JSON) + b"{}", {400, 413}),
]

HEADERS = [
    doubtful("two Hosts", post(b"{}", "Host: b")),
    doubtful("two equal Hosts", post(b"{}", "Host: a")),
    doubtful("no Host", post(host=None)),
    doubtful("two Content-Types", post(b"{}", JSON)),
    doubtful("NUL in a value", post(b"{}", "X-A: a\0b")),
    doubtful("NUL at a value's begin", post(b"{}", "X-A: \0b")),
    doubtful("NUL in a name", post(b"{}", "X\0A: b")),
    doubtful("NUL hides a second length", post(b"{}", "X-A: a\0\r\nContent-Length: 5"), {400}),
    doubtful("control byte 1 in a value", post(b"{}", "X-A: a\x01b")),
    doubtful("control byte 31 in a value", post(b"{}", "X-A: a\x1fb")),
    doubtful("escape in a value", post(b"{}", "X-A: \x1b[31m")),
    doubtful("backspace in a value", post(b"{}", "X-A: a\x08")),
    doubtful("vertical tab in a value", post(b"{}", "X-A: a\x0bb")),
    doubtful("form feed in a value", post(b"{}", "X-A: a\x0cb")),
    doubtful("DEL in a value", post(b"{}", "X-A: a\x7fb")),
    doubtful("bare CR in a value", post(b"{}", "X-A: a\rb"), PARSER),
    doubtful("bare CR ends a header", head("X-A: a\rContent-Length: 2", "Content-Length: 2", JSON) + b"{}", PARSER),
    doubtful("bare LF in the headers", post(b"{}", "X-A: a\nX-B: b")),
    doubtful("bare LF behind the request line", post().replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n"), {0, 400}),
    doubtful("bare LF hides a length", head("X-A: a\nContent-Length: 7", "Content-Length: 2", JSON) + b"{}"),
    doubtful("control byte in a name", post(b"{}", "X\x01A: b")),
    doubtful("UTF-8 in a name", post(b"{}", "X\xe9A: b")),
    doubtful("parenthesis in a name", post(b"{}", "X(A): b")),
    doubtful("bracket in a name", post(b"{}", "X[A]: b")),
    doubtful("slash in a name", post(b"{}", "X/A: b")),
    doubtful("quote in a name", post(b"{}", 'X"A: b')),
    doubtful("at in a name", post(b"{}", "X@A: b")),
    doubtful("equals in a name", post(b"{}", "X=A: b")),
    doubtful("comma in a name", post(b"{}", "X,A: b")),
    doubtful("blank in a name", post(b"{}", "X A: b")),
    doubtful("empty name", post(b"{}", ": b"), PARSER),
    doubtful("line without a colon", post(b"{}", "nonsense"), PARSER),
    Case("a header of 40 KB", post(b"{}", "X-A: " + "a" * 40000), {0, 400, 413, 431}, True),
    Case("2000 headers", post(b"{}", *[f"X-{n}: {n}" for n in range(2000)]), {0, 400, 413, 431}, True),
    Case("a name of 40 KB", post(b"{}", "X" * 40000 + ": a"), {0, 400, 413, 431}, True),
    Case("a target of 40 KB", post(target="/" + "a" * 40000), {0, 400, 414, 431}, True),
    Case("300 headers", post(b"{}", *[f"X-{n}: {n}" for n in range(300)]), {202, 431}),
    Case("a header of 8 KB", post(b"{}", "X-A: " + "a" * 8000), 202, False),
    Case("tab in a value", post(b"{}", "X-A: a\tb"), 202, False),
    Case("Latin-1 in a value", post(b"{}", "X-A: \xe9"), 202, False),
    Case("empty value", post(b"{}", "X-A:"), 202, False),
    Case("empty value with a blank", post(b"{}", "X-A: "), 202, False),
    Case("blanks around a value", post(b"{}", "X-A:   a   "), 202, False),
    Case("no blank behind the colon", post(b"{}", "X-A:a"), 202, False),
    Case("odd but legal name", post(b"{}", "!#$%&'*+-.^_`|~09aZ: b"), 202, False),
    Case("lower-case names", post().replace(b"Content-", b"content-").replace(b"Host", b"host"), 202, False),
    Case("unknown Expect", post(b"{}", "Expect: something"), {202, 417}),
]

LINE = [
    doubtful("HTTP/1.2", post(version="HTTP/1.2"), {400, 505}),
    doubtful("HTTP/1.9", post(version="HTTP/1.9"), {400, 505}),
    doubtful("HTTP/2.0", post(version="HTTP/2.0"), PARSER),
    doubtful("HTTP/0.9", post(version="HTTP/0.9"), PARSER),
    doubtful("HTTP/1.10", post(version="HTTP/1.10"), PARSER),
    doubtful("HTTP/11", post(version="HTTP/11"), PARSER),
    doubtful("HTTP/1.", post(version="HTTP/1."), PARSER),
    doubtful("http/1.1", post(version="http/1.1"), PARSER),
    doubtful("HTTPS/1.1", post(version="HTTPS/1.1"), PARSER),
    doubtful("XTTP/1.1", post(version="XTTP/1.1"), PARSER),
    doubtful("no version", f"POST {PATH}\r\nHost: a\r\n\r\n".encode(), PARSER),
    doubtful("no target", b"POST HTTP/1.1\r\nHost: a\r\n\r\n", PARSER | {404}),
    doubtful("only a method", b"POST\r\n\r\n", PARSER),
    doubtful("escaped NUL in the path", post(target="/api/v1/agents/open%00/webhook")),
    doubtful("escaped NUL behind the path", post(target=PATH + "%00")),
    doubtful("escaped NUL in the query", post(target=PATH + "?a=%00")),
    doubtful("NUL in the target", post(target=PATH + "\0x")),
    doubtful("NUL in the method", post(method="PO\0ST"), PARSER),
    doubtful("two blanks before the target", post(method="POST "), {0, 400}),
    doubtful("control byte in the target", post(target=PATH + "\x01")),
    doubtful("UTF-8 in the target", post(target=PATH + "\xc3\xa9")),
    doubtful("tab in the target", post(target=PATH + "\tx"), PARSER),
    doubtful("blank in the target", post(target=PATH + " x"), PARSER),
    doubtful("control byte in the method", post(method="PO\x01ST")),
    doubtful("TLS hello", bytes.fromhex("16030100f1010000ed0303") + os.urandom(200), PARSER),
    doubtful("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PARSER),
    doubtful("random bytes", hashlib.sha512(b"noise").digest() * 8 + b"\r\n\r\n", PARSER),
    Case("NULs", b"\0" * 512 + b"\r\n\r\n", PARSER | {404}, None, 0),
    Case("HTTP/1.0", head("Content-Length: 2", JSON, version="HTTP/1.0") + b"{}", 202, True),
    Case("HTTP/1.0 without Host", head("Content-Length: 2", JSON, version="HTTP/1.0", host=None) + b"{}", 202, True),
    Case("HTTP/1.0 keep-alive", head("Content-Length: 2", JSON, "Connection: keep-alive",
         version="HTTP/1.0") + b"{}", 202),
    Case("Connection: close", post(b"{}", "Connection: close"), 202, True),
    Case("one empty line before", b"\r\n" + post(), {0, 202}),
    Case("absolute form", post(target="http://a" + PATH), 404, False),
    Case("asterisk form", head(method="OPTIONS", target="*"), 404, False),
    Case("other path", post(target="/"), 404, False),
    Case("prefix only", post(target="/api/v1/agents"), 404, False),
    Case("path goes on", post(target=PATH + "/x"), 404, False),
    Case("no agent", post(target="/api/v1/agents//webhook"), 404, False),
    Case("dot dot as agent", post(target="/api/v1/agents/../webhook"), 404, False),
    Case("escaped slash in the agent", post(target="/api/v1/agents/a%2fopen/webhook"), 404, False),
    Case("bad escape in the agent", post(target="/api/v1/agents/op%zz/webhook"), 404, False),
    Case("cut escape in the agent", post(target="/api/v1/agents/op%6/webhook"), 404, False),
    Case("agent id of 129", post(target=f"/api/v1/agents/{'a' * 129}/webhook"), 404, False),
    Case("unknown agent id of 128", post(target=f"/api/v1/agents/{'a' * 128}/webhook"), 404, False),
    Case("escaped agent id", post(target="/api/v1/agents/%6fpe%6E/webhook"), 202, False),
    Case("query", post(target=PATH + "?a=b&c=%20"), 202, False),
    Case("empty query", post(target=PATH + "?"), 202, False),
]

METHODS = [
    Case("GET", head(method="GET"), 200, False),
    Case("HEAD", head(method="HEAD"), 200, False),
    Case("OPTIONS", head(method="OPTIONS"), 204, False),
    Case("OPTIONS, CloudEvents consent", head("WebHook-Request-Origin: a.example", method="OPTIONS"), 405, False),
    Case("OPTIONS, preflight", head("Origin: https://a", "Access-Control-Request-Method: POST", method="OPTIONS"),
         405, False),
    Case("PUT", post(method="PUT"), 405, False),
    Case("DELETE", head(method="DELETE"), 405, False),
    Case("PATCH", post(method="PATCH"), 405, False),
    Case("TRACE", head(method="TRACE"), {405, 501}),
    Case("CONNECT", head(method="CONNECT"), {400, 405, 501}),
    Case("invented", head(method="BREW"), {405, 501}),
    Case("lower-case post", post(method="post"), {405, 501}),
    Case("GET of an unknown agent", head(method="GET", target="/api/v1/agents/nobody/webhook"), 404, False),
    Case("GET with a body", post(method="GET"), 200, False),
]

BODIES = [
    Case("plain", post(), 202, False),
    Case("signed", post(b"{}", signature(b"{}"), target=SIGNED), 202, False),
    Case("signed, chunked", chunked(b"{", b"}", headers=(JSON, signature(b"{}")), target=SIGNED), 202, False),
    Case("chunked", chunked(b"{", b"}"), 202, False),
    Case("chunked byte by byte", chunked(*[bytes([c]) for c in b'{"a":[1,2,3]}']), 202, False),
    Case("chunk size in capitals", head("Transfer-Encoding: chunked", JSON) + b"A\r\n[1,2,3, 4]\r\n0\r\n\r\n", 202,
         False),
    Case("chunk size with zeros", head("Transfer-Encoding: chunked", JSON) + b"0002\r\n{}\r\n0\r\n\r\n", {202, 400}),
    Case("chunk extension", head("Transfer-Encoding: chunked", JSON) + b"2;a=b\r\n{}\r\n0\r\n\r\n", {202, 400}),
    Case("trailer", chunked(b"{}", trailer=b"X-A: b\r\n\r\n"), 202, False),
    Case("trailer that names a length", chunked(b"{}", trailer=b"Content-Length: 7\r\n\r\n"), 202, False),
    Case("bad chunk size", head("Transfer-Encoding: chunked", JSON) + b"xx\r\n{}\r\n0\r\n\r\n", {0, 400, 413}, True),
    Case("negative chunk size", head("Transfer-Encoding: chunked", JSON) + b"-2\r\n{}\r\n0\r\n\r\n", {0, 400, 413},
         True),
    Case("chunk size 0x2", head("Transfer-Encoding: chunked", JSON) + b"0x2\r\n{}\r\n0\r\n\r\n", {0, 400, 413}, True),
    Case("huge chunk size", head("Transfer-Encoding: chunked", JSON) + b"ffffffffffffffffff\r\n{}\r\n", {0, 400,
         413}, True),
    Case("chunk without its line end", head("Transfer-Encoding: chunked", JSON) + b"2\r\n{}0\r\n\r\n", {0, 400, 413},
         True),
    Case("chunk longer than its size", head("Transfer-Encoding: chunked", JSON) + b"2\r\n{}}}\r\n0\r\n\r\n", {0, 400,
         413}, True),
    Case("empty JSON body", post(b""), 400, False),
    Case("POST without a length", head(JSON), 400, False),
    Case("empty form body", head("Content-Length: 0", FORM), 202, False),
    Case("form body", head("Content-Length: 3", FORM) + b"a=b", 202, False),
    Case("not JSON", post(b"{]"), 400, False),
    Case("JSON cut off", post(b'{"a":'), 400, False),
    Case("two JSON values", post(b"{} {}"), 400, False),
    Case("JSON that is not UTF-8", post(b'{"a":"\xff"}'), 400, False),
    Case("JSON nested 600 deep", post(b"[" * 600 + b"]" * 600), 400, False),
    Case("JSON nested 500 deep", post(b"[" * 500 + b"]" * 500), 202, False),
    Case("JSON after a byte order mark", post(b"\xef\xbb\xbf{}"), 400, False),
    Case("+json", head("Content-Length: 2", "Content-Type: application/vnd.a+json") + b"{}", 202, False),
    Case("+json is checked", head("Content-Length: 2", "Content-Type: application/vnd.a+json") + b"{]", 400, False),
    Case("charset", head("Content-Length: 2", "Content-Type: application/json; charset=utf-8") + b"{}", 202, False),
    Case("no content type", head("Content-Length: 2") + b"{}", 415, False),
    Case("empty content type", head("Content-Length: 2", "Content-Type:") + b"{}", 415, False),
    Case("text", head("Content-Length: 2", "Content-Type: text/plain") + b"{}", 415, False),
    Case("multipart", head("Content-Length: 2", "Content-Type: multipart/form-data; boundary=a") + b"{}", 415, False),
    Case("a CloudEvent", head("Content-Length: 2", "Content-Type: application/cloudevents+json") + b"{}", 415, False),
    Case("a CloudEvents batch", head("Content-Length: 2",
         "Content-Type: Application/CloudEvents-batch+json") + b"{}", 415, False),
    Case("gzip as content encoding", post(b"{}", "Content-Encoding: gzip"), 415, False),
    Case("identity as content encoding", post(b"{}", "Content-Encoding: identity"), 415, False),
    Case("body at the limit", post(b"[" + b" " * (BODY_MAX - 2) + b"]"), 202, False),
    Case("one byte over the limit", post(b"[" + b" " * (BODY_MAX - 1) + b"]"), 413, True),
    Case("one byte over, only declared", head(f"Content-Length: {BODY_MAX + 1}", JSON), 413, True),
    Case("a gigabyte declared", head("Content-Length: 1073741824", JSON), 413, True),
    Case("an exabyte declared", head("Content-Length: 1152921504606846976", JSON), 413, True),
    Case("too large for an unknown agent", head("Content-Length: 1073741824", JSON, target=UNKNOWN), 404, True),
    Case("chunked at the limit", chunked(b"[" + b" " * (BODY_MAX - 2), b"]"), 202, False),
    Case("chunked over the limit", chunked(b"[" + b" " * BODY_MAX, b"]"), 413),
    Case("chunked beyond twice the limit", chunked(*[b" " * 4096] * 12), 0, True),
    Case("chunked beyond twice the limit, unknown agent", chunked(*[b" " * 4096] * 12, target=UNKNOWN), 0, True),
]

SIGNATURES = [
    Case("missing", post(target=SIGNED), 401, True),
    Case("missing, body only declared", head("Content-Length: 1000", JSON, target=SIGNED), 401, True),
    Case("empty", post(b"{}", "X-Hub-Signature-256:", target=SIGNED), 401, True),
    Case("no tag", post(b"{}", "X-Hub-Signature-256: " + "0" * 64, target=SIGNED), 401, True),
    Case("other tag", post(b"{}", "X-Hub-Signature-256: sha1=" + "0" * 40, target=SIGNED), 401, True),
    Case("short", post(b"{}", signature(b"{}")[:-1], target=SIGNED), 401, True),
    Case("long", post(b"{}", signature(b"{}") + "0", target=SIGNED), 401, True),
    Case("not hex", post(b"{}", signature(b"{}")[:-1] + "g", target=SIGNED), 401, True),
    Case("only the tag", post(b"{}", "X-Hub-Signature-256: sha256=", target=SIGNED), 401, True),
    Case("twice", post(b"{}", signature(b"{}"), signature(b"{}"), target=SIGNED), 401, True),
    Case("of another body", post(b"{}", signature(b"[]"), target=SIGNED), 401, False),
    Case("of the empty body", post(b"{}", signature(b""), target=SIGNED), 401, False),
    Case("wrong, and not JSON either", post(b"{]", signature(b"[]"), target=SIGNED), 401, False),
    Case("wrong, and no such type either", head("Content-Length: 2", "Content-Type: text/plain", signature(b"[]"),
         target=SIGNED)
         + b"{}", 401, False),
    Case("right, but not JSON", post(b"{]", signature(b"{]"), target=SIGNED), 400, False),
    Case("wrong, asking first", head("Content-Length: 2", JSON, "Expect: 100-continue", target=SIGNED), 401, True),
    Case("too large, asking first", head(f"Content-Length: {BODY_MAX + 1}", JSON, "Expect: 100-continue"), 413, True),
    Case("unknown agent, asking first", head("Content-Length: 2", JSON, "Expect: 100-continue",
                                             target=UNKNOWN), 404, True),
    Case("disabled", post(target="/api/v1/agents/off/webhook"), 403, False),
    Case("delivery id of 257", post(b"{}", signature(b"{}"), "X-GitHub-Delivery: " + "a" * 257, target=SIGNED), 400,
         False),
    Case("delivery id beyond ASCII", post(b"{}", signature(b"{}"), "X-GitHub-Delivery: \xe9", target=SIGNED), 400,
         False),
    Case("delivery id of 256", post(b"{}", signature(b"{}"), "X-GitHub-Delivery: " + "a" * 256, target=SIGNED), 202,
         False),
    Case("action twice", post(b'{"action":"a","action":"b"}', signature(b'{"action":"a","action":"b"}'),
         "X-GitHub-Event: push",
                              target=SIGNED), 400, False),
]

PIPELINES = [
    Case("two", post() + post(), 202, False, 2),
    Case("five", post() * 5, 202, False, 5),
    Case("refused, then served", post(b"{]") + post(), {400, 202}, False, 2),
    Case("GET and POST", head(method="GET") + post(), {200, 202}, False, 2),
    Case("close in the first", post(b"{}", "Connection: close") + post(), 202, True, 1),
]

CASES = [pytest.param(case, id=f"{group}: {case.name}")
         for group, cases in (("framing", FRAMING), ("headers", HEADERS), ("line", LINE), ("methods", METHODS),
                              ("bodies", BODIES), ("signatures", SIGNATURES), ("pipelines", PIPELINES))
         for case in cases]
assert len(CASES) >= 120


class Socket:
    """One raw connection; answers are taken apart only as far as the table asks."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds(5))
        self.data = b""
        self.closed = False

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # closed while we sent: the reading side tells

    def _read(self, timeout):
        self.socket.settimeout(timeout)
        try:
            piece = self.socket.recv(65536)
        except socket.timeout:
            return False
        except ConnectionError:
            piece = b""
        self.data += piece
        self.closed = self.closed or not piece
        return True

    def answers(self):
        """Statuses of the complete answers so far."""
        found, rest = [], self.data
        while True:
            match = re.match(rb"HTTP/1\.[01] (\d{3})[^\r]*\r\n(.*?)\r\n\r\n", rest, re.S)
            if not match:
                return found
            status = int(match.group(1))
            length = re.search(rb"(?im)^content-length: *(\d+)", match.group(2))
            size = int(length.group(1)) if length and status not in (100, 204) and not self.bodiless else 0
            if len(rest) < match.end() + size:
                return found
            if status != 100:
                found.append(status)
            rest = rest[match.end() + size:]

    bodiless = False

    def collect(self, count, timeout, quiet=0.15):
        """Reads until `count` answers are there and nothing more comes, or the connection is closed."""
        deadline = time.monotonic() + timeout
        while not self.closed and time.monotonic() < deadline:
            enough = len(self.answers()) >= count
            if not self._read(quiet if enough else max(0.01, deadline - time.monotonic())) and enough:
                break
        return self.answers()

    def close(self):
        self.socket.close()


class Server:
    def __init__(self, settings=None):
        self.kafka = MockKafka({"raw.events": 3})
        self.bridge = Bridge(self.kafka.bootstrap, topics=False)
        self.bridge.write_triggers([
            {"agent_id": "open", "verify": "none"},
            {"agent_id": "off", "enabled": False, "verify": "none"},
            github_trigger("signed", self.bridge.secret_file),
        ])
        # `closed without an answer` is seen at once; what is only slow is another test's business.
        base = {"http": {"body_max": f"{BODY_MAX}", "header_timeout": "5s", "body_timeout": "5s"},
                "topics": {"events": "raw.events"}, **(settings or {})}
        self.ingress = self.bridge.ingress(base)

    def serves(self):
        """A signed delivery on a fresh connection is accepted."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ingress.port, timeout=seconds(5))
        try:
            name, value = signature(b"{}").split(": ")
            connection.request("POST", SIGNED, b"{}", {"Content-Type": "application/json", name: value})
            return connection.getresponse().status == 202
        finally:
            connection.close()

    def close(self, failed):
        self.bridge.failed = failed
        try:
            if self.ingress.alive():
                self.ingress.stop()
        finally:
            self.bridge.close()
            self.kafka.close()


@pytest.fixture(scope="module")
def server(request):
    it = Server()
    yield it
    it.close(getattr(request.session, "went_wrong", False))


@pytest.fixture(scope="module")
def hasty(request):
    it = Server({"http": {"body_max": f"{BODY_MAX}", "header_timeout": "1s", "body_timeout": "1s", "idle_timeout": "1s",
                          "connections_max": 64}})
    yield it
    it.close(getattr(request.session, "went_wrong", False))


@pytest.mark.parametrize("case", CASES)
def test_raw(server, case):
    s = Socket(server.ingress.port)
    s.bodiless = case.raw.startswith(b"HEAD")
    try:
        s.send(case.raw)
        wanted = 0 if case.statuses == {0} else case.answers
        answers = s.collect(wanted, seconds(3))
        # What stops in the middle of a body is only told apart from silence by an end of ours.
        if not answers and not s.closed:
            s.socket.shutdown(socket.SHUT_WR)
            answers = s.collect(1, seconds(3))
        assert set(answers or [0]) <= case.statuses, (answers, s.data[:500])
        if wanted:
            assert len(answers) == wanted or 0 in case.statuses, (answers, s.data[:2000])
        if case.closes is not None:
            assert s.closed == case.closes, (answers, s.data[:500])
    finally:
        s.close()
    assert server.serves()


def test_every_request_is_counted_once(server):
    def total():
        return sum(value for name, value in server.ingress.metrics().items()
                   if name.startswith("drawbridge_ingress_requests_total"))
    before = total()
    for _ in range(10):
        assert server.serves()
    assert total() == before + 10


def test_bodies_and_secrets_are_not_logged(server):
    marker = b'{"marker":"7f3e9a"}'
    s = Socket(server.ingress.port)
    s.send(post(marker, signature(marker), target=SIGNED))
    assert s.collect(1, seconds(3)) == [202]
    s.close()
    log = server.ingress.log
    assert "outcome=accepted" in log
    assert "7f3e9a" not in log and SECRET not in log and signature(marker).split("=")[1] not in log


def test_refusals_tell_an_unverified_sender_nothing(server):
    """Missing, malformed and wrong signatures are answered alike."""
    answers = set()
    for header in ("X-A: b", "X-Hub-Signature-256: sha256=00", signature(b"other")):
        s = Socket(server.ingress.port)
        s.send(post(b"{}", header, target=SIGNED))
        s.collect(1, seconds(3))
        s.close()
        answers.add(s.data.split(b"\r\n\r\n", 1)[1])
    assert answers == {b'{"detail":"Invalid signature"}'}


# ---- slow senders: closed by deadline, however they drip ----

def dripped_until_closed(port, raw, interval, limit, first=b""):
    """Seconds until the server closed the connection; None if it did not within the limit."""
    s = Socket(port)
    begin = time.monotonic()
    s.send(first)
    try:
        for byte in raw:
            s.send(bytes([byte]))
            if s._read(interval) and s.closed:
                return time.monotonic() - begin, s.data
            if time.monotonic() - begin > limit:
                return None, s.data
        s.collect(1000, limit)
        return (time.monotonic() - begin if s.closed else None), s.data
    finally:
        s.close()


@pytest.mark.parametrize("name, first, raw", [
    ("silence", b"", b""),
    ("dripped request line", b"", post(b"{}", "X-A: " + "a" * 500)),
    ("dripped header", b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: a\r\n", b"X-A: " + b"a" * 500),
    ("headers that stop", head("Content-Length: 2", JSON)[:-2], b""),
    ("body that never comes", head("Content-Length: 100", JSON), b""),
    ("dripped body", head("Content-Length: 500", JSON), b"[" + b" " * 498 + b"]"),
    ("dripped signed body", head("Content-Length: 500", JSON, signature(b"x"), target=SIGNED),
        b"[" + b" " * 498 + b"]"),
    ("dripped chunks", head("Transfer-Encoding: chunked", JSON), b"1\r\n \r\n" * 100),
    ("dripped chunk size", head("Transfer-Encoding: chunked", JSON), b"0" * 500),
    ("dripped body for an unknown agent", head("Content-Length: 500", JSON, target=UNKNOWN), b" " * 500),
    ("idle after an answer", post(), b""),
    ("idle after an answer, then a dripped request", post(), post(b"{}", "X-A: " + "a" * 500)),
], ids=lambda value: value if isinstance(value, str) else "")
def test_slow_sender_is_closed(hasty, name, first, raw):
    took, data = dripped_until_closed(hasty.ingress.port, raw, 0.05, seconds(4), first)
    assert took is not None, f"{name}: still open"
    assert took < seconds(2.5), f"{name}: closed only after {took:.1f} s"
    assert took > 0.8, f"{name}: closed after {took:.1f} s already"
    assert (b" 202 " in data) == name.startswith("idle")
    assert hasty.serves()


def test_timed_out_connections_are_counted(hasty):
    before = hasty.ingress.metric("drawbridge_ingress_timed_out_total")
    s = Socket(hasty.ingress.port)
    s.collect(1, seconds(3))
    assert s.closed
    s.close()
    wait_until(lambda: hasty.ingress.metric("drawbridge_ingress_timed_out_total") > before, seconds(3), "it is counted")


def test_a_slow_but_honest_sender_is_served(hasty):
    s = Socket(hasty.ingress.port)
    for byte in post():
        s.send(bytes([byte]))
        time.sleep(0.002)
    assert s.collect(1, seconds(3)) == [202]
    s.close()


def test_silent_connections_do_not_lock_others_out(hasty):
    """All places taken by silence: they are swept, and those in the backlog come in."""
    idle = [Socket(hasty.ingress.port) for _ in range(80)]
    try:
        wait_until(hasty.serves, seconds(8), "it serves again")
    finally:
        for s in idle:
            s.close()


def test_senders_that_vanish_leave_nothing_behind(server):
    for raw in (b"", b"PO", head("Content-Length: 100", JSON)[:-1], head("Content-Length: 100", JSON) + b"{",
                head("Transfer-Encoding: chunked", JSON) + b"5\r\n{", post()):
        for _ in range(10):
            s = Socket(server.ingress.port)
            s.send(raw)
            s.close()
    assert server.serves()
    wait_until(lambda: server.ingress.metric("drawbridge_ingress_requests_inflight") == 0
               and server.ingress.metric("drawbridge_ingress_body_bytes") == 0
               and server.ingress.metric("drawbridge_ingress_connections") == 0, seconds(10),
               "requests, bytes and connections are back to zero")


def test_memory_for_bodies_is_bounded():
    it = Server({"http": {"body_max": "1MiB", "inflight_body_max": "2MiB", "body_timeout": "20s"}})
    half = head("Content-Length: 900000", JSON) + b"[" + b" " * 800000
    held = []
    try:
        for _ in range(2):
            s = Socket(it.ingress.port)
            s.send(half)
            held.append(s)
        wait_until(lambda: it.ingress.metric("drawbridge_ingress_body_bytes") > 1500000, seconds(5), "bodies are held")
        late = Socket(it.ingress.port)
        late.send(post(b"[" + b" " * 899998 + b"]"))
        assert late.collect(1, seconds(5)) == [503]
        assert b"Retry-After: " in late.data
        late.close()
        assert it.serves()  # a small one still fits
        for s in held:
            s.send(b" " * 99998 + b"]")
            assert s.collect(1, seconds(5)) == [202]
            s.close()
    finally:
        it.close(False)
