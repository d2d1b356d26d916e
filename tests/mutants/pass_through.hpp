// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>

/// \file
/// Wrappers that hand every call on to a real back end. A mutant derives from them and spoils one thing.

namespace lrpc::queue::mutants {

class PassChannel : public BackendChannel {
 public:
  explicit PassChannel(std::shared_ptr<BackendChannel> inner) noexcept : inner_(std::move(inner)) {}

  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override {
    return inner_->receive(out, options);
  }
  void set_receiving(bool on) noexcept override { inner_->set_receiving(on); }
  Result<void> ack(std::span<const DeliveryTag> tags, std::span<bool> done) override { return inner_->ack(tags, done); }
  Result<void> settle(std::span<Settlement> settlements) override { return inner_->settle(settlements); }
  Result<void> touch(std::span<const DeliveryTag> tags, Duration lease, std::span<bool> done) override {
    return inner_->touch(tags, lease, done);
  }
  std::optional<DeliveryTag> find(std::string_view id) override { return inner_->find(id); }
  Result<BackendStats> stats() override { return inner_->stats(); }
  Result<std::int64_t> drop_all() override { return inner_->drop_all(); }
  Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor) override {
    return inner_->dead_letters(limit, cursor);
  }
  Result<std::int64_t> requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) override {
    return inner_->requeue_dead(ids, all, fresh_ttl);
  }
  Result<std::int64_t> purge_dead() override { return inner_->purge_dead(); }
  void configure(const ChannelPolicy& policy) override { inner_->configure(policy); }
  Result<void> close() override { return inner_->close(); }

 protected:
  /// What is ready now, at most `max`, without waiting.
  std::vector<Delivery> take_ready(std::size_t max);
  /// Settles deliveries behind the engine's back.
  void settle_all(const std::vector<Delivery>& deliveries, const Settlement& how);

 private:
  std::shared_ptr<BackendChannel> inner_;
};

class PassTopic : public BackendTopic {
 public:
  explicit PassTopic(std::shared_ptr<BackendTopic> inner) noexcept : inner_(std::move(inner)) {}

  Result<void> publish(std::span<Outgoing> batch, Duration timeout) override { return inner_->publish(batch, timeout); }
  Result<std::shared_ptr<BackendChannel>> open_channel(const std::string& name, const ChannelPolicy& policy,
                                                       bool create) override {
    return inner_->open_channel(name, policy, create);
  }
  Result<std::vector<std::string>> channels() override { return inner_->channels(); }
  Result<void> delete_channel(const std::string& name) override { return inner_->delete_channel(name); }
  Result<void> close() override { return inner_->close(); }

 private:
  std::shared_ptr<BackendTopic> inner_;
};

class PassBackend : public Backend {
 public:
  explicit PassBackend(std::shared_ptr<Backend> inner) noexcept : inner_(std::move(inner)) {}

  [[nodiscard]] const Capabilities& capabilities() const noexcept override { return inner_->capabilities(); }
  Result<std::shared_ptr<BackendTopic>> open_topic(const std::string& name, const TopicPolicy& policy) override {
    return inner_->open_topic(name, policy);
  }
  Result<std::vector<std::string>> topics() override { return inner_->topics(); }
  Result<void> ping(SteadyTime deadline) override { return inner_->ping(deadline); }
  Result<void> close() override { return inner_->close(); }

 private:
  std::shared_ptr<Backend> inner_;
};

/// Every topic of the back end becomes a `Topic`.
template <class Topic>
class BackendOf final : public PassBackend {
 public:
  using PassBackend::PassBackend;
  Result<std::shared_ptr<BackendTopic>> open_topic(const std::string& name, const TopicPolicy& policy) override {
    auto inner = PassBackend::open_topic(name, policy);
    if (!inner) return inner;
    return std::make_shared<Topic>(std::move(*inner));
  }
};

/// Every channel of the topic becomes a `Channel`.
template <class Channel>
class TopicOf final : public PassTopic {
 public:
  using PassTopic::PassTopic;
  Result<std::shared_ptr<BackendChannel>> open_channel(const std::string& name, const ChannelPolicy& policy,
                                                       bool create) override {
    auto inner = PassTopic::open_channel(name, policy, create);
    if (!inner) return inner;
    return std::make_shared<Channel>(std::move(*inner));
  }
};

inline std::vector<Delivery> PassChannel::take_ready(std::size_t max) {
  std::vector<Delivery> ready(max);
  ready.resize(inner_->receive(ready, {.renewed = true}).value_or(0));
  return ready;
}

inline void PassChannel::settle_all(const std::vector<Delivery>& deliveries, const Settlement& how) {
  std::vector<Settlement> list(deliveries.size(), how);
  for (std::size_t i = 0; i < list.size(); ++i) list[i].tag = deliveries[i].tag;
  static_cast<void>(inner_->settle(list));
}

}  // namespace lrpc::queue::mutants
