#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Puts bugs into the library, one at a time, and tortures it: each must be caught. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/torture-mutants.sh [NAME...]

Builds the torture over a library with one bug each (tests/torture/mutations.cmake) and prints, for all or for those
named, the check that caught it, the seed and the time to catch. Exit code 1 when one was not caught by its check.
The build folder is build/torture-mutants, or what LRPC_QUEUE_MUTANTS_BUILD names.
END
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${LRPC_QUEUE_MUTANTS_BUILD:-build/torture-mutants}
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O1 -DCMAKE_UNITY_BUILD=ON \
  -DLRPC_QUEUE_TORTURE_MUTANTS=ON -DLRPC_QUEUE_WERROR=OFF -DLRPC_QUEUE_WITH_KAFKA=OFF -DLRPC_QUEUE_BUILD_CLI=OFF \
  -DLRPC_QUEUE_BUILD_EXAMPLES=OFF -DLRPC_QUEUE_TEST_MUTANTS=OFF >/dev/null
list=$build/tests/torture/mutants.txt
targets=()
while read -r name _; do
  if [ $# -eq 0 ] || [[ " $* " == *" $name "* ]]; then targets+=("torture_$name"); fi
done <"$list"
cmake --build "$build" -j "$(nproc)" --target "${targets[@]}" >&2

status=0
printf '| %-32s | %-7s | %-16s | %5s | %8s |\n' "bug" "torture" "caught by" "seed" "seconds"
echo '|----------------------------------|---------|------------------|------:|---------:|'
while read -r name backend check; do
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  log=$build/$name.log
  # Short rounds: the ledgers are looked at when one is over.
  "$build/tests/torture/torture_$name" --backend "$backend" --seconds 240 --round-seconds 10 --seed 1000 \
    --folder "$build/ledgers/$name" >"$log" 2>&1 || true
  if grep -q "^$check: " "$log"; then
    seed=$(sed -n 's/^Again: .*--seed \([0-9]*\) .*/\1/p' "$log")
    seconds=$(sed -n 's/^Broken after \([0-9]*\) s.*/\1/p' "$log")
    printf '| %-32s | %-7s | %-16s | %5s | %8s |\n' "$name" "$backend" "$check" "$seed" "$seconds"
  else
    printf '| %-32s | %-7s | %-16s | %5s | %8s |\n' "$name" "$backend" "MISSED by $check" "" ""
    status=1
  fi
  rm -rf "$build/ledgers/$name"
done <"$list"
exit $status
