#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Checks the form of the code. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/lint.sh [format|tidy|fix]

  format  clang-format-19 finds nothing to change in any C++ file
  tidy    clang-tidy-19 finds nothing in src and cli
  fix     lets clang-format-19 change what `format` would complain about
Without an argument: format, then tidy.
END
}

format() {
  find include src cli tests examples bench \( -name '*.hpp' -o -name '*.cpp' \) -print0 |
    xargs -0 clang-format-19 "$@"
}

tidy() {
  # By units of several files: their headers are read once.
  cmake --preset tidy >/dev/null
  find build/tidy/src build/tidy/cli -name 'unity_*.cxx' -print0 |
    xargs -0 -n 1 -P 2 clang-tidy-19 -p build/tidy --header-filter='/(include/lrpc|src|cli)/.*[.][ch]pp$' --quiet \
      2>/dev/null
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
case ${1:-} in
  -h | --help) usage; exit 0 ;;
  fix) format -i; exit 0 ;;
  '' | format | tidy) ;;
  *) usage >&2; exit 2 ;;
esac
scripts/setup.sh dev
if [[ ${1:-format} == format ]]; then
  format --dry-run -Werror
  echo "lint: format is clean"
fi
if [[ ${1:-tidy} == tidy ]]; then
  tidy
  echo "lint: tidy is clean"
fi
