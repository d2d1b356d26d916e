// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/backend.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/gate.hpp"
#include "redis/diagnose.hpp"
#include "redis/listener.hpp"
#include "redis/router.hpp"
#include "redis/topic.hpp"

namespace lrpc::queue::redis {
namespace {

/// A prefix as a pattern that matches just that.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (std::string_view("*?[]\\^-").find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

class RedisBackend final : public Backend {
 public:
  /// `own`: close may end the router's connections, which nobody else uses.
  RedisBackend(std::shared_ptr<Router> router, bool own, const BackendContext& context)
      : router_(std::move(router)),
        own_(own),
        clock_(context.clock),
        logger_(context.logger),
        listener_(std::make_shared<Listener>(router_)) {
    capabilities_.publish_timeout = router_->route(router_->config().key_prefix)->usual_time();
  }

  [[nodiscard]] const Capabilities& capabilities() const noexcept override { return capabilities_; }

  Result<std::shared_ptr<BackendTopic>> open_topic(const std::string& name, const TopicPolicy& policy) override {
    const auto pass = gate_.enter();
    if (!pass) return closed();
    auto topic = std::make_shared<RedisTopic>(router_, listener_, clock_, logger_, name, policy);
    if (auto ok = topic->open(); !ok) return std::unexpected(std::move(ok.error()));
    return topic;
  }

  Result<std::vector<std::string>> topics() override {
    const auto pass = gate_.enter();
    if (!pass) return closed();
    std::set<std::string> names;
    for (const auto& node : router_->nodes()) {
      if (auto ok = scan(*node, names); !ok) return std::unexpected(std::move(ok.error()));
    }
    return std::vector<std::string>(names.begin(), names.end());
  }

  Result<void> ping(SteadyTime deadline) override {
    const auto pass = gate_.enter();
    if (!pass) return closed();
    Pipeline command;
    command.add({"PING"});
    for (const auto& node : router_->nodes()) {
      auto reply = node->command("PING", command, deadline, Repeat::safe);
      if (!reply) return std::unexpected(std::move(reply.error()));
    }
    return {};
  }

  Result<Diagnosis> diagnose(SteadyTime deadline) override {
    const auto pass = gate_.enter();
    if (!pass) return closed();
    return redis::diagnose(*router_, deadline);
  }

  Result<void> close() override {
    gate_.shut();
    gate_.drain();
    listener_->stop();
    if (own_) router_->close();
    return {};
  }

 private:
  static std::unexpected<Error> closed() { return fail(ErrorCode::queue_closed, "the queue was closed"); }

  // The registries that one server holds: hashes whose name is the prefix and a topic's.
  Result<void> scan(Route& node, std::set<std::string>& names) {
    const std::string& prefix = router_->config().key_prefix;
    const std::string pattern = escaped(prefix) + "*";
    std::string cursor = "0";
    do {
      Pipeline command;
      command.add({"SCAN", cursor, "MATCH", pattern, "COUNT", "1000", "TYPE", "hash"});
      auto reply = node.command("SCAN", command, after(node.usual_time()), Repeat::safe);
      if (!reply) return std::unexpected(std::move(reply.error()));
      if (reply->size() != 2) return unexpected_reply("SCAN");
      cursor = (*reply)[0].text();
      for (std::size_t i = 0; i < (*reply)[1].size(); ++i) {
        std::string_view name = (*reply)[1][i].text().substr(prefix.size());
        if (router_->cluster() && name.starts_with('{') && name.ends_with('}')) name = name.substr(1, name.size() - 2);
        if (!name.empty() && name.find_first_of(":{}") == std::string_view::npos) names.emplace(name);
      }
    } while (cursor != "0");
    return {};
  }

  const std::shared_ptr<Router> router_;
  const bool own_;
  const std::shared_ptr<Clock> clock_;
  const Logger logger_;
  const std::shared_ptr<Listener> listener_;
  Capabilities capabilities_{.name = "redis", .serializes = true, .renew_leases = true, .batch_acks = true};
  detail::Gate gate_;
};

}  // namespace

Result<std::shared_ptr<Backend>> make_backend(const BackendContext& context) {
  std::shared_ptr<Router> router;
  const bool own = !context.config.redis_client;
  if (!own) {
    router = std::dynamic_pointer_cast<Router>(context.config.redis_client);
    if (!router) {
      return fail(ErrorCode::invalid_config, "redis_client is not one that RedisClient::connect made");
    }
  } else {
    auto connected = connect_client(context.config.redis_config);
    if (!connected) return std::unexpected(std::move(connected.error()));
    router = std::move(*connected);
  }
  return std::make_shared<RedisBackend>(std::move(router), own, context);
}

}  // namespace lrpc::queue::redis
