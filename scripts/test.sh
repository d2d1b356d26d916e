#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Builds lrpc-queue and passes all its tests. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/test.sh [PRESET] [CTEST-OPTION...]

Installs what is missing, builds the preset (default: release; see CMakePresets.json) with all tests and runs them.
  scripts/test.sh                   all tests of the release build
  scripts/test.sh tsan -R close     under the thread sanitizer, those whose name has "close"
END
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${1:-release}
shift || true

case $preset in
  asan | clang | tsan) scripts/setup.sh dev ;;
  *) scripts/setup.sh test ;;
esac
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset" -j "$(nproc)"
without=()
if ! (: <>/dev/ptmx) 2>/dev/null; then
  echo "test.sh: no pseudo-terminals here (devpts is not mounted): leaving out the test of the progress line" >&2
  without=(-E ProgressIsShownOnATerminalOnly)
fi
ctest --preset "$preset" "${without[@]}" "$@"
