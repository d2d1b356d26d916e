// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrpc/queue/config.hpp>
#include <lrpc/queue/detail/engine.hpp>
#include <lrpc/queue/diagnosis.hpp>
#include <lrpc/queue/topic.hpp>

namespace lrpc::queue {

/// One connected instance over one back end. A cheap handle, safe to use from many threads; the last handle's
/// destructor closes the queue. Topic, channel and subscription handles do not keep it open.
class Queue {
 public:
  /// Validates the configuration and connects within dial_timeout. `invalid_config`, `unavailable`, `permission`, or
  /// `unsupported` for a back end that this build does not contain.
  [[nodiscard]] static Result<Queue> open(Config config) {
    return detail::map_result(detail::QueueEngine::open(std::move(config)),
                              [](std::shared_ptr<detail::QueueEngine>&& engine) { return Queue(std::move(engine)); });
  }

  /// Opens a topic of bodies of type T, which needs a codec only on a back end that serialises (else `codec`). An open
  /// topic is returned as it is. On memory the same name with another T is `invalid_argument`.
  template <class T>
  [[nodiscard]] Result<Topic<T>> topic(std::string_view name, const TopicConfig& config = {}) {
    return detail::map_result(
        owner_->engine->open_topic(name, config, TypedEnvelope<T>::kType),
        [](std::shared_ptr<detail::TopicEngine>&& engine) { return Topic<T>(std::move(engine)); });
  }

  /// The names of the back end's topics, sorted.
  [[nodiscard]] Result<std::vector<std::string>> topics() { return owner_->engine->topics(); }
  /// Asks the back end for a sign of life.
  [[nodiscard]] Result<void> ping() { return owner_->engine->ping(); }
  /// Looks at the server and its settings for what endangers the promises. `unsupported` on memory.
  [[nodiscard]] Result<Diagnosis> diagnose() { return owner_->engine->diagnose(); }
  /// Closes all topics and releases the connection (D20). `timeout` when a handler still runs after close_timeout.
  Result<void> close() { return owner_->engine->close(); }

 private:
  /// Shared by the copies of a handle: the last one closes.
  struct Owner {
    explicit Owner(std::shared_ptr<detail::QueueEngine> e) noexcept : engine(std::move(e)) {}
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() { static_cast<void>(engine->close()); }
    std::shared_ptr<detail::QueueEngine> engine;
  };
  explicit Queue(std::shared_ptr<detail::QueueEngine> engine) : owner_(std::make_shared<Owner>(std::move(engine))) {}

  std::shared_ptr<Owner> owner_;
};

}  // namespace lrpc::queue
