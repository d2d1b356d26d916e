#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Checks the form of the code. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/lint.sh [format|tidy|fix]

  format  clang-format-19 finds nothing to change in any C++ file
  tidy    clang-tidy-19 finds nothing in src and cli; what it found clean before, word for word, is not read again
          (it remembers that in lrpc-queue/tidy under $XDG_CACHE_HOME or ~/.cache)
  fix     lets clang-format-19 change what `format` would complain about
Without an argument: format, then tidy.
END
}

format() {
  find include src cli tests examples bench \( -name '*.hpp' -o -name '*.cpp' \) -print0 |
    xargs -0 clang-format-19 "$@"
}

# One unit of several files, whose headers are read once that way; unless its very text was found clean before, by this
# program with these settings.
tidy_unit() {
  local object=${1#build/tidy/}.o command seen
  command=$(ninja -C build/tidy -t commands "$object" | tail -n 1)
  seen=$clean/$({
    cat .clang-tidy
    clang-tidy-19 --version
    (cd build/tidy && eval "${command%% -MD *} -E -P -C -dD $PWD/${1#build/tidy/}")
  } | sha256sum | cut -c 1-64)
  [[ ! -e $seen ]] || return 0
  clang-tidy-19 -p build/tidy --header-filter='/(include/lrpc|src|cli)/.*[.][ch]pp$' --quiet "$1" 2>/dev/null
  touch "$seen"
}

tidy() {
  cmake --preset tidy >/dev/null
  clean=${XDG_CACHE_HOME:-$HOME/.cache}/lrpc-queue/tidy
  mkdir -p "$clean"
  export clean
  export -f tidy_unit
  find build/tidy/src build/tidy/cli -name 'unity_*.cxx' -print0 |
    xargs -0 -n 1 -P 2 bash -c 'set -euo pipefail; tidy_unit "$1"' lint.sh
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
