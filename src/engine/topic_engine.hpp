// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <lrpc/queue/detail/engine.hpp>
#include <lrpc/queue/policy.hpp>

#include "engine/async_publisher.hpp"
#include "engine/channel_engine.hpp"
#include "engine/context.hpp"

namespace lrpc::queue::detail {

/// Runs an action when the last reference goes: the end of a topic or queue, once all its channels have ended.
class WhenAllEnded {
 public:
  explicit WhenAllEnded(std::function<void()> action) : action_(std::move(action)) {}
  WhenAllEnded(const WhenAllEnded&) = delete;
  WhenAllEnded& operator=(const WhenAllEnded&) = delete;
  ~WhenAllEnded() { action_(); }

 private:
  std::function<void()> action_;
};

/// One open topic. Lock order: `mutex_` before a channel's; back-end calls that open or delete a channel run with it
/// held, publishes without.
class TopicImpl final : public TopicEngine, public std::enable_shared_from_this<TopicImpl> {
 public:
  /// `forget` takes the topic out of its queue's list; called once, when it has ended.
  TopicImpl(std::shared_ptr<const Context> context, std::string name, const TopicConfig& config, const BodyType& type,
            std::shared_ptr<BackendTopic> backend, std::function<void(TopicImpl*)> forget);

  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  Result<std::string> publish(EnvelopePtr message, const PubOptions* options) override;
  Result<std::vector<std::string>> publish_batch(std::vector<Outgoing> batch, const PubOptions* options) override;
  Result<void> publish_async(EnvelopePtr message, const PubOptions& options, PublishCallback callback) override;
  Result<void> flush(Duration timeout) override;
  Result<std::shared_ptr<ChannelEngine>> open_channel(std::string_view name, const ChannelConfig* config) override;
  Result<std::vector<std::string>> channels() override;
  Result<void> delete_channel(std::string_view name) override;
  Result<TailPage> tail(std::string_view channel, std::string_view cursor, std::size_t limit, Duration wait) override;
  Result<void> close() override;

  [[nodiscard]] const BodyType& type() const noexcept { return type_; }
  [[nodiscard]] bool is_open() const noexcept { return open_.load(std::memory_order_acquire); }
  /// As ChannelImpl's: `parent` is released when the topic has ended.
  bool begin_close();
  Result<void> finish_close(std::shared_ptr<void> parent);

 private:
  [[nodiscard]] std::unexpected<Error> closed() const;
  [[nodiscard]] Error explain(Error error) const;
  [[nodiscard]] Instant time_for(const PubOptions* options) const;
  Result<void> prepare_one(Outgoing& out, const PubOptions* options, Instant now);
  Result<void> prepare_all(std::span<Outgoing> batch, const PubOptions* options);
  Result<void> send(std::span<Outgoing> batch, const PubOptions* options);
  Result<void> publish_hooked(std::span<Outgoing> batch, const PubOptions* options, std::vector<std::string>& ids);
  Result<void> intercept(std::size_t index, const PublishCall& call, const std::function<Result<void>()>& publish);
  [[nodiscard]] std::vector<std::shared_ptr<ChannelImpl>> all_channels();
  /// The publisher, made when first asked for; null once closed.
  [[nodiscard]] std::shared_ptr<AsyncPublisher> async();

  const std::shared_ptr<const Context> context_;
  const std::string name_;
  const TopicConfig config_;
  const TopicPolicy policy_;
  const bool hooked_;
  const bool serializes_;
  const BodyType& type_;
  const std::shared_ptr<BackendTopic> backend_;
  const std::function<void(TopicImpl*)> forget_;
  std::atomic<bool> open_{true};
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<ChannelImpl>, std::less<>> channels_;  // open, closing or deleted here
  std::vector<std::shared_ptr<ChannelImpl>> closing_;                          // whose close we have begun
  std::shared_ptr<AsyncPublisher> async_;                                      // since the first pub_async
};

}  // namespace lrpc::queue::detail
