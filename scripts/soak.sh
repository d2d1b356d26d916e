#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Runs mixed load for long and watches memory, threads, descriptors and times. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/soak.sh [--minutes N] [--backend memory|redis|kafka] [--rate N] [--folder DIR] [OPTION...]

Builds the soak and runs it: subscriptions and next_batch, retries, dead letters that are listed, requeued and purged,
expiry, delays, keys, batches and pub_async, and queues, channels and consumers that come and go all the time, at a fixed
rate (300 messages a second). Without --backend all three run at once. Each writes a line a second to
DIR/BACKEND/samples.csv, a line a minute to the terminal, and at the end summary.txt and soak-BACKEND.svg: memory of the
process and of its server, threads, descriptors and depth, publish to handler. DIR is build/soak.

Exit code 1 when a message is missing, a call failed, something is left in a channel, or when memory, threads or
descriptors grow: when the medians of the last three quarters of the run rise, by more than 8 MiB an hour and 5 % (12 an
hour and 10 % of threads and descriptors). Runs under ten minutes are not judged by growth; the memory of Kafka's broker
never is.
  scripts/soak.sh --minutes 60                     an hour over each back end
  scripts/soak.sh --minutes 10 --backend redis
Further options: --seconds N; --leak BYTES (loses so many bytes a message: the run has to fail).
The build folder is build/release, or what LRPC_QUEUE_BUILD names.
END
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=build/soak
backends=(memory redis kafka)
options=()
while (($# > 0)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --backend | --folder | --minutes | --seconds | --rate | --leak)
      if (($# < 2)); then usage >&2; exit 2; fi
      case $1 in
        --backend) backends=("$2") ;;
        --folder) folder=$2 ;;
        *) options+=("$1" "$2") ;;
      esac
      shift 2
      ;;
    *) usage >&2; exit 2 ;;
  esac
done

build=${LRPC_QUEUE_BUILD:-build/release}
if ! command -v gnuplot >/dev/null; then
  echo "soak.sh: no gnuplot for the plots: scripts/setup.sh dev installs it, or apt-get install gnuplot-nox" >&2
  exit 1
fi
scripts/setup.sh test >&2
cmake --preset release -B "$build" >/dev/null
cmake --build "$build" -j "$(nproc)" --target soak

# plot FOLDER BACKEND SERVER: without the empty groups and the defaults that gnuplot writes, which are a third of it.
plot() {
  gnuplot -e "folder='$1'; backend='$2'; server='$3'; out='$1/soak-$2.svg'" scripts/soak.gp
  sed -i -z -e 's/<g fill="none"[^>]*>\n<\/g>\n//g' -e 's/ stroke-linecap="butt" stroke-linejoin="miter"//g' \
    -e 's/ stroke-width="1.00"//g' -e 's/<tspan font-family="sans-serif" >/<tspan>/g' "$1/soak-$2.svg"
}

# run BACKEND: the run, then its plot.
run() {
  local backend=$1 status=0 server=''
  mkdir -p "$folder/$backend"
  "$build/tests/soak/soak" --backend "$backend" --folder "$folder/$backend" "${options[@]}" | sed -u "s/^/$backend: /" ||
    status=$?
  case $backend in
    redis) server='used_memory of Redis' ;;
    kafka) server='RSS of the broker' ;;
  esac
  if [[ -f $folder/$backend/plot.csv ]]; then
    plot "$folder/$backend" "$backend" "$server"
  fi
  return $status
}

pids=()
for backend in "${backends[@]}"; do
  run "$backend" &
  pids+=($!)
done
status=0
for pid in "${pids[@]}"; do wait "$pid" || status=$?; done
exit $status
