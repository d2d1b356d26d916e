// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <lrpc/queue/conformance.hpp>

/// Runs the suite over the memory back end: with typed bodies, and encoding them as a network back end would.
int main(int argc, char** argv) {
  namespace conformance = lrpc::queue::conformance;
  using lrpc::queue::Config;
  using lrpc::queue::Queue;

  testing::InitGoogleTest(&argc, argv);

  conformance::Subject typed;
  typed.open = [](Config config) { return Queue::open(std::move(config)); };
  conformance::register_suite("memory", typed);

  conformance::Subject serialized;
  serialized.open = [](Config config) {
    config.memory_config.serialize = true;
    return Queue::open(std::move(config));
  };
  serialized.claims.erase(conformance::Capability::typed_bodies);
  conformance::register_suite("memory_serialized", serialized);

  return RUN_ALL_TESTS();
}
