// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// A master that sentinels name: real failovers, of a dead and of a living master.
#include <signal.h>

#include <atomic>
#include <string>
#include <thread>

#include "fixture.hpp"
#include "redis/script.hpp"
#include "server_group.hpp"

namespace lrpc::queue::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

/// A call that is made again until it succeeds: a failover takes its time.
Result<Reply> ask_until_done(Client& client, std::initializer_list<std::string_view> words) {
  for (const SteadyTime end = in(seconds(30));;) {
    Result<Reply> reply = ask(client, words);
    if (reply || std::chrono::steady_clock::now() > end) return reply;
    std::this_thread::sleep_for(milliseconds(50));
  }
}

TEST(SentinelTest, FindsTheMaster) {
  SentinelTrio trio(1, "watchword");
  RedisConfig config = trio.config();
  const auto client = must(Client::open(config));
  EXPECT_EQ(must(ask(*client, {"SET", "k", "v"})).text(), "OK") << "a replica would refuse it";
  EXPECT_THAT(client->where(), HasSubstr(trio.server(0).address()));
  EXPECT_THAT(client->where(), HasSubstr(trio.name()));
  EXPECT_EQ(must(must(client->own_connection(in(kPatience)))->call(command({"GET", "k"}), in(kPatience)))[0].text(),
            "v");

  // Some that are no sentinels do not matter.
  config.sentinel.addrs.insert(config.sentinel.addrs.begin(), "127.0.0.1:" + std::to_string(free_port()));
  config.sentinel.addrs.insert(config.sentinel.addrs.begin(), trio.server(1).address());
  EXPECT_EQ(must(ask(*must(Client::open(config)), {"GET", "k"})).text(), "v");

  config = trio.config();
  config.sentinel.password = "guess";
  const Error password = error_of_call(Client::open(config));
  EXPECT_EQ(password.code, ErrorCode::permission) << password.message;
  EXPECT_THAT(password.message, HasSubstr("redis_config.sentinel.password"));
  EXPECT_EQ(password.message.find("guess"), std::string::npos);
  config.sentinel.password.clear();
  EXPECT_EQ(error_of_call(Client::open(config)).code, ErrorCode::permission);

  config = trio.config();
  config.sentinel.master = "nobody";
  const Error name = error_of_call(Client::open(config));
  EXPECT_EQ(name.code, ErrorCode::invalid_config);
  EXPECT_THAT(name.message, HasSubstr("redis_config.sentinel.master"));
  EXPECT_THAT(name.message, HasSubstr("nobody"));
  EXPECT_THAT(name.message, HasSubstr(trio.sentinel(2)));

  // Without sentinels the last master known has to do, for who knows one.
  for (std::size_t i = 0; i < 3; ++i) trio.kill_sentinel(i);
  EXPECT_TRUE(client->own_connection(in(kPatience)).has_value());
  const Error gone = error_of_call(Client::open(trio.config()));
  EXPECT_EQ(gone.code, ErrorCode::unavailable);
  EXPECT_TRUE(gone.retryable);
  EXPECT_THAT(gone.message, HasSubstr("redis_config.sentinel.addrs"));
  EXPECT_THAT(gone.message, HasSubstr(trio.sentinel(0)));
}

TEST(SentinelTest, AddressesAreChecked) {
  const Error error = error_of_call(Client::open({.sentinel = {.master = "m", .addrs = {"host:port"}}}));
  EXPECT_EQ(error.code, ErrorCode::invalid_config);
  EXPECT_THAT(error.message, HasSubstr("redis_config.sentinel.addrs"));
  EXPECT_EQ(error_of_call(Client::open({.sentinel = {.master = "m"}})).code, ErrorCode::invalid_config);
}

TEST(SentinelTest, FollowsAFailoverFromADeadMaster) {
  SentinelTrio trio(2);
  RedisConfig config = trio.config();
  config.min_idle_conns = 3;
  const auto client = must(Client::open(config));
  must(ask(*client, {"SET", "k", "v"}));
  // What is acknowledged here is at both replicas.
  EXPECT_EQ(must(ask(*client, {"WAIT", "2", "10000"})).number(), 2);
  trio.server(0).kill();
  const std::size_t next = trio.await_master_other_than(0);
  EXPECT_EQ(must(ask_until_done(*client, {"SET", "after", "w"})).text(), "OK");
  EXPECT_EQ(must(ask(*client, {"GET", "k"})).text(), "v");
  EXPECT_THAT(client->where(), HasSubstr(trio.server(next).address()));

  // The old one comes back as a master that knows nothing, and is not believed.
  trio.server(0).start();
  const auto own = must(client->own_connection(in(kPatience)));
  EXPECT_EQ(own->where(), trio.server(next).address());
  EXPECT_EQ(must(ask(*must(Client::open(config)), {"GET", "after"})).text(), "w");
}

TEST(SentinelTest, FollowsAFailoverFromALivingMaster) {
  SentinelTrio trio(1);
  const auto client = must(Client::open(trio.config()));
  std::atomic<bool> over{false};
  std::atomic<int> done{0};
  std::jthread worker([&] {
    while (!over) done += ask(*client, {"INCR", "n"}).has_value() ? 1 : 0;
  });
  EXPECT_TRUE(eventually([&] { return done > 0; }));
  trio.fail_over();
  EXPECT_EQ(trio.await_master_other_than(0), 1U);
  EXPECT_TRUE(eventually([&] { return client->where().contains(trio.server(1).address()); })) << client->where();
  const int before = done;
  EXPECT_TRUE(eventually([&] { return done > before + 10; })) << "no calls after the failover";
  over = true;
}

TEST(SentinelTest, LeavesAMasterThatIsNoLongerMeant) {
  SentinelTrio trio(0);
  const RedisServer other;
  const auto client = must(Client::open(trio.config()));
  must(ask(*client, {"SET", "k", "old"}));
  trio.name_master(other);
  // The old one neither ends a connection nor refuses anything.
  EXPECT_TRUE(eventually([&] { return must(ask(*client, {"GET", "k"})).is_nil(); }));
  EXPECT_THAT(client->where(), HasSubstr(other.address()));
}

/// How it is with a name or virtual address that moves: no sentinel tells.
class RefusalTest : public testing::Test {
 protected:
  RefusalTest() : observer_(must(Client::open(server_.config()))) {}
  std::int64_t id(Client& client) { return must(ask(client, {"CLIENT", "ID"})).number().value_or(0); }

  RedisServer server_;
  const std::shared_ptr<Client> observer_;
};

TEST_F(RefusalTest, AReplicasConnectionsAreGivenUpAndTheCallMadeAgain) {
  RedisConfig config = server_.config();
  config.min_idle_conns = 2;
  config.max_retries = 50;
  const auto client = must(Client::open(config));
  const std::int64_t before = id(*client);
  must(ask(*observer_, {"REPLICAOF", "127.0.0.1", std::to_string(free_port())}));
  std::jthread promoter([&] {
    std::this_thread::sleep_for(milliseconds(100));
    must(ask(*observer_, {"REPLICAOF", "NO", "ONE"}));
  });
  // Refused, surely not done: made again although it may not be repeated.
  EXPECT_EQ(must(ask(*client, {"INCR", "n"})).number(), 1);
  EXPECT_NE(id(*client), before);
  promoter.join();
}

TEST_F(RefusalTest, AReplicaIsAnErrorInTheEnd) {
  RedisConfig config = server_.config();
  config.max_retries = 1;
  const auto client = must(Client::open(config));
  const Script script("test", "return redis.call('INCR', KEYS[1])");
  const std::vector<std::string> keys{"n"};
  must(script.run(*client, keys, {}, in(kPatience), Repeat::no));
  must(ask(*observer_, {"REPLICAOF", "127.0.0.1", std::to_string(free_port())}));
  const Error error = error_of_call(ask(*client, {"INCR", "n"}));
  EXPECT_EQ(error.code, ErrorCode::unavailable);
  EXPECT_TRUE(error.retryable);
  EXPECT_EQ(error_of_call(script.run(*client, keys, {}, in(kPatience), Repeat::no)).code, ErrorCode::unavailable);
  // A pipeline that was done in part is not made again.
  Pipeline two;
  two.add({"ECHO", "x"}).add({"INCR", "n"});
  const auto replies = must(client->call(two, in(kPatience), Repeat::no));
  EXPECT_EQ(replies[0].text(), "x");
  EXPECT_TRUE(is_refusal(replies[1]));
}

}  // namespace
}  // namespace lrpc::queue::redis
