# Parts of a test run: each timed and judged, one line of truth at the end.  Sourced by tests/run.sh and .ci/run.
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

parts_passed=() parts_failed=() parts_began=$SECONDS

# part NAME COMMAND...: runs it; the run goes on after a failure, except that without a build or its tools nothing can.
part() {
    local name=$1 began=$SECONDS
    shift
    echo
    echo "=== $name"
    if "$@" < /dev/null; then
        parts_passed+=("$name $((SECONDS - began)) s")
        echo "=== $name passed in $((SECONDS - began)) s"
    else
        parts_failed+=("$name")
        echo "=== $name FAILED after $((SECONDS - began)) s"
        case $name in install | build) parts_end "$0" ;; esac
    fi
}

parts_join() {
    local IFS=,
    echo "${*//,/, }" | sed 's/,\([^ ]\)/, \1/g'
}

# Ends the script with the sentence that says what passed, and the exit code that goes with it.
parts_end() {
    local passed
    passed=$(parts_join "${parts_passed[@]:-nothing}")
    echo
    if [ ${#parts_failed[@]} -eq 0 ]; then
        echo "$1: all passed in $((SECONDS - parts_began)) s: $passed"
        exit 0
    fi
    echo "$1: FAILED: $(parts_join "${parts_failed[@]}"); passed: $passed"
    exit 1
}

apt_install() {
    local sudo=''
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

apt_update() {
    local sudo=''
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -q
}

# install_packages YES PACKAGE...: installs what is missing by apt, or says what is missing.
install_packages() {
    local install=$1 missing=() package
    shift
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ -z "$install" ]; then
        echo "missing packages: ${missing[*]} (installed by apt without --no-install)"
        return 1
    fi
    echo "installing: ${missing[*]}"
    apt_install "${missing[@]}" > build/apt.log 2>&1 && return 0
    { apt_update && apt_install "${missing[@]}"; } > build/apt.log 2>&1 && return 0
    tail -n 20 build/apt.log
    echo "apt could not install: ${missing[*]}"
    return 1
}
