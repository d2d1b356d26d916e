// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "memory/channel.hpp"

namespace lrpc::queue::memory {

using Channels = std::vector<std::shared_ptr<ChannelState>>;

/// What a topic is, open or not. `mutex` guards all members and makes its holder the one producer of every channel's
/// FIFO. Lock order: topic, then channel (several channels in the order of the list).
struct TopicState {
  explicit TopicState(std::string topic_name) : name(std::move(topic_name)) {}

  const std::string name;
  detail::Mutex mutex;
  const std::shared_ptr<Sleepers> sleepers = std::make_shared<Sleepers>(0);
  Channels channels;
  std::unordered_map<std::string, std::size_t> places;  // of the channels, by name
  Channels backlog;                                     // none or one: takes the messages while there is no channel

  /// The place of a channel that is there, else channels.size(). Holds `mutex`.
  [[nodiscard]] std::size_t place_of(const std::string& channel) const;
  void add(std::shared_ptr<ChannelState> channel);
  [[nodiscard]] std::shared_ptr<ChannelState> take_out(std::size_t place);
  /// Where a publish goes: the channels, or the backlog. Holds `mutex`.
  Channels& targets();
};

/// The publishing side of the memory back end.
class MemoryTopic final : public BackendTopic {
 public:
  MemoryTopic(std::shared_ptr<TopicState> state, std::shared_ptr<Clock> clock, const TopicPolicy& policy)
      : state_(std::move(state)), clock_(std::move(clock)), policy_(policy) {}

  Result<void> publish(std::span<Outgoing> batch, Duration timeout) override;
  Result<std::shared_ptr<BackendChannel>> open_channel(const std::string& name, const ChannelPolicy& policy,
                                                       bool create) override;
  Result<std::vector<std::string>> channels() override;
  Result<void> delete_channel(const std::string& name) override;
  Result<void> close() override;

 private:
  [[nodiscard]] Result<void> check_open() const;
  Result<void> make_room(const Channels& targets, std::size_t count, Garbage& garbage);
  bool publish_one(Outgoing& out);
  Result<void> publish_all(std::span<Outgoing> batch);
  void wake_sleepers();
  static bool take_over(const Outgoing& out, std::uint32_t channels) noexcept;
  void add_delayed(const Channels& targets, std::span<const Outgoing> batch);
  [[nodiscard]] std::unexpected<Error> full(const ChannelState& channel) const;

  const std::shared_ptr<TopicState> state_;
  const std::shared_ptr<Clock> clock_;
  const TopicPolicy policy_;
  bool closed_ = false;  // guarded by the state's mutex
};

}  // namespace lrpc::queue::memory
