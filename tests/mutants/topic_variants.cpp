// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <mutex>

#include "of_channel.hpp"

namespace lrpc::queue::mutants {
namespace {

class DelayIgnored final : public PassTopic {
 public:
  using PassTopic::PassTopic;
  Result<void> publish(std::span<Outgoing> batch, Duration timeout) override {
    for (Outgoing& out : batch) out.delay = Duration{0};
    return PassTopic::publish(batch, timeout);
  }
};

class BatchNotAtomic final : public PassTopic {
 public:
  using PassTopic::PassTopic;
  Result<void> publish(std::span<Outgoing> batch, Duration timeout) override {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (auto result = PassTopic::publish(batch.subspan(i, 1), timeout); !result) return result;
    }
    return {};
  }
};

class BatchReversed final : public PassTopic {
 public:
  using PassTopic::PassTopic;
  Result<void> publish(std::span<Outgoing> batch, Duration timeout) override {
    std::ranges::reverse(batch);
    return PassTopic::publish(batch, timeout);
  }
};

class PublishedTwice final : public PassTopic {
 public:
  using PassTopic::PassTopic;
  Result<void> publish(std::span<Outgoing> batch, Duration timeout) override {
    std::vector<Outgoing> again;
    for (Outgoing& out : batch) {
      again.push_back({.message = Envelope::alias(out.message), .delay = out.delay});
      // What is published must not be shared: both are aliases of the original.
      out.message = Envelope::alias(out.message);
    }
    if (auto result = PassTopic::publish(batch, timeout); !result) return result;
    return PassTopic::publish(again, timeout);
  }
};

/// Says that it stored, and stored nothing.
class EveryTenthPublishLost final : public PassTopic {
 public:
  using PassTopic::PassTopic;
  Result<void> publish(std::span<Outgoing> batch, Duration timeout) override {
    const std::lock_guard lock(mutex_);
    if (++publishes_ % 10 == 0) return {};
    return PassTopic::publish(batch, timeout);
  }

 private:
  std::mutex mutex_;
  int publishes_ = 0;
};

class BacklogLost final : public PassTopic {
 public:
  using PassTopic::PassTopic;
  Result<void> publish(std::span<Outgoing> batch, Duration timeout) override {
    const auto names = PassTopic::channels();
    if (names && names->empty()) return {};
    return PassTopic::publish(batch, timeout);
  }
};

/// The channel opened second loses whatever is published.
class FanOutMissesTheSecond final : public PassTopic {
 public:
  using PassTopic::PassTopic;
  Result<std::shared_ptr<BackendChannel>> open_channel(const std::string& name, const ChannelPolicy& policy,
                                                       bool create) override {
    auto channel = PassTopic::open_channel(name, policy, create);
    const std::lock_guard lock(mutex_);
    if (channel) opened_.push_back(*channel);
    return channel;
  }
  Result<void> publish(std::span<Outgoing> batch, Duration timeout) override {
    auto result = PassTopic::publish(batch, timeout);
    const std::lock_guard lock(mutex_);
    if (opened_.size() > 1) static_cast<void>(opened_[1]->drop_all());
    return result;
  }

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<BackendChannel>> opened_;
};

class ChannelsUnsorted final : public PassTopic {
 public:
  using PassTopic::PassTopic;
  Result<std::vector<std::string>> channels() override {
    auto names = PassTopic::channels();
    if (names) std::ranges::reverse(*names);
    return names;
  }
};

class MissingChannelIsMade final : public PassTopic {
 public:
  using PassTopic::PassTopic;
  Result<std::shared_ptr<BackendChannel>> open_channel(const std::string& name, const ChannelPolicy& policy,
                                                       bool /*create*/) override {
    return PassTopic::open_channel(name, policy, true);
  }
};

class DeletionDoesNothing final : public PassTopic {
 public:
  using PassTopic::PassTopic;
  Result<void> delete_channel(const std::string& /*name*/) override { return {}; }
};

/// A deleted channel's messages are in the channel that gets its name.
class DeletionLeavesMessages final : public PassTopic {
 public:
  using PassTopic::PassTopic;
  Result<void> delete_channel(const std::string& name) override {
    if (auto channel = PassTopic::open_channel(name, {}, false)) {
      std::vector<Delivery> ready(100);
      ready.resize((*channel)->receive(ready, {}).value_or(0));
      const std::lock_guard lock(mutex_);
      for (const Delivery& d : ready) left_.push_back({.message = Envelope::alias(d.message)});
    }
    return PassTopic::delete_channel(name);
  }
  Result<std::shared_ptr<BackendChannel>> open_channel(const std::string& name, const ChannelPolicy& policy,
                                                       bool create) override {
    auto channel = PassTopic::open_channel(name, policy, create);
    const std::lock_guard lock(mutex_);
    if (!channel || left_.empty()) return channel;
    static_cast<void>(PassTopic::publish(left_, std::chrono::seconds(1)));
    left_.clear();
    return channel;
  }

 private:
  std::mutex mutex_;
  std::vector<Outgoing> left_;
};

/// Changes the settings of each topic.
template <auto kChange>
class ChangedTopicPolicy final : public PassBackend {
 public:
  using PassBackend::PassBackend;
  Result<std::shared_ptr<BackendTopic>> open_topic(const std::string& name, const TopicPolicy& policy) override {
    TopicPolicy changed = policy;
    kChange(changed);
    return PassBackend::open_topic(name, changed);
  }
};

template <auto kChange>
Variant of_topic_policy(std::string_view name, std::string_view defect, std::vector<std::string_view> tests) {
  return {.name = name,
          .defect = defect,
          .tests = std::move(tests),
          .spoil = [](std::shared_ptr<Backend> inner) -> std::shared_ptr<Backend> {
            return std::make_shared<ChangedTopicPolicy<kChange>>(std::move(inner));
          }};
}

/// Changes the settings of each channel.
template <auto kChange>
class ChangedChannelPolicy final : public PassTopic {
 public:
  using PassTopic::PassTopic;
  Result<std::shared_ptr<BackendChannel>> open_channel(const std::string& name, const ChannelPolicy& policy,
                                                       bool create) override {
    ChannelPolicy changed = policy;
    kChange(changed);
    return PassTopic::open_channel(name, changed, create);
  }
};

constexpr auto kNoBound = [](TopicPolicy& policy) { policy.max_msg_size = std::numeric_limits<std::int64_t>::max(); };
constexpr auto kOneTooMany = [](TopicPolicy& policy) { ++policy.max_msg_size; };
constexpr auto kAlwaysReject = [](TopicPolicy& policy) { policy.overflow = Overflow::reject; };
constexpr auto kAlwaysDrop = [](TopicPolicy& policy) { policy.overflow = Overflow::drop_oldest; };
constexpr auto kShortLease = [](ChannelPolicy& policy) { policy.ack_timeout /= 2; };
constexpr auto kLongLease = [](ChannelPolicy& policy) { policy.ack_timeout *= 1000; };
constexpr auto kAllDeadLetters = [](ChannelPolicy& policy) {
  policy.dead_letter_limit = std::numeric_limits<std::int32_t>::max();
};

}  // namespace

std::vector<Variant> topic_variants() {
  return {
      of_topic<DelayIgnored>("delay_ignored", "a delayed publish is ready at once", {"D17"}),
      of_topic<BatchNotAtomic>("batch_not_atomic", "a refused batch is stored in part", {"D2", "D16"}),
      of_topic<BatchReversed>("batch_reversed", "a batch is stored backwards", {"D2", "D5"}),
      of_topic<PublishedTwice>("published_twice", "every message is stored twice", {"D1", "D19"}),
      of_topic<EveryTenthPublishLost>("publishes_lost", "some publishes store nothing", {"D1", "D3", "D5"}),
      of_topic<BacklogLost>("backlog_lost", "nothing is kept before the first channel", {"D4"}),
      of_topic<FanOutMissesTheSecond>("fan_out_misses_second", "one of two channels gets nothing", {"D1"}),
      of_topic<ChannelsUnsorted>("channels_unsorted", "channel_list is not sorted", {"API_get_channel", "D4"}),
      of_topic<MissingChannelIsMade>("missing_channel_made", "get_channel makes a channel", {"API_get_channel", "D20"}),
      of_topic<DeletionDoesNothing>("deletion_does_nothing", "delete_channel deletes nothing", {"D20"}),
      of_topic<DeletionLeavesMessages>("deletion_leaves_messages", "a new channel has the deleted one's messages",
                                       {"D20"}),
      of_topic<ChangedChannelPolicy<kShortLease>>("lease_too_short", "leases end at half their time", {"D9"}),
      of_topic<ChangedChannelPolicy<kLongLease>>("lease_never_ends", "leases last a thousand times longer", {"D9"}),
      of_topic<ChangedChannelPolicy<kAllDeadLetters>>("dead_letter_limit_ignored", "dead letters have no limit",
                                                      {"D18"}),
      of_topic_policy<kNoBound>("queue_full_ignored", "max_msg_size bounds nothing", {"D16"}),
      of_topic_policy<kOneTooMany>("bound_off_by_one", "a channel takes one message too many", {"D16"}),
      of_topic_policy<kAlwaysReject>("drop_oldest_ignored", "overflow is always reject", {"D16"}),
      of_topic_policy<kAlwaysDrop>("drops_in_silence", "overflow is always drop_oldest", {"D16"}),
  };
}

}  // namespace lrpc::queue::mutants
