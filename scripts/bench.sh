#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Builds the benchmarks in release mode, runs them and makes a report. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/bench.sh [--out DIR] [--quick] [--rounds N] [--group NAME]...

Builds the benchmarks and runs every speed target beside its raw reference, in turns: the bare queue that one writes by
hand, plain hiredis, plain librdkafka, on servers of their own. Writes to DIR (build/bench-report):
  report.md    the table (measured, reference, ratio, target, met) and the plots
  report.json  the same with the readings of every round
  *.svg        throughput by batch size, channels and producers; distribution of latency; cost as the backlog grows
With --quick it takes a few minutes: small numbers, few rounds, nothing to rely on.
  scripts/bench.sh --quick
  scripts/bench.sh --group redis --group redis_curves
With a --benchmark_... option it only runs google-benchmark over the same cases (--benchmark_list_tests=true).
The build folder is build/bench, or what LRPC_QUEUE_BENCH_BUILD names.
END
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=build/bench-report
plain=0
options=()
while (($# > 0)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --out)
      if (($# < 2)); then usage >&2; exit 2; fi
      out=$2
      shift
      ;;
    --benchmark_*) plain=1; options+=("$1") ;;
    *) options+=("$1") ;;
  esac
  shift
done

if ((!plain)) && ! command -v gnuplot >/dev/null; then
  echo "bench.sh: no gnuplot for the plots: scripts/setup.sh dev installs it, or apt-get install gnuplot-nox" >&2
  exit 1
fi
build=${LRPC_QUEUE_BENCH_BUILD:-build/bench}
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLRPC_QUEUE_BUILD_BENCH=ON -DLRPC_QUEUE_BUILD_TESTS=OFF \
  -DLRPC_QUEUE_BUILD_CLI=OFF -DLRPC_QUEUE_BUILD_EXAMPLES=OFF >&2
cmake --build "$build" --target queue_bench >&2
if ((plain)); then exec "$build/bench/queue_bench" "${options[@]}"; fi

mkdir -p "$out"
rm -f "$out"/*.svg "$out"/*.dat "$out"/*.gp "$out"/report.*
load() { cut -d ' ' -f 1-3 /proc/loadavg; }
before=$(load)
"$build/bench/queue_bench" --json "$out/report.json" --plots "$out" "${options[@]}" | tee "$out/table.md"

commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
[[ -z $(git status --porcelain 2>/dev/null) ]] || commit+=" and changes"
{
  echo "# Benchmarks"
  echo
  echo "$(date -u +%F), commit $commit, $(nproc) x $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)," \
    "load average $before before and $(load) after (the benchmark itself included)."
  echo "Options: ${options[*]:-none}. Medians of rounds in which every line and its reference took turns."
  echo
  cat "$out/table.md"
  for program in "$out"/*.gp; do
    [[ -f $program ]] || continue
    (cd "$out" && gnuplot "${program##*/}")
    name=$(basename "$program" .gp)
    echo
    echo "![$name]($name.svg)"
  done
} >"$out/report.md"
rm -f "$out/table.md"
echo "bench.sh: $out/report.md" >&2
