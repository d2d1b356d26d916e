// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "queue_fixture.hpp"
#include "support/process_figures.hpp"

namespace lrpc::queue::redis {

/// Works with a queue on these servers and closes it: nothing of it may be left, though its handles live on (D20).
inline void expect_close_leaves_nothing(const RedisConfig& redis) {
  std::thread([] {}).join();  // with the first one the thread sanitizer starts one of its own, which stays
  Config config{.storage_type = StorageType::redis};
  config.redis_config = redis;
  config.logger = [](LogLevel, std::string_view) {};
  const support::ProcessFigures before = support::own_figures();
  Party party(config);
  std::atomic<int> handled{0};
  must(party.channel.subscribe([&](Message<std::string>&) { ++handled; }));
  for (int i = 0; i < 10; ++i) must(party.topic.pub("x"));
  EXPECT_TRUE(eventually([&] { return handled == 10; }));
  EXPECT_GT(support::own_figures().descriptors, before.descriptors);
  must(party.queue.close());
  // A thread that was joined may still be seen for a moment.
  EXPECT_TRUE(eventually([&] { return support::own_figures().threads == before.threads; }));
  EXPECT_EQ(support::own_figures().descriptors, before.descriptors);
  EXPECT_EQ(party.topic.pub("x").error().code, ErrorCode::topic_closed);
  EXPECT_EQ(party.channel.depth().error().code, ErrorCode::channel_closed);
}

}  // namespace lrpc::queue::redis
