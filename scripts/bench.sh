#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Builds the benchmarks in release mode and runs them; arguments go to queue_bench (--quick, --group NAME, --json FILE).
# The build folder is build/bench, or what LRPC_QUEUE_BENCH_BUILD names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=${LRPC_QUEUE_BENCH_BUILD:-build/bench}
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLRPC_QUEUE_BUILD_BENCH=ON -DLRPC_QUEUE_BUILD_TESTS=OFF \
  -DLRPC_QUEUE_BUILD_CLI=OFF -DLRPC_QUEUE_BUILD_EXAMPLES=OFF >&2
cmake --build "$build" --target queue_bench >&2
exec "$build/bench/queue_bench" "$@"
