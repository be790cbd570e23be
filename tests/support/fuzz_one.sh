#!/usr/bin/env bash
# One fuzzer for so many seconds, from the corpus in the tree; what it finds new goes to the build folder.
# fuzz_one.sh fuzz_NAME SECONDS   SPDX-License-Identifier: Apache-2.0
set -u
name=$1 time_s=$2
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
