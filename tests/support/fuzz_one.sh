#!/usr/bin/env bash
# One fuzzer for a while, from the corpus in the tree; what it finds new goes to the build folder.
# fuzz_one.sh fuzz_NAME [--quick]   SPDX-License-Identifier: Apache-2.0
set -u
name=$1 time_s=10
case $name in # what a stranger's bytes reach first, and what the runner's memory is made of
fuzz_gate | fuzz_json | fuzz_journal | fuzz_record) time_s=60 ;;
esac
[ "${2:-}" = --quick ] && time_s=10
[ -n "${FUZZ_SECONDS:-}" ] && time_s=$FUZZ_SECONDS
program=$(find build/fuzz -type f -executable -name "$name" | head -n 1)
[ -n "$program" ] || { echo "$name: not built" && exit 1; }
corpus=tests/fuzz/corpus/$name
run=build/fuzz/run/$name
mkdir -p "$run/found"
[ -d "$corpus" ] && [ -n "$(ls -A "$corpus")" ] || { echo "$name: no corpus in $corpus" && exit 1; }
if "$program" -max_total_time="$time_s" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$run/" -print_final_stats=1 \
    "$run/found" "$corpus" > "$run/log" 2>&1; then
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$run/log") inputs, no fault"
else
    echo "$name: FAULT; its input is in $run, its log:" && tail -n 60 "$run/log"
    exit 1
fi
