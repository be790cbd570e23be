#!/usr/bin/env bash
# From a fresh Debian 12 or 13 to a webhook that became a result: installs what is missing, builds, runs drawbridge dev.
# SPDX-License-Identifier: Apache-2.0
#
#   deploy/quickstart.sh [arguments of drawbridge dev]     e.g. --once, or: --agent triage -- python3 triage.py
#
# sudo is used only if a package is missing and you are not root.  Nothing is installed but Debian packages: those in
# deploy/packages.txt.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$PWD

say() { printf 'quickstart: %s\n' "$*" >&2; }

missing=()
while read -r package; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed || missing+=("$package")
done < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$root/deploy/packages.txt")

if [ ${#missing[@]} -gt 0 ]; then
    say "installing ${missing[*]}"
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo > /dev/null || { say "there is no sudo; as root: apt-get install ${missing[*]}"; exit 1; }
        as_root=(sudo)
    fi
    install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends
        "${missing[@]}")
    # the package lists of a fresh machine are empty or old
    "${install[@]}" > /dev/null 2>&1 || { "${as_root[@]}" apt-get update -qq && "${install[@]}" > /dev/null; }
fi

say "building"
cd "$root"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { cmake --preset release && cmake --build --preset release -j "$(nproc)" \
    --target drawbridge drawbridge-ingress drawbridge-runner; } > "$log" 2>&1; then
    cat "$log" >&2
    say "the build failed"
    exit 1
fi
rm -f "$log"
trap - EXIT

cd "$here" # the agent's command is found from where you are
exec "$root/build/release/bin/drawbridge" dev "$@"
