// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "memory/backend.hpp"

#include <map>
#include <mutex>
#include <utility>

#include "memory/topic.hpp"

namespace lrpc::queue::memory {
namespace {

class MemoryBackend final : public Backend {
 public:
  explicit MemoryBackend(const BackendContext& context)
      : capabilities_{.name = "memory",
                      .serializes = context.config.memory_config.serialize,
                      .renew_leases = false,
                      .batch_acks = false},
        clock_(context.clock) {
    jumps_ = clock_->on_jump([this] { wake_everyone(); });
  }
  ~MemoryBackend() override { static_cast<void>(MemoryBackend::close()); }

  [[nodiscard]] const Capabilities& capabilities() const noexcept override { return capabilities_; }

  Result<std::shared_ptr<BackendTopic>> open_topic(const std::string& name, const TopicPolicy& policy) override {
    const std::lock_guard lock(mutex_);
    if (closed_) return closed_error();
    auto& state = topics_[name];
    if (!state) state = std::make_shared<TopicState>(name);
    return std::make_shared<MemoryTopic>(state, clock_, policy);
  }

  Result<std::vector<std::string>> topics() override {
    const std::lock_guard lock(mutex_);
    if (closed_) return closed_error();
    std::vector<std::string> names;
    names.reserve(topics_.size());
    for (const auto& [name, state] : topics_) names.push_back(name);
    return names;
  }

  Result<void> ping(SteadyTime /*deadline*/) override {
    const std::lock_guard lock(mutex_);
    if (closed_) return closed_error();
    return {};
  }

  Result<void> close() override {
    std::map<std::string, std::shared_ptr<TopicState>, std::less<>> topics;
    std::shared_ptr<void> jumps;  // dropped without our lock, which the listener takes
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      topics.swap(topics_);
      jumps.swap(jumps_);
    }
    // Handles that users still hold keep the states alive, but not their messages.
    for (const auto& [name, topic] : topics) {
      Garbage garbage;
      const std::lock_guard lock(topic->mutex);
      for (auto* list : {&topic->channels, &topic->backlog}) {
        for (const auto& channel : *list) {
          const std::lock_guard inner(channel->mutex);
          channel->store.clear(garbage);
        }
      }
    }
    return {};
  }

 private:
  static std::unexpected<Error> closed_error() { return fail(ErrorCode::queue_closed, "the queue is closed"); }

  // A manual clock moved: sleepers look again for what is due.
  void wake_everyone() {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, topic] : topics_) {
      const std::lock_guard inner(topic->mutex);
      for (const auto& channel : topic->channels) {
        const std::lock_guard innermost(channel->mutex);
        WakeUps wake_ups;
        channel->wake_all(wake_ups);
      }
    }
  }

  const Capabilities capabilities_;
  const std::shared_ptr<Clock> clock_;
  std::mutex mutex_;  // lock order: before a topic's
  std::map<std::string, std::shared_ptr<TopicState>, std::less<>> topics_;
  bool closed_ = false;
  std::shared_ptr<void> jumps_;
};

}  // namespace

Result<std::shared_ptr<Backend>> make_backend(const BackendContext& context) {
  return std::make_shared<MemoryBackend>(context);
}

}  // namespace lrpc::queue::memory
