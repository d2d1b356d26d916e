// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Servers that die, stall, fill up or refuse: what was accepted stays, callers learn what is wrong, and all goes on by
// itself when the fault is over (D1, D22).
#include <signal.h>

#include <memory>

#include "queue_fixture.hpp"

namespace lrpc::queue::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;

/// Bodies that come to a subscription.
Subscription record(Channel<std::string>& channel, Ledger& ledger) {
  return must(channel.subscribe([&ledger](const Message<std::string>& m) { ledger.saw(m.body()); }));
}

void expect_all(const Ledger& ledger, const std::vector<std::string>& bodies) {
  EXPECT_TRUE(eventually([&] { return ledger.has(bodies); }));
  EXPECT_THAT(ledger.missing(bodies), IsEmpty());
}

class ServerDeath : public testing::TestWithParam<int> {};

TEST_P(ServerDeath, D1_D22_nothing_accepted_is_lost_and_consumers_go_on) {
  RedisServer server(kDurable);
  Ledger ledger;
  Party consumer(server);
  Party publisher(server);
  const Subscription subscription = record(consumer.channel, ledger);
  Publisher stream(publisher.topic, {.timeout = milliseconds(500)});
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(stream.goes_on());
    server.signal(GetParam());
    server.await_end();
    const std::size_t errors = stream.errors().size();
    EXPECT_TRUE(eventually([&] { return stream.errors().size() > errors; }));
    server.start();
    ASSERT_TRUE(stream.goes_on());
  }
  const auto accepted = stream.stop();
  expect_all(ledger, accepted);
  for (const Error& error : stream.errors()) {
    ASSERT_THAT(error.code, AnyOf(ErrorCode::unavailable, ErrorCode::outcome_unknown)) << error.message;
    ASSERT_TRUE(error.retryable || error.code == ErrorCode::outcome_unknown) << error.message;
  }
  EXPECT_TRUE(eventually([&] { return consumer.channel.depth().value_or(-1) == 0; }));
}
std::string name_of_end(const testing::TestParamInfo<int>& end) {
  return end.param == SIGKILL ? "killed" : "restarted";
}
INSTANTIATE_TEST_SUITE_P(, ServerDeath, testing::Values(SIGTERM, SIGKILL), name_of_end);

TEST(ServerDeathNext, D22_a_blocked_next_goes_on_after_a_restart) {
  RedisServer server(kDurable);
  Party consumer(server);
  Party publisher(server);
  std::atomic<bool> came{false};
  const std::jthread waiting([&] {
    const auto message = consumer.channel.next();
    came = message && message->body() == "after" && consumer.channel.ack(*message);
  });
  server.signal(SIGKILL);
  server.await_end();
  server.start();
  EXPECT_TRUE(eventually([&] { return publisher.topic.pub("after").has_value(); }));
  EXPECT_TRUE(eventually([&] { return came.load(); }));
}

TEST(ServerDeathNext, D22_a_publish_ends_within_its_time) {
  RedisServer server(kDurable);
  Config config = queue_config(server);
  config.redis_config.max_retries = 1000;
  config.redis_config.pool_timeout = config.redis_config.read_timeout = config.redis_config.write_timeout =
      milliseconds(200);  // of close, which takes leave
  Party publisher(config);
  server.signal(SIGKILL);
  server.await_end();
  const Error error = error_of_call(publisher.topic.pub("x", {.timeout = milliseconds(100)}));
  EXPECT_THAT(error.code, AnyOf(ErrorCode::unavailable, ErrorCode::outcome_unknown)) << error.message;
}

// What is held when the server dies is still held afterwards, and can be settled.
TEST(ServerDeathNext, D10_a_delivery_outlives_the_server) {
  RedisServer server(kDurable);
  Party party(server);
  must(party.topic.pub_batch({"acked", "retried"}));
  const auto first = await_message(party.channel);
  const auto second = await_message(party.channel);
  server.signal(SIGKILL);
  server.await_end();
  EXPECT_THAT(error_of_call(party.channel.ack(first)).code, AnyOf(ErrorCode::unavailable, ErrorCode::outcome_unknown));
  server.start();
  EXPECT_TRUE(party.channel.ack(first).has_value());
  EXPECT_TRUE(party.channel.nack(second, {.delay = Duration(0)}).has_value());
  const auto again = await_message(party.channel);
  EXPECT_EQ(again.body(), "retried");
  EXPECT_EQ(again.attempts(), 2);
}

// A subscription that could not tell how its message ended leaves it to the next one.
TEST(ServerDeathNext, D1_D20_a_subscription_that_ends_while_the_server_is_away) {
  RedisServer server(kDurable);
  Config config = queue_config(server);
  config.redis_config.pool_timeout = config.redis_config.read_timeout = config.redis_config.write_timeout = seconds(1);
  Party party(config, "billing", {.ack_timeout = seconds(1)});
  std::atomic<bool> started{false};
  std::atomic<bool> away{false};
  Subscription first = must(party.channel.subscribe([&](const Message<std::string>&) {
    started = true;
    EXPECT_TRUE(eventually([&] { return away.load(); }));
  }));
  must(party.topic.pub("x"));
  ASSERT_TRUE(eventually([&] { return started.load(); }));
  server.signal(SIGKILL);
  server.await_end();
  away = true;
  static_cast<void>(first.stop(milliseconds(200)));
  server.start();
  Ledger ledger;
  const Subscription second = record(party.channel, ledger);
  EXPECT_TRUE(eventually([&] { return party.channel.depth().value_or(-1) == 0; }));
}

class LineFault : public testing::Test {
 protected:
  RedisServer server_;
  std::shared_ptr<Client> observer_ = must(Client::open(server_.config()));
};

/// Repeats what may not have arrived.
template <class F>
void insist(F&& call) {
  for (Result<void> result = call(); !result; result = call()) {
    const ErrorCode code = result.error().code;
    if (code != ErrorCode::unavailable && code != ErrorCode::outcome_unknown) return;
  }
}

// No lease ends within the test: what was handed out into a cut line is found, not waited for.
TEST_F(LineFault, D22_cut_lines_lose_nothing) {
  const ChannelConfig settings{.ack_timeout = std::chrono::hours(1)};
  Config quick = queue_config(server_);
  quick.max_retries = -1;
  Ledger taken;
  Ledger handled;
  Party publisher(quick, "mail", settings);
  Party one(quick, "billing", settings);
  Party two(quick, "billing", settings);
  Party mail(quick, "mail", settings);
  const Subscription subscription = record(mail.channel, handled);
  {
    const auto consume = [&](Channel<std::string> channel) {
      return std::jthread([&taken, channel](const std::stop_token& stop) mutable {
        for (int turn = 0; !stop.stop_requested(); ++turn) {
          const auto message = channel.try_next(milliseconds(turn % 2 == 0 ? 0 : 100));
          if (!message) continue;
          if (turn % 3 == 0) insist([&] { return channel.touch(*message); });
          if (message->attempts() == 1 && turn % 5 == 0) {
            insist([&] { return channel.nack(*message, {.delay = Duration(turn % 2)}); });
          } else {
            taken.saw(message->body());
            insist([&] { return channel.ack(*message); });
          }
        }
      });
    };
    const std::jthread first = consume(one.channel);
    const std::jthread second = consume(two.channel);
    Publisher stream(publisher.topic, {}, milliseconds(1));
    for (int round = 0; round < 60; ++round) {
      cut_connections(*observer_);
      std::this_thread::sleep_for(milliseconds(5));
    }
    const auto accepted = stream.stop();
    EXPECT_GT(accepted.size(), 0U);
    expect_all(taken, accepted);
    expect_all(handled, accepted);
    EXPECT_TRUE(eventually([&] { return one.channel.depth().value_or(-1) == 0; }));
    EXPECT_TRUE(eventually([&] { return mail.channel.depth().value_or(-1) == 0; }));
  }
  EXPECT_EQ(must(one.channel.stats()).in_flight, 0);
}

TEST_F(LineFault, D22_a_new_subscription_on_cut_lines) {
  Party party(server_);
  for (int round = 0; round < 10; ++round) {
    const std::string body = std::to_string(round);
    must(party.topic.pub(body));
    Ledger ledger;
    cut_connections(*observer_);
    Subscription subscription = record(party.channel, ledger);
    cut_connections(*observer_);
    expect_all(ledger, {body});
    EXPECT_TRUE(eventually([&] { return party.channel.depth().value_or(-1) == 0; }));
    EXPECT_TRUE(subscription.stop().has_value());
  }
}

TEST_F(LineFault, D22_a_stalled_server) {
  Config config = queue_config(server_);
  config.redis_config.read_timeout = milliseconds(200);
  config.redis_config.max_retries = 0;
  Party consumer(config, "billing", {.ack_timeout = seconds(1)});
  Party publisher(config);
  Ledger ledger;
  const Subscription subscription = record(consumer.channel, ledger);
  Publisher stream(publisher.topic);
  ASSERT_TRUE(stream.goes_on());
  server_.signal(SIGSTOP);
  const bool failed = eventually([&] { return stream.errors().size() >= 2; });
  server_.signal(SIGCONT);
  ASSERT_TRUE(failed);
  EXPECT_THAT(stream.errors().front().message, HasSubstr("read_timeout"));
  ASSERT_TRUE(stream.goes_on());
  expect_all(ledger, stream.stop());
  for (const Error& error : stream.errors()) {
    ASSERT_THAT(error.code, AnyOf(ErrorCode::unavailable, ErrorCode::outcome_unknown)) << error.message;
  }
}

TEST_F(LineFault, D22_a_server_that_became_a_replica) {
  Party consumer(server_);
  Party publisher(server_);
  Ledger ledger;
  const Subscription subscription = record(consumer.channel, ledger);
  Publisher stream(publisher.topic, {}, milliseconds(1));
  ASSERT_TRUE(stream.goes_on());
  const std::string nobody = std::to_string(free_port());
  must(ask(*observer_, {"REPLICAOF", "127.0.0.1", nobody}));
  EXPECT_TRUE(eventually([&] { return !stream.errors().empty(); }));
  must(ask(*observer_, {"REPLICAOF", "NO", "ONE"}));
  ASSERT_TRUE(stream.goes_on());
  expect_all(ledger, stream.stop());
  const Error error = stream.errors().front();
  EXPECT_EQ(error.code, ErrorCode::unavailable);
  EXPECT_TRUE(error.retryable);
  EXPECT_THAT(error.message, HasSubstr("replica"));
}

TEST_F(LineFault, D22_scripts_that_the_server_forgot) {
  Party party(server_);
  Ledger ledger;
  const Subscription subscription = record(party.channel, ledger);
  Publisher stream(party.topic);
  for (int round = 0; round < 50; ++round) {
    must(ask(*observer_, {"SCRIPT", "FLUSH"}));
    ASSERT_TRUE(stream.goes_on(2));
  }
  expect_all(ledger, stream.stop());
  EXPECT_THAT(stream.errors(), IsEmpty());
}

TEST_F(LineFault, D22_a_script_of_others_that_runs_for_long) {
  must(ask(*observer_, {"CONFIG", "SET", "lua-time-limit", "10"}));
  Party consumer(server_);
  Party publisher(server_);
  Ledger ledger;
  const Subscription subscription = record(consumer.channel, ledger);
  Publisher stream(publisher.topic, {}, milliseconds(1));
  ASSERT_TRUE(stream.goes_on());
  const auto killer = must(Client::open(server_.config()));
  std::jthread busy([&] { static_cast<void>(ask(*observer_, {"EVAL", "while true do end", "0"})); });
  EXPECT_TRUE(eventually([&] { return !stream.errors().empty(); }));
  EXPECT_TRUE(eventually([&] { return !must(ask(*killer, {"SCRIPT", "KILL"})).is_error(); }));
  busy.join();
  ASSERT_TRUE(stream.goes_on());
  expect_all(ledger, stream.stop());
  const Error error = stream.errors().front();
  EXPECT_EQ(error.code, ErrorCode::unavailable) << error.message;
  EXPECT_THAT(error.message, HasSubstr("BUSY"));
}

TEST_F(LineFault, D22_a_password_that_was_changed) {
  Party consumer(server_);
  Party publisher(server_);
  Ledger ledger;
  const Subscription subscription = record(consumer.channel, ledger);
  Publisher stream(publisher.topic, {}, milliseconds(1));
  ASSERT_TRUE(stream.goes_on());
  must(ask(*observer_, {"CONFIG", "SET", "requirepass", "new-one"}));
  cut_connections(*observer_);
  const auto denied = [&] {
    const auto errors = stream.errors();
    return std::ranges::find(errors, ErrorCode::permission, &Error::code) != errors.end();
  };
  EXPECT_TRUE(eventually(denied));
  const auto errors = stream.errors();
  const auto error = std::ranges::find(errors, ErrorCode::permission, &Error::code);
  ASSERT_NE(error, errors.end());
  EXPECT_THAT(error->message, HasSubstr("redis_config.password"));
  must(ask(*observer_, {"CONFIG", "SET", "requirepass", ""}));
  ASSERT_TRUE(stream.goes_on());
  expect_all(ledger, stream.stop());
}

TEST(WrongPassword, D22_is_told_at_open) {
  const RedisServer server({"--requirepass", "right"});
  Config config = queue_config(server);
  config.redis_config.password = "guess";
  const Error error = error_of_call(Queue::open(config));
  EXPECT_EQ(error.code, ErrorCode::permission);
  EXPECT_THAT(error.message, HasSubstr("redis_config.username and password"));
  EXPECT_EQ(error.message.find("guess"), std::string::npos);
}

}  // namespace
}  // namespace lrpc::queue::redis
