// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "base/gate.hpp"
#include "redis/channel.hpp"
#include "redis/listener.hpp"
#include "redis/router.hpp"
#include "redis/topic_store.hpp"
#include "redis/waker.hpp"

namespace lrpc::queue::redis {

/// The publishing side of a topic, and its open channels. Lock: `mutex_`, not held while the server is asked.
class RedisTopic final : public BackendTopic {
 public:
  RedisTopic(const std::shared_ptr<Router>& router, std::shared_ptr<Listener> listener, std::shared_ptr<Clock> clock,
             Logger logger, std::string name, const TopicPolicy& policy);
  /// Makes the topic known to the server.
  Result<void> open();

  Result<void> publish(std::span<Outgoing> batch, Duration timeout) override;
  Result<std::shared_ptr<BackendChannel>> open_channel(const std::string& name, const ChannelPolicy& policy,
                                                       bool create) override;
  Result<std::vector<std::string>> channels() override;
  Result<void> delete_channel(const std::string& name) override;
  Result<TailPage> tail(const std::string& channel, std::string_view cursor, std::size_t limit,
                        SteadyTime until) override;
  Result<void> close() override;

 private:
  Result<Reply> read_on(const std::string& stream, const std::string& cursor, std::size_t limit, SteadyTime until);
  [[nodiscard]] SteadyTime deadline() const;
  [[nodiscard]] std::unexpected<Error> closed() const;
  [[nodiscard]] std::vector<std::shared_ptr<RedisChannel>> open_channels();

  const std::shared_ptr<Listener> listener_;
  const std::shared_ptr<Clock> clock_;
  const Logger logger_;
  const std::string name_;
  const TopicPolicy policy_;
  const std::shared_ptr<Route> route_;
  const std::shared_ptr<TopicStore> store_;
  Waker tails_end_;  // woken by close
  detail::Gate gate_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<RedisChannel>> channels_;  // guarded by mutex_
};

}  // namespace lrpc::queue::redis
