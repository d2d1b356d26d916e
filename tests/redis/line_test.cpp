// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Lines that swallow, stall, delay, break, or are dead at one end only: calls end by the time-outs of RedisConfig and
// say what is known, nothing is lost, and all goes on by itself (D1, D22).
#include <memory>

#include "proxy.hpp"
#include "queue_fixture.hpp"

namespace lrpc::queue::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;
using Flow = Proxy::Flow;

class Line : public testing::Test {
 protected:
  /// A configuration by way of the proxy. No call is made twice.
  [[nodiscard]] Config by_line(Duration read_timeout = milliseconds(200)) const {
    Config config = queue_config(server_);
    config.redis_config = line_.config();
    config.redis_config.read_timeout = read_timeout;
    config.redis_config.max_retries = 0;
    return config;
  }
  /// Whether a consumer is blocked in its wait for messages.
  [[nodiscard]] bool somebody_waits() {
    return must(ask(*observer_, {"INFO", "clients"}, Repeat::safe)).text().contains("blocked_clients:1\r\n");
  }
  RedisServer server_;
  std::shared_ptr<Client> observer_ = must(Client::open(server_.config()));
  Proxy line_{server_};
};

TEST_F(Line, D22_a_publish_into_a_black_hole_has_an_unknown_outcome) {
  Party here(by_line());
  Party there(server_);
  line_.to_server(Flow::swallow);
  const Error error = error_of_call(here.topic.pub("lost"));
  EXPECT_EQ(error.code, ErrorCode::outcome_unknown);
  EXPECT_THAT(error.message, HasSubstr("read_timeout"));
  line_.to_server(Flow::pass);
  EXPECT_TRUE(eventually([&] { return here.topic.pub("kept").has_value(); }));
  EXPECT_EQ(await_message(there.channel).body(), "kept");
}

TEST_F(Line, D1_D22_a_publish_whose_answer_is_lost_was_made) {
  Party here(by_line());
  Party there(server_);
  must(here.topic.pub("first"));  // from then on the server knows the script by its hash
  EXPECT_EQ(await_message(there.channel).body(), "first");
  line_.to_client(Flow::swallow);
  EXPECT_EQ(error_of_call(here.topic.pub("second")).code, ErrorCode::outcome_unknown);
  EXPECT_EQ(await_message(there.channel).body(), "second");
}

TEST_F(Line, D22_an_answer_later_than_read_timeout_is_none) {
  Party here(by_line());
  Party there(server_);
  line_.delay(milliseconds(1000));
  const Error error = error_of_call(here.topic.pub("x"));
  EXPECT_EQ(error.code, ErrorCode::outcome_unknown);
  EXPECT_THAT(error.message, HasSubstr("read_timeout"));
  line_.delay(milliseconds(0));
  EXPECT_TRUE(eventually([&] { return here.topic.pub("y").has_value(); }));
  EXPECT_EQ(await_message(there.channel).body(), "y") << "the first went with its line";
}

TEST_F(Line, D12_what_expires_on_its_way_is_not_delivered) {
  Party here(by_line(seconds(10)));
  Party there(server_);
  EXPECT_EQ(error_of_call(here.channel.try_next(milliseconds(0))).code, ErrorCode::no_message);
  const std::int64_t before_s = system_clock()->now().wall_s();
  must(there.topic.pub("short-lived", {.expires = seconds(1)}));
  line_.to_client(Flow::stall);
  std::jthread heal([&] {
    while (system_clock()->now().wall_s() < before_s + 3) std::this_thread::sleep_for(milliseconds(10));
    line_.to_client(Flow::pass);
  });
  // Its first look at the server does not wait for messages, but its answer takes three seconds.
  EXPECT_EQ(error_of_call(here.channel.try_next(milliseconds(3'500))).code, ErrorCode::no_message);
  heal.join();
  EXPECT_TRUE(eventually([&] { return must(here.channel.stats()).expired == 1; }));
}

TEST_F(Line, D1_a_slow_line_is_as_good_as_another) {
  line_.delay(milliseconds(30));
  Party here(by_line(seconds(10)));
  Ledger ledger;
  const Subscription subscription =
      must(here.channel.subscribe([&](const Message<std::string>& m) { ledger.saw(m.body()); }));
  must(here.topic.pub_batch({"a", "b", "c"}));
  EXPECT_TRUE(eventually([&] { return here.channel.depth().value_or(-1) == 0; }));
  EXPECT_TRUE(ledger.has({"a", "b", "c"}));
}

TEST_F(Line, WriteTimeoutBoundsAStalledLine) {
  Config config = by_line(std::chrono::hours(1));
  config.redis_config.write_timeout = milliseconds(200);
  config.max_body_size = 64 << 20;
  Party here(config);
  line_.both(Flow::stall);
  const Error error = error_of_call(here.topic.pub(std::string(24 << 20, 'x')));
  EXPECT_EQ(error.code, ErrorCode::outcome_unknown);
  EXPECT_THAT(error.message, HasSubstr("write_timeout"));
  line_.both(Flow::pass);
}

TEST_F(Line, DialTimeoutBoundsALineThatNobodyTakes) {
  line_.accept(false);
  Config config = by_line(std::chrono::hours(1));
  config.redis_config.dial_timeout = milliseconds(100);
  const Error error = error_of_call(Queue::open(config));  // or the test's own time-out ends it
  EXPECT_THAT(error.code, AnyOf(ErrorCode::timeout, ErrorCode::unavailable)) << error.message;
  EXPECT_TRUE(error.retryable);
  EXPECT_THAT(error.message, HasSubstr(line_.address()));
}

TEST_F(Line, PoolTimeoutBoundsTheWaitBehindAStalledLine) {
  Config config = by_line(std::chrono::hours(1));
  config.redis_config.pool_size = 1;
  config.redis_config.pool_timeout = milliseconds(50);
  Party here(config);
  line_.both(Flow::stall);
  std::vector<std::jthread> threads;
  std::atomic<int> refused{0};
  std::atomic<int> answered{0};
  // More than may share one connection. Not publishes: those wait for each other and go together.
  for (int t = 0; t < 140; ++t) {
    threads.emplace_back([&] {
      const auto result = here.channel.depth();
      if (result) ++answered;
      if (!result && result.error().message.find("pool_timeout") != std::string::npos) ++refused;
    });
  }
  EXPECT_TRUE(eventually([&] { return refused >= 12; }));
  line_.both(Flow::pass);
  threads.clear();
  EXPECT_EQ(answered, 140 - refused) << "those that stalled were answered";
}

// The server has closed the line, the consumer does not know: its waits are renewed, and find out.
TEST_F(Line, D22_a_blocked_reader_notices_a_half_open_line) {
  Config config = by_line();
  config.redis_config.pool_timeout = config.redis_config.write_timeout = milliseconds(200);
  Party here(config, "billing", {.ack_timeout = seconds(1)});  // a look every second
  Party there(server_);
  std::atomic<bool> came{false};
  const std::jthread waiting([&] {
    const auto message = here.channel.next();
    came = message && message->body() == "x";
  });
  EXPECT_TRUE(eventually([&] { return somebody_waits(); }));
  line_.half_open();
  must(there.topic.pub("x"));
  EXPECT_TRUE(eventually([&] { return came.load(); }));
}

// Handed out by the server into a line that lost it: found and delivered as the first delivery. Its lease would last.
TEST_F(Line, D1_D6_a_delivery_that_the_line_swallowed_is_found) {
  Config config = by_line();
  config.redis_config.pool_timeout = config.redis_config.write_timeout = milliseconds(200);
  Party here(config, "billing", {.ack_timeout = std::chrono::hours(1)});
  Party there(server_);
  std::jthread waiting([&](const std::stop_token& stop) {
    EXPECT_EQ(error_of_call(here.channel.next(stop)).code, ErrorCode::cancelled);
  });
  EXPECT_TRUE(eventually([&] { return somebody_waits(); }));
  line_.to_client(Flow::swallow);
  must(there.topic.pub("x"));
  EXPECT_TRUE(eventually([&] { return line_.swallowed() > 0 && must(there.channel.stats()).in_flight == 1; }));
  line_.to_client(Flow::pass);
  waiting.request_stop();
  waiting.join();
  const auto found = await_message(here.channel);
  EXPECT_EQ(found.body(), "x");
  EXPECT_EQ(found.attempts(), 1);
}

TEST_F(Line, D1_D22_whatever_happens_to_a_line_nothing_is_lost) {
  Config config = by_line();
  config.redis_config.pool_timeout = config.redis_config.write_timeout = milliseconds(200);
  Ledger ledger;
  std::vector<std::string> accepted;
  {
    Party consumer(config, "billing", {.ack_timeout = seconds(1)});
    Party publisher(config);
    const Subscription subscription =
        must(consumer.channel.subscribe([&](const Message<std::string>& m) { ledger.saw(m.body()); }));
    Publisher stream(publisher.topic, {}, milliseconds(1));
    for (const auto fault : {&Proxy::cut, &Proxy::reset, &Proxy::half_open}) {
      ASSERT_TRUE(stream.goes_on());
      (line_.*fault)();
    }
    for (const auto direction : {&Proxy::to_server, &Proxy::to_client}) {
      ASSERT_TRUE(stream.goes_on());
      const std::size_t errors = stream.errors().size();
      (line_.*direction)(Flow::swallow);
      EXPECT_TRUE(eventually([&] { return stream.errors().size() > errors; }));
      (line_.*direction)(Flow::pass);
    }
    ASSERT_TRUE(stream.goes_on());
    accepted = stream.stop();
    EXPECT_TRUE(eventually([&] { return ledger.has(accepted); }));
    for (const Error& error : stream.errors()) {
      ASSERT_THAT(error.code, AnyOf(ErrorCode::unavailable, ErrorCode::outcome_unknown, ErrorCode::timeout))
          << error.message;
    }
  }
  EXPECT_THAT(ledger.missing(accepted), IsEmpty());
}

// The server closes what rests (its `timeout`, CLIENT KILL): known before the next call, which may not be made twice.
class RestingLine : public testing::TestWithParam<bool> {};

TEST_P(RestingLine, D22_that_the_server_closed_is_replaced_before_a_publish) {
  if (GetParam() && !server_has_tls()) GTEST_SKIP() << "this server cannot do TLS";
  const Certificates pem;
  const RedisServer server(GetParam() ? pem.options() : std::vector<std::string>{});
  Config config = queue_config(server);
  if (GetParam()) config.redis_config.tls = pem.config();
  const auto observer = must(Client::open(config.redis_config));
  config.redis_config.min_idle_conns = 4;
  config.redis_config.max_retries = 0;
  Party party(config);
  for (int round = 0; round < 20; ++round) {
    EXPECT_GE(cut_connections(*observer), 1);
    const auto result = party.topic.pub("x");
    ASSERT_TRUE(result.has_value()) << result.error().message;
  }
  EXPECT_EQ(must(party.channel.depth()), 20);
}
std::string name_of_line(const testing::TestParamInfo<bool>& tls) { return tls.param ? "tls" : "tcp"; }
INSTANTIATE_TEST_SUITE_P(, RestingLine, testing::Bool(), name_of_line);

}  // namespace
}  // namespace lrpc::queue::redis
