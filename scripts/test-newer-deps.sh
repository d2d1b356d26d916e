#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# The tests of the Kafka back end with a newer librdkafka. See --help.
set -euo pipefail

# The newest release that a package registry has the source of: it comes with this package for Node.js.
package=@confluentinc/kafka-javascript@1.10.1
version=2.15.1

usage() {
  cat <<END
Usage: scripts/test-newer-deps.sh [CTEST-OPTION...]

Builds librdkafka $version (its source: npm pack $package) into build/newer-deps, once, and with it
lrpc-queue; then runs the tests of the Kafka back end: the client layer, the parts, queues (the logins by SCRAM, which
Debian's librdkafka 2.0.2 cannot do, among them) and the conformance suite. Needs npm.
  scripts/test-newer-deps.sh -R kafka.queue    that one alone
END
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$PWD/build/newer-deps
prefix=$folder/librdkafka-$version
command -v npm >/dev/null || { echo "test-newer-deps.sh: npm is missing: apt-get install npm" >&2; exit 1; }
scripts/setup.sh dev

if [[ ! -e $prefix/ready ]]; then
  rm -rf "$prefix" "$folder/source"
  mkdir -p "$folder/source"
  (cd "$folder/source" && npm pack --silent "$package" >/dev/null && tar -xzf ./*.tgz)
  source=$folder/source/package/deps/librdkafka
  log=$folder/librdkafka.log
  # Its CMake needs files that the package leaves out.
  if ! (cd "$source" && ./configure --prefix="$prefix" --libdir="$prefix/lib" --disable-gssapi --disable-lz4-ext \
    --disable-curl && make -C src -j "$(nproc)" && make -C src install) >"$log" 2>&1; then
    tail "$log" >&2
    exit 1
  fi
  rm -rf "$folder/source"
  touch "$prefix/ready"
fi

# The library is found at run time by the path in the programs.
cmake --preset release -B "$folder/build" -DCMAKE_PREFIX_PATH="$prefix" -DLRPC_QUEUE_BUILD_EXAMPLES=OFF \
  -DLRPC_QUEUE_WITH_REDIS=OFF -DCMAKE_EXE_LINKER_FLAGS="-L$prefix/lib -Wl,-rpath,$prefix/lib" >/dev/null
tests=(kafka_client_test kafka_parts_test kafka_queue_test kafka_upkeep_test kafka_channel_test conformance_kafka_test)
cmake --build "$folder/build" -j "$(nproc)" --target "${tests[@]}"
for test in "${tests[@]}"; do
  [[ $(ldd "$folder/build/tests/kafka/$test") == *"librdkafka.so.1 => $prefix/"* ]] ||
    { echo "test-newer-deps.sh: $test does not use the librdkafka of $prefix" >&2; exit 1; }
done
echo "== librdkafka $version"
ctest --test-dir "$folder/build" --output-on-failure --no-tests=error -R '^(kafka\.|conformance\.kafka)' \
  -E '^kafka\.(group|harness|faults|group_faults)$' "$@"
