// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <mutex>

#include "of_channel.hpp"

namespace lrpc::queue::mutants {
namespace {

/// Changes each delivery on its way out.
class ChangedDeliveries : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override {
    auto count = PassChannel::receive(out, options);
    for (std::size_t i = 0; i < count.value_or(0); ++i) change(out[i]);
    return count;
  }

 protected:
  virtual void change(Delivery& delivery) = 0;
};

class AttemptsStuck final : public ChangedDeliveries {
  using ChangedDeliveries::ChangedDeliveries;
  void change(Delivery& d) override { d.tag.attempts = d.attempts = 1; }
};

class AttemptsFromZero final : public ChangedDeliveries {
  using ChangedDeliveries::ChangedDeliveries;
  void change(Delivery& d) override { d.tag.attempts = --d.attempts; }
};

class MaxRetriesNeverReached final : public ChangedDeliveries {
  using ChangedDeliveries::ChangedDeliveries;
  void change(Delivery& d) override {
    if (d.attempts > 2) d.tag.attempts = d.attempts = 2;
  }
};

class ExpiredDelivered final : public ChangedDeliveries {
  using ChangedDeliveries::ChangedDeliveries;
  void change(Delivery& d) override {
    if (d.message->expires_at() != 0) d.message.writable().set_expires_at(d.message->expires_at() + 3600);
  }
};

class EnqueuedAtLost final : public ChangedDeliveries {
  using ChangedDeliveries::ChangedDeliveries;
  void change(Delivery& d) override { d.message.writable().set_enqueued_at_ms(0); }
};

class LeaseLossUnnoticed final : public ChangedDeliveries {
  using ChangedDeliveries::ChangedDeliveries;
  void change(Delivery& d) override { d.lease_expired = false; }
};

/// Hands out the newest of what is ready.
class LastInFirstOut final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override {
    auto count = PassChannel::receive(out.first(1), options);
    if (count.value_or(0) == 0) return count;
    std::vector<Delivery> rest = take_ready(64);
    if (rest.empty()) return count;
    std::swap(out[0], rest.back());
    std::ranges::reverse(rest);  // so that giving them back to the front restores their order
    settle_all(rest, {.action = Settlement::Action::give_back, .count_attempt = false});
    return count;
  }
};

/// A message that comes again is the same message no more.
class RedeliveryUnderANewId final : public ChangedDeliveries {
  using ChangedDeliveries::ChangedDeliveries;
  void change(Delivery& d) override {
    if (d.attempts > 1) d.message.writable().set_id("again-" + d.message->id());
  }
};

class LimitOfNextIgnored final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override {
    ReceiveOptions unlimited = options;
    unlimited.limit = 0;
    return PassChannel::receive(out, unlimited);
  }
};

class StopTokenIgnored final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override {
    ReceiveOptions deaf = options;
    deaf.stop = {};
    return PassChannel::receive(out, deaf);
  }
};

class ReceivingCannotBeSwitchedOff final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  void set_receiving(bool /*on*/) noexcept override {}
};

class TouchDoesNothing final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<void> touch(std::span<const DeliveryTag> /*tags*/, Duration /*lease*/, std::span<bool> done) override {
    std::ranges::fill(done, true);
    return {};
  }
};

class TouchRevivesLostLeases final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<void> touch(std::span<const DeliveryTag> tags, Duration lease, std::span<bool> done) override {
    auto result = PassChannel::touch(tags, lease, done);
    std::ranges::fill(done, true);
    return result;
  }
};

/// The first delivery of an id that it saw is the one it finds.
class FindReturnsTheOldest final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override {
    auto count = PassChannel::receive(out, options);
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < count.value_or(0); ++i) oldest_.try_emplace(out[i].message->id(), out[i].tag);
    return count;
  }
  std::optional<DeliveryTag> find(std::string_view id) override {
    const std::lock_guard lock(mutex_);
    const auto found = oldest_.find(std::string(id));
    return found != oldest_.end() ? std::optional(found->second) : std::nullopt;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, DeliveryTag> oldest_;
};

}  // namespace

std::vector<Variant> delivery_variants() {
  return {
      of_channel<AttemptsStuck>("attempts_not_counted", "every delivery is number 1", {"D6", "D7"}),
      of_channel<AttemptsFromZero>("attempts_from_zero", "the first delivery is number 0", {"D6", "API_message"}),
      of_channel<MaxRetriesNeverReached>("max_retries_ignored", "attempts never pass 2", {"D7"}),
      of_channel<ExpiredDelivered>("expired_delivered", "expiry is an hour later than asked", {"D12"}),
      of_channel<EnqueuedAtLost>("enqueued_at_lost", "enqueued_at is 1970", {"D12", "API_pub"}),
      of_channel<LeaseLossUnnoticed>("lease_loss_unnoticed", "expired leases do not count towards max_retries",
                                     {"D7", "D9"}),
      of_channel<LastInFirstOut>("last_in_first_out", "the newest ready message comes first", {"D5", "API_next"}),
      of_channel<RedeliveryUnderANewId>("redelivery_under_new_id", "a redelivered message has another id",
                                        {"D6", "D8", "D12"}),
      of_channel<LimitOfNextIgnored>("limit_next_ignored", "limit_next bounds nothing", {"D11"}),
      of_channel<StopTokenIgnored>("stop_token_ignored", "a stopped token does not end next", {"D21"}),
      of_channel<ReceivingCannotBeSwitchedOff>("receiving_not_switched_off", "pause and close do not end receives",
                                               {"API_pause"}),
      of_channel<TouchDoesNothing>("touch_does_nothing", "touch reports done and renews nothing", {"D9", "D10"}),
      of_channel<TouchRevivesLostLeases>("touch_reports_lost_as_done", "touch of a lost lease reports done",
                                         {"D9", "D10"}),
      of_channel<FindReturnsTheOldest>("find_returns_oldest", "settling by id means the oldest delivery",
                                       {"D10", "API_same"}),
  };
}

}  // namespace lrpc::queue::mutants
