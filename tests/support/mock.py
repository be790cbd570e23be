"""librdkafka's mock cluster as a process (mock_kafka.c): brokers that answer, delay, fail on request, keep nothing.

SPDX-License-Identifier: Apache-2.0
"""

import os
import subprocess

from daemons import BIN
from process import Failure, _spawner


class MockKafka:
    def __init__(self, topics, brokers=1):
        path = os.path.join(os.path.dirname(BIN), "tests", "mock_kafka")
        if not os.path.exists(path):
            raise Failure(f"there is no {path}; build the target mock_kafka")
        arguments = [path, "--brokers", str(brokers)]
        for name, partitions in topics.items():
            arguments += ["--topic", f"{name}:{partitions}"]
        self._process = _spawner.popen(["setpriv", "--pdeathsig", "KILL", "--", *arguments],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.bootstrap = self._process.stdout.readline().strip()
        if not self.bootstrap:
            raise Failure("mock_kafka printed no address")

    def command(self, text):
        """One line of mock_kafka's language: 'down 1', 'up 1', 'rtt 1 300', 'fail 0 7 3'."""
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if answer != "ok":
            raise Failure(f"mock_kafka: '{text}' was answered by '{answer}'")

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)
