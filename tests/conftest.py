"""What every test shares: the support folder, the clusters, and a bridge of its own.

SPDX-License-Identifier: Apache-2.0
"""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))

from daemons import Bridge  # noqa: E402
from kafka import KafkaCluster  # noqa: E402

SANITIZER_REPORTS = os.environ.get("DRAWBRIDGE_SANITIZER_REPORTS")


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="smaller versions of the long scenarios")
    parser.addoption("--seed", type=int, default=None, help="of the random schedules; printed by the tests that use it")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        item.went_wrong = True
        item.session.went_wrong = True


def _sanitizer_reports():
    if not SANITIZER_REPORTS or not os.path.isdir(SANITIZER_REPORTS):
        return {}
    found = {}
    for name in sorted(os.listdir(SANITIZER_REPORTS)):
        with open(os.path.join(SANITIZER_REPORTS, name), encoding="utf-8", errors="replace") as report:
            text = report.read()
        if text.strip():
            found[name] = text
    return found


@pytest.fixture(autouse=True)
def no_sanitizer_report():
    """A report of ASan, LSan, UBSan or TSan written during a test fails it, whatever the program's exit code."""
    before = set(_sanitizer_reports())
    yield
    fresh = {name: text for name, text in _sanitizer_reports().items() if name not in before}
    if fresh:
        pytest.fail("sanitizer report:\n" + "\n".join(text[:6000] for text in fresh.values()), pytrace=False)


@pytest.fixture
def quick(request):
    return request.config.getoption("--quick")


@pytest.fixture
def seed(request):
    value = request.config.getoption("--seed")
    if value is None:
        value = int.from_bytes(os.urandom(4), "big")
    print(f"seed {value} (again with --seed {value})")
    return value


@pytest.fixture(scope="session")
def kafka(request):
    """One real node that serves all tests; each bridge on it has topics of its own."""
    cluster = KafkaCluster(1).start()
    yield cluster
    cluster.failed = getattr(request.session, "went_wrong", False)
    cluster.close()


@pytest.fixture
def own_kafka(request):
    """One real node for a test that stops or kills it."""
    cluster = KafkaCluster(1).start()
    yield cluster
    cluster.failed = getattr(request.node, "went_wrong", False)
    cluster.close()


@pytest.fixture(scope="module")
def three_nodes(request):
    cluster = KafkaCluster(3).start()
    yield cluster
    cluster.failed = getattr(request.session, "went_wrong", False)
    cluster.close()


@pytest.fixture
def make_bridge(request):
    """make_bridge(cluster) -> Bridge; ended with the test, its files kept when the test failed."""
    bridges = []

    def make(cluster, partitions=6):
        bridge = Bridge(cluster.bootstrap, partitions, 3 if len(cluster.nodes) >= 3 else 1)
        bridges.append(bridge)
        return bridge

    yield make
    for bridge in bridges:
        bridge.failed = getattr(request.node, "went_wrong", False)
        bridge.close()


@pytest.fixture
def bridge(make_bridge, kafka):
    return make_bridge(kafka)
