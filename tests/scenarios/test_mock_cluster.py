"""The ingress on the embedded mock cluster: the same record as on real Kafka, and errors that no real broker makes
on demand.  (The mock keeps no transactions: it can show nothing of the runner.)

SPDX-License-Identifier: Apache-2.0
"""

import threading
import time
import uuid

import pytest

from daemons import Bridge, seconds
from mock import MockKafka
from payloads import github_payloads, large_payload
from process import wait_until
from records import assert_event
from sender import Campaign, Connection, github_workflow_id, plan_deliveries

PARTITIONS = 6
PRODUCE = 0  # api key
OUT_OF_ORDER_SEQUENCE_NUMBER, NOT_LEADER, NOT_ENOUGH_REPLICAS = 45, 6, 19




@pytest.fixture
def mocked(request):
    """(bridge, mock): an ingress on a mock cluster of three brokers."""
    bridge = Bridge("", PARTITIONS, topics=False)
    mock = MockKafka({bridge.names["events"]: PARTITIONS}, brokers=3)
    bridge.bootstrap = mock.bootstrap
    yield bridge, mock
    bridge.failed = getattr(request.node, "went_wrong", False)
    bridge.close()
    mock.close()


def test_the_record_is_the_same_as_on_real_kafka(mocked):
    bridge, _ = mocked
    agents = [f"agent-{n}" for n in range(8)]
    bridge.github_triggers(agents)
    ingress = bridge.ingress()
    connection = Connection(ingress)
    sent = []
    for number, (event, body) in enumerate(github_payloads()[::10] + [("push", large_payload())]):
        delivery_id = str(uuid.uuid4())
        assert connection.deliver(agents[number % 8], delivery_id, body, event)[0] == 202
        sent.append((agents[number % 8], delivery_id, event, body))
    found = {r.header("ce_id"): r for r in bridge.read("events", isolation="read_uncommitted")}
    assert len(found) == len(sent)
    for agent_id, delivery_id, event, body in sent:
        record = found[delivery_id]
        kind = record.header("ce_type")
        assert kind == f"com.github.{event}" or kind.startswith(f"com.github.{event}.")
        assert_event(record, agent_id, delivery_id, kind, body, PARTITIONS)
    ingress.stop()


def test_a_fatal_producer_is_replaced_and_nothing_is_lost(mocked):
    """The idempotent producer's rewound sequence number: all that waits gets 503, then a new producer takes over."""
    bridge, mock = mocked
    agents = [f"agent-{n}" for n in range(20)]
    bridge.github_triggers(agents)
    ingress = bridge.ingress()
    for broker in (1, 2, 3):
        mock.command(f"rtt {broker} 50")
    campaign = Campaign(ingress, plan_deliveries(1, agents, 2000, repeated=0), rate=200).start()
    time.sleep(2)
    for _ in range(3):
        before = ingress.metric("drawbridge_ingress_producer_rebuilds_total")
        mock.command(f"fail {PRODUCE} {OUT_OF_ORDER_SEQUENCE_NUMBER} 20")
        wait_until(lambda: ingress.metric("drawbridge_ingress_producer_rebuilds_total") > before, seconds(15),
                   "the producer turned fatal and was replaced")
        time.sleep(1)
    accepted = {a.workflow_id for a in campaign.join()}
    assert accepted == {github_workflow_id(d.agent_id, d.delivery_id) for d in campaign.sent}
    written = {r.header("ce_workflowid") for r in bridge.read("events", isolation="read_uncommitted")}
    assert written == accepted
    assert set(campaign.answers) == {202, 503} and campaign.slowest_answer < 10, campaign.answers
    ingress.stop()


@pytest.mark.parametrize("code", [NOT_LEADER, NOT_ENOUGH_REPLICAS])
def test_passing_errors_of_a_broker_are_waited_out(mocked, code):
    bridge, mock = mocked
    bridge.github_triggers(["agent-0"])
    ingress = bridge.ingress()
    connection = Connection(ingress)
    assert connection.deliver("agent-0", str(uuid.uuid4()), b"{}")[0] == 202
    mock.command(f"fail {PRODUCE} {code} 3")
    began = time.monotonic()
    assert connection.deliver("agent-0", str(uuid.uuid4()), b"{}")[0] == 202
    assert time.monotonic() - began < 5
    ingress.stop()


def test_a_slow_broker_means_503_at_the_deadline_and_a_late_report_harms_nobody(mocked):
    bridge, mock = mocked
    bridge.github_triggers([f"agent-{n}" for n in range(10)])
    ingress = bridge.ingress()
    for broker in (1, 2, 3):
        mock.command(f"rtt {broker} 12000")
    answers = []

    def one(number):
        connection = Connection(ingress)
        began = time.monotonic()
        status, headers, _ = connection.deliver(f"agent-{number}", str(uuid.uuid4()), b"{}")
        answers.append((status, headers.get("Retry-After"), time.monotonic() - began))
        connection.close()

    threads = [threading.Thread(target=one, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 10 and all(s == 503 and int(r) >= 1 and 3 < d < 10 for s, r, d in answers), answers
    for broker in (1, 2, 3):
        mock.command(f"rtt {broker} 0")
    wait_until(lambda: ingress.metric("drawbridge_ingress_late_reports_total") >= 10, seconds(30), "the late reports")
    wait_until(lambda: Connection(ingress).deliver("agent-0", str(uuid.uuid4()), b"{}")[0] == 202, seconds(15),
               "accepted again")
    ingress.stop()
