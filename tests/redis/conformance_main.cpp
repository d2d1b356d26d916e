// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include <lrpc/queue/conformance.hpp>

#include "server.hpp"
#include "server_clock.hpp"

/// Runs the suite over a real redis-server whose clock is the one that the tests move.
int main(int argc, char** argv) {
  namespace conformance = lrpc::queue::conformance;
  namespace redis = lrpc::queue::redis;
  using conformance::Capability;

  testing::InitGoogleTest(&argc, argv);

  redis::ServerClock clock;
  const redis::RedisServer server({}, clock.launcher());
  int queues = 0;
  conformance::Subject subject;
  subject.open = [&](lrpc::queue::Config config) {
    if (config.clock) clock.follow(config.clock);
    config.storage_type = lrpc::queue::StorageType::redis;
    config.redis_config = server.config();
    config.redis_config.key_prefix = "test" + std::to_string(++queues) + ":";
    return lrpc::queue::Queue::open(std::move(config));
  };
  subject.claims.erase(Capability::typed_bodies);
  conformance::register_suite("redis", subject);
  return RUN_ALL_TESTS();
}
