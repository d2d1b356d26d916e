// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/lease_keeper.hpp"

#include <stop_token>
#include <utility>

namespace lrpc::queue::cli {

LeaseKeeper::LeaseKeeper(Channel<RawBody> channel, Duration every)
    : channel_(std::move(channel)), every_(every), thread_([this](const std::stop_token& stop) { run(stop); }) {}

void LeaseKeeper::hold(std::span<const Message<RawBody>> messages) {
  const std::lock_guard lock(mutex_);
  held_ = messages;
  changed_.notify_all();
}

void LeaseKeeper::release() {
  const std::lock_guard lock(mutex_);
  held_ = {};
  changed_.notify_all();
}

void LeaseKeeper::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !held_.empty(); })) {
    const auto* const first = held_.data();
    const bool released = changed_.wait_for(lock, stop, every_, [&] { return held_.data() != first || held_.empty(); });
    // A lease that is lost cannot be helped: the ack will tell.
    if (!released && !stop.stop_requested()) static_cast<void>(channel_.touch(held_));
  }
}

}  // namespace lrpc::queue::cli
