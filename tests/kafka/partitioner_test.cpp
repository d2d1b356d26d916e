// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/partitioner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace lrpc::queue::kafka {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

// From the Java client's own test (UtilsTest.testMurmur2).
TEST(Murmur2, AsTheJavaClient) {
  const std::map<std::string, std::int32_t> known{{"21", -973932308},
                                                  {"foobar", -790332482},
                                                  {"a-little-bit-long-string", -985981536},
                                                  {"a-little-bit-longer-string", -1486304829},
                                                  {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
                                                  {"abc", 479470107}};
  for (const auto& [text, hash] : known) EXPECT_EQ(static_cast<std::int32_t>(murmur2(text)), hash) << text;
}

TEST(Partitioner, KeysGoWhereLibrdkafkaSendsThem) {
  std::mt19937 random(7);
  for (int i = 0; i < 2'000; ++i) {
    std::string key(random() % 40 + 1, '\0');
    for (char& c : key) c = static_cast<char>(random());
    const auto partitions = static_cast<std::int32_t>(random() % 50 + 1);
    EXPECT_EQ(partition_of_key(key, partitions),
              rd_kafka_msg_partitioner_murmur2(nullptr, key.data(), key.size(), partitions, nullptr, nullptr));
  }
}

TEST(Partitioner, AKeyDecidesWhateverTheBalancer) {
  for (const Balancer balancer : {Balancer::least_bytes, Balancer::hash, Balancer::round_robin}) {
    Partitioner partitioner(balancer);
    for (int i = 0; i < 10; ++i)
      EXPECT_EQ(partitioner.choose("key", std::to_string(i), 5, 7), partition_of_key("key", 7));
  }
}

TEST(Partitioner, HashGoesByTheId) {
  Partitioner partitioner(Balancer::hash);
  EXPECT_EQ(partitioner.choose("", "id-1", 5, 7), partition_of_key("id-1", 7));
  EXPECT_EQ(partitioner.choose("", "id-2", 5, 7), partition_of_key("id-2", 7));
}

TEST(Partitioner, RoundRobinTakesTurns) {
  Partitioner partitioner(Balancer::round_robin);
  std::vector<std::int32_t> chosen;
  for (int i = 0; i < 5; ++i) chosen.push_back(partitioner.choose("", "", 5, 3));
  EXPECT_THAT(chosen, ElementsAre(0, 1, 2, 0, 1));
}

TEST(Partitioner, LeastBytesEvensOut) {
  Partitioner partitioner(Balancer::least_bytes);
  std::vector<std::int32_t> chosen;
  for (const std::size_t bytes : {100U, 30U, 30U, 30U, 30U, 30U, 0U, 0U})
    chosen.push_back(partitioner.choose("", "", bytes, 3));
  EXPECT_THAT(chosen, ElementsAre(0, 1, 2, 1, 2, 1, 2, 2));
}

TEST(Partitioner, LeastBytesCountsKeyedMessages) {
  Partitioner partitioner(Balancer::least_bytes);
  const std::int32_t keyed = partitioner.choose("key", "", 1'000, 2);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(partitioner.choose("", "", 10, 2), 1 - keyed);
}

TEST(Partitioner, ANewPartitionTakesItsShareOnly) {
  Partitioner partitioner(Balancer::least_bytes);
  for (int i = 0; i < 100; ++i) static_cast<void>(partitioner.choose("", "", 10, 2));
  std::vector<int> share(3);
  for (int i = 0; i < 99; ++i) ++share[static_cast<std::size_t>(partitioner.choose("", "", 10, 3))];
  EXPECT_THAT(share, Each(33));
}

TEST(Partitioner, OnePartitionIsNoChoice) {
  for (const Balancer balancer : {Balancer::least_bytes, Balancer::hash, Balancer::round_robin}) {
    Partitioner partitioner(balancer);
    EXPECT_EQ(partitioner.choose("", "id", 10, 1), 0);
    EXPECT_EQ(partitioner.choose("key", "id", 10, 1), 0);
  }
}

TEST(Partitioner, ManyThreads) {
  Partitioner partitioner(Balancer::least_bytes);
  std::vector<std::jthread> threads;
  std::array<std::atomic<int>, 4> share{};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1'000; ++i) ++share[static_cast<std::size_t>(partitioner.choose("", "", 10, 4))];
    });
  }
  threads.clear();
  for (const auto& each : share) EXPECT_EQ(each, 1'000);
}

}  // namespace
}  // namespace lrpc::queue::kafka
