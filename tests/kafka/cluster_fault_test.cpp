// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// A cluster of three that loses brokers under publishers and consumers: another takes over, nothing is lost, and what
// consumers hold they keep (D1, D22).
#include <optional>

#include "queue_fixture.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::IsEmpty;

/// One cluster for all tests; each leaves it whole.
BrokerGroup& cluster() {
  static BrokerGroup group;
  return group;
}

class ClusterFault : public ::testing::Test {
 protected:
  ClusterFault() {
    config_.kafka_config.replication_factor = 3;
    config_.kafka_config.partition = 3;
    publisher_.emplace(config_);
    consumer_.emplace(config_);
    subscription_.emplace(witness_.watch(consumer_->channel));
    stream_.emplace(publisher_->topic, keyed, milliseconds(1));
    EXPECT_TRUE(goes_on());
  }

  [[nodiscard]] const std::string& topic() const { return publisher_->topic_name; }
  /// Publishes and handles more.
  [[nodiscard]] bool goes_on() {
    const std::size_t handled = witness_.ledger.distinct();
    return stream_->goes_on(50, kPatience) && eventually([&] { return witness_.ledger.distinct() > handled + 50; });
  }
  void await_whole() {
    cluster().await_in_sync(topic());
    cluster().await_in_sync("__consumer_offsets");
  }
  void expect_nothing_lost_or_repeated() {
    expect_all(witness_.ledger, stream_->stop());
    expect_passing(stream_->errors());
    expect_empty(consumer_->channel);
    EXPECT_THAT(witness_.ledger.repeated(), IsEmpty());
    EXPECT_TRUE(witness_.keys_are_in_order(kKeys));
    EXPECT_EQ(witness_.clashes(), 0);
    EXPECT_TRUE(publisher_->queue.close().has_value());
    EXPECT_TRUE(consumer_->queue.close().has_value());
  }

  Config config_ = queue_config(cluster().addresses());
  Witness witness_;
  std::optional<Party> publisher_;
  std::optional<Party> consumer_;
  std::optional<Subscription> subscription_;
  std::optional<Publisher> stream_;
};

TEST_F(ClusterFault, D1_D22_brokers_that_are_restarted_one_after_the_other) {
  for (std::size_t i = 0; i < cluster().size(); ++i) {
    await_whole();
    cluster().broker(i).stop();
    EXPECT_TRUE(goes_on()) << "without broker " << i;
    cluster().broker(i).start();
    EXPECT_TRUE(goes_on()) << "with broker " << i << " again";
  }
  await_whole();
  expect_nothing_lost_or_repeated();
}

TEST_F(ClusterFault, D1_D22_a_leader_that_is_killed) {
  const std::size_t leader = cluster().await_leader(topic(), 0);
  cluster().broker(leader).kill();
  cluster().await_leader_other_than(topic(), 0, leader);
  EXPECT_TRUE(goes_on());
  cluster().broker(leader).start();
  await_whole();
  EXPECT_TRUE(goes_on());
  expect_nothing_lost_or_repeated();
}

// It comes back and believes for a moment that it still leads.
TEST_F(ClusterFault, D1_D22_a_leader_that_stood_still) {
  const std::size_t leader = cluster().await_leader(topic(), 0);
  cluster().broker(leader).pause();
  cluster().await_leader_other_than(topic(), 0, leader);
  EXPECT_TRUE(goes_on());
  cluster().broker(leader).resume();
  await_whole();
  EXPECT_TRUE(goes_on());
  expect_nothing_lost_or_repeated();
}

TEST_F(ClusterFault, D1_D22_the_coordinator_of_the_group_is_lost) {
  const std::size_t coordinator = cluster().await_leader("__consumer_offsets", 0);
  const auto held = [&] {
    const auto members = RawAdmin(cluster().settings()).members(consumer_->group);
    return members.empty() ? std::string() : members.front().member_id;
  };
  const std::string member = held();
  cluster().broker(coordinator).kill();
  cluster().await_leader_other_than("__consumer_offsets", 0, coordinator);
  EXPECT_TRUE(goes_on());
  EXPECT_TRUE(eventually([&] { return consumer_->channel.depth().has_value(); }));
  cluster().broker(coordinator).start();
  await_whole();
  EXPECT_TRUE(goes_on());
  EXPECT_EQ(held(), member);  // the group went on with what it had
  expect_nothing_lost_or_repeated();
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
