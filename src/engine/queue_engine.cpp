// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include <lrpc/queue/detail/engine.hpp>
#include <lrpc/queue/redis_client.hpp>

#include "engine/context.hpp"
#include "engine/topic_engine.hpp"
#include "memory/backend.hpp"
#if LRPC_QUEUE_WITH_KAFKA
#include "kafka/backend.hpp"
#endif
#if LRPC_QUEUE_WITH_REDIS
#include "redis/backend.hpp"
#include "redis/router.hpp"
#endif

namespace lrpc::queue {
namespace detail {
namespace {

/// One open queue. Lock order: `mutex_` before a topic's.
class QueueImpl final : public QueueEngine, public std::enable_shared_from_this<QueueImpl> {
 public:
  explicit QueueImpl(std::shared_ptr<const Context> context) : context_(std::move(context)) {}

  Result<std::shared_ptr<TopicEngine>> open_topic(std::string_view name, const TopicConfig& config,
                                                  const BodyType& type) override {
    if (auto ok = validate_name("topic", name); !ok) return std::unexpected(std::move(ok.error()));
    if (auto ok = validate(config); !ok) return std::unexpected(std::move(ok.error()));
    const std::lock_guard lock(mutex_);
    if (!open_) return closed();
    if (context_->capabilities.serializes && (type.encode == nullptr || type.decode == nullptr)) {
      return fail(ErrorCode::codec, "topic " + std::string(name) + ": its type has no codec, which the back end " +
                                        context_->capabilities.name +
                                        " needs; give it to_json and from_json or specialise lrpc::queue::codec");
    }
    const auto other_type = [&](const BodyType& known) {
      return fail(ErrorCode::invalid_argument, "topic " + std::string(name) + " holds bodies of another type (" +
                                                   known.type->name() + ", asked for " + type.type->name() + ")");
    };
    if (const auto it = topics_.find(name); it != topics_.end()) {
      if (!it->second->is_open()) {
        return fail(ErrorCode::topic_closed, "topic " + std::string(name) + " is still closing", true);
      }
      if (!(it->second->type() == type)) return other_type(it->second->type());
      return it->second;
    }
    // Typed bodies that wait in a closed topic keep its type.
    if (!context_->capabilities.serializes) {
      const auto [known, first] = types_.try_emplace(std::string(name), &type);
      if (!first && !(*known->second == type)) return other_type(*known->second);
    }
    auto backend = context_->backend->open_topic(std::string(name), resolve(context_->config, config));
    if (!backend) return std::unexpected(explain(std::move(backend.error())));
    auto topic = std::make_shared<TopicImpl>(context_, std::string(name), config, type, std::move(*backend),
                                             [weak = weak_from_this()](TopicImpl* ended) {
                                               if (const auto self = weak.lock()) self->forget(ended);
                                             });
    topics_.emplace(name, topic);
    return topic;
  }

  Result<std::vector<std::string>> topics() override {
    if (!open_) return closed();
    auto names = context_->backend->topics();
    if (!names) return std::unexpected(explain(std::move(names.error())));
    return names;
  }

  Result<void> ping() override {
    if (!open_) return closed();
    auto result = context_->backend->ping(std::chrono::steady_clock::now() + context_->capabilities.publish_timeout);
    if (!result) return std::unexpected(explain(std::move(result.error())));
    return result;
  }

  Result<Diagnosis> diagnose() override {
    if (!open_) return closed();
    auto result =
        context_->backend->diagnose(std::chrono::steady_clock::now() + context_->capabilities.publish_timeout);
    if (!result) return std::unexpected(explain(std::move(result.error())));
    return result;
  }

  Result<void> close() override {
    std::vector<std::shared_ptr<TopicImpl>> topics;
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      first = open_.exchange(false);
      topics.reserve(topics_.size());
      for (const auto& [name, topic] : topics_) topics.push_back(topic);
    }
    if (!first) {
      for (const auto& topic : topics) static_cast<void>(topic->close());
      return {};
    }
    auto end = std::make_shared<WhenAllEnded>(
        [self = shared_from_this()] { static_cast<void>(self->context_->backend->close()); });
    // All stop at once, so that their time-outs run side by side.
    std::vector<bool> begun;
    begun.reserve(topics.size());
    for (const auto& topic : topics) begun.push_back(topic->begin_close());
    Result<void> result;
    for (std::size_t i = 0; i < topics.size(); ++i) {
      Result<void> one = begun[i] ? topics[i]->finish_close(end) : topics[i]->close();
      if (!one && result) result = std::move(one);
    }
    return result;
  }

 private:
  [[nodiscard]] static std::unexpected<Error> closed() { return fail(ErrorCode::queue_closed, "the queue is closed"); }
  [[nodiscard]] Error explain(Error error) const {
    if (error.source.empty()) error.source = context_->capabilities.name;
    return error;
  }
  void forget(TopicImpl* ended) {
    std::shared_ptr<TopicImpl> last;  // released without the lock
    const std::lock_guard lock(mutex_);
    const auto it = topics_.find(ended->name());
    if (it == topics_.end() || it->second.get() != ended) return;
    last = std::move(it->second);
    topics_.erase(it);
  }

  const std::shared_ptr<const Context> context_;
  std::atomic<bool> open_{true};
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<TopicImpl>, std::less<>> topics_;
  std::map<std::string, const BodyType*, std::less<>> types_;  // of a back end that does not serialise
};

Result<std::shared_ptr<Backend>> make_backend(const BackendContext& context) {
  if (context.config.backend_factory) {
    auto backend = contain<std::shared_ptr<Backend>>([&] { return context.config.backend_factory(context); });
    if (backend && !*backend) return fail(ErrorCode::invalid_config, "backend_factory returned a null back end");
    return backend;
  }
  switch (context.config.storage_type) {
    case StorageType::memory:
      return memory::make_backend(context);
#if LRPC_QUEUE_WITH_REDIS
    case StorageType::redis:
      return contain<std::shared_ptr<Backend>>([&] { return redis::make_backend(context); });
#endif
#if LRPC_QUEUE_WITH_KAFKA
    case StorageType::kafka:
      return contain<std::shared_ptr<Backend>>([&] { return kafka::make_backend(context); });
#endif
    default:
      break;
  }
  return fail(ErrorCode::unsupported, "storage_type " + std::string(to_string(context.config.storage_type)) +
                                          ": this build has no such back end");
}

}  // namespace

Result<std::shared_ptr<QueueEngine>> QueueEngine::open(Config config) {
  if (auto ok = validate_for_open(config); !ok) return std::unexpected(std::move(ok.error()));
  auto context = std::make_shared<Context>();
  context->config = std::move(config);
  context->clock = context->config.clock ? context->config.clock : system_clock();
  context->logger = context->config.logger ? context->config.logger : default_logger();
  auto backend = make_backend({.config = context->config, .clock = context->clock, .logger = context->logger});
  if (!backend) return std::unexpected(std::move(backend.error()));
  context->backend = std::move(*backend);
  context->capabilities = context->backend->capabilities();
  return std::make_shared<QueueImpl>(std::move(context));
}

}  // namespace detail

Result<std::shared_ptr<RedisClient>> RedisClient::connect(const RedisConfig& config) {
  if (auto ok = validate_for_open(Config{.storage_type = StorageType::redis, .redis_config = config}); !ok) {
    return std::unexpected(std::move(ok.error()));
  }
#if LRPC_QUEUE_WITH_REDIS
  return detail::contain<std::shared_ptr<RedisClient>>([&]() -> Result<std::shared_ptr<RedisClient>> {
    auto client = redis::connect_client(config);
    if (!client) return std::unexpected(std::move(client.error()));
    return *client;
  });
#else
  return fail(ErrorCode::unsupported, "this build has no Redis back end");
#endif
}

}  // namespace lrpc::queue
