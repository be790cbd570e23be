"""Drawbridge's daemons under test: configuration files, start, readiness, kill, freeze, stop.

SPDX-License-Identifier: Apache-2.0
"""

import collections
import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import tempfile
import threading

from checker import instant
from process import ROOT, Failure, Process, Workspace, free_port, wait_until
from topics import NAMES, create_topics, read_topic, wait_for_records

PRESET = os.environ.get("DRAWBRIDGE_PRESET", "release")
BIN = os.environ.get("DRAWBRIDGE_BIN") or os.path.join(ROOT, "build", PRESET, "bin")
# Sanitizers make the programs slower; deadlines of the tests (not of the programs) grow with them.
SLOWNESS = {"asan": 2.0, "tsan": 4.0}.get(PRESET, 1.0)
SECRET = "it is a secret to everybody"


def program(name):
    path = os.path.join(BIN, name)
    if not os.path.exists(path):
        raise Failure(f"there is no {path}; build it first: cmake --build --preset {PRESET}")
    return path


def libconfig(value, indent=0):
    """Text of a value in libconfig's syntax: dict = group, tuple = list of anything, list = array of scalars."""
    pad = "  " * indent
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        rows = "".join(f"{pad}  {name} = {libconfig(v, indent + 1)};\n" for name, v in value.items())
        return "{\n" + rows + pad + "}"
    if isinstance(value, list):
        return "[" + ", ".join(libconfig(v, indent) for v in value) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(libconfig(v, indent) for v in value) + ")"
    raise TypeError(f"no libconfig form for {value!r}")


def merged(base, extra):
    """`base` with the groups of `extra` laid over it, at any depth."""
    result = dict(base)
    for name, value in (extra or {}).items():
        if isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        else:
            result[name] = value
    return result


def write_config(path, settings):
    with open(path, "w", encoding="utf-8") as out:
        os.fchmod(out.fileno(), 0o600)
        for name, value in settings.items():
            out.write(f"{name} = {libconfig(value)};\n")


class Daemon:
    """One daemon with a configuration of its own; may be started again after it ended."""

    def __init__(self, executable, name, workspace, settings):
        self.name = name
        self.executable = executable
        self.settings = settings
        self.manage_port = int(settings["manage"]["listen"].rsplit(":", 1)[1])
        self.config_path = workspace.file(f"{name}.cfg")
        self.log_path = workspace.file(f"{name}.log")
        self.write_settings()
        self.process = None

    def write_settings(self):
        write_config(self.config_path, self.settings)

    def start(self, ready=True, timeout=60, wrapper=(), env=None):
        """`wrapper` is a command that runs the one behind it; `env` is laid over ours."""
        self.process = Process([*wrapper, program(self.executable), "--config", self.config_path], self.log_path,
                               name=self.name, env={**os.environ, **env} if env else None)
        if ready:
            self.wait_ready(timeout)
        return self

    def manage(self, path, timeout=5):
        """GET on the management listener; (status, text)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.manage_port, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def ready(self):
        if not self.process.alive():
            raise Failure(f"{self.name} ended with {self.process.poll()}; {self.log_path}:\n{self.process.log_tail()}")
        try:
            return self.manage("/readyz")[0] == 200
        except OSError:
            return False

    def wait_ready(self, timeout=60):
        wait_until(self.ready, timeout * SLOWNESS,
                   lambda: f"{self.name} ready ({self.log_path}):\n{self.process.log_tail()}\nready")

    def metrics(self):
        """Samples of /metrics: 'name{labels}' -> number."""
        status, text = self.manage("/metrics")
        if status != 200:
            raise Failure(f"{self.name}: /metrics answered {status}")
        samples = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                samples[name] = float(value)
        return samples

    def metric(self, name, **labels):
        """Sum of a metric's samples that carry these labels."""
        total, found = 0.0, False
        for sample, value in self.metrics().items():
            if re.split(r"[{]", sample, maxsplit=1)[0] == name and all(
                    f'{k}="{v}"' in sample for k, v in labels.items()):
                total, found = total + value, True
        if not found:
            raise Failure(f"{self.name}: /metrics has no {name} {labels or ''}")
        return total

    def stop(self, timeout=60):
        """TERM; a daemon that does not end with 0 in time failed."""
        code = self.process.stop(timeout * SLOWNESS)
        if code != 0:
            raise Failure(f"{self.name} ended with {code} after TERM; {self.log_path}:\n{self.process.log_tail()}")

    def kill9(self):
        self.process.kill9()

    def pause(self):
        self.process.pause()

    def resume(self):
        self.process.resume()

    def hangup(self):
        self.process.signal(signal.SIGHUP)

    def alive(self):
        return bool(self.process and self.process.alive())

    @property
    def log(self):
        """What the present process, or the last one, has written."""
        return self.process.log_text()

    def moments_in_log(self, text):
        """When (seconds since the epoch) lines with that text were written, by all processes of this daemon."""
        with open(self.log_path, encoding="utf-8", errors="replace") as lines:
            return [instant(re.search(r"\d{4}-\d\d-\d\dT[0-9:.]+Z?", line).group(0)) for line in lines if text in line]


class Ingress(Daemon):
    def __init__(self, name, workspace, settings):
        super().__init__("drawbridge-ingress", name, workspace, settings)
        port = settings["http"]["listen"].rsplit(":", 1)[-1]
        self.port = int(port) if port.isdigit() else None  # a Unix socket, or one that is handed over
        self.prefix = settings["http"].get("prefix", "/api/v1/agents")

    def path(self, agent_id):
        return f"{self.prefix}/{agent_id}/webhook"


class Runner(Daemon):
    def __init__(self, name, workspace, settings):
        super().__init__("drawbridge-runner", name, workspace, settings)


def github_trigger(agent_id, secret_file, **more):
    return {"agent_id": agent_id, "description": "A push to the repository",
            "verify": {"scheme": "github", "secrets": [f"file:{secret_file}"]}, **more}


_bridge_numbers = itertools.count(1)


class Bridge:
    """Ingress and runners on topics of their own in a running Kafka; ends everything it started.

    The topics' names, the group and the slots carry a number, so many bridges share one cluster.
    """

    def __init__(self, bootstrap, partitions=6, replication=1, topics=True):
        self.bootstrap = bootstrap
        self.number = f"t{os.getpid()}-{next(_bridge_numbers)}"
        self.names = {role: f"{self.number}.{name.split('.', 1)[1]}" for role, name in NAMES.items()}
        self.partitions = partitions
        self.workspace = Workspace("bridge")
        self.triggers_dir = self.workspace.file("triggers.d", "")
        self.secret_file = self.workspace.file("secret")
        with open(self.secret_file, "w", encoding="ascii") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(SECRET)
        self.daemons = []
        self.failed = False
        if topics:
            create_topics(bootstrap, partitions, replication, self.names)

    def write_triggers(self, triggers, file="test.cfg"):
        path = os.path.join(self.triggers_dir, file)
        with open(path + ".new", "w", encoding="utf-8") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(f"triggers = {libconfig(tuple(triggers))};\n")
        os.rename(path + ".new", path)

    def github_triggers(self, agents):
        self.write_triggers([github_trigger(agent, self.secret_file) for agent in agents])

    def ingress(self, settings=None, start=True, **how):
        port = free_port()
        base = {
            "http": {"listen": f"127.0.0.1:{port}", "public_url": f"http://127.0.0.1:{port}"},
            "triggers": {"directory": self.triggers_dir},
            "kafka": {"bootstrap_servers": self.bootstrap},
            "topics": {"events": self.names["events"]},
            "manage": {"listen": f"127.0.0.1:{free_port()}"},
        }
        count = sum(isinstance(d, Ingress) for d in self.daemons)
        daemon = Ingress(f"ingress-{count + 1}", self.workspace, merged(base, settings))
        self.daemons.append(daemon)
        return daemon.start(**how) if start else daemon

    def runner(self, agents, settings=None, start=True):
        count = sum(isinstance(d, Runner) for d in self.daemons)
        base = {
            "group_id": f"{self.number}.runner",
            "slot": f"slot-{count + 1}",
            "session_timeout": "6s",
            "takeover_grace": "8s",
            "kafka": {"bootstrap_servers": self.bootstrap},
            "topics": {role: self.names[role] for role in ("events", "results", "dead_letters", "journal", "control")},
            "manage": {"listen": f"127.0.0.1:{free_port()}"},
            "agents": tuple(agents),
        }
        daemon = Runner(f"runner-{count + 1}", self.workspace, merged(base, settings))
        self.daemons.append(daemon)
        return daemon.start() if start else daemon

    def read(self, role, timeout=60, isolation="read_committed"):
        return read_topic(self.bootstrap, self.names[role], timeout * SLOWNESS, isolation)

    def results(self, count, timeout=30, matching=None):
        """At least `count` results, as an independent read_committed reader sees them."""
        return wait_for_records(self.bootstrap, self.names["results"], count, timeout * SLOWNESS, "results",
                                matching=matching)

    def close(self):
        for daemon in self.daemons:
            if daemon.alive():
                daemon.kill9()
        self.workspace.close(keep=self.failed)


RECORDER_SOURCE = os.path.join(ROOT, "tests", "support", "recorder.c")
_recorder_lock = threading.Lock()
_recorder_folder = None


def recorder():
    """Path of the recording agent (tests/support/recorder.c), compiled once per test run, never with sanitizers."""
    global _recorder_folder
    with _recorder_lock:
        if _recorder_folder is None:
            folder = tempfile.TemporaryDirectory(prefix="drawbridge-recorder-")
            subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-o", os.path.join(folder.name, "recorder"),
                            RECORDER_SOURCE], check=True)
            _recorder_folder = folder
    return os.path.join(_recorder_folder.name, "recorder")


RunLine = collections.namedtuple("RunLine", "kind at workflow_id agent_id attempt pid")


def read_runs(path):
    """The recorder's lines, in the order written."""
    runs = []
    if os.path.exists(path):
        with open(path, encoding="ascii") as lines:
            for line in lines:
                kind, at, workflow_id, agent_id, attempt, pid = line.split()
                runs.append(RunLine(kind, int(at) / 1e6, workflow_id, agent_id, int(attempt), int(pid)))
    return runs


def recorder_agent(agent_id, runs_file, work_ms=0, **more):
    """Configuration of an agent that records its runs."""
    return {"id": agent_id, "command": [recorder(), runs_file, str(work_ms)], "timeout": "60s", "grace": "1s",
            "concurrency": 1, **more}


def shell_agent(agent_id, script, **more):
    return {"id": agent_id, "command": ["/bin/sh", "-c", script], "timeout": "60s", "grace": "1s", "concurrency": 1,
            **more}


def wait_log(daemon, text, timeout=20):
    wait_until(lambda: text in daemon.log, timeout * SLOWNESS, f"'{text}' in {daemon.log_path}")


def seconds(value):
    """A test's own deadline, longer under sanitizers."""
    return value * SLOWNESS
