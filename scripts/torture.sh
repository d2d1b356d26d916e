#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Tortures lrpc-queue and checks that it loses nothing. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/torture.sh [--minutes N] [--backend memory|redis|kafka] [--seed S] [OPTION...]

Builds the torture program and runs it: producers and consumers (processes; threads over memory) write down all that
they do, while processes and servers are killed, stopped and cut off at random moments; then everything heals, is
drained, and the ledgers are checked. Prints a line a round, and at the end how often each fault happened, what was
accepted, lost, duplicated, and what no fault explains. Exit code 1 when a promise was broken; the ledgers of that round
are kept, and its seed is printed.
  scripts/torture.sh                                     a minute over memory, one over Redis
  scripts/torture.sh --minutes 30 --backend redis        half an hour
  scripts/torture.sh --backend redis --seed 17 --rounds 1   one round again, by its seed
Further options: --round-seconds N, --rounds N, --faults NAME,NAME..., --folder DIR (of the ledgers), --keep (all of them).
The build folder is build/release, or what LRPC_QUEUE_BUILD names.
END
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${LRPC_QUEUE_BUILD:-build/release}
scripts/setup.sh test >&2
cmake --preset release -B "$build" >/dev/null
cmake --build "$build" -j "$(nproc)" --target torture >&2
torture=$build/tests/torture/torture

case " $* " in
  *" --backend "*) exec "$torture" --folder "$build/torture-ledgers" "$@" ;;
esac
status=0
for backend in memory redis; do
  echo "== $backend"
  "$torture" --folder "$build/torture-ledgers" --backend "$backend" "$@" || status=$?
done
exit $status
