// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "engine/topic_engine.hpp"

#include <algorithm>
#include <utility>

namespace lrpc::queue::detail {

TopicImpl::TopicImpl(std::shared_ptr<const Context> context, std::string name, const TopicConfig& config,
                     const BodyType& type, std::shared_ptr<BackendTopic> backend,
                     std::function<void(TopicImpl*)> forget)
    : context_(std::move(context)),
      name_(std::move(name)),
      config_(config),
      policy_(resolve(context_->config, config)),
      hooked_(!context_->config.interceptors.empty() || context_->config.observer != nullptr),
      serializes_(context_->capabilities.serializes),
      type_(type),
      backend_(std::move(backend)),
      forget_(std::move(forget)) {}

std::unexpected<Error> TopicImpl::closed() const {
  return fail(ErrorCode::topic_closed, "topic " + name_ + " is closed; Queue::topic opens it again");
}

Error TopicImpl::explain(Error error) const {
  if (error.code == ErrorCode::topic_closed) return closed().error();
  if (error.source.empty()) error.source = context_->capabilities.name;
  return error;
}

Result<std::shared_ptr<ChannelEngine>> TopicImpl::open_channel(std::string_view name, const ChannelConfig* config) {
  if (auto ok = validate_name("channel", name); !ok) return std::unexpected(std::move(ok.error()));
  if (config != nullptr) {
    if (auto ok = validate(*config); !ok) return std::unexpected(std::move(ok.error()));
  }
  const ChannelPolicy policy = resolve(context_->config, config_, config != nullptr ? *config : ChannelConfig{});
  const std::lock_guard lock(mutex_);
  if (!is_open()) return closed();
  if (const auto it = channels_.find(name); it != channels_.end()) {
    std::shared_ptr<ChannelImpl> channel = it->second;
    channel->look_for_deletion();
    const ChannelLife life = channel->core().life.load();
    if (life == ChannelLife::closing) {
      return fail(ErrorCode::channel_closed,
                  "channel " + channel->name() + " of topic " + name_ +
                      " is still closing; open it again when close has returned",
                  true);
    }
    if (life == ChannelLife::open) {
      if (config != nullptr && channel->replaceable()) {
        channel->core().reconfigure(policy);
        channel->made_explicit();
      } else if (config != nullptr && policy != channel->core().policy()) {
        context_->log(LogLevel::warning, "channel " + channel->name() + " of topic " + name_ +
                                             " is open already: it keeps its first configuration");
      }
      return channel;
    }
    channels_.erase(it);
  }
  auto backend = backend_->open_channel(std::string(name), policy, config != nullptr);
  if (!backend) return std::unexpected(explain(std::move(backend.error())));
  auto core = std::make_shared<ChannelCore>(context_, name_, std::string(name), type_, std::move(*backend), policy);
  auto channel =
      std::make_shared<ChannelImpl>(std::move(core), config == nullptr, [weak = weak_from_this()](ChannelImpl* ended) {
        const auto self = weak.lock();
        if (!self) return;
        const std::lock_guard inner(self->mutex_);
        const auto found = self->channels_.find(ended->name());
        if (found != self->channels_.end() && found->second.get() == ended) {
          self->channels_.erase(found);
        }
      });
  channels_.emplace(name, channel);
  return channel;
}

Result<std::vector<std::string>> TopicImpl::channels() {
  if (!is_open()) return closed();
  auto names = backend_->channels();
  if (!names) return std::unexpected(explain(std::move(names.error())));
  return names;
}

Result<void> TopicImpl::delete_channel(std::string_view name) {
  if (auto ok = validate_name("channel", name); !ok) return ok;
  std::shared_ptr<ChannelImpl> channel;
  {
    const std::lock_guard lock(mutex_);
    if (!is_open()) return closed();
    if (auto result = backend_->delete_channel(std::string(name)); !result) {
      return std::unexpected(explain(std::move(result.error())));
    }
    if (const auto it = channels_.find(name); it != channels_.end()) channel = it->second;
  }
  if (channel) channel->mark_deleted();
  return {};
}

Result<TailPage> TopicImpl::tail(std::string_view channel, std::string_view cursor, std::size_t limit, Duration wait) {
  if (!is_open()) return closed();
  if (limit == 0) return fail(ErrorCode::invalid_argument, "tail: limit is 0");
  if (!channel.empty()) {
    if (auto ok = validate_name("channel", channel); !ok) return std::unexpected(std::move(ok.error()));
  }
  auto page = backend_->tail(std::string(channel), cursor, limit, deadline_after(std::max(wait, Duration(0))));
  if (!page) return std::unexpected(explain(std::move(page.error())));
  return page;
}

std::vector<std::shared_ptr<ChannelImpl>> TopicImpl::all_channels() {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<ChannelImpl>> all;
  all.reserve(channels_.size());
  for (const auto& [name, channel] : channels_) all.push_back(channel);
  return all;
}

bool TopicImpl::begin_close() {
  {
    const std::lock_guard lock(mutex_);
    if (!open_.exchange(false)) return false;
  }
  std::vector<std::shared_ptr<ChannelImpl>> begun = all_channels();
  std::erase_if(begun, [](const auto& channel) { return !channel->begin_close(); });
  const std::lock_guard lock(mutex_);
  closing_ = std::move(begun);
  return true;
}

Result<void> TopicImpl::finish_close(std::shared_ptr<void> parent) {
  auto end = std::make_shared<WhenAllEnded>([self = shared_from_this(), parent = std::move(parent)] {
    static_cast<void>(self->backend_->close());
    self->forget_(self.get());
  });
  std::vector<std::shared_ptr<ChannelImpl>> begun;
  std::shared_ptr<AsyncPublisher> async;
  {
    const std::lock_guard lock(mutex_);
    begun.swap(closing_);
    async = async_;
  }
  if (async) async->close(deadline_after(resolve(context_->config, config_, {}).close_timeout));
  Result<void> result;
  for (const auto& channel : begun) {
    Result<void> one = channel->finish_close(end);
    if (!one && result) result = std::move(one);
  }
  // Those that the user closes in another thread, or has deleted.
  std::ranges::sort(begun);
  for (const auto& channel : all_channels()) {
    if (std::ranges::binary_search(begun, channel)) continue;
    Result<void> one = channel->await_end();
    if (!one && result) result = std::move(one);
  }
  return result;
}

Result<void> TopicImpl::close() {
  if (begin_close()) return finish_close(nullptr);
  for (const auto& channel : all_channels()) static_cast<void>(channel->await_end());
  return {};
}

}  // namespace lrpc::queue::detail
