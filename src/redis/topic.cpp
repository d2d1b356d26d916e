// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/topic.hpp"

#include <algorithm>
#include <utility>

namespace lrpc::queue::redis {

RedisTopic::RedisTopic(const std::shared_ptr<Router>& router, std::shared_ptr<Listener> listener,
                       std::shared_ptr<Clock> clock, Logger logger, std::string name, const TopicPolicy& policy)
    : listener_(std::move(listener)),
      clock_(std::move(clock)),
      logger_(std::move(logger)),
      name_(std::move(name)),
      policy_(policy),
      route_(router->route(Keys(router->config().key_prefix, name_, router->cluster()).registry())),
      store_(std::make_shared<TopicStore>(route_, name_, Keys(router->config().key_prefix, name_, router->cluster()))) {
}

SteadyTime RedisTopic::deadline() const { return after(route_->usual_time()); }

std::unexpected<Error> RedisTopic::closed() const {
  return fail(ErrorCode::topic_closed, "topic " + name_ + " was closed");
}

Result<void> RedisTopic::open() { return store_->open(deadline()); }

Result<void> RedisTopic::publish(std::span<Outgoing> batch, Duration timeout) {
  const SteadyTime until = after(std::min(timeout, kLongest));
  const auto pass = gate_.enter();
  if (!pass) return closed();
  auto dropped = store_->publish(batch, policy_, until);
  if (!dropped) return std::unexpected(std::move(dropped.error()));
  Duration soonest = kLongest;
  for (const Outgoing& out : batch) {
    if (out.delay.count() > 0) soonest = std::min(soonest, out.delay);
  }
  if (dropped->empty() && soonest == kLongest) return {};
  for (const auto& channel : open_channels()) {
    if (const auto it = dropped->find(channel->name()); it != dropped->end()) channel->count_dropped(it->second);
    // Others hear of it from the server.
    if (soonest < kLongest) channel->delayed(soonest);
  }
  return {};
}

std::vector<std::shared_ptr<RedisChannel>> RedisTopic::open_channels() {
  std::vector<std::shared_ptr<RedisChannel>> open;
  const std::lock_guard lock(mutex_);
  for (auto it = channels_.begin(); it != channels_.end();) {
    if (auto channel = it->lock()) {
      open.push_back(std::move(channel));
      ++it;
    } else {
      it = channels_.erase(it);
    }
  }
  return open;
}

Result<std::shared_ptr<BackendChannel>> RedisTopic::open_channel(const std::string& name, const ChannelPolicy& policy,
                                                                 bool create) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  auto incarnation = store_->open_channel(name, create, deadline());
  if (!incarnation) return std::unexpected(std::move(incarnation.error()));
  auto channel = RedisChannel::open({.topic = store_,
                                     .route = route_,
                                     .listener = listener_,
                                     .clock = clock_,
                                     .logger = logger_,
                                     .topic_name = name_,
                                     .name = name,
                                     .incarnation = std::move(*incarnation),
                                     .policy = policy});
  const std::lock_guard lock(mutex_);
  std::erase_if(channels_, [](const auto& known) { return known.expired(); });
  channels_.push_back(channel);
  return channel;
}

Result<std::vector<std::string>> RedisTopic::channels() {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  return store_->channels(deadline());
}

Result<void> RedisTopic::delete_channel(const std::string& name) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  auto result = store_->delete_channel(name, deadline());
  if (!result) return result;
  for (const auto& channel : open_channels()) {
    if (channel->name() == name) channel->was_deleted();
  }
  return result;
}

Result<void> RedisTopic::close() {
  gate_.shut();
  tails_end_.wake();
  gate_.drain();
  tails_end_.close();
  return {};
}

}  // namespace lrpc::queue::redis
