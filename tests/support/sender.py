"""A webhook sender as GitHub is one: signed deliveries with an id, repeated until they are answered.

SPDX-License-Identifier: Apache-2.0
"""

import dataclasses
import hashlib
import hmac
import http.client
import json
import random
import struct
import threading
import time
import uuid

from daemons import SECRET, seconds
from process import Failure


def sign(secret, body):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def github_headers(secret, body, delivery_id, event="push"):
    return {"Content-Type": "application/json", "X-GitHub-Event": event, "X-GitHub-Delivery": delivery_id,
            "X-Hub-Signature-256": sign(secret, body), "User-Agent": "GitHub-Hookshot/test"}


def workflow_id(agent_id, scheme, source, delivery_id, replay_id=""):
    """The id as the contract defines it, computed here once more from its words."""
    digest = hashlib.sha256()
    for part in (agent_id, scheme, source, delivery_id) + ((replay_id,) if replay_id else ()):
        text = part.encode()
        digest.update(struct.pack(">I", len(text)) + text)
    return "wh-" + digest.digest()[:16].hex()


def github_workflow_id(agent_id, delivery_id):
    return workflow_id(agent_id, "github", f"/agents/{agent_id}/webhook", delivery_id)


class Connection:
    """One keep-alive connection to an ingress; opened again when the other side closed it."""

    def __init__(self, ingress, timeout=30):
        self.ingress, self.timeout = ingress, timeout
        self._http = None

    def request(self, method, path, body=None, headers=None):
        """(status, headers, body bytes); OSError or HTTPException when there was no answer."""
        if self._http is None:
            self._http = http.client.HTTPConnection("127.0.0.1", self.ingress.port, timeout=self.timeout)
        try:
            self._http.request(method, path, body=body, headers=headers or {})
            answer = self._http.getresponse()
            content = answer.read()
            if answer.will_close:
                self.close()
            return answer.status, answer.headers, content
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def deliver(self, agent_id, delivery_id, body, event="push", secret=SECRET, headers=None):
        return self.request("POST", self.ingress.path(agent_id), body,
                            {**github_headers(secret, body, delivery_id, event), **(headers or {})})

    def close(self):
        if self._http is not None:
            self._http.close()
            self._http = None


@dataclasses.dataclass(frozen=True)
class Delivery:
    agent_id: str
    delivery_id: str
    body: bytes


@dataclasses.dataclass(frozen=True)
class Accepted:
    delivery: Delivery
    workflow_id: str
    answered_at: float


class Campaign:
    """Many agents in parallel, each one's deliveries in sequence over a connection of its own.

    A delivery that got no answer, or 503, is sent again until it is accepted; any other answer is a problem.
    """

    def __init__(self, ingress, plans, rate=None, patience=180):
        self.ingress, self.plans, self.patience = ingress, plans, seconds(patience)
        self.pause = len(plans) / rate if rate else 0
        self.accepted, self.problems, self.answers = [], [], {}
        self.unanswered = 0
        self.slowest_answer = 0.0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(plan,), daemon=True) for plan in plans]
        self.stopped = threading.Event()

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def done(self):
        return not any(thread.is_alive() for thread in self._threads)

    def join(self):
        for thread in self._threads:
            thread.join()
        if self.problems:
            raise Failure("sender: " + "; ".join(self.problems[:5]))
        return self.accepted

    @property
    def sent(self):
        return [delivery for plan in self.plans for delivery in plan]

    def _run(self, plan):
        connection = Connection(self.ingress)
        due = time.monotonic() + random.random() * self.pause
        try:
            for delivery in plan:
                time.sleep(max(0.0, due - time.monotonic()))
                due = max(due + self.pause, time.monotonic() - self.pause)
                if self.stopped.is_set() or not self._until_accepted(connection, delivery):
                    return
        finally:
            connection.close()

    def _until_accepted(self, connection, delivery):
        give_up = time.monotonic() + self.patience
        while not self.stopped.is_set():
            began = time.monotonic()
            status, headers, content = None, {}, b""
            try:
                status, headers, content = connection.deliver(delivery.agent_id, delivery.delivery_id, delivery.body)
            except (OSError, http.client.HTTPException):
                pass
            with self._lock:
                self.answers[status] = self.answers.get(status, 0) + 1
                if status is None:
                    self.unanswered += 1
                else:
                    self.slowest_answer = max(self.slowest_answer, time.monotonic() - began)
                if status == 202:
                    self.accepted.append(Accepted(delivery, json.loads(content)["workflow_id"], time.time()))
                    return True
                if status not in (None, 503):
                    self.problems.append(f"{delivery.delivery_id}: {status} {content[:200]!r}")
                    return False
                if status == 503 and not headers.get("Retry-After", "").isdigit():
                    self.problems.append(f"{delivery.delivery_id}: 503 without a Retry-After in seconds")
                    return False
                if time.monotonic() > give_up:
                    self.problems.append(f"{delivery.delivery_id}: not accepted within {self.patience} s: "
                                         f"{self.answers}")
                    return False
            time.sleep(0.2)
        return False


def plan_deliveries(seed, agents, count, repeated=0.1):
    """`count` deliveries shared out over `agents`; a part of them comes a second time, a little later."""
    rng = random.Random(seed)
    plans = {agent: [] for agent in agents}
    for number in range(count):
        agent = agents[number % len(agents)]
        delivery_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        body = json.dumps({"number": number, "ref": "refs/heads/main", "padding": "x" * rng.randrange(600)}).encode()
        plans[agent].append(Delivery(agent, delivery_id, body))
    chosen = set(rng.sample(range(count), int(count * repeated)))
    number = 0
    for agent, plan in plans.items():
        repeats = []
        for index, delivery in enumerate(plan):
            if number in chosen:
                repeats.append((min(len(plan), index + 1 + rng.randrange(8)), delivery))
            number += 1
        for index, delivery in reversed(repeats):
            plan.insert(index, delivery)
    return list(plans.values())
