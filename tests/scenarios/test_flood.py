"""A thousand slow senders, ten thousand idle ones, twice the load that can be borne: good requests are served, and
memory stays where it is.  Bounds are generous; the exact figures come from tests/bench/listener_bench.py.

SPDX-License-Identifier: Apache-2.0
"""

import time

import pytest

from daemons import SLOWNESS, seconds
from flood import Crowd, capacity, descriptors, load, overload, rss_mib, slow_crowds
from process import wait_until
from raw import SIGNED, Server, post, signature

SERVED = {200, 202, 429, 503}
GROWTH_MAX_MIB = 30 if SLOWNESS == 1 else 300  # AddressSanitizer keeps 256 MiB of freed memory aside


@pytest.fixture
def server(request):
    made = []

    def make(own_kafka=False, **http):
        made.append(Server({"http": http, "publish": {"queue_max": "1MiB"}, "log": {"level": "warn"}},
                           own_kafka=own_kafka))
        return made[-1]

    yield make
    for it in made:
        it.close(getattr(request.node, "went_wrong", False))


def test_a_thousand_slow_senders_hold_nobody_up(server, quick):
    enough, limit = descriptors(4000)
    assert enough, f"the hard limit of descriptors is {limit}, this takes 4000: raise it (ulimit -Hn)"
    it = server(header_timeout="2s", body_timeout="2s")
    crowds = slow_crowds(it.place, 1000)
    try:
        # One connection: others that stay unused would be swept like the crowd's.
        report = load(it.place, 1, 300 / SLOWNESS, 3 if quick else 5)
        assert sum(len(crowd.sockets) for crowd in crowds) > 950
        assert all(crowd.reopened > 0 for crowd in crowds), "each kind was swept"
        assert set(report["statuses"]) == {202} and report["unanswered"] == 0
        assert report["p99_us"] < seconds(0.25) * 1e6, report
    finally:
        for crowd in crowds:
            crowd.close()
    assert it.serves()


def test_ten_thousand_idle_connections_are_held(server):
    count = 10000 if SLOWNESS == 1 else 2000  # the memory of a sanitizer is another matter
    enough, limit = descriptors(count + 500)
    assert enough, f"the hard limit of descriptors is {limit}, this takes {count + 500}: raise it (ulimit -Hn)"
    it = server(connections_max=count + 100, idle_timeout="60s")
    crowd = Crowd(it.place, count, post(b"{}", signature(b"{}"), target=SIGNED))
    try:
        wait_until(lambda: crowd.answered == count, seconds(30), lambda: f"{crowd.answered} of {count} answered")
        assert it.ingress.metric("drawbridge_ingress_connections") >= count
        if SLOWNESS == 1:
            assert rss_mib(it.ingress.process.pid) < 400
        report = load(it.place, 8, 300 / SLOWNESS, 2)
        assert set(report["statuses"]) == {202} and report["p99_us"] < seconds(0.25) * 1e6, report
        assert crowd.reopened == 0
    finally:
        crowd.close()
    wait_until(lambda: it.ingress.metric("drawbridge_ingress_connections") < 50, seconds(20), "they are gone")


def test_twice_the_load_is_refused_in_good_order(server, quick):
    it = server()
    pid = it.ingress.process.pid
    can = capacity(it.place, 1)
    report, memory = overload(it.place, pid, 2 * can, 3 if quick else 5, connections=512)
    assert set(report["statuses"]) <= SERVED and report["unanswered"] == 0, report
    assert max(memory[2:]) - memory[2] < GROWTH_MAX_MIB, memory
    after = load(it.place, 8, 300 / SLOWNESS, 3)
    assert set(after["statuses"]) == {202} and after["p99_by_second"][2] < seconds(0.1), after


def test_brokers_that_are_too_slow_cost_a_503_and_no_memory(server, quick):
    it = server(own_kafka=True)
    body = b'{"a":"' + b"x" * 10000 + b'"}'
    it.kafka.command("rtt 1 500")
    report, memory = overload(it.place, it.ingress.process.pid, 2000, 3 if quick else 4, connections=512,
                              body=body)
    assert set(report["statuses"]) <= SERVED and report["statuses"].get(503, 0) > 0, report
    assert report["statuses"].get(202, 0) > 0 and report["unanswered"] == 0, report
    assert max(memory[2:]) - memory[2] < GROWTH_MAX_MIB, memory
    it.kafka.command("rtt 1 0")
    time.sleep(0.6)
    after = load(it.place, 8, 100, 3, body=body)
    assert after["p99_by_second"][2] < seconds(0.1) and after["statuses"].get(202, 0) >= 290, after
