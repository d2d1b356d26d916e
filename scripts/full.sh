#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# What the checks of every change leave out because it takes long. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/full.sh [--list | --table] [STEP...]

Runs what .ci/run leaves out: servers in groups, encrypted lines and logins, other servers and a newer librdkafka, and
the sanitizers over the conformance suite on every back end. Without STEP: all of them, which takes hours. Goes on after
a failure; the exit code is 1 when a step failed. The output of each is in build/full/STEP.log.
  --list   names the steps
  --table  prints the newest result of each step, with date and commit, for docs/reliability.md
END
}

# Name, and what it shows.
steps='brokers          three Kafka brokers, and what tests need of brokers
secure           Kafka with TLS, client certificates, logins by PLAIN
faults           Kafka: brokers, consumers, topics and logins that fail
redis-groups     Redis by Sentinel, Cluster and TLS, conformance included
redis-versions   Redis 6.2, 8.2 and Valkey, conformance included
newer-deps       Kafka with the newest librdkafka, logins by SCRAM and conformance included
asan             address and undefined-behaviour sanitizers, conformance on every back end
tsan             thread sanitizer, conformance on every back end
valgrind         no leak and no wrong access from start to close, on every back end
many-topics      100,000 topics on memory and Redis, 30 on Kafka, opened and closed four times without growth'

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
folder=$root/build/full

# built PRESET TARGET...
built() {
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1" -j "$(nproc)" --target "${@:2}"
}

run_step() {
  case $1 in
    brokers)
      built release kafka_group_test kafka_harness_test
      ctest --preset release-all -R '^kafka\.(group|harness)$'
      ;;
    secure)
      built release kafka_queue_test
      build/release/tests/kafka/kafka_queue_test --gtest_filter='Secure.*:*Scram.*'
      ;;
    faults)
      built release kafka_faults_test kafka_group_faults_test
      ctest --preset release-all -R '^kafka\.(faults|group_faults)$'
      ;;
    redis-groups)
      built release redis_group_test redis_test conformance_redis_test
      ctest --preset release-all -R '^redis\.(group$|.*(Cluster|Sentinel|Tls|HungMaster))|^conformance\.redis'
      ;;
    redis-versions) scripts/test-redis-versions.sh ;;
    newer-deps) scripts/test-newer-deps.sh ;;
    asan | tsan)
      built "$1" conformance_{memory,wire,redis,kafka}_test
      ctest --preset "$1-all" -R '^conformance\.'
      ;;
    valgrind)
      built release example_{quick_start,graceful_shutdown,redis_quick_start,kafka_quick_start} \
        with_redis_server with_kafka_broker
      cd build/release
      checked=(valgrind -q --leak-check=full --errors-for-leak-kinds=definite,indirect,possible --error-exitcode=9
        --fair-sched=yes)
      "${checked[@]}" examples/example_quick_start
      "${checked[@]}" examples/example_graceful_shutdown
      tests/redis/with_redis_server "${checked[@]}" examples/example_redis_quick_start
      tests/kafka/with_kafka_broker "${checked[@]}" examples/example_kafka_quick_start
      ;;
    many-topics)
      built release many_topics with_redis_server with_kafka_broker
      cd build/release/tests
      LRPC_QUEUE_STORAGE_TYPE=memory soak/many_topics 100000
      LRPC_QUEUE_STORAGE_TYPE=redis redis/with_redis_server soak/many_topics 100000
      LRPC_QUEUE_STORAGE_TYPE=kafka kafka/with_kafka_broker soak/many_topics 30
      ;;
  esac
}

# The lines in which CTest, GoogleTest or a script sums up.
summary() {
  { grep -aE '^lap 4: |^\[  (PASSED|FAILED)  \] [0-9]+ test|^\[  SKIPPED \] [0-9]+ test|tests passed, |^redis versions: ' "$1" || true; } |
    sed -E 's/^\[ *([A-Z]+) *\] /\1 /; s/, listed below:?//' | awk '!seen[$0]++' | tail -n 6 | paste -sd ';' |
    sed 's/;/; /g'
}

table() {
  echo "| step | what | result | time | date | commit |"
  echo "|---|---|---|---|---|---|"
  local name what
  while read -r name what; do
    if [[ -f $folder/$name.result ]]; then
      echo "| \`$name\` | $what | $(cat "$folder/$name.result") |"
    else
      echo "| \`$name\` | $what | not run | | | |"
    fi
  done <<<"$steps"
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
  --list) echo "$steps"; exit 0 ;;
  --table) table; exit 0 ;;
esac
chosen=("$@")
if ((${#chosen[@]} == 0)); then mapfile -t chosen < <(cut -d ' ' -f 1 <<<"$steps"); fi
for name in "${chosen[@]}"; do
  grep -q "^$name " <<<"$steps" || { usage >&2; exit 2; }
done

scripts/setup.sh dev
mkdir -p "$folder"
commit=$(git rev-parse --short HEAD)
[[ -z $(git status --porcelain) ]] || commit+=" and changes"
failed=()
number=0
for name in "${chosen[@]}"; do
  number=$((number + 1))
  echo "==== [$number/${#chosen[@]}] $name: $(grep "^$name " <<<"$steps" | cut -c 18-)"
  start=$SECONDS
  # In a subshell of its own, for `set -e` to hold in it.
  status=0
  bash -euo pipefail -c "$(declare -f built run_step); cd '$root'; run_step '$name'" >"$folder/$name.log" 2>&1 </dev/null ||
    status=$?
  took=$((SECONDS - start))
  if ((status == 0)); then result=passed; else result=**failed**; failed+=("$name"); fi
  said=$(summary "$folder/$name.log")
  echo "$result${said:+: $said} | $took s | $(date -u +%F) | $commit" >"$folder/$name.result"
  echo "==== [$number/${#chosen[@]}] $name: ${result//\*/} in $took s${said:+: $said}"
  if ((status != 0)); then tail -n 30 "$folder/$name.log"; fi
done
echo
table
if ((${#failed[@]} > 0)); then
  echo "full.sh: failed: ${failed[*]}" >&2
  exit 1
fi
