// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/member.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "client_fixture.hpp"

namespace lrpc::queue::kafka::test {
namespace {

// After each rebalance librdkafka takes back, when it likes, what says in which queue a partition's records come: in
// the group's own nothing would bound them.
TEST(Member, ReadsNoFurtherThanThereIsRoomAlsoAfterEveryRebalance) {
  constexpr int kPartitions = 3;
  constexpr std::size_t kEach = 40'000;
  constexpr std::int64_t kMostReady = 2'000;
  // Beside what is allowed: the last batch of each lane, and what a fetch brought before its queue was told again.
  constexpr std::int64_t kBeyond = 2 * 1'000 + kPartitions * 2'000;
  constexpr int kRebalances = 6;
  Config config;
  config.kafka_config = shared_config();
  const auto cluster = good(Cluster::connect({.config = config, .clock = system_clock(), .logger = silent()}));
  const std::string topic = new_topic(kPartitions);
  const std::string retry_topic = new_topic(kPartitions);
  RawProducer producer(shared_broker().settings());
  for (int partition = 0; partition < kPartitions; ++partition) {
    producer.produce(topic, std::vector<RawRecord>(kEach, {.value = std::string(500, 'x'), .partition = partition}));
  }

  ChannelState state(1);
  Member member({.cluster = cluster,
                 .channel_text = "a channel",
                 .group = unique_name("group"),
                 .topic = topic,
                 .retry_topic = retry_topic,
                 .most_ready = kMostReady,
                 .on_moves = [] {}},
                state);
  good(member.start());
  std::unique_lock lock(state.mutex);
  std::int64_t most = 0;
  const auto await_full = [&] {
    const bool full = state.changed.wait_until(lock, soon(), [&] {
      most = std::max(most, state.shelf.ready());
      return state.shelf.ready() >= kMostReady;
    });
    ASSERT_TRUE(full) << state.shelf.ready() << " are ready";
  };
  const auto take_all = [&] {
    std::vector<Delivery> taken(static_cast<std::size_t>(state.shelf.ready()));
    ASSERT_EQ(state.shelf.hand_out(taken, Shelf::kForever), taken.size());
    for (const Delivery& each : taken) ASSERT_TRUE(state.shelf.settle(each.tag));
    member.wake();
  };
  await_full();
  for (int i = 0; i < kRebalances && !HasFatalFailure(); ++i) {
    state.widened = true;  // it joins anew
    member.wake();
    while (state.widened) state.changed.wait_for(lock, std::chrono::milliseconds(1));
    // Of the assignment that ends, perhaps, and then of the next.
    for (int k = 0; k < 3 && !HasFatalFailure(); ++k) {
      take_all();
      await_full();
    }
  }
  EXPECT_LE(most, kMostReady + kBeyond);
  lock.unlock();
  good(member.stop(soon()));
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
