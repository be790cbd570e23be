"""Child processes that never outlive the tests, and the ports and folders they use.

SPDX-License-Identifier: Apache-2.0
"""

import os
import queue
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

CACHE = os.environ.get("DRAWBRIDGE_CACHE") or os.path.expanduser("~/.cache/drawbridge")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Failure(Exception):
    """The environment or a program did not do what the test needs; the text says what."""


class _Spawner:
    """Starts every process from one thread that lives as long as we do.

    PDEATHSIG fires when the thread that forked ends, not only with the process, so a test's own short-lived thread
    must never be the one that starts a broker or a daemon.
    """

    def __init__(self):
        self._requests = queue.Queue()
        self._lock = threading.Lock()
        self._thread = None

    def popen(self, argv, **kwargs):
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._serve, name="spawner", daemon=True)
                self._thread.start()
        answer = queue.Queue()
        self._requests.put((argv, kwargs, answer))
        result = answer.get()
        if isinstance(result, BaseException):
            raise result
        return result

    def _serve(self):
        while True:
            argv, kwargs, answer = self._requests.get()
            try:
                answer.put(subprocess.Popen(argv, **kwargs))
            except BaseException as problem:  # handed to the caller, whatever it is
                answer.put(problem)


_spawner = _Spawner()


class Process:
    """One child with its output in a file.  It dies with us, whatever ends us."""

    def __init__(self, argv, log_path, env=None, cwd=None, name=None):
        self.argv = [str(a) for a in argv]
        self.name = name or os.path.basename(self.argv[0])
        self.log_path = log_path
        self._log_start = os.path.getsize(log_path) if os.path.exists(log_path) else 0
        with open(log_path, "ab") as log:
            self._popen = _spawner.popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.argv],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env, cwd=cwd)
        self.pid = self._popen.pid

    def poll(self):
        return self._popen.poll()

    def alive(self):
        return self._popen.poll() is None

    def wait(self, timeout=None):
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} (pid {self.pid}) did not end within {timeout} s; its log: {self.log_path}\n"
                          f"{self.log_tail()}") from None

    def signal(self, number):
        if self.alive():
            self._popen.send_signal(number)

    def kill9(self):
        self.signal(signal.SIGKILL)
        return self._popen.wait(30)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def stop(self, timeout=30):
        """TERM, then wait; returns the exit code (negative: ended by that signal)."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def log_text(self):
        """What this process (not an earlier one with the same log) has written."""
        with open(self.log_path, "rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", "replace")

    def log_tail(self, lines=25):
        return "\n".join(self.log_text().splitlines()[-lines:])


_ports_given = set()
_ports_lock = threading.Lock()


def free_port():
    """A loopback port below the kernel's ephemeral range, so that no outgoing connection takes it in the meantime."""
    with _ports_lock:
        for _ in range(1000):
            port = random.SystemRandom().randrange(12000, 32000)
            if port in _ports_given:
                continue
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            _ports_given.add(port)
            return port
    raise Failure("no free port on 127.0.0.1 between 12000 and 32000")


class Workspace:
    """A temporary folder that stays (and is named on stderr) when the test failed."""

    def __init__(self, prefix):
        base = os.environ.get("DRAWBRIDGE_TEST_DIR")
        if base:
            os.makedirs(base, exist_ok=True)
        self.path = tempfile.mkdtemp(prefix=f"drawbridge-{prefix}-", dir=base or None)

    def file(self, *parts):
        path = os.path.join(self.path, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def close(self, keep):
        if keep:
            print(f"\nlogs and files are kept in {self.path}", file=sys.stderr)
        else:
            shutil.rmtree(self.path, ignore_errors=True)


def wait_until(condition, timeout, what, interval=0.05):
    """Polls `condition` until it is true; returns its value.  `what` is a sentence part: '... within N s'."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"{what() if callable(what) else what}: not within {timeout} s")
        time.sleep(interval)


def process_lives(pid):
    """True while that process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
