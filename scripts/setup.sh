#!/usr/bin/env bash
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that lrpc-queue needs. See --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/setup.sh [runtime|build|test|dev]

Installs what is missing, and does nothing when nothing is. Needs Debian 12 and, to install, root or sudo.
  runtime  what the built command line needs
  build    and what building the library and the command line needs (default)
  test     and what building and running the tests needs
  dev      and what the checks, sanitizers and benchmarks need
END
}

# level    package                  what for
packages() {
  cat <<'END'
runtime    libspdlog1.10            # log
runtime    libyaml-cpp0.7           # YAML configuration
runtime    libtomlplusplus3         # TOML configuration
runtime    libhiredis0.14           # Redis
runtime    libssl3                  # TLS
runtime    librdkafka1              # Kafka
build      g++                      # the compiler (12.2)
build      cmake
build      ninja-build
build      nlohmann-json3-dev       # the JSON codec, JSON configuration
build      libspdlog-dev
build      libfmt-dev
build      libyaml-cpp-dev
build      libtomlplusplus-dev
build      libcli11-dev             # the command line's options
build      libhiredis-dev           # the Redis back end: reads the replies
build      libssl-dev               # TLS
build      librdkafka-dev           # the Kafka back end: speaks the protocol
test       libgtest-dev             # the tests and the conformance suite
test       libgmock-dev
test       redis-server             # the server that the tests of the Redis back end start
test       openssl                  # certificates for its and Kafka's
test       openjdk-17-jre-headless  # runs the Kafka broker that the tests of the Kafka back end start
test       maven                    # gets that broker (scripts/kafka.sh)
test       kcat                     # another program at that broker
dev        ccache                   # used by the build when it is there
dev        clang-19                 # the second compiler
dev        clang-format-19
dev        clang-tidy-19
dev        valgrind                 # wrong accesses and leaks (scripts/full.sh)
dev        libclang-rt-19-dev       # its sanitizers
dev        libbenchmark-dev         # the benchmarks
dev        libzstd-dev              # a newer librdkafka (scripts/test-newer-deps.sh)
dev        zlib1g-dev
dev        libconcurrentqueue-dev   # a reference of the benchmarks
dev        gnuplot-nox              # plots of the benchmarks and of the soak
END
}

wanted() {
  local levels
  case $1 in
    runtime) levels='runtime' ;;
    build) levels='runtime|build' ;;
    test) levels='runtime|build|test' ;;
    dev) levels='runtime|build|test|dev' ;;
  esac
  packages | awk -v levels="^($levels)\$" '$1 ~ levels {print $2}'
}

is_installed() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }

mode=${1:-build}
case $mode in
  runtime | build | test | dev) ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac
if ! command -v dpkg-query >/dev/null; then
  echo "setup.sh: this is not a Debian system; install by other means: $(wanted "$mode" | xargs)" >&2
  exit 1
fi

missing=()
for package in $(wanted "$mode"); do
  is_installed "$package" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "setup.sh: neither root nor sudo; as root, run: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

apt() {
  local log
  log=$(mktemp)
  # Quiet, but for the end of the transcript of a failure.
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
    apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 -o APT::Update::Error-Mode=any "$@" >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    rm -f "$log"
    echo "setup.sh: apt-get $1 failed (network? package sources?)" >&2
    return 1
  fi
  rm -f "$log"
}

echo "setup.sh: installing ${missing[*]}" >&2
apt update || echo "setup.sh: going on with the package lists that are there" >&2
apt install --yes --no-install-recommends "${missing[@]}"
