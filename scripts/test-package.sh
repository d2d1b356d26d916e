#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Uses lrpc-queue as other projects do. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/test-package.sh

Builds and runs the projects of tests/package against lrpc-queue: installed (the static library and the conformance
suite of build/release, found by find_package) and as a sub-project (a shared library, by add_subdirectory).
END
}

case ${1:-} in
  '') ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
scripts/setup.sh test
work=$root/build/package
rm -rf "$work"
launcher=()
if command -v ccache >/dev/null; then  # the library is compiled once more here, in another way
  launcher=("-DCMAKE_CXX_COMPILER_LAUNCHER=env;CCACHE_BASEDIR=$root;CCACHE_NOHASHDIR=1;ccache")
fi

cmake --preset release >/dev/null
cmake --build --preset release -j "$(nproc)"
cmake --install build/release --prefix "$work/prefix" >/dev/null
cmake -G Ninja -S tests/package/installed -B "$work/installed" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/installed" -j "$(nproc)"
"$work/installed/consumer"
"$work/installed/conformance"
"$work/prefix/bin/lrpc-queue" --version

cmake -G Ninja -S tests/package/subproject -B "$work/subproject" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
  -DLRPC_QUEUE_SOURCE_DIR="$root" "${launcher[@]}" >/dev/null
cmake --build "$work/subproject" -j "$(nproc)"
"$work/subproject/consumer"
echo "package: both ways work"
