// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "rig.hpp"

#include <unistd.h>

#include <cstdio>

namespace lrpc::queue::bench {

void die(const std::string& message) {
  fmt::print(stderr, "queue_bench: {}\n", message);
  // Other threads may be running: no destructors.
  _exit(1);
}

}  // namespace lrpc::queue::bench
