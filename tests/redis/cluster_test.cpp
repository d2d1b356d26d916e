// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// A real cluster whose slots move and whose nodes die.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "redis/cluster.hpp"
#include "redis/keys.hpp"
#include "redis/script.hpp"
#include "server_group.hpp"

namespace lrpc::queue::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::UnorderedElementsAreArray;

Result<Reply> ask_route(Route& route, std::initializer_list<std::string_view> words, Repeat repeat = Repeat::no) {
  return route.command(*words.begin(), command(words), in(kPatience), repeat);
}

TEST(SlotTest, OfKeys) {
  EXPECT_EQ(slot_of("123456789"), 0x31C3) << "the check value of CRC16/XMODEM";
  EXPECT_EQ(slot_of(""), 0);
  EXPECT_EQ(slot_of("foo"), 12'182);
  EXPECT_EQ(slot_of("x{foo}y"), 12'182);
  EXPECT_EQ(slot_of("{foo}{bar}"), 12'182) << "the first tag counts";
  EXPECT_EQ(slot_of("foo{{bar}}zap"), slot_of("{bar"));
  EXPECT_NE(slot_of("foo{}{bar}"), slot_of("bar")) << "an empty tag is none";
  EXPECT_NE(slot_of("{foo"), slot_of("foo"));
  const Keys keys("lrpc:queue:", "jobs", true);
  for (const std::string& key :
       {keys.registry(), keys.backlog(), keys.stream("c"), keys.delayed("c"), keys.dead("c")}) {
    EXPECT_EQ(slot_of(key), slot_of("jobs")) << key;
  }
}

/// The tests share a cluster, as it takes seconds to make; each leaves its slots somewhere and its keys behind.
class ClusterTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { shared_ = std::make_unique<RedisCluster>(); }
  static void TearDownTestSuite() { shared_.reset(); }
  ClusterTest() : cluster_(*shared_), client_(must(ClusterClient::open(shared_->config()))) {}

  /// A key of the test's own at a node.
  std::string key_at(std::size_t node) {
    return cluster_.key_at(node, std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + "-");
  }

  RedisCluster& cluster_;
  const std::shared_ptr<ClusterClient> client_;

 private:
  static inline std::unique_ptr<RedisCluster> shared_;
};

TEST_F(ClusterTest, SlotsAreTheServers) {
  for (const char* key : {"a", "user:1", "{t}:x", "a{b}c", "{}x", "x{}", "}{", "{a}{b}"}) {
    EXPECT_EQ(cluster_.ask(0, {"CLUSTER", "KEYSLOT", key}).number(), slot_of(key)) << key;
  }
}

TEST_F(ClusterTest, EachKeyIsAtItsMaster) {
  for (std::size_t i = 0; i < cluster_.size(); ++i) {
    const std::string key = key_at(i);
    const auto route = client_->route(key);
    EXPECT_EQ(must(ask_route(*route, {"SET", key, "v"})).text(), "OK");
    EXPECT_EQ(cluster_.ask(i, {"GET", key}).text(), "v");
    EXPECT_EQ(route->where(), cluster_.node(i).address());
    EXPECT_EQ(must(route->own_connection(in(kPatience)))->where(), cluster_.node(i).address());
  }
}

TEST_F(ClusterTest, ChosenByTheConfiguration) {
  EXPECT_TRUE(must(connect_client(cluster_.config()))->cluster());
  RedisConfig config = cluster_.config();
  config.cluster = false;
  const auto single = must(connect_client(config));
  EXPECT_FALSE(single->cluster());
  EXPECT_EQ(single->nodes().size(), 1U);
  // Who forgot it hears of it.
  const std::string key = key_at(1);
  EXPECT_THAT(error_of_call(ask_route(*single->route(key), {"GET", key})).message, HasSubstr("redis_config.cluster"));
}

TEST_F(ClusterTest, NodesAreTheMasters) {
  std::vector<std::string> seen;
  std::vector<std::string> expected;
  for (const auto& node : client_->nodes()) {
    seen.push_back(node->where());
    EXPECT_TRUE(must(ask_route(*node, {"SCAN", "0"})).is_array());
  }
  for (std::size_t i = 0; i < cluster_.size(); ++i) expected.push_back(cluster_.node(i).address());
  EXPECT_THAT(seen, UnorderedElementsAreArray(expected));
}

TEST_F(ClusterTest, AnyOfTheSeedsWillDo) {
  RedisConfig config = cluster_.config();
  config.addr = "127.0.0.1:" + std::to_string(free_port()) + ", " + cluster_.node(2).address();
  EXPECT_TRUE(ClusterClient::open(config).has_value());
  config.url = "redis://" + cluster_.node(1).address();
  EXPECT_TRUE(ClusterClient::open(config).has_value());
}

TEST_F(ClusterTest, ScriptsRunAtTheirKeys) {
  const Script script("test", "return {redis.call('INCRBY', KEYS[1], ARGV[1]), redis.call('INCR', KEYS[2])}");
  for (std::size_t i = 0; i < cluster_.size(); ++i) {
    const std::string key = "{" + key_at(i) + "}";
    const std::vector<std::string> keys{key + "a", key + "b"};
    const auto route = client_->route(keys[0]);
    for (int n = 1; n <= 3; ++n) {
      const Reply reply = must(script.run(*route, keys, Arguments().add("10"), in(kPatience), Repeat::no));
      EXPECT_EQ(reply[0].number(), 10 * n);
      EXPECT_EQ(reply[1].number(), n);
    }
  }
}

TEST_F(ClusterTest, FollowsASlotThatMoved) {
  const std::string key = key_at(0);
  const auto route = client_->route(key);
  const Script script("test", "return redis.call('INCR', KEYS[1])");
  const auto run = [&] { return script.run(*route, std::vector{key}, {}, in(kPatience), Repeat::no); };
  EXPECT_EQ(must(run()).number(), 1);
  cluster_.move_slot(slot_of(key), 0, 1);
  EXPECT_EQ(must(run()).number(), 2);
  EXPECT_EQ(route->where(), cluster_.node(1).address()) << "the map is the new one";
  EXPECT_EQ(cluster_.ask(1, {"GET", key}).number(), 2);
  // Two moves within one gossip leave the nodes themselves at odds for a while.
  const auto agreed = [&] {
    bool all = true;
    for (std::size_t i = 0; i < cluster_.size(); ++i) all = all && cluster_.owner(slot_of(key), i) == 1;
    return all;
  };
  ASSERT_TRUE(eventually(agreed));
  cluster_.move_slot(slot_of(key), 1, 2);
  EXPECT_EQ(must(route->own_connection(in(kPatience)))->where(), cluster_.node(2).address()) << "asked before";
  Pipeline many;
  for (int i = 0; i < 100; ++i) many.add({"INCR", key});
  const auto replies = must(route->call(many, in(kPatience), Repeat::no));
  ASSERT_EQ(replies.size(), 100U);
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(replies[i].number(), static_cast<std::int64_t>(3 + i));
}

TEST_F(ClusterTest, WithoutRetriesRedirectionsAreFollowedStill) {
  RedisConfig config = cluster_.config();
  config.max_retries = 0;
  const auto client = must(ClusterClient::open(config));
  const std::string key = key_at(0);
  cluster_.move_slot(slot_of(key), 0, 1);
  EXPECT_EQ(must(ask_route(*client->route(key), {"INCR", key})).number(), 1);
}

TEST_F(ClusterTest, AsksWhereAKeyOfAMovingSlotIs) {
  const std::string tag = "{" + key_at(0) + "}";
  const std::uint16_t slot = slot_of(tag);
  const std::string moved = tag + "moved";
  const std::string stays = tag + "stays";
  const std::string fresh = tag + "fresh";
  const auto route = client_->route(tag);
  must(ask_route(*route, {"SET", moved, "1"}));
  cluster_.begin_move(slot, 0, 1);
  cluster_.move_keys(slot, 0, 1);
  // A command in the middle of a pipeline that is done where it was, others that are not.
  must(ask_route(*route, {"SET", fresh, "10"}));
  Pipeline pipeline;
  pipeline.add({"INCR", moved}).add({"ECHO", "here"}).add({"INCR", fresh}).add({"GET", stays}).add({"INCR", moved});
  const auto replies = must(route->call(pipeline, in(kPatience), Repeat::no));
  EXPECT_EQ(replies[0].number(), 2);
  EXPECT_EQ(replies[1].text(), "here");
  EXPECT_EQ(replies[2].number(), 11);
  EXPECT_TRUE(replies[3].is_nil());
  EXPECT_EQ(replies[4].number(), 3);
  EXPECT_EQ(route->where(), cluster_.node(0).address()) << "an ASK is for once";
  const Script script("test", "return redis.call('INCR', KEYS[1])");
  EXPECT_EQ(must(script.run(*route, std::vector{moved}, {}, in(kPatience), Repeat::no)).number(), 4);
  EXPECT_EQ(must(route->own_connection(in(kPatience)))->where(), cluster_.node(0).address());
  cluster_.end_move(slot, 0, 1);
  EXPECT_EQ(must(ask_route(*route, {"INCR", moved})).number(), 5);
  EXPECT_EQ(route->where(), cluster_.node(1).address());
}

TEST_F(ClusterTest, KeysTornApartAreTriedAgain) {
  const std::string tag = "{" + key_at(0) + "}";
  const std::uint16_t slot = slot_of(tag);
  const auto route = client_->route(tag);
  must(ask_route(*route, {"MSET", tag + "a", "1", tag + "b", "2"}));
  cluster_.begin_move(slot, 0, 1);
  cluster_.ask(0, {"MIGRATE", "127.0.0.1", std::to_string(cluster_.node(1).port()), tag + "a", "0", "5000"});
  const Error torn = error_of_call(ask_route(*route, {"MGET", tag + "a", tag + "b"}));
  EXPECT_EQ(torn.code, ErrorCode::unavailable);
  EXPECT_TRUE(torn.retryable);
  EXPECT_THAT(torn.message, HasSubstr("TRYAGAIN"));
  RedisConfig config = cluster_.config();
  config.max_retries = 50;
  const auto patient = must(ClusterClient::open(config));
  std::jthread mover([&] {
    std::this_thread::sleep_for(milliseconds(100));
    cluster_.move_keys(slot, 0, 1);
    cluster_.end_move(slot, 0, 1);
  });
  EXPECT_EQ(must(ask_route(*patient->route(tag), {"MGET", tag + "a", tag + "b"}))[1].text(), "2");
}

TEST_F(ClusterTest, NothingIsLostOrDoubledWhileSlotsMove) {
  RedisConfig config = cluster_.config();
  config.max_retries = 50;
  const auto client = must(ClusterClient::open(config));
  const std::string key = key_at(0);
  std::atomic<bool> over{false};
  std::atomic<std::int64_t> done{0};
  std::atomic<int> failed{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      const auto route = client->route(key);
      while (!over) {
        if (ask_route(*route, {"INCR", key})) {
          ++done;
        } else {
          ++failed;
        }
      }
    });
  }
  for (std::size_t round = 0; round < 6; ++round) {
    std::this_thread::sleep_for(milliseconds(20));
    cluster_.move_slot(slot_of(key), round % 3, (round + 1) % 3);
  }
  over = true;
  threads.clear();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(must(ask_route(*client->route(key), {"GET", key})).number(), done);
}

TEST_F(ClusterTest, BlockedCommandsAreToldThatTheSlotMoved) {
  const std::string key = key_at(0);
  const auto route = client_->route(key);
  const auto own = must(route->own_connection(in(kPatience)));
  std::jthread mover([&] {
    std::this_thread::sleep_for(milliseconds(100));
    cluster_.move_slot(slot_of(key), 0, 2);
  });
  Connection::Call call;
  own->post(call, command({"BLPOP", key, "0"}));
  ASSERT_TRUE(own->await(call, in(kPatience), -1));
  ASSERT_FALSE(call.error);
  mover.join();
  const Error error = error_of(call.replies[0].text(), "BLPOP", own->where());
  EXPECT_EQ(error.code, ErrorCode::unavailable) << error.message;
  EXPECT_EQ(must(route->own_connection(in(kPatience)))->where(), cluster_.node(2).address());
}

TEST_F(ClusterTest, DeadlinesHold) {
  const std::string key = key_at(1);
  const auto route = client_->route(key);
  EXPECT_EQ(error_of_call(route->call(command({"INCR", key}), in(Duration(-1)), Repeat::no)).code, ErrorCode::timeout);
  EXPECT_TRUE(must(ask_route(*route, {"GET", key})).is_nil());
}

TEST(ClusterConfigTest, WhatAClusterCannotDo) {
  const auto message_of = [](const RedisConfig& config) {
    const Error error = error_of_call(ClusterClient::open(config));
    EXPECT_EQ(error.code, ErrorCode::invalid_config);
    return error.message;
  };
  EXPECT_THAT(message_of({.db = 1, .cluster = true}), HasSubstr("redis_config.db"));
  EXPECT_THAT(message_of({.addr = "/run/redis.sock", .cluster = true}), HasSubstr("redis_config.addr"));
  EXPECT_THAT(message_of({.addr = "a:1,b:c", .cluster = true}), HasSubstr("redis_config.addr"));
  EXPECT_THAT(message_of({.key_prefix = "a{}b", .cluster = true}), HasSubstr("redis_config.key_prefix"));
  EXPECT_THAT(message_of({.sentinel = {.master = "m", .addrs = {"a"}}, .cluster = true}), HasSubstr("sentinel"));
  const RedisServer single;
  RedisConfig config = single.config();
  config.cluster = true;
  EXPECT_THAT(message_of(config), HasSubstr("redis_config.cluster"));
  config.addr = "127.0.0.1:" + std::to_string(free_port());
  const Error nobody = error_of_call(ClusterClient::open(config));
  EXPECT_EQ(nobody.code, ErrorCode::unavailable);
  EXPECT_THAT(nobody.message, HasSubstr(config.addr));
}

TEST(ClusterLossTest, AKilledMasterIsUnavailableUntilAnotherIsMade) {
  RedisCluster cluster(3);
  const std::size_t replica = cluster.add_replica(1);
  const auto client = must(ClusterClient::open(cluster.config()));
  const std::string key = cluster.key_at(1);
  const std::string other = cluster.key_at(2);
  const auto route = client->route(key);
  must(ask_route(*route, {"SET", key, "v"}));
  EXPECT_EQ(must(ask_route(*route, {"WAIT", "1", "10000"})).number(), 1);
  cluster.node(1).kill();
  static_cast<void>(ask_route(*route, {"GET", key}));  // may have been sent
  const auto own = route->own_connection(in(kPatience));
  const Result<Reply> reply = ask_route(*route, {"GET", key});
  // Unless the replica was quicker.
  if (!reply) {
    EXPECT_EQ(reply.error().code, ErrorCode::unavailable) << reply.error().message;
  }
  if (!own) {
    EXPECT_EQ(own.error().code, ErrorCode::unavailable) << own.error().message;
  }
  const auto until = [](const std::function<bool()>& condition) {
    for (const SteadyTime end = in(seconds(40)); !condition() && std::chrono::steady_clock::now() < end;) {
      std::this_thread::sleep_for(milliseconds(20));
    }
    return condition();
  };
  EXPECT_TRUE(until([&] { return ask_route(*route, {"SET", key, "w"}).has_value(); }));
  EXPECT_EQ(route->where(), cluster.node(replica).address());
  EXPECT_TRUE(until([&] { return ask_route(*client->route(other), {"SET", other, "w"}).has_value(); }));
}

TEST(ClusterLossTest, AKilledMasterWithoutReplicaIsUnavailable) {
  RedisCluster cluster(3, {"--cluster-require-full-coverage", "no"});
  const auto client = must(ClusterClient::open(cluster.config()));
  const std::string lost = cluster.key_at(0);  // the seed, too
  const std::string kept = cluster.key_at(1);
  must(ask_route(*client->route(lost), {"SET", lost, "v"}));
  cluster.node(0).kill();
  EXPECT_TRUE(eventually([&] {
    const auto reply = ask_route(*client->route(lost), {"GET", lost});
    return !reply && reply.error().code == ErrorCode::unavailable;
  }));
  EXPECT_EQ(must(ask_route(*client->route(kept), {"SET", kept, "v"})).text(), "OK") << "the others serve on";
  EXPECT_GE(client->nodes().size(), 2U);
}

TEST(ClusterLoginTest, PasswordIsAllNodes) {
  RedisCluster cluster(3);
  for (std::size_t i = 0; i < 3; ++i) cluster.ask(i, {"CONFIG", "SET", "requirepass", "secret"});
  RedisConfig config = cluster.config();
  EXPECT_EQ(error_of_call(ClusterClient::open(config)).code, ErrorCode::permission);
  config.password = "secret";
  const auto client = must(ClusterClient::open(config));
  for (int i = 0; i < 20; ++i) {
    const std::string key = "k" + std::to_string(i);
    EXPECT_TRUE(ask_route(*client->route(key), {"SET", key, "v"}).has_value());
  }
}

}  // namespace
}  // namespace lrpc::queue::redis
