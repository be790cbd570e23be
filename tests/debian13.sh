#!/usr/bin/env bash
# Builds Drawbridge in a Debian 13 root and runs the unit tests and one real-Kafka scenario against its newer libraries
# (librdkafka 2.8, libmicrohttpd 1.0, gcc 14).  SPDX-License-Identifier: Apache-2.0
#
#   tests/debian13.sh [--fresh]     --fresh makes the root anew; else the one in build/debian13 is used again
#
# Needs root (asks sudo) and debootstrap (installed by apt).  Mirror and proxy are those of this machine's apt.  Every
# mount lives in a mount namespace of its own and every process in a process namespace, so nothing stays behind.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
[ "$(id -u)" -eq 0 ] || exec sudo --preserve-env=DRAWBRIDGE_CACHE,HOME "$0" "$@"
# shellcheck source=tests/support/parts.sh
. tests/support/parts.sh

suite=trixie
home=$PWD/build/debian13
root=$home/root
cache=${DRAWBRIDGE_CACHE:-$HOME/.cache/drawbridge}
mkdir -p "$home" "$cache/debian13-archives"
[ "${1:-}" = --fresh ] && rm -rf "$root"

packages() {
    echo cmake ninja-build gcc libc6-dev pkg-config libcmocka-dev default-jre-headless python3 python3-pytest \
        python3-confluent-kafka python3-jsonschema python3-yaml
    [ -f deploy/packages.txt ] && sed 's/#.*//' deploy/packages.txt
}

# The archive that this machine's own apt gets Debian from.
mirror() {
    local codename uri
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    uri=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
        awk -v codename="$codename" '$1 == codename { print $2; exit }')
    if [ -z "$uri" ]; then
        apt_update > "$home/apt.log" 2>&1
        uri=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
            awk -v codename="$codename" '$1 == codename { print $2; exit }')
    fi
    [ -n "$uri" ] && echo "$uri"
}

use_apts_proxy() {
    local http='' https=''
    eval "$(apt-config shell http Acquire::http::Proxy https Acquire::https::Proxy)"
    [ -n "$http" ] && [ "$http" != DIRECT ] && export http_proxy=$http
    [ -n "$https" ] && [ "$https" != DIRECT ] && export https_proxy=$https
    return 0
}

# in_root SCRIPT: runs it inside; mounts and processes end with it, however it ends.
in_root() {
    CACHE=$cache ROOT=$root SCRIPT=$1 unshare --mount --propagation private --pid --fork --kill-child bash -c '
        set -e
        mkdir -p "$ROOT/cache" "$ROOT/var/cache/apt/archives"
        mount -t proc proc "$ROOT/proc"
        mount --rbind /dev "$ROOT/dev"
        mount --bind -o ro "$CACHE" "$ROOT/cache"
        mount --bind "$CACHE/debian13-archives" "$ROOT/var/cache/apt/archives"
        exec chroot "$ROOT" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
            http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" DEBIAN_FRONTEND=noninteractive \
            DRAWBRIDGE_CACHE=/cache DRAWBRIDGE_PRESET=release /bin/bash -euo pipefail -c "$SCRIPT"'
}

make_root() {
    [ -e "$root/.made" ] && echo "using $root again" && return 0
    install_packages yes debootstrap || return 1
    local from
    from=$(mirror) || { echo "this machine's apt names no archive for its own Debian release"; return 1; }
    use_apts_proxy
    rm -rf "$root"
    debootstrap --variant=minbase "$suite" "$root" "$from" > "$home/debootstrap.log" 2>&1 ||
        { tail -n 20 "$home/debootstrap.log"; echo "debootstrap of $suite failed"; return 1; }
    touch "$root/.made"
}

install_in_root() {
    local wanted
    wanted=$(packages | tr -s ' \n' ' ')
    [ "$(cat "$root/.installed" 2> /dev/null)" = "$wanted" ] && echo "installed already" && return 0
    use_apts_proxy
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    rm -f "$root/etc/apt/apt.conf.d/docker-clean"
    # The newest archives are no older than the machine's idea of them: dates are judged as its own apt does.
    apt-config dump Acquire::Check-Valid-Until > "$root/etc/apt/apt.conf.d/90machine"
    apt-config dump Acquire::Check-Date >> "$root/etc/apt/apt.conf.d/90machine"
    in_root "apt-get update -q && apt-get install -y -q --no-install-recommends $wanted" > "$home/install.log" 2>&1 ||
        { tail -n 20 "$home/install.log"; return 1; }
    echo "$wanted" > "$root/.installed"
}

copy_tree() {
    rm -rf "$root/src" && mkdir -p "$root/src"
    git ls-files -z --cached --others --exclude-standard |
        while IFS= read -r -d '' f; do [ -e "$f" ] && printf '%s\0' "$f"; done |
        tar --null -T - -cf - | tar -xf - -C "$root/src"
}

# Maven and npm are not in the root: what they bring comes from this machine's cache.
fetch_for_tests() {
    /usr/bin/python3 tests/support/kafka.py --jars && /usr/bin/python3 tests/support/payloads.py
}

build_inside() {
    copy_tree || return 1
    in_root 'cd /src && pkg-config --modversion rdkafka libmicrohttpd libuv && gcc -dumpfullversion &&
             cmake --preset release -B /build > /build.log || { cat /build.log; exit 1; }
             cmake --build /build > /build.log || { grep -v "^\[" /build.log; exit 1; }'
}

unit_inside() { in_root "cd /src && ctest --test-dir /build --output-on-failure -j $(nproc) --timeout 600"; }

scenario_inside() {
    in_root 'cd /src && DRAWBRIDGE_BIN=/build/bin python3 -m pytest -q -p no:cacheprovider \
             tests/scenarios/test_main_path.py tests/support/test_checker.py'
}

part root make_root
[ ${#parts_failed[@]} -eq 0 ] || parts_end tests/debian13.sh
part packages install_in_root
[ ${#parts_failed[@]} -eq 0 ] || parts_end tests/debian13.sh
part fetch fetch_for_tests
part build build_inside
part unit unit_inside
part scenario scenario_inside
parts_end tests/debian13.sh
