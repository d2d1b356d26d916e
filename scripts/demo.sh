#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Shows lrpc-queue at work on real input. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/demo.sh

Installs what is missing (scripts/setup.sh build), builds the command line, and sends the list of this machine's Debian
packages through a queue to a handler that adds up their sizes and fails now and then: some messages at their first
attempt, one always, and one that it rejects. Ends with what came out, checked against the input.
END
}

case ${1:-} in
  '') ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo "== Install what is missing, build"
scripts/setup.sh build
# A build folder that is there already keeps its options.
[[ -f build/release/build.ninja ]] || cmake --preset release -DLRPC_QUEUE_BUILD_TESTS=OFF -DLRPC_QUEUE_BUILD_EXAMPLES=OFF >/dev/null
cmake --build --preset release -j "$(nproc)" --target lrpc-queue
cli=build/release/cli/lrpc-queue
"$cli" --version

DEMO_DIR=$(mktemp -d)
export DEMO_DIR
trap 'rm -rf "$DEMO_DIR"' EXIT
input=$DEMO_DIR/packages.jsonl dead=$DEMO_DIR/dead.jsonl
: >"$DEMO_DIR/sizes" >"$dead"

dpkg-query -W -f '{"package":"${Package}","version":"${Version}","section":"${Section}","kib":${Installed-Size}}\n' |
  sed 's/"kib":}/"kib":0}/' >"$input"

echo
echo "== The job: $(wc -l <"$input") messages like"
head -n 1 "$input"
pipe=("$cli" pipe --exec 'sh scripts/demo-handler.sh' --concurrency 8 --max-retries 3 --retry-delay 200ms
  --dead-letters "$dead")
shown="lrpc-queue pipe --exec 'sh scripts/demo-handler.sh' ${pipe[*]:4} < $input"
echo "\$ ${shown//$DEMO_DIR\//}"
"${pipe[@]}" <"$input"

echo
echo "== What the handler added up: installed size by section, the ten largest"
LC_ALL=C awk '{count[$1]++; kib[$1] += $2}
     END {for (s in kib) printf "%-16s %5d packages %9.1f MiB\n", s, count[s], kib[s] / 1024}' "$DEMO_DIR/sizes" |
  LC_ALL=C sort -k 4 -n -r | head -n 10

echo
echo "== Dead letters: given up, kept with the reason"
head -n 10 "$dead"

echo
handled=$(wc -l <"$DEMO_DIR/sizes") given_up=$(wc -l <"$dead") published=$(wc -l <"$input")
if ((handled + given_up != published || given_up != 2)); then
  echo "== FAILED: $published published, but $handled handled and $given_up dead letters" >&2
  exit 1
fi
echo "== Nothing lost: $published published = $handled handled + $given_up dead letters"
