"""Real webhook payloads: GitHub's own examples, from the npm package @octokit/webhooks-examples.

SPDX-License-Identifier: Apache-2.0
"""

import fcntl
import glob
import json
import os
import shutil
import subprocess
import tarfile
import tempfile

from process import CACHE, Failure

PACKAGE, VERSION = "@octokit/webhooks-examples", "7.6.1"


def _archive():
    folder = os.path.join(CACHE, f"webhooks-examples-{VERSION}")
    if not os.path.isdir(folder):
        os.makedirs(CACHE, exist_ok=True)
        with open(os.path.join(CACHE, ".npm.lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.isdir(folder):
                _fetch(folder)
    return glob.glob(os.path.join(folder, "*.tgz"))[0]


def _fetch(folder):
    if not shutil.which("npm"):
        raise Failure(f"GitHub's example payloads come from the npm package {PACKAGE}, and there is no npm. "
                      "Install the package npm.")
    fresh = tempfile.mkdtemp(prefix=".npm-", dir=CACHE)
    try:
        run = subprocess.run(["npm", "pack", f"{PACKAGE}@{VERSION}", "--silent"], cwd=fresh, capture_output=True,
                             text=True, check=False, stdin=subprocess.DEVNULL)
        if run.returncode != 0 or not glob.glob(os.path.join(fresh, "*.tgz")):
            raise Failure(f"npm could not fetch {PACKAGE}@{VERSION}:\n{run.stderr[-2000:]}")
        os.rename(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def github_payloads():
    """[(event name, body bytes)]: each example as GitHub would send it."""
    with tarfile.open(_archive()) as archive:
        index = json.load(archive.extractfile("package/api.github.com/index.json"))
    return [(row["name"], json.dumps(example, ensure_ascii=False, separators=(",", ":")).encode())
            for row in index for example in row["examples"]]


def large_payload(size=900_000):
    """A push of exactly `size` bytes, with text that a careless hand would change: escapes, UTF-8, big numbers."""
    head = '{"ref":"refs/heads/main","number":9007199254740993,"tiny":1e-400,"text":"'
    tail = '","twice":1,"twice":2}'
    filler = ("tab\\t quote\\\" slash\\/ null\\u0000 umlaut ü euro € clef \U0001d11e " * (size // 50))
    room = size - len(head.encode()) - len(tail.encode())
    text = filler.encode()[:room]
    text = text[:text.rfind(b" ") + 1]  # whole words: never a cut escape or character
    return head.encode() + text + b"x" * (room - len(text)) + tail.encode()


if __name__ == "__main__":
    print(f"{len(github_payloads())} payloads of {PACKAGE} {VERSION} in {CACHE}")
