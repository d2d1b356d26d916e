// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "broker.hpp"
#include "checker.hpp"
#include "ledger.hpp"
#include "report.hpp"
#include "support/process.hpp"
#include "support/proxy.hpp"

/// What the checker takes for an explanation, as it happens over a real broker: a consumer whose producer of retries
/// and dead letters was not needed since its line went half open.

namespace lrpc::queue::torture {
namespace {

using std::chrono::steady_clock;

constexpr Duration kLease{3'000};
/// In which nobody needs the producer; longer than the time for which a broken line explains what happens by itself.
constexpr auto kIdle = std::chrono::seconds(15);

class DeadLine : public testing::Test {
 protected:
  [[nodiscard]] Config config() const {
    Config config{.storage_type = StorageType::kafka};
    config.kafka_config.brokers = {proxy_->address()};
    config.kafka_config.write_timeout = Duration(6'000);
    config.kafka_config.dial_timeout = Duration(3'000);
    config.kafka_config.session_timeout = Duration(6'000);
    config.kafka_config.heartbeat_interval = Duration(1'000);
    config.kafka_config.commit_interval = Duration(500);
    config.logger = [](LogLevel, std::string_view) {};
    return config;
  }
  /// By lines of its own.
  void publish(const std::string& token) {
    Queue queue = Queue::open(config()).value();
    auto topic = queue.topic<std::string>("torture").value();
    ledger_.intent(token, "", 0, 0, true, now());
    ASSERT_TRUE(topic.pub(token));
    ledger_.outcome(token, Published::accepted, "");
  }
  /// The next message, noted; empty when none came for a quarter of a minute.
  std::optional<Message<std::string>> next(Channel<std::string>& channel) {
    auto message = channel.try_next(Duration(15'000));
    if (!message) return std::nullopt;
    ledger_.delivered("n0.0", ++number_, message->body(), "pull", message->attempts(), now());
    return *message;
  }
  /// Rejects what `next` gave last, noted.
  Result<void> reject(Channel<std::string>& channel, const Message<std::string>& message) {
    ledger_.ended("n0.0", number_, Ending::reject);
    const std::int64_t began = machine_us();
    Result<void> done = channel.nack(message, {.reason = "not wanted", .dead_letter = true});
    ledger_.settled("n0.0", number_, done ? Answer::ok : answer_of(done.error().code),
                    done ? "" : to_string(done.error().code), began);
    return done;
  }
  /// By lines of its own: those by which the consumer asks are dead, too.
  void note_end() {
    Queue queue = Queue::open(config()).value();
    auto channel = queue.topic<std::string>("torture").value().get_or_add_channel("pull").value();
    const auto letters = channel.dead_letters(10).value();
    EXPECT_EQ(letters.items.size(), 2U);
    for (const auto& letter : letters.items) {
      ledger_.dead({.token = letter.message->body(),
                    .channel = "pull",
                    .reason = letter.reason,
                    .attempts = letter.attempts,
                    .has_error = !letter.error.empty(),
                    .wall_ms = now().wall_ms});
    }
    ledger_.depth("pull", depth(), now().wall_ms);
  }
  /// What is left when all that was settled is committed, as others see it.
  [[nodiscard]] std::int64_t depth() const {
    Queue queue = Queue::open(config()).value();
    auto channel = queue.topic<std::string>("torture").value().get_or_add_channel("pull").value();
    std::int64_t left = channel.depth().value();
    for (const auto end = steady_clock::now() + std::chrono::seconds(5); left != 0 && steady_clock::now() < end;) {
      std::this_thread::sleep_for(Duration(50));
      left = channel.depth().value();
    }
    return left;
  }
  static Reading now() {
    const Instant instant = system_clock()->now();
    return {.at_us = machine_us(), .wall_ms = instant.wall_ms, .tick_ms = instant.wall_ms};
  }
  [[nodiscard]] Verdict verdict() const {
    const Rules rules{.channels = {{.name = "pull", .subscribed = false}},
                      .attempts_exact = false,
                      .order_by_key = true,
                      .lease_ms = kLease.count()};
    return check(read_ledgers(folder_.path()), rules);
  }

  std::optional<support::Proxy> proxy_;
  kafka::test::Broker broker_{{.advertise = [this](int port) {
    proxy_.emplace(port);
    return proxy_->port();
  }}};
  support::TemporaryFolder folder_;
  Ledger ledger_{folder_.path() / "n0.0.ledger"};
  std::int64_t number_ = 0;
};

TEST_F(DeadLine, D1_D10_ARejectionThatFailsLongAfterTheLinesWentHalfOpenComesAgain) {
  ledger_.life("n0.0");
  Queue queue = Queue::open(config()).value();
  auto topic = queue.topic<std::string>("torture").value();
  auto channel = topic.get_or_add_channel("pull", {.ack_timeout = kLease}).value();
  publish("p0:0");
  auto message = next(channel);
  ASSERT_TRUE(message);
  ASSERT_TRUE(reject(channel, *message));  // the producer has its line
  ASSERT_EQ(depth(), 0);

  Fault fault{
      .name = "half-open-lines", .begin_us = machine_us(), .redelivers = true, .reach_ms = 12'000, .lurks = true};
  fault.end_us = fault.begin_us;
  proxy_->half_open();
  std::this_thread::sleep_for(kIdle);
  publish("p0:1");
  message = next(channel);
  ASSERT_TRUE(message);
  const auto began = steady_clock::now();
  const auto done = reject(channel, *message);
  ASSERT_FALSE(done) << "the line was not dead";
  EXPECT_EQ(answer_of(done.error().code), Answer::unknown) << done.error().message;
  EXPECT_LE(steady_clock::now() - began, std::chrono::seconds(7));  // write_timeout, and a busy machine

  message = next(channel);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->body(), "p0:1");
  EXPECT_TRUE(reject(channel, *message));
  note_end();

  // The answer alone explains nothing: the fault must be known, too.
  EXPECT_EQ(verdict().unexplained, 1);
  EXPECT_EQ(verdict().broken, 1) << findings_of(verdict());
  ledger_.fault(fault);
  EXPECT_TRUE(verdict().ok()) << findings_of(verdict());
  EXPECT_EQ(verdict().not_settled, 1);
}

}  // namespace
}  // namespace lrpc::queue::torture
