#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Puts bugs into the library's parts that are free of I/O, one at a time, and simulates: each must be found. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/simulation-mutants.sh [NAME...]

Builds the simulation over a library with one bug each (tests/simulation/mutations.cmake) and prints, for all or for
those named, the seed and the step that found it, among 1,000 seeds. Exit code 1 when one was not found.
The build folder is build/simulation-mutants, or what LRPC_QUEUE_MUTANTS_BUILD names.
END
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${LRPC_QUEUE_MUTANTS_BUILD:-build/simulation-mutants}
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O1 -DCMAKE_UNITY_BUILD=ON \
  -DLRPC_QUEUE_SIMULATION_MUTANTS=ON -DLRPC_QUEUE_WERROR=OFF -DLRPC_QUEUE_BUILD_CLI=OFF \
  -DLRPC_QUEUE_BUILD_EXAMPLES=OFF -DLRPC_QUEUE_TEST_MUTANTS=OFF >/dev/null
list=$build/tests/simulation/mutants.txt
targets=()
while read -r name _; do
  if [ $# -eq 0 ] || [[ " $* " == *" $name "* ]]; then targets+=("simulation_$name"); fi
done <"$list"
cmake --build "$build" -j "$(nproc)" --target "${targets[@]}" >&2

status=0
echo '| bug in the library | file | machine | seed | step | what was found |'
echo '|---|---|---|---:|---:|---|'
while read -r name machine file; do
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  log=$build/$name.log
  # One that does not come to an end is not found.
  timeout 120 "$build/tests/simulation/simulation_$name" --machine "$machine" --seeds 1000 --any-coverage >"$log" 2>&1 || true
  if found=$(grep -m 1 '^BROKEN: ' "$log"); then
    sed -E "s/^BROKEN: machine [a-z]+, seed ([0-9]+), step ([0-9]+) of [0-9]+( \([^)]*\))?: (.*)/| $name | \`${file//\//\\/}\` | $machine | \1 | \2 | \4 |/" <<<"$found"
  else
    echo "| $name | \`$file\` | $machine | MISSED | | |"
    status=1
  fi
done <"$list"
exit $status
