// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/member.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "client_fixture.hpp"
#include "kafka/cluster.hpp"
#include "kafka/topic.hpp"

namespace lrpc::queue::kafka::test {
namespace {

// When partitions are assigned anew, librdkafka takes back, a moment later, what says in which queue their records
// come: in the group's own nothing would bound them.
TEST(Member, ReadsNoFurtherThanThereIsRoomAlsoAfterRebalancesAndRelocations) {
  constexpr int kPartitions = 3;
  constexpr std::size_t kEach = 40'000;
  constexpr std::int64_t kMostReady = 2'000;
  // Beside what is allowed: the last batch of each lane, and what a fetch brought before its queue was told again.
  constexpr std::int64_t kBeyond = 2 * 1'000 + kPartitions * 2'000;
  constexpr std::int64_t kSkipped = 5'000;
  constexpr int kTimes = 4;
  Config config;
  config.kafka_config = shared_config();
  config.kafka_config.topic_prefix = unique_name("member") + "-";
  config.kafka_config.partition = kPartitions;
  config.kafka_config.extra = {{"queued.max.messages.kbytes", "512"}};  // what is fetched next lies not far ahead
  const auto cluster = good(Cluster::connect({.config = config, .clock = system_clock(), .logger = silent()}));
  const std::string topic = cluster->names.topic("t");
  {
    detail::Gate gate;
    KafkaTopic maker(cluster, "t", {});
    good(maker.open(gate));
    good(good(maker.open_channel("c", {}, true))->close());
  }
  RawProducer producer(shared_broker().settings());
  for (int partition = 0; partition < kPartitions; ++partition) {
    producer.produce(topic, std::vector<RawRecord>(kEach, {.value = std::string(500, 'x'), .partition = partition}));
  }

  ChannelState state(1);
  Member member({.cluster = cluster,
                 .channel_text = "a channel",
                 .group = cluster->names.group("t", "c"),
                 .topic = topic,
                 .retry_topic = cluster->names.retry_topic("t", "c"),
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
    ASSERT_TRUE(full) << state.shelf.ready() << " are ready, " << most << " were at most; "
                      << (state.trouble ? state.trouble->message : "no trouble");
  };
  const auto take_all = [&] {
    std::vector<Delivery> taken(static_cast<std::size_t>(state.shelf.ready()));
    ASSERT_EQ(state.shelf.hand_out(taken, Shelf::kForever), taken.size());
    for (const Delivery& each : taken) ASSERT_TRUE(state.shelf.settle(each.tag));
    member.wake();
  };
  // Of what was read before, perhaps, and then of what comes.
  const auto go_on = [&] {
    for (int i = 0; i < 3 && !HasFatalFailure(); ++i) {
      take_all();
      await_full();
    }
  };
  await_full();
  for (int i = 0; i < kTimes && !HasFatalFailure(); ++i) {
    state.widened = true;  // it joins anew
    member.wake();
    while (state.widened) state.changed.wait_for(lock, std::chrono::milliseconds(1));
    go_on();
  }
  // What is to be read next goes while there is no room for it.
  RawAdmin admin(shared_broker().settings());
  for (int partition = 0; partition < kPartitions && !HasFatalFailure(); ++partition) {
    const std::int64_t place = state.shelf.read_to({.lane = Lane::topic, .number = partition});
    lock.unlock();
    admin.delete_records(topic, partition, place + kSkipped);
    lock.lock();
    go_on();
    EXPECT_GT(state.lost, partition * kSkipped / 2) << "it did not relocate";
  }
  EXPECT_LE(most, kMostReady + kBeyond);
  lock.unlock();
  good(member.stop(soon()));
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
