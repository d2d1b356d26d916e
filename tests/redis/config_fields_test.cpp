// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The fields of the manual's RedisConfig as a queue uses them, each seen from outside:
//
// | field          | through a queue                               | of the client alone (client_test.cpp) |
// |----------------|-----------------------------------------------|---------------------------------------------------|
// | addr           | Addr                                          | NoServerIsUnavailable, ClientLogin.UnixSocket | |
// password       | Password, WrongPassword.* (fault_test.cpp)    | ClientLogin.Passwords, AclUsersAndTheirLimits     |
// | db             | Db                                            | DatabaseIsSelected | | key_prefix     | KeyPrefix
// |                                                   | | pool_size      | PoolSize | PoolSizeBoundsTheConnections | |
// min_idle_conns | MinIdleConns                                  | MinIdleConnectionsAreOpenAtOnce                   |
// | max_retries    | MaxRetries                                    | RetriesWhatWasNotSentWhileTheServerIsAway, | | |
// | RepeatsAnUnknownOutcomeOnlyWhereItIsSafe          | | dial_timeout   | DialTimeout | DialTimeoutBoundsTheLogin | |
// read_timeout   | ReadTimeout, LineFault.*stalled_server        | ReadTimeoutGivesTheConnectionUp                   |
// | write_timeout  | WriteTimeout                                  | WriteTimeoutBoundsASendThatNobodyTakes | |
// pool_timeout   | PoolTimeout                                   | PoolTimeoutBoundsTheWaitForAConnection            |
#include <signal.h>

#include <memory>

#include <lrpc/queue/redis_client.hpp>

#include "queue_fixture.hpp"

namespace lrpc::queue::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

class ConfigFields : public testing::Test {
 protected:
  /// Connections to the server besides the test's own.
  [[nodiscard]] std::int64_t connections() {
    const std::string list(must(ask(*observer_, {"CLIENT", "LIST"})).text());
    return std::ranges::count(list, '\n') - 1;
  }
  [[nodiscard]] bool has_key(std::string_view key) {
    return must(ask(*observer_, {"EXISTS", key})).number().value_or(0) == 1;
  }
  RedisServer server_;
  Config config_ = queue_config(server_);
  std::shared_ptr<Client> observer_ = must(Client::open(server_.config()));
};

TEST_F(ConfigFields, Addr) {
  const RedisServer second;
  config_.redis_config.addr = second.address();
  const Party party(config_);
  EXPECT_FALSE(has_key(kRegistry));
  EXPECT_EQ(must(ask(*must(Client::open(second.config())), {"EXISTS", kRegistry})).number(), 1);
  config_.redis_config.addr = "127.0.0.1:" + std::to_string(free_port());
  const Error error = error_of_call(Queue::open(config_));
  EXPECT_EQ(error.code, ErrorCode::unavailable);
  EXPECT_THAT(error.message, HasSubstr(config_.redis_config.addr));
}

TEST_F(ConfigFields, Password) {
  must(ask(*observer_, {"CONFIG", "SET", "requirepass", "secret"}));
  EXPECT_EQ(error_of_call(Queue::open(config_)).code, ErrorCode::permission);
  config_.redis_config.password = "secret";
  Party party(config_);
  must(party.topic.pub("x"));  // on each of its connections
  EXPECT_EQ(await_message(party.channel).body(), "x");
}

TEST_F(ConfigFields, Db) {
  config_.redis_config.db = 5;
  Party party(config_);
  must(party.topic.pub("x"));
  EXPECT_EQ(await_message(party.channel).body(), "x");
  EXPECT_FALSE(has_key(kRegistry));
  must(ask(*observer_, {"SELECT", "5"}));
  EXPECT_TRUE(has_key(kRegistry));
  EXPECT_EQ(must(party.queue.topics()), std::vector<std::string>{"orders"});
}

TEST_F(ConfigFields, KeyPrefix) {
  config_.redis_config.key_prefix = "my[app]*:";
  Party party(config_);
  must(party.topic.pub("x"));
  must(party.topic.pub("y", {.delay = std::chrono::hours(1)}));
  must(party.channel.nack(await_message(party.channel), {.dead_letter = true}));
  for (const auto key : {"", ":billing", ":billing:delayed", ":billing:dead"}) {
    EXPECT_TRUE(has_key(std::string("my[app]*:orders") + key)) << key;
  }
  EXPECT_EQ(must(ask(*observer_, {"DBSIZE"})).number(), 4);
  // Neighbours do not see each other.
  Party neighbour(queue_config(server_));
  EXPECT_EQ(must(neighbour.channel.depth()), 0);
  EXPECT_EQ(must(party.queue.topics()), std::vector<std::string>{"orders"});
  must(ask(*observer_, {"HSET", "mya:other", "#", "0"}));
  EXPECT_EQ(must(party.queue.topics()), std::vector<std::string>{"orders"}) << "the prefix is no pattern";
}

TEST_F(ConfigFields, PoolSize) {
  config_.redis_config.pool_size = 2;
  Party party(config_);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) EXPECT_TRUE(party.topic.pub("x").has_value());
      });
    }
  }
  // Besides the pool: one that hears of changes. Nobody waits for messages, which takes one for each channel.
  EXPECT_LE(connections(), 3);
  static_cast<void>(party.channel.try_next(milliseconds(1)));
  EXPECT_LE(connections(), 4);
}

TEST_F(ConfigFields, MinIdleConns) {
  config_.redis_config.min_idle_conns = 4;
  const Queue queue = must(Queue::open(config_));
  EXPECT_EQ(connections(), 4);
}

// With tries again a publish outlasts a restart.
TEST_F(ConfigFields, MaxRetries) {
  config_.redis_config.max_retries = 0;
  Party none(config_);
  config_.redis_config.max_retries = 1000;
  Party many(config_);
  server_.signal(SIGKILL);
  server_.await_end();
  static_cast<void>(many.topic.pub("finds the line dead", {.timeout = milliseconds(50)}));
  EXPECT_FALSE(none.topic.pub("x").has_value());
  EXPECT_FALSE(none.topic.pub("x").has_value());
  std::jthread starter([&] { server_.start(); });
  EXPECT_TRUE(many.topic.pub("y").has_value());
}

TEST_F(ConfigFields, DialTimeout) {
  config_.redis_config.dial_timeout = milliseconds(100);
  config_.redis_config.read_timeout = std::chrono::hours(1);
  server_.signal(SIGSTOP);                   // the kernel still accepts connections for it
  const auto result = Queue::open(config_);  // or the test's own time-out ends it
  server_.signal(SIGCONT);
  const ErrorCode code = error_of_call(result).code;
  EXPECT_TRUE(code == ErrorCode::timeout || code == ErrorCode::unavailable) << to_string(code);
}

TEST_F(ConfigFields, ReadTimeout) {
  config_.redis_config.read_timeout = milliseconds(100);
  config_.redis_config.max_retries = 0;
  Party party(config_);
  server_.signal(SIGSTOP);
  const auto result = party.topic.pub("x");
  server_.signal(SIGCONT);
  const Error error = error_of_call(result);
  EXPECT_EQ(error.code, ErrorCode::outcome_unknown);
  EXPECT_THAT(error.message, HasSubstr("read_timeout"));
}

TEST_F(ConfigFields, WriteTimeout) {
  config_.redis_config.write_timeout = milliseconds(100);
  config_.redis_config.max_retries = 0;
  config_.max_body_size = 64 << 20;
  Party party(config_);
  const std::string body(48 << 20, 'x');  // more than any socket's buffers
  server_.signal(SIGSTOP);
  const auto result = party.topic.pub(body);
  server_.signal(SIGCONT);
  const Error error = error_of_call(result);
  EXPECT_EQ(error.code, ErrorCode::outcome_unknown);
  EXPECT_THAT(error.message, HasSubstr("write_timeout"));
}

TEST_F(ConfigFields, PoolTimeout) {
  config_.redis_config.pool_size = 1;
  config_.redis_config.pool_timeout = milliseconds(50);
  config_.redis_config.read_timeout = seconds(30);
  config_.redis_config.max_retries = 0;
  Party party(config_);
  server_.signal(SIGSTOP);
  std::atomic<int> refused{0};
  std::atomic<bool> said{false};
  {
    std::vector<std::jthread> threads;
    // More than may share one connection. (Publishes would wait for each other before they wait for a connection.)
    for (int t = 0; t < 140; ++t) {
      threads.emplace_back([&] {
        const auto result = party.channel.depth();
        if (result) return;
        ++refused;
        if (result.error().message.find("pool_timeout") != std::string::npos) said = true;
      });
    }
    EXPECT_TRUE(eventually([&] { return refused >= 12; }));
    server_.signal(SIGCONT);
  }
  EXPECT_TRUE(said);
}

TEST_F(ConfigFields, RedisClientIsSharedAndNeverClosed) {
  config_.redis_client = must(RedisClient::connect(config_.redis_config));
  config_.redis_config.addr = "127.0.0.1:1";  // not looked at
  Party one(config_);
  Party other(config_);
  must(one.topic.pub("x"));
  EXPECT_EQ(await_message(other.channel).body(), "x");
  must(one.queue.close());
  must(other.topic.pub("y"));
  EXPECT_EQ(await_message(other.channel).body(), "y");
  must(other.queue.close());
  Party third(config_);
  must(third.topic.pub("z"));
  EXPECT_EQ(must(third.channel.depth()), 3);
}

TEST_F(ConfigFields, RedisClientSharesItsPool) {
  config_.redis_config.pool_size = 1;
  config_.redis_client = must(RedisClient::connect(config_.redis_config));
  {
    std::vector<Queue> queues;
    for (int i = 0; i < 5; ++i) {
      queues.push_back(must(Queue::open(config_)));
      must(must(queues.back().topic<std::string>("orders")).pub("x"));
    }
    EXPECT_EQ(connections(), 1);
  }
  EXPECT_EQ(connections(), 1);
  config_.redis_client.reset();
  EXPECT_TRUE(eventually([&] { return connections() == 0; }));
}

}  // namespace
}  // namespace lrpc::queue::redis
