// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// A back end whose receive takes its time although nobody asked it to wait, as one that commits first does.
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <lrpc/queue.hpp>

namespace lrpc::queue {
namespace {

/// Hands out one message, a minute after it was asked.
class SlowChannel final : public BackendChannel {
 public:
  SlowChannel(std::shared_ptr<ManualClock> clock, std::int64_t expires_at)
      : clock_(std::move(clock)), expires_at_(expires_at) {}

  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions&) override {
    if (std::exchange(given_, true)) return 0;
    clock_->advance(std::chrono::minutes(1));
    const std::string_view text = "1";
    const auto body = std::as_bytes(std::span(text));
    out[0].message = Envelope::make_encoded(Bytes(body.begin(), body.end()));
    out[0].message->set_id(std::string_view("m"));
    out[0].message->set_expires_at(expires_at_);
    out[0].attempts = 1;
    return 1;
  }
  void set_receiving(bool) noexcept override {}
  Result<void> ack(std::span<const DeliveryTag>, std::span<bool>) override { return {}; }
  Result<void> settle(std::span<Settlement> settlements) override {
    for (Settlement& each : settlements) each.done = true;
    return {};
  }
  Result<void> touch(std::span<const DeliveryTag>, Duration, std::span<bool>) override { return {}; }
  [[nodiscard]] std::optional<DeliveryTag> find(std::string_view) override { return std::nullopt; }
  [[nodiscard]] Result<BackendStats> stats() override { return BackendStats{}; }
  Result<std::int64_t> drop_all() override { return 0; }
  Result<DeadPage> dead_letters(std::size_t, std::string_view) override { return DeadPage{}; }
  Result<std::int64_t> requeue_dead(std::span<const std::string>, bool, Duration) override { return 0; }
  Result<std::int64_t> purge_dead() override { return 0; }
  void configure(const ChannelPolicy&) override {}
  Result<void> close() override { return {}; }

 private:
  const std::shared_ptr<ManualClock> clock_;
  const std::int64_t expires_at_;
  bool given_ = false;
};

class SlowTopic final : public BackendTopic {
 public:
  explicit SlowTopic(std::shared_ptr<SlowChannel> channel) : channel_(std::move(channel)) {}
  Result<void> publish(std::span<Outgoing>, Duration) override { return {}; }
  Result<std::shared_ptr<BackendChannel>> open_channel(const std::string&, const ChannelPolicy&, bool) override {
    return channel_;
  }
  Result<std::vector<std::string>> channels() override { return std::vector<std::string>{}; }
  Result<void> delete_channel(const std::string&) override { return {}; }
  Result<void> close() override { return {}; }

 private:
  const std::shared_ptr<SlowChannel> channel_;
};

class SlowBackend final : public Backend {
 public:
  explicit SlowBackend(std::shared_ptr<SlowTopic> topic) : topic_(std::move(topic)) {}
  [[nodiscard]] const Capabilities& capabilities() const noexcept override { return capabilities_; }
  Result<std::shared_ptr<BackendTopic>> open_topic(const std::string&, const TopicPolicy&) override { return topic_; }
  Result<std::vector<std::string>> topics() override { return std::vector<std::string>{}; }
  Result<void> ping(SteadyTime) override { return {}; }
  Result<void> close() override { return {}; }

 private:
  const std::shared_ptr<SlowTopic> topic_;
  const Capabilities capabilities_{.name = "slow", .serializes = true, .renew_leases = false, .batch_acks = false};
};

/// What `next` gives of a message that expires so long after it was asked for.
Result<Message<int>> next_of_one_that_expires_in(Duration expiry) {
  auto clock = std::make_shared<ManualClock>();
  const std::int64_t expires_at = (clock->now().wall_ms + expiry.count()) / 1000;
  auto backend =
      std::make_shared<SlowBackend>(std::make_shared<SlowTopic>(std::make_shared<SlowChannel>(clock, expires_at)));
  Queue queue =
      Queue::open({.backend_factory = [backend](const BackendContext&) { return backend; }, .clock = clock}).value();
  auto topic = queue.topic<int>("events").value();
  auto channel = topic.get_or_add_channel("work").value();
  return channel.try_next(Duration(0));
}

TEST(SlowReceive, D12_what_expires_meanwhile_is_not_handed_out) {
  const auto message = next_of_one_that_expires_in(std::chrono::seconds(30));
  ASSERT_FALSE(message) << "it expired half a minute ago";
  EXPECT_EQ(message.error().code, ErrorCode::no_message);
}

TEST(SlowReceive, D12_what_has_time_left_is) {
  const auto message = next_of_one_that_expires_in(std::chrono::hours(1));
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(message->body(), 1);
}

}  // namespace
}  // namespace lrpc::queue
