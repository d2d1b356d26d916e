// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Queues on groups of servers: encrypted ones, and one of whose masters hangs.
#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "close_leaves_nothing.hpp"
#include "queue_fixture.hpp"
#include "redis/cluster.hpp"
#include "redis/keys.hpp"
#include "server_group.hpp"

namespace lrpc::queue::redis {
namespace {

using std::chrono::milliseconds;
using testing::AnyOf;
using testing::HasSubstr;

Config queue_on(const RedisConfig& redis) {
  Config config{.storage_type = StorageType::redis, .retry_delay = Duration(10)};
  config.redis_config = redis;
  config.logger = [](LogLevel, std::string_view) {};
  return config;
}

/// A topic whose keys are in the charge of a node.
std::string topic_at(RedisCluster& cluster, std::size_t node) {
  for (int i = 0;; ++i) {
    std::string topic = "topic" + std::to_string(i);
    if (cluster.owner(slot_of(Keys(RedisConfig().key_prefix, topic, true).registry()), node) == node) return topic;
  }
}

/// A topic and its one channel.
struct Line {
  Line(Queue& queue, const std::string& name)
      : topic(must(queue.topic<std::string>(name))), channel(must(topic.get_or_add_channel("c"))) {}
  Topic<std::string> topic;
  Channel<std::string> channel;
};

TEST(TlsCluster, APublishAtEachMasterArrives) {
  if (!server_has_tls()) GTEST_SKIP() << "this server cannot do TLS";
  const Certificates pem;
  RedisCluster cluster(3, {}, {}, &pem);
  Queue queue = must(Queue::open(queue_on(cluster.config())));
  std::string last;
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    last = topic_at(cluster, i);
    Line line(queue, last);
    must(line.topic.pub("x"));
    const auto message = await_message(line.channel);
    EXPECT_EQ(message.body(), "x");
    must(line.channel.ack(message));
  }
  // What is told by MOVED is gone to by TLS, too.
  Line line(queue, last);
  const std::uint16_t slot = slot_of(Keys(RedisConfig().key_prefix, last, true).registry());
  must(line.topic.pub("before"));
  const auto held = await_message(line.channel);
  cluster.move_slot(slot, 2, 0);
  EXPECT_TRUE(eventually([&] { return line.topic.pub("after").has_value(); }));
  EXPECT_TRUE(eventually([&] { return line.channel.ack(held).has_value(); }));
  EXPECT_EQ(await_message(line.channel).body(), "after");
  RedisConfig plain = cluster.config();
  plain.tls = {};
  plain.dial_timeout = milliseconds(500);
  EXPECT_FALSE(Queue::open(queue_on(plain)).has_value()) << "nobody talks plainly there";
}

TEST(TlsSentinel, AFailoverIsFollowed) {
  if (!server_has_tls()) GTEST_SKIP() << "this server cannot do TLS";
  const Certificates pem;
  SentinelTrio trio(1, "watchword", {}, &pem);
  Queue queue = must(Queue::open(queue_on(trio.config())));
  Line line(queue, "orders");
  must(line.topic.pub("before"));
  const auto before = await_message(line.channel);
  EXPECT_EQ(before.body(), "before");
  must(line.channel.ack(before));
  trio.fail_over();
  EXPECT_EQ(trio.await_master_other_than(0), 1U);
  EXPECT_TRUE(eventually([&] { return line.topic.pub("after").has_value(); }));
  EXPECT_EQ(await_message(line.channel).body(), "after");
}

TEST(Close, D20_leaves_no_connection_to_a_cluster) {
  const RedisCluster cluster;
  expect_close_leaves_nothing(cluster.config());
}

TEST(Close, D20_leaves_no_connection_to_sentinels) {
  const SentinelTrio trio;
  expect_close_leaves_nothing(trio.config());
}

// Not dead for the others: nobody takes its place.
TEST(HungMaster, D22_calls_end_others_go_on_and_it_recovers) {
  RedisCluster cluster(3, {"--cluster-node-timeout", "60000"});
  Config config = queue_on(cluster.config());
  config.redis_config.read_timeout = milliseconds(300);
  config.redis_config.max_retries = 0;
  Queue queue = must(Queue::open(config));
  Line hung(queue, topic_at(cluster, 1));
  Line other(queue, topic_at(cluster, 2));
  Ledger at_hung;
  Ledger at_other;
  const auto record = [](Line& line, Ledger& ledger) {
    return must(line.channel.subscribe([&ledger](const Message<std::string>& m) { ledger.saw(m.body()); }));
  };
  const Subscription first = record(hung, at_hung);
  const Subscription second = record(other, at_other);
  must(hung.topic.pub("0"));
  // And acked: while a call is under way on it the next one would take another connection, and not get it.
  EXPECT_TRUE(eventually([&] { return at_hung.has({"0"}) && hung.channel.depth() == 0; }));
  cluster.node(1).signal(SIGSTOP);
  const auto lost = hung.topic.pub("1");
  const auto again = hung.topic.pub("2");  // on a new connection, which the kernel accepts
  std::vector<std::string> bodies;
  for (int i = 0; i < 20; ++i) {
    bodies.push_back(std::to_string(i));
    must(other.topic.pub(bodies.back()));
  }
  EXPECT_TRUE(eventually([&] { return at_other.has(bodies); }));
  cluster.node(1).signal(SIGCONT);
  const Error error = error_of_call(lost);
  EXPECT_EQ(error.code, ErrorCode::outcome_unknown);
  EXPECT_THAT(error.message, HasSubstr("read_timeout"));
  EXPECT_THAT(error_of_call(again).code, AnyOf(ErrorCode::unavailable, ErrorCode::timeout, ErrorCode::outcome_unknown));
  EXPECT_TRUE(eventually([&] { return hung.topic.pub("3").has_value(); }));
  EXPECT_TRUE(eventually([&] { return at_hung.has({"3"}); }));
}

}  // namespace
}  // namespace lrpc::queue::redis
