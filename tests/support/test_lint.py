"""The tree's written rules, checked by a machine.  SPDX-License-Identifier: Apache-2.0"""

import collections
import os
import re
import shutil
import subprocess

import pytest

from process import ROOT

FUNCTION_AIM, FUNCTION_MAX = 70, 100
FILE_AIM, FILE_MAX, TEST_FILE_MAX = 500, 700, 1000  # a model and its histories may be longer than what they test
LINE_MAX = 120

BANNED = ("strcpy strcat sprintf vsprintf strtok strncpy atoi atol sscanf gets localtime gmtime ctime asctime rand "
          "srand system popen fork vfork signal alloca setlocale strtol").split()
# Of the product only: what the tests may use to make their own environment.
BANNED_PRODUCT = "atoll strtoul strtoll strtoull strerror putenv setenv mktemp tmpnam".split()
# The agent of the tests is no part of the product.
BANNED_ALLOWED = {("tests/support/recorder.c", "strtol")}

# Foreign headers, and the only .c files (patterns) that may include them; never a header of common/.
FOREIGN = {
    r"microhttpd\.h": r"common/http_server[a-z_]*\.c|common/manage\.c",
    r"(librdkafka/)?rdkafka(_mock)?\.h": r"common/kafka[a-z_]*\.c|bridge/ingress/publish[a-z_]*\.c"
                                         r"|bridge/runner/(consume|takeover|journal_reader|journal_policy)[a-z_]*\.c"
                                         r"|bridge/runner/(commit|query|transaction|drain)[a-z_]*\.c"
                                         r"|bridge/cli/dev[a-z_]*\.c",
    r"cjson/cJSON\.h": r"common/json[a-z_]*\.c",
    r"libconfig\.h": r"common/config[a-z_]*\.c",
    r"gnutls/.*": r"common/tls\.c",
    r"sqlite3\.h": r"bridge/ingress/spool_store\.c",
    r"openssl/.*": r"common/(signature|secret)[a-z_]*\.c",
    r"curl/.*": r"common/http_client[a-z_]*\.c",
    r"uv\.h": r"bridge/runner/(main|runner|consume|takeover|effects|spawn|child|step_channel"
              r"|engine_[a-z]+)[a-z_]*\.c",
}

# common/ from the bottom up; a file includes its own storey and those below it.
STOREYS = (
    r"(buffer|text|error|clock|privileges)[a-z_0-9]*",
    r"(json|signature|log|trace|form|activation|notify|http_head)[a-z_]*",
    r"(address|listener|tls|record|scheme|template|verification|config|secret|metrics)[a-z_]*",
    r"(kafka|http_server|http_client|manage|daemon)[a-z_]*",
)
# No clock, no edge: time and randomness are arguments.
PURE = (r"common/(json|form|record|scheme|template|verification|signature|buffer|text|trace|error)[a-z_0-9]*\.[ch]"
        r"|bridge/ingress/(gate|admission|rate|handshake|cloudevent|spool_row|spool_agents|spool_list)\.[ch]"
        r"|bridge/runner/(journal|fold|schedule|run|retry|batch|closed)\.[ch]")
IMPURE_HEADERS = {"clock.h", "kafka.h", "http_server.h", "http_client.h", "daemon.h", "manage.h"}


def tracked():
    """Files of the tree: known to git, or about to be."""
    out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                         capture_output=True, check=True).stdout
    return sorted(name for name in out.decode().split("\0") if name and os.path.isfile(os.path.join(ROOT, name)))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as text:
        return text.read()


def c_files(*folders):
    folders = folders or ("common/", "bridge/", "tests/")
    return [f for f in tracked() if f.endswith((".c", ".h")) and f.startswith(folders)]


def without_comments_and_texts(source):
    """The code alone; line breaks stay, so that line numbers do."""
    def blank(match):
        text = match.group(0)
        return '""' if text[0] == '"' else " " + "\n" * text.count("\n")
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, source, flags=re.DOTALL)


def includes(path):
    """(form, header) of each include; the form is '<' or '"'."""
    return re.findall(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', read(path), flags=re.MULTILINE)


def functions(path):
    """(name, first line, number of lines) of each definition, as clang-format lays them out."""
    lines = read(path).splitlines()
    found, start = [], None
    for number, line in enumerate(lines):
        if line == "{":
            head = number - 1
            while head > 0 and lines[head][:1] in (" ", "\t", ")"):
                head -= 1
            start = (lines[head], head)
        elif line == "}" and start:
            name = re.search(r"(\w+)\s*\(", start[0])
            found.append((name.group(1) if name else start[0], start[1] + 1, number - start[1] + 1))
            start = None
    return found


def test_banned_functions_are_not_called():
    found = []
    for path in c_files():
        banned = BANNED if path.startswith("tests/") else BANNED + BANNED_PRODUCT
        pattern = re.compile(r"(?<![\w.>])(" + "|".join(banned) + r")\s*\(")
        for number, line in enumerate(without_comments_and_texts(read(path)).splitlines(), 1):
            for call in pattern.findall(line):
                if (path, call) not in BANNED_ALLOWED:
                    found.append(f"{path}:{number}: {call}")
    assert not found, "\n".join(found)


def test_foreign_headers_stay_where_they_belong():
    found = []
    for path in c_files("common/", "bridge/"):
        for _, header in includes(path):
            for pattern, allowed in FOREIGN.items():
                if re.fullmatch(pattern, header) and not re.fullmatch(allowed, path):
                    found.append(f"{path} includes {header}")
    assert not found, "\n".join(found)


def storey(name):
    stem = os.path.splitext(os.path.basename(name))[0]
    for level, pattern in enumerate(STOREYS):
        if re.fullmatch(pattern, stem):
            return level
    return None


def test_arrows_of_dependency_point_down():
    headers = {os.path.basename(f): f for f in c_files("common/", "bridge/") if f.endswith(".h")}
    found = []
    for path in c_files("common/", "bridge/"):
        home = path.split("/")[:-1]
        for form, header in includes(path):
            target = headers.get(os.path.basename(header))
            if form != '"' or target is None:
                continue
            there = target.split("/")[:-1]
            if home == ["common"] and there != ["common"]:
                found.append(f"{path} includes {target}: common knows nothing of bridge")
            elif home[0] == "bridge" and there[0] == "bridge" and there != home:
                found.append(f"{path} includes {target}: programs do not know each other")
            elif home == ["common"]:
                mine, theirs = storey(path), storey(target)
                if mine is None or theirs is None:
                    found.append(f"{path} -> {target}: give both a storey in test_lint.py")
                elif theirs > mine:
                    found.append(f"{path} includes {target}: the arrow points up")
    assert not found, "\n".join(found)


def test_headers_do_not_include_in_circles():
    headers = {f: [h for form, h in includes(f) if form == '"']
               for f in c_files("common/", "bridge/") if f.endswith(".h")}
    names = {os.path.basename(f): f for f in headers}

    def visit(path, trail):
        assert path not in trail, " -> ".join(trail + [path])
        for header in headers[path]:
            if header in names:
                visit(names[header], trail + [path])

    for path in headers:
        visit(path, [])


def test_pure_files_know_no_clock_and_no_edge():
    found = [f"{path} includes {header}" for path in c_files("common/", "bridge/") if re.fullmatch(PURE, path)
             for _, header in includes(path) if header in IMPURE_HEADERS or header in ("time.h", "sys/random.h")
             or any(re.fullmatch(p, header) for p in (r"uv\.h", r"curl/.*", r"microhttpd\.h", r"librdkafka/.*"))]
    assert not found, "\n".join(found)


def test_heads_of_files():
    found = []
    for path in c_files():
        head = "\n".join(read(path).splitlines()[:25])
        if "SPDX-License-Identifier: Apache-2.0" not in head:
            found.append(f"{path}: no SPDX line in the file head")
        if path.endswith(".h") and "#pragma once" not in read(path):
            found.append(f"{path}: no #pragma once")
    assert not found, "\n".join(found)


def test_clang_format():
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if tool is None:
        pytest.fail("there is no clang-format; install the package clang-format", pytrace=False)
    version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
    if " 14." not in version:
        pytest.skip(f"the tree is formatted with clang-format 14 (Debian 12); this is {version.strip()}, it differs")
    run = subprocess.run([tool, "--dry-run", "-Werror", *c_files()], cwd=ROOT, capture_output=True, text=True,
                         check=False)
    files = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", run.stderr, flags=re.MULTILINE)))
    assert run.returncode == 0, f"run {os.path.basename(tool)} -i on: {' '.join(files)}\n{run.stderr[:1500]}"


def test_words_that_must_not_stand_here():
    # Spelled in pieces, so that this file passes.
    words = ["/wo" + "rk/", "TO" + "DO", "FIX" + "ME", "../sha" + "red", "brief" + ".md", "npm" + "js.",
             "maven" + ".org", "deb." + "debian", "pypi" + ".org"]
    found = []
    for path in tracked():
        try:
            text = read(path)
        except UnicodeDecodeError:
            continue  # fuzz corpora and other bytes
        for number, line in enumerate(text.splitlines(), 1):
            for word in words:
                if word in line:
                    found.append(f"{path}:{number}: {word.strip()}")
    assert not found, "\n".join(found)


def test_lines_are_at_most_120_wide():
    """Of scripts and build files; clang-format sees to C."""
    found = [f"{path}:{number}: {len(line)}" for path in tracked()
             if path.endswith((".py", ".sh", ".cmake", "CMakeLists.txt", ".ci/run"))
             for number, line in enumerate(read(path).splitlines(), 1) if len(line) > LINE_MAX]
    assert not found, "\n".join(found)


def test_sizes(capsys):
    """Prints what is over the aim, for a reviewer to decide; only gross excess fails."""
    report, gross = [], []
    total = collections.Counter()
    for path in c_files("common/", "bridge/", "tests/"):
        lines = read(path).count("\n")
        total[path.split("/")[0]] += lines
        if lines > FILE_AIM:
            report.append(f"{path}: {lines} lines")
        if lines > (TEST_FILE_MAX if path.startswith("tests/") else FILE_MAX):
            gross.append(report[-1])
        for name, first, length in functions(path):
            if length > FUNCTION_AIM:
                report.append(f"{path}:{first}: {name} has {length} lines")
            if length > FUNCTION_MAX:
                gross.append(report[-1])
    with capsys.disabled():
        print(f"\n  C lines: {dict(total)}; over the aim (file {FILE_AIM}, function {FUNCTION_AIM}): "
              + ("; ".join(report) or "none"))
    assert not gross, "\n".join(gross)


def test_the_lint_itself_sees_faults():
    code = without_comments_and_texts('/* strcpy(a) */ x = "atoi(b)";\n strcat(c, d); // gets(e)\n')
    assert "strcat(" in code and "strcpy" not in code and "atoi" not in code and "gets" not in code
    assert storey("json_reader.c") == 1 and storey("kafka_conf.c") == 3 and storey("unheard_of.c") is None
    assert [n for n, _, length in functions("common/error.c") if length > 1]


def test_scripts_parse():
    scripts = [f for f in tracked() if f.endswith(".sh") or f == ".ci/run"]
    found = [f"{path}: {run.stderr}" for path in scripts
             for run in [subprocess.run(["bash", "-n", path], cwd=ROOT, capture_output=True, text=True, check=False)]
             if run.returncode != 0]
    assert not found, "\n".join(found)
