#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# A Kafka broker for tests and trials. See --help.
set -euo pipefail
export LC_ALL=C  # one order of names everywhere

usage() {
  cat <<'END'
Usage: scripts/kafka.sh fetch | start [--port N] [--data DIR] | stop [-9] [--data DIR] | checksums

  fetch      gets Apache Kafka with Maven, checks it, and prepares what makes brokers start quickly; prints the folder.
             Does nothing when all is there. The folder is kept in $LRPC_QUEUE_KAFKA_CACHE, or in
             lrpc-queue under $XDG_CACHE_HOME or ~/.cache
  start      starts one broker on 127.0.0.1:N (9092; its controller on N+1) with its data in DIR (build/kafka), waits
             until it is ready, and prints its address. Data that is there already is used
  stop       ends the broker of DIR; -9 kills it
  checksums  writes scripts/kafka/jars.sha256 anew, after a change of scripts/kafka/pom.xml

Needs a Java runtime (17 or newer), and Maven for the first fetch: scripts/setup.sh test installs both.
END
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source=$root/scripts/kafka

fail() {
  echo "kafka.sh: $*" >&2
  exit 1
}

cache=${LRPC_QUEUE_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lrpc-queue}

# digest FILE...: of what they contain.
digest() { cat "$@" | sha256sum | cut -c 1-12; }

# Where what is prepared is kept. It depends on this program's files and, as the archive of classes, on the Java runtime.
prepared_folder() {
  local java_home
  command -v java >/dev/null || fail "no Java runtime. On Debian: apt-get install openjdk-17-jre-headless"
  java_home=$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")
  echo "$cache/kafka-$(digest "$source"/* "$root/scripts/kafka.sh" <(stat -c '%n %s %Y' "$java_home/lib/modules"))"
}

# maven FOLDER: puts the jars there.
maven() {
  command -v mvn >/dev/null || fail "no Maven to get Kafka with. On Debian: apt-get install maven"
  local log
  log=$(mktemp)
  if ! mvn --batch-mode --quiet --file "$source/pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$1" >"$log" 2>&1; then
    grep -m 3 ERROR "$log" >&2 || tail -n 5 "$log" >&2
    rm -f "$log"
    fail "Maven could not get Kafka (network? the settings of Maven's repository?)"
  fi
  rm -f "$log"
}

# get_jars FOLDER: the same once, and checked.
get_jars() {
  [[ ! -d $1 ]] || return 0
  echo "kafka.sh: getting Kafka into $1" >&2
  rm -rf "$1.new"
  maven "$1.new"
  diff <(cd "$1.new" && sha256sum -- *.jar) "$source/jars.sha256" >&2 ||
    fail "what Maven got differs from scripts/kafka/jars.sha256"
  mv "$1.new" "$1"
}

# broker_properties PORT DATA: those of the only node.
broker_properties() {
  cat "$source/broker.properties"
  cat <<END
node.id=1
listeners=PLAINTEXT://127.0.0.1:$1,CONTROLLER://127.0.0.1:$(($1 + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$1
controller.quorum.voters=1@127.0.0.1:$(($1 + 1))
log.dirs=$2
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
END
}

# await_ready PID LOG [OFFSET]: the part of the log from OFFSET on says so.
await_ready() {
  local tries
  for ((tries = 0; tries < 1200; ++tries)); do
    if tail -c "+$((${3:-0} + 1))" "$2" | grep -q 'Kafka Server started'; then return; fi
    kill -0 "$1" 2>/dev/null || break
    sleep 0.05
  done
  tail -n 20 "$2" >&2
  fail "the broker did not start"
}

# await_end PID
await_end() {
  local tries
  for ((tries = 0; tries < 600; ++tries)); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.05
  done
  kill -9 "$1" 2>/dev/null || true
}

unused_port() {
  local port
  for _ in {1..50}; do
    port=$((20000 + RANDOM % 12000))
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || (: <>"/dev/tcp/127.0.0.1/$((port + 1))") 2>/dev/null || break
  done
  echo "$port"
}

# The first metadata of a cluster, which every new broker is given a copy of; and an archive of the loaded classes, which
# halves the time of a start. Both come from a broker that is started here for it.
# prepare FOLDER
prepare() {
  local trial=$1/trial pid
  rm -rf "$trial"
  mkdir "$trial"
  broker_properties "$(unused_port)" "$trial/data" >"$trial/broker.properties"
  java "@$1/java.args" kafka.tools.StorageTool format --cluster-id lrpcqueue0000000000000 \
    --config "$trial/broker.properties" >"$trial/log" 2>&1 || { cat "$trial/log" >&2; fail "cannot format"; }
  cp "$trial"/data/__cluster_metadata-0/*.checkpoint "$1/bootstrap.checkpoint"
  java -XX:ArchiveClassesAtExit="$1/classes.jsa" "@$1/java.args" kafka.Kafka "$trial/broker.properties" \
    >>"$trial/log" 2>&1 </dev/null &
  pid=$!
  await_ready "$pid" "$trial/log"
  kill "$pid"
  await_end "$pid"
  [[ -s $1/classes.jsa ]] || { tail -n 20 "$trial/log" >&2; fail "no archive of classes came about"; }
  rm -rf "$trial"
}

# java_arguments FOLDER JARS
java_arguments() {
  cat <<END
-Xms256m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.awt.headless=true
-Dlog4j2.configurationFile="$1/log4j2.properties"
-cp "$(printf '%s:' "$2"/*.jar | sed 's/:$//')"
END
}

fetch() {
  local prepared jars
  prepared=$(prepared_folder)
  if [[ ! -e $prepared/ready ]]; then
    mkdir -p "$prepared"
    exec {lock}>"$cache/kafka.lock"
    flock "$lock"  # others may want it as well
    if [[ ! -e $prepared/ready ]]; then
      jars=$cache/kafka-jars-$(digest "$source/jars.sha256")
      get_jars "$jars"
      cp "$source"/*.properties "$prepared"
      java_arguments "$prepared" "$jars" >"$prepared/java.args"
      prepare "$prepared"
      sed -i "1s|^|-XX:SharedArchiveFile=\"$prepared/classes.jsa\" -Xlog:cds=off -Xlog:cds+dynamic=off |" \
        "$prepared/java.args"
      touch "$prepared/ready"
    fi
    exec {lock}>&-
  fi
  echo "$prepared"
}

running() { [[ -f $1/pid ]] && kill -0 "$(<"$1/pid")" 2>/dev/null; }

# start PORT FOLDER
start() {
  local prepared pid said
  prepared=$(fetch)
  mkdir -p "$2"
  if running "$2"; then fail "the broker of $2 is running"; fi
  if [[ ! -e $2/data/meta.properties ]]; then
    mkdir -p "$2/data/__cluster_metadata-0"
    cp "$prepared/bootstrap.checkpoint" "$2/data/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint"
    printf 'version=1\ncluster.id=lrpcqueue0000000000000\nnode.id=1\ndirectory.id=lrpcqueue000000000001A\n' \
      >"$2/data/meta.properties"
  fi
  broker_properties "$1" "$2/data" >"$2/broker.properties"
  touch "$2/log"
  said=$(stat -c %s "$2/log")
  setsid java "@$prepared/java.args" kafka.Kafka "$2/broker.properties" >>"$2/log" 2>&1 </dev/null &
  pid=$!
  echo "$pid" >"$2/pid"
  await_ready "$pid" "$2/log" "$said"
  echo "127.0.0.1:$1"
}

# stop SIGNAL FOLDER
stop() {
  if running "$2"; then
    kill "-$1" "$(<"$2/pid")"
    await_end "$(<"$2/pid")"
  fi
  rm -f "$2/pid"
}

command=${1:-}
shift || true
port=9092
data=$root/build/kafka
signal=TERM
while (($# > 0)); do
  case $command:$1 in
    start:--port) port=$2; shift ;;
    start:--data | stop:--data) mkdir -p "$2"; data=$(cd "$2" && pwd); shift ;;
    stop:-9) signal=KILL ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
case $command in
  fetch) fetch ;;
  start) start "$port" "$data" ;;
  stop) stop "$signal" "$data" ;;
  checksums)
    jars=$(mktemp -d)
    trap 'rm -rf "$jars"' EXIT
    maven "$jars"
    (cd "$jars" && sha256sum -- *.jar) >"$source/jars.sha256"
    ;;
  -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
