// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The publishing side and the registration of channels.

#include "journal_backend.hpp"

#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store.hpp"

namespace journal {
namespace {

using namespace lrpc::queue;

template <class Map>
std::vector<std::string> names_of(const Map& map) {
  std::vector<std::string> names;
  for (const auto& [name, value] : map) names.push_back(name);
  return names;
}

class JournalTopic final : public BackendTopic {
 public:
  JournalTopic(std::shared_ptr<Store> store, std::string name, const TopicPolicy& policy)
      : store_(std::move(store)), name_(std::move(name)), policy_(policy), state_(store_->topics[name_]) {}

  Result<void> publish(std::span<Outgoing> batch, Duration /*timeout: nothing here waits*/) override {
    const std::lock_guard lock(store_->mutex);
    if (closed_) return closed();
    std::vector<std::shared_ptr<ChannelState>> targets;
    for (const auto& [name, channel] : state_->channels) targets.push_back(channel);
    if (targets.empty()) targets.push_back(state_->backlog);

    // All checks before the first effect: all or none.
    const auto excess = [&](const ChannelState& channel) {
      return channel.depth() + std::ssize(batch) - policy_.max_msg_size;
    };
    for (const auto& channel : targets) {
      store_->line_up_due(*channel);
      const auto may_drop = policy_.overflow == Overflow::drop_oldest ? std::ssize(channel->ready) : 0;
      if (excess(*channel) > may_drop) return fail(ErrorCode::queue_full, "a channel is full (max_msg_size)", true);
    }
    for (const Outgoing& out : batch) {
      const auto body = out.message->encoded_body();
      *store_->out << name_ << ' ' << out.message->id() << ' '
                   << std::string_view(reinterpret_cast<const char*>(body.data()), body.size()) << '\n';
    }
    if (!store_->out->flush()) return fail(ErrorCode::unavailable, "the journal cannot be written", true);

    const std::int64_t tick = store_->clock->now().tick_ms;
    for (const auto& channel : targets) {
      for (auto n = excess(*channel); n > 0; --n, ++channel->dropped) channel->ready.erase(channel->ready.begin());
      for (const Outgoing& out : batch) {
        Entry entry{.message = out.message};
        if (out.delay.count() > 0) {
          channel->delayed.emplace(tick + out.delay.count(), std::move(entry));
        } else {
          channel->ready.emplace(++store_->last_number, std::move(entry));
        }
      }
      channel->wake();
    }
    for (Outgoing& out : batch) out.message = EnvelopePtr();  // stored: no longer the caller's
    return {};
  }

  Result<std::shared_ptr<BackendChannel>> open_channel(const std::string& name, const ChannelPolicy& policy,
                                                       bool create) override {
    const std::lock_guard lock(store_->mutex);
    if (closed_) return closed();
    auto it = state_->channels.find(name);
    if (it == state_->channels.end()) {
      if (!create) return not_found(name);
      // The first channel gets what was published before it.
      auto fresh = std::make_shared<ChannelState>();
      if (state_->channels.empty()) fresh.swap(state_->backlog);
      it = state_->channels.emplace(name, std::move(fresh)).first;
    }
    return journal::open_channel(store_, it->second, policy);
  }

  Result<std::vector<std::string>> channels() override {
    const std::lock_guard lock(store_->mutex);
    if (closed_) return closed();
    return names_of(state_->channels);
  }

  Result<void> delete_channel(const std::string& name) override {
    const std::lock_guard lock(store_->mutex);
    if (closed_) return closed();
    const auto deleted = state_->channels.extract(name);
    if (deleted.empty()) return not_found(name);
    ChannelState& channel = *deleted.mapped();
    channel.deleted = true;
    channel.ready.clear(), channel.delayed.clear(), channel.held.clear(), channel.dead.clear();
    channel.wake();
    return {};
  }

  Result<void> close() override {
    const std::lock_guard lock(store_->mutex);
    closed_ = true;
    return {};
  }

 private:
  [[nodiscard]] std::unexpected<Error> closed() const {
    return fail(ErrorCode::topic_closed, "topic " + name_ + " is closed");
  }
  [[nodiscard]] std::unexpected<Error> not_found(const std::string& channel) const {
    return fail(ErrorCode::channel_not_found, "topic " + name_ + " has no channel " + channel);
  }

  const std::shared_ptr<Store> store_;
  const std::string name_;
  const TopicPolicy policy_;
  const std::shared_ptr<TopicState> state_;
  bool closed_ = false;
};

class JournalBackend final : public Backend {
 public:
  JournalBackend(std::ostream& out, const BackendContext& context) {
    store_->out = &out;
    store_->clock = context.clock;
    // A clock moved by hand (in tests) wakes nobody by itself.
    jumps_ = context.clock->on_jump([store = store_] {
      const std::lock_guard lock(store->mutex);
      for (const auto& [topic_name, topic] : store->topics) {
        for (const auto& [name, channel] : topic->channels) channel->wake();
      }
    });
  }

  const Capabilities& capabilities() const noexcept override { return capabilities_; }

  Result<std::shared_ptr<BackendTopic>> open_topic(const std::string& name, const TopicPolicy& policy) override {
    const std::lock_guard lock(store_->mutex);
    if (store_->closed) return closed();
    auto& state = store_->topics[name];
    if (!state) state = std::make_shared<TopicState>();
    return std::make_shared<JournalTopic>(store_, name, policy);
  }

  Result<std::vector<std::string>> topics() override {
    const std::lock_guard lock(store_->mutex);
    if (store_->closed) return closed();
    return names_of(store_->topics);
  }

  Result<void> ping(SteadyTime /*deadline: nothing here waits*/) override {
    const std::lock_guard lock(store_->mutex);
    if (store_->closed) return closed();
    return {};
  }

  Result<void> close() override {
    jumps_.reset();  // without the lock, which the listener takes
    const std::lock_guard lock(store_->mutex);
    store_->closed = true;
    store_->topics.clear();
    return {};
  }

 private:
  static std::unexpected<Error> closed() { return fail(ErrorCode::queue_closed, "the queue is closed"); }

  const Capabilities capabilities_{.name = "journal", .serializes = true, .renew_leases = false, .batch_acks = false};
  const std::shared_ptr<Store> store_ = std::make_shared<Store>();
  std::shared_ptr<void> jumps_;
};

}  // namespace
}  // namespace journal

// [begin factory]
lrpc::queue::BackendFactory journal_backend(std::ostream& out) {
  using lrpc::queue::Backend;
  return [&out](const lrpc::queue::BackendContext& context) -> lrpc::queue::Result<std::shared_ptr<Backend>> {
    return std::make_shared<journal::JournalBackend>(out, context);
  };
}
// [end factory]
