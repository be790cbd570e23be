"""`drawbridge dev`: a whole Drawbridge in one command, on the mock cluster inside it and on a real Kafka.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from daemons import program, seconds
from process import free_port, wait_until
from topics import read_topic

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OK, NO, USAGE, UNAVAILABLE, FAILURE = range(5)
WORKFLOW = r"wh-[0-9a-f]{32}"


class Dev:
    """A running `drawbridge dev`; its two outputs in files."""

    def __init__(self, folder, *arguments, env=None):
        self.port = free_port()
        self.folder = folder
        self.temporary = os.path.join(folder, "tmp")
        os.makedirs(self.temporary, exist_ok=True)
        self.out_path, self.err_path = os.path.join(folder, "out"), os.path.join(folder, "err")
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(
                [program("drawbridge"), "dev", "--listen", f"127.0.0.1:{self.port}", *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
                env={**os.environ, "TMPDIR": self.temporary, **(env or {})})

    @property
    def out(self):
        with open(self.out_path, encoding="utf-8") as out:
            return out.read()

    @property
    def err(self):
        with open(self.err_path, encoding="utf-8") as err:
            return err.read()

    def wait(self, timeout=90):
        return self.process.wait(seconds(timeout))

    def wait_out(self, text, timeout=60):
        wait_until(lambda: text in self.out or self.process.poll() is not None, seconds(timeout),
                   lambda: f"'{text}' in\n{self.out}\n{self.err}")
        assert text in self.out, self.out + self.err

    def children(self):
        """(pid, name) of every daemon that was started from this dev's folder."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().decode().split("\0")
            except OSError:
                continue
            if any(word.startswith(self.temporary) for word in words):
                found.append((int(pid), os.path.basename(words[0])))
        return found

    def gone(self):
        return not self.children() and not os.listdir(self.temporary)


@pytest.fixture
def dev(tmp_path):
    """dev(arguments...) -> Dev; ended with the test."""
    started = []

    def start(*arguments, env=None):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Dev(str(folder), *arguments, env=env))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        for pid, _ in one.children():
            os.kill(pid, signal.SIGKILL)


def steps(text):
    """[(kind, workflow_id)] of the lines on stdout."""
    return [(line.split()[1], re.search(WORKFLOW, line).group(0)) for line in text.splitlines()]


def test_once_shows_the_way_of_its_own_delivery(dev):
    one = dev("--once")
    assert one.wait() == OK, one.out + one.err
    way = steps(one.out)
    assert [kind for kind, _ in way] == ["accepted", "event", "run", "result"]
    assert len({workflow for _, workflow in way}) == 1
    assert re.search(r"event +drawbridge-dev\.events\[\d\]@0 .* agent hello  com\.github\.push  \d+ bytes", one.out)
    assert "succeeded" in one.out and "Hello from agent hello" in one.out and "com.github.push" in one.out
    assert "NOTHING IS KEPT" in one.err and f"http://127.0.0.1:{one.port}/api/v1/agents/hello/webhook" in one.err
    wait_until(one.gone, 10, "children and folder are gone")


def test_the_command_is_the_agent_and_gets_the_event(dev, tmp_path):
    seen = tmp_path / "seen.json"
    script = "import json, os, sys; d = json.load(sys.stdin); d['env'] = dict(os.environ); d['cwd'] = os.getcwd();" \
             f"json.dump(d, open({str(seen)!r}, 'w')); print('made', \"it 'well'\")"
    one = dev("--once", "--agent", "triage", "--env", "MY_KEY", "--", sys.executable, "-c", script,
              env={"MY_KEY": 'a "quoted" value', "OTHER": "stays here"})
    assert one.wait() == OK, one.out + one.err
    assert "output: made it 'well'" in one.out and "agent triage" in one.out
    given = json.loads(seen.read_text())
    assert given["agent_id"] == "triage" and given["cwd"] == os.getcwd()
    assert given["env"]["MY_KEY"] == 'a "quoted" value' and "OTHER" not in given["env"]
    assert not any("SECRET" in name for name in given["env"])


def test_a_failing_agent_is_the_answer_no(dev):
    one = dev("--once", "--", "/bin/sh", "-c", "echo out of order >&2; exit 65")
    assert one.wait() == NO, one.out + one.err
    assert "FAILED" in one.out and "out of order" in one.out


def test_a_users_secret_is_never_shown(dev, tmp_path):
    secret = "hush-hush-and-$pecial 'quoted'"
    path = tmp_path / "the secret"
    path.write_text(secret)
    path.chmod(0o600)
    for reference, env in (("env:DEV_SECRET", {"DEV_SECRET": secret}), (f"file:{path}", {})):
        one = dev("--agent", "s", "--secret", reference, env=env)
        one.wait_out("result ")
        for folder, _, names in os.walk(one.temporary):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    assert secret.encode() not in file.read(), name
        paste(one, env)
        wait_until(lambda: one.out.count("result ") == 2, seconds(30), "the result of the pasted line")
        one.process.send_signal(signal.SIGINT)
        assert one.wait(30) == OK
        assert secret not in one.out and secret not in one.err and "hush" not in one.err


def paste(one, env=None):
    """Runs the shell line that dev printed; the answer."""
    line = next(line for line in one.err.splitlines() if "openssl dgst" in line)
    run = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=seconds(30), check=True,
                         env={**os.environ, **(env or {})})
    answer = json.loads(run.stdout)
    assert answer["status"] == "triggered", run.stdout
    return answer


def test_it_goes_on_serving_until_interrupted(dev):
    one = dev()
    one.wait_out("result ")
    answer = paste(one)
    wait_until(lambda: ("result", answer["workflow_id"]) in steps(one.out), seconds(30), lambda: one.out)
    kinds = [kind for kind, workflow in steps(one.out) if workflow == answer["workflow_id"]]
    assert kinds == ["event", "run", "result"]
    assert one.process.poll() is None and len(one.children()) >= 2
    one.process.send_signal(signal.SIGINT)
    assert one.wait(30) == OK
    wait_until(one.gone, 10, "children and folder are gone")


def test_the_children_die_with_it(dev):
    one = dev()
    one.wait_out("result ")
    assert {name for _, name in one.children()} >= {"drawbridge-ingress", "drawbridge-runner"}
    one.process.kill()
    wait_until(lambda: not one.children(), seconds(40), lambda: f"children {one.children()}")


def test_a_daemon_that_ends_is_told_with_its_log(dev):
    one = dev()
    one.wait_out("result ")
    [ingress] = [pid for pid, name in one.children() if name == "drawbridge-ingress"]
    os.kill(ingress, signal.SIGKILL)
    assert one.wait(30) == FAILURE
    assert "drawbridge-ingress was ended by signal 9" in one.err and "event=request" in one.err
    wait_until(one.gone, 10, "children and folder are gone")


def test_a_taken_port_is_told(dev):
    first = dev()
    first.wait_out("result ")
    second = dev("--listen", f"127.0.0.1:{first.port}")
    assert second.wait(30) == FAILURE
    assert "in use" in second.err.lower()


def test_on_a_real_kafka_what_was_open_goes_on(dev, kafka):
    """The agent is still at work when dev ends; the next dev on the same topics finishes that very run."""
    prefix = f"dev{os.getpid()}-{time.time_ns()}"
    arguments = ("--brokers", kafka.bootstrap, "--topics", prefix, "--agent", "slow", "--")
    first = dev(*arguments, "/bin/sh", "-c", "sleep 600")
    first.wait_out("started, attempt 1")
    first.process.send_signal(signal.SIGINT)
    assert first.wait(60) == OK
    [(_, open_run)] = [step for step in steps(first.out) if step[0] == "accepted"]
    assert not read_topic(kafka.bootstrap, f"{prefix}.results")

    second = dev("--listen", f"127.0.0.1:{first.port}", *arguments, "/bin/sh", "-c", "echo finished")
    wait_until(lambda: ("result", open_run) in steps(second.out), seconds(60), lambda: second.out + second.err)
    second.process.send_signal(signal.SIGINT)
    assert second.wait(60) == OK
    results = [record.json() for record in read_topic(kafka.bootstrap, f"{prefix}.results")]
    assert open_run in [r["workflow_id"] for r in results] and all(r["success"] for r in results)
    assert len(results) == len({r["workflow_id"] for r in results})
