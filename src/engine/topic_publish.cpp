// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "engine/prepare.hpp"
#include "engine/topic_engine.hpp"

namespace lrpc::queue::detail {

namespace {

std::vector<std::string> ids_of(std::span<const Outgoing> batch) {
  std::vector<std::string> ids;
  ids.reserve(batch.size());
  for (const Outgoing& out : batch) ids.push_back(out.message->id());
  return ids;
}

}  // namespace

// A delay counts from now exactly; for everything else the cheaper clock will do.
Instant TopicImpl::time_for(const PubOptions* options) const {
  const bool delayed = options != nullptr && (options->delay || options->deliver_at);
  return delayed ? context_->clock->now() : context_->clock->coarse();
}

Result<std::string> TopicImpl::publish(EnvelopePtr message, const PubOptions* options) {
  if (!is_open()) return closed();
  if (options != nullptr) {
    if (auto ok = check_options(*options); !ok) return std::unexpected(std::move(ok.error()));
  }
  Outgoing out{.message = std::move(message)};
  if (hooked_) {
    std::vector<std::string> ids;
    if (auto result = publish_hooked({&out, 1}, options, ids); !result) {
      return std::unexpected(std::move(result.error()));
    }
    return std::move(ids.front());
  }
  if (auto ready = prepare_one(out, options, time_for(options)); !ready) {
    return std::unexpected(std::move(ready.error()));
  }
  Result<std::string> id(std::in_place, out.message->id());
  if (auto sent = send({&out, 1}, options); !sent) id = std::unexpected(std::move(sent.error()));
  return id;
}

Result<std::vector<std::string>> TopicImpl::publish_batch(std::vector<Outgoing> batch, const PubOptions* options) {
  if (!is_open()) return closed();
  if (auto ok = check_options(*options); !ok) return std::unexpected(std::move(ok.error()));
  std::vector<std::string> ids;
  if (batch.empty()) return ids;
  if (hooked_) {
    if (auto result = publish_hooked(batch, options, ids); !result) return std::unexpected(std::move(result.error()));
    return ids;
  }
  if (auto ready = prepare_all(batch, options); !ready) return std::unexpected(std::move(ready.error()));
  ids = ids_of(batch);
  if (auto result = send(batch, options); !result) return std::unexpected(std::move(result.error()));
  return ids;
}

Result<void> TopicImpl::prepare_one(Outgoing& out, const PubOptions* options, Instant now) {
  auto ready = prepare(out, options, policy_, name_, serializes_, now);
  if (out.delay.count() > 0) out.delay += context_->clock->granularity();
  return ready;
}

Result<void> TopicImpl::prepare_all(std::span<Outgoing> batch, const PubOptions* options) {
  const Instant now = time_for(options);
  for (Outgoing& out : batch) {
    if (auto ready = prepare_one(out, options, now); !ready) return ready;
  }
  return {};
}

Result<void> TopicImpl::send(std::span<Outgoing> batch, const PubOptions* options) {
  const Duration timeout =
      options != nullptr && options->timeout ? *options->timeout : context_->capabilities.publish_timeout;
  auto result = backend_->publish(batch, timeout);
  if (!result) return std::unexpected(explain(std::move(result.error())));
  return result;
}

// The way of a publish when somebody looks on: interceptors see the messages as they will be published, before
// encoding.
Result<void> TopicImpl::publish_hooked(std::span<Outgoing> batch, const PubOptions* options,
                                       std::vector<std::string>& ids) {
  const auto begin = std::chrono::steady_clock::now();
  const Instant now = time_for(options);
  std::vector<MessageView> views;
  views.reserve(batch.size());
  for (Outgoing& out : batch) {
    if (!out.message) return fail(ErrorCode::invalid_argument, "topic " + name_ + ": a moved-from message");
    Envelope& m = out.message.writable();
    if (!m.has_id()) m.set_id(MessageId::generate(now.wall_ms));
    if (m.timestamp() == 0) m.set_timestamp(now.wall_s());
    if (options != nullptr && !options->key.empty()) m.set_key(options->key);
    if (options != nullptr) {
      for (const auto& [name, value] : options->headers) m.set_header(name, value);
    }
    views.emplace_back(out.message);
  }
  PubOptions rest = options != nullptr ? *options : PubOptions{};  // what the interceptors have not seen yet
  rest.key.clear();
  rest.headers.clear();
  const PublishCall call{.topic = name_, .messages = views};
  const Result<void> result = intercept(0, call, [&]() -> Result<void> {
    // Copies, where an interceptor may look at the messages afterwards or try again.
    std::vector<Outgoing> copies;
    if (!context_->config.interceptors.empty()) copies.assign(batch.begin(), batch.end());
    const std::span<Outgoing> sending = copies.empty() ? batch : std::span(copies);
    if (auto ready = prepare_all(sending, &rest); !ready) return ready;
    std::vector<std::string> sent = ids_of(sending);
    Result<void> stored = send(sending, &rest);
    if (stored) ids = std::move(sent);
    return stored;
  });
  const std::size_t count = batch.size();
  context_->observe([&](Observer& o) {
    o.published(name_, count, result ? nullptr : &result.error(), std::chrono::steady_clock::now() - begin);
  });
  // An interceptor that says yes without going on has published nothing.
  if (result && ids.size() != count) {
    return fail(ErrorCode::backend, "topic " + name_ + ": an interceptor did not go on with the publish");
  }
  return result;
}

Result<void> TopicImpl::intercept(std::size_t index, const PublishCall& call,
                                  const std::function<Result<void>()>& publish) {
  const auto& interceptors = context_->config.interceptors;
  if (index == interceptors.size()) return publish();
  return contain<void>(
      [&] { return interceptors[index]->publish(call, [&] { return intercept(index + 1, call, publish); }); });
}

std::shared_ptr<AsyncPublisher> TopicImpl::async() {
  const std::lock_guard lock(mutex_);
  if (!is_open()) return nullptr;
  if (!async_) {
    async_ = std::make_shared<AsyncPublisher>(context_, backend_, name_, policy_.max_pending_publishes);
  }
  return async_;
}

Result<void> TopicImpl::publish_async(EnvelopePtr message, const PubOptions& options, PublishCallback callback) {
  if (!is_open()) return closed();
  if (auto ok = check_options(options); !ok) return ok;
  const Duration timeout = options.timeout.value_or(context_->capabilities.publish_timeout);
  const std::shared_ptr<AsyncPublisher> publisher = async();
  if (!publisher) return closed();
  if (!context_->config.interceptors.empty()) {
    auto alone = [self = shared_from_this(), out = Outgoing{.message = std::move(message)},
                  options]() mutable -> Result<std::string> {
      std::vector<std::string> ids;
      if (auto result = self->publish_hooked({&out, 1}, &options, ids); !result) {
        return std::unexpected(std::move(result.error()));
      }
      return std::move(ids.front());
    };
    return publisher->submit(std::move(alone), timeout, std::move(callback));
  }
  Outgoing out{.message = std::move(message)};
  if (auto ready = prepare_one(out, &options, time_for(&options)); !ready) return ready;
  return publisher->submit(std::move(out), timeout, std::move(callback));
}

Result<void> TopicImpl::flush(Duration timeout) {
  if (!is_open()) return closed();
  if (timeout.count() < 0) return fail(ErrorCode::invalid_argument, "flush: the timeout is negative");
  std::shared_ptr<AsyncPublisher> async;
  {
    const std::lock_guard lock(mutex_);
    async = async_;
  }
  if (!async) return {};
  return async->flush(timeout);
}

}  // namespace lrpc::queue::detail
