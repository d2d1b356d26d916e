#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Fuzzes everything that decodes bytes from outside. See --help.
set -euo pipefail

usage() {
  cat <<'END_OF_HELP'
Usage: scripts/fuzz.sh [--seconds N] [--keep] [TARGET...]

Builds the fuzzers of tests/fuzz with clang's address and undefined-behaviour sanitizers and runs each for N seconds
(default 60), all of them unless targets are named (codec, config, redis_reply, kafka_note, ...). Stops at the first
input that breaks a promise, and says where it lies. What is found goes to build/fuzz/found; with --keep the inputs
that reach new code are added to tests/fuzz/corpus.
END_OF_HELP
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=60
keep=no
targets=()
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --seconds)
      if [[ ! ${2:-} =~ ^[1-9][0-9]*$ ]]; then
        echo "fuzz.sh: --seconds needs a number from 1 on" >&2
        exit 2
      fi
      seconds=$2
      shift
      ;;
    --keep) keep=yes ;;
    -*) echo "fuzz.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
    *) targets+=("$1") ;;
  esac
  shift
done
if [[ ${#targets[@]} -eq 0 ]]; then
  for source in tests/fuzz/*.cpp; do targets+=("$(basename "$source" .cpp)"); done
fi
for target in "${targets[@]}"; do
  if [[ ! -f tests/fuzz/$target.cpp ]]; then
    echo "fuzz.sh: no target is named $target; there are: $(basename -s .cpp tests/fuzz/*.cpp | tr '\n' ' ')" >&2
    exit 2
  fi
done

scripts/setup.sh dev
cmake --preset fuzz >/dev/null
cmake --build build/fuzz -j "$(nproc)" --target "${targets[@]/#/fuzz_}"
for target in "${targets[@]}"; do
  found=build/fuzz/found/$target
  corpus=tests/fuzz/corpus/$target
  mkdir -p "$found"
  echo "fuzz.sh: $target, $seconds s"
  log=build/fuzz/$target.log
  if ! "build/fuzz/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/$target-" "$found" "$corpus" >"$log" 2>&1; then
    tail -40 "$log" >&2
    echo "fuzz.sh: $target broke; the input is named above, the log is $log" >&2
    exit 1
  fi
  awk '/number_of_executed_units/ {runs = $2} / cov: / {cov = $4} END {
    printf "fuzz.sh: %s: %d inputs, %d edges reached, nothing broke\n", "'"$target"'", runs, cov}' "$log"
  if [[ $keep = yes ]]; then
    "build/fuzz/tests/fuzz/fuzz_$target" -merge=1 "$corpus" "$found" >>"$log" 2>&1
  fi
done
