#!/usr/bin/env bash
# Builds Drawbridge and runs every test.  Installs what is missing (Debian 12 and 13).
# SPDX-License-Identifier: Apache-2.0
#
#   tests/run.sh [--quick] [--preset dev|release|asan|tsan] [--no-install] [--only PART[,PART]] [-- PYTEST-ARGUMENTS]
#
#   --quick       smaller versions of the long scenarios, all fuzzers for 10 seconds, none for a minute
#   --preset      which build to test (default release); asan and tsan fail on any report of theirs
#   --no-install  never call apt; what is missing is an error
#   --only        of: build unit lint fuzz scenarios
# Exit code 0 only if every part passed.  What cannot be had fails with a sentence; nothing is left out silently.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/support/parts.sh
. tests/support/parts.sh

quick='' preset=release install=yes only='' pytest_more=()
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=--quick ;;
    --preset) preset=${2:?--preset needs a name} && shift ;;
    --no-install) install='' ;;
    --only) only=${2:?--only needs names} && shift ;;
    --) shift && pytest_more=("$@") && break ;;
    -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) echo "tests/run.sh: unknown argument '$1'; --help lists them" >&2 && exit 64 ;;
    esac
    shift
done
case $preset in dev | release | asan | tsan) ;; *) echo "tests/run.sh: no preset '$preset'" >&2 && exit 64 ;; esac

wanted() { [ -z "$only" ] || [[ ",$only," == *",$1,"* ]]; }

python=/usr/bin/python3
build=build/$preset
jobs=$(nproc)

install_missing() {
    local packages=(cmake ninja-build gcc libc6-dev pkg-config git libcmocka-dev clang python3 python3-pytest
        python3-confluent-kafka python3-jsonschema python3-yaml util-linux)
    # shellcheck disable=SC2207
    [ -f deploy/packages.txt ] && packages+=($(sed 's/#.*//' deploy/packages.txt))
    command -v mvn > /dev/null || packages+=(maven)
    $python tests/support/kafka.py --java > /dev/null 2>&1 || packages+=(default-jre-headless)
    command -v clang-format-14 > /dev/null || command -v clang-format > /dev/null || packages+=(clang-format)
    command -v npm > /dev/null || packages+=(npm)
    install_packages "$install" "${packages[@]}" || return 1
    # libFuzzer and clang's sanitizers are a package of their own, named after the version that clang has.
    local version
    version=$(clang --version | sed -n 's/.*clang version \([0-9]*\).*/\1/p')
    install_packages "$install" "libclang-rt-$version-dev"
}

build_programs() {
    cmake --preset "$preset" > "$build.configure.log" 2>&1 || { cat "$build.configure.log"; return 1; }
    cmake --build --preset "$preset" > "$build.build.log" 2>&1 ||
        { grep -vE '^\[[0-9]+/' "$build.build.log"; return 1; }
    tail -n 1 "$build.build.log"
}

unit_tests() {
    [ "$(ctest --test-dir "$build" -N | sed -n 's/^Total Tests: //p')" -gt 0 ] ||
        { echo "there are no unit tests in $build (was libcmocka-dev there when it was configured?)"; return 1; }
    ctest --test-dir "$build" --output-on-failure -j "$jobs" --timeout 600
}

lint() { $python -m pytest -q tests/support/test_lint.py; }

fuzz() {
    local failed=0 fuzzers=()
    cmake --preset fuzz > build/fuzz.configure.log 2>&1 || { cat build/fuzz.configure.log; return 1; }
    mapfile -t fuzzers < <(for f in tests/fuzz/fuzz_*.c; do [ -e "$f" ] && basename "$f" .c; done)
    [ ${#fuzzers[@]} -gt 0 ] || { echo "there is no tests/fuzz/fuzz_*.c"; return 1; }
    cmake --build --preset fuzz --target "${fuzzers[@]}" > build/fuzz.build.log 2>&1 ||
        { grep -vE '^\[[0-9]+/' build/fuzz.build.log; return 1; }
    printf '%s\n' "${fuzzers[@]}" | xargs -P "$jobs" -I{} bash tests/support/fuzz_one.sh {} "$quick" || failed=1
    return $failed
}

scenarios() {
    local selection=(tests/support tests/scenarios tests/faults --ignore=tests/support/test_lint.py)
    [ "$preset" = tsan ] && selection+=(-m tsan)
    # shellcheck disable=SC2086
    DRAWBRIDGE_PRESET=$preset $python -m pytest -v --durations=15 $quick "${selection[@]}" "${pytest_more[@]}"
}

# Reports of the sanitizers go to files: a daemon that is killed in a test cannot tell by its exit code.
reports=$PWD/$build/sanitizer-reports
if [ "$preset" = asan ] || [ "$preset" = tsan ]; then
    rm -rf "$reports" && mkdir -p "$reports"
    export DRAWBRIDGE_SANITIZER_REPORTS=$reports
    export ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1:log_path=$reports/asan"
    export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0"
    export UBSAN_OPTIONS="print_stacktrace=1:log_path=$reports/ubsan"
    export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp:second_deadlock_stack=1:log_path=$reports/tsan"
fi

# One line is no report: test_buffer asks for half of the address space, to be refused.
no_reports() {
    local files expected='^==[0-9]+==WARNING: AddressSanitizer failed to allocate 0x8000000000000000 bytes$'
    files=$(find "$reports" -type f -size +0 -exec grep -lvE "$expected" {} + 2> /dev/null)
    [ -z "$files" ] && return 0
    echo "the sanitizers reported:"
    # shellcheck disable=SC2086
    head -n 60 $files
    return 1
}

mkdir -p build
part install install_missing
wanted build && part build build_programs
wanted unit && part unit unit_tests
wanted lint && part lint lint
if wanted fuzz && { [ "$preset" = release ] || [ "$preset" = dev ]; }; then part fuzz fuzz; fi
wanted scenarios && part scenarios scenarios
if [ -n "${DRAWBRIDGE_SANITIZER_REPORTS:-}" ]; then part reports no_reports; fi
parts_end "tests/run.sh --preset $preset${quick:+ --quick}"
