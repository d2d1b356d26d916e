// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// A pub/sub line that goes dead without being closed: the listener notices it by itself (D22).
#include <chrono>
#include <memory>
#include <thread>

#include "proxy.hpp"
#include "queue_fixture.hpp"
#include "redis/topic.hpp"

namespace lrpc::queue::redis {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

/// A clock that runs so slowly that a consumer's upkeep, which would find by itself what it was not told of, is more
/// than a minute away, and what is due in some milliseconds is due in less than a second.
class SlowClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const noexcept override {
    const auto passed = std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - begin_) / kFactor;
    return {.wall_ms = begin_wall_ms_ + passed.count(), .tick_ms = kFirstTick + passed.count()};
  }
  [[nodiscard]] Duration granularity() const noexcept override { return Duration(1); }
  [[nodiscard]] SteadyTime real(std::int64_t tick_ms) const noexcept override {
    const std::int64_t passed = tick_ms - kFirstTick;
    return passed > kNever ? SteadyTime::max() : begin_ + Duration(passed * kFactor);
  }
  [[nodiscard]] std::shared_ptr<void> on_jump(std::function<void()> /*listener*/) override { return nullptr; }

 private:
  static constexpr std::int64_t kFactor = 20;
  static constexpr std::int64_t kFirstTick = 1'000'000;
  static constexpr std::int64_t kNever = Duration(hours(1'000)).count();
  const SteadyTime begin_ = std::chrono::steady_clock::now();
  const std::int64_t begin_wall_ms_ = system_clock()->now().wall_ms;
};

/// A server to which commands go directly, and who listens by way of the proxy, on whose lines nothing else goes.
class ListensByLine final : public Router {
 public:
  ListensByLine(std::shared_ptr<Router> direct, const RedisConfig& line)
      : direct_(std::move(direct)), line_(Client::to(line, must(endpoint_of(line)))) {}
  std::shared_ptr<Route> route(std::string_view key) override { return direct_->route(key); }
  std::vector<std::shared_ptr<Route>> nodes() override { return line_->nodes(); }
  [[nodiscard]] const RedisConfig& config() const override { return direct_->config(); }
  [[nodiscard]] bool cluster() const override { return direct_->cluster(); }
  void close() override {
    line_->close();
    direct_->close();
  }

 private:
  const std::shared_ptr<Router> direct_;
  const std::shared_ptr<Client> line_;
};

class ListeningLine : public testing::Test {
 protected:
  /// A try to connect on a dead line is short.
  [[nodiscard]] RedisConfig by_line() const {
    RedisConfig config = line_.config();
    config.dial_timeout = config.read_timeout = milliseconds(300);
    return config;
  }
  /// Those who listen for the channel, as the server has it.
  [[nodiscard]] std::int64_t listeners() {
    return must(ask(*observer_, {"PUBSUB", "NUMSUB", kStream}, Repeat::safe))[1].number().value_or(-1);
  }
  /// What comes to the consumer next.
  [[nodiscard]] std::string next_body() {
    Delivery delivery;
    const std::size_t count = must(channel_->receive({&delivery, 1}, {.deadline = in(kPatience), .renewed = true}));
    if (count == 0) return "(nothing)";
    bool done = false;
    must(channel_->ack({&delivery.tag, 1}, {&done, 1}));
    const auto body = delivery.message->encoded_body();
    return {reinterpret_cast<const char*>(body.data()), body.size()};
  }

  RedisServer server_;
  std::shared_ptr<Client> observer_ = must(Client::open(server_.config()));
  Proxy line_{server_};
  // So short that it may be given up also when the machine is busy: then it is made anew as well.
  std::shared_ptr<ListensByLine> router_ =
      std::make_shared<ListensByLine>(must(Client::open(server_.config())), by_line());
  std::shared_ptr<Listener> listener_ = std::make_shared<Listener>(router_, milliseconds(100));
  std::shared_ptr<RedisTopic> topic_ = std::make_shared<RedisTopic>(
      router_, listener_, std::make_shared<SlowClock>(), [](LogLevel, std::string_view) {}, "orders", TopicPolicy{});
  std::shared_ptr<BackendChannel> channel_ = must(topic_->open_channel("billing", ChannelPolicy{}, true));
  Party there_{server_};
};

TEST_F(ListeningLine, D22_that_goes_dead_without_being_closed_is_given_up) {
  must(there_.topic.pub("late", {.delay = hours(1)}));
  ASSERT_TRUE(eventually([&] { return line_.lines() == 1 && listeners() == 2; }));
  must(there_.topic.pub("first"));
  EXPECT_EQ(next_body(), "\"first\"");

  // Not closed on this side; what the server says is lost, and so is what is said to it.
  line_.half_open();
  must(there_.topic.pub("untold", {.delay = milliseconds(1)}));
  EXPECT_EQ(next_body(), "\"untold\"") << "the consumer waits for the later one, whatever came before it";

  ASSERT_TRUE(eventually([&] { return listeners() == 2; }));
  must(there_.topic.pub("told", {.delay = milliseconds(10)}));
  EXPECT_EQ(next_body(), "\"told\"") << "nobody listens on the new line";
}

// The same where the lines that follow are dead at first, too: it goes on trying.
TEST_F(ListeningLine, D22_is_made_anew_once_the_network_is_back) {
  must(there_.topic.pub("late", {.delay = hours(1)}));
  ASSERT_TRUE(eventually([&] { return line_.lines() == 1 && listeners() == 2; }));
  must(there_.topic.pub("first"));
  EXPECT_EQ(next_body(), "\"first\"");

  line_.both(Proxy::Flow::swallow);
  must(there_.topic.pub("untold", {.delay = milliseconds(1)}));
  // The server still has the dead one; it was closed here, and so ends.
  ASSERT_TRUE(eventually([&] { return listeners() == 1; })) << "the dead line was not given up";
  line_.both(Proxy::Flow::pass);
  EXPECT_EQ(next_body(), "\"untold\"");

  ASSERT_TRUE(eventually([&] { return listeners() == 2; }));
  must(there_.topic.pub("told", {.delay = milliseconds(10)}));
  EXPECT_EQ(next_body(), "\"told\"");
}

}  // namespace
}  // namespace lrpc::queue::redis
