// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "memory/topic.hpp"

#include <algorithm>
#include <utility>

#include "base/fence.hpp"

namespace lrpc::queue::memory {

Channels& TopicState::targets() {
  if (!channels.empty()) return channels;
  if (backlog.empty()) backlog.push_back(std::make_shared<ChannelState>(std::string{}, sleepers));
  return backlog;
}

std::size_t TopicState::place_of(const std::string& channel) const {
  const auto found = places.find(channel);
  return found != places.end() ? found->second : channels.size();
}

void TopicState::add(std::shared_ptr<ChannelState> channel) {
  const auto [entry, added] = places.emplace(channel->name, channels.size());
  try {
    channels.push_back(std::move(channel));
  } catch (...) {
    places.erase(entry);
    throw;
  }
}

std::shared_ptr<ChannelState> TopicState::take_out(std::size_t place) {
  std::swap(channels[place], channels.back());
  places[channels[place]->name] = place;
  std::shared_ptr<ChannelState> channel = std::move(channels.back());
  channels.pop_back();
  places.erase(channel->name);
  return channel;
}

Result<void> MemoryTopic::check_open() const {
  if (closed_) return fail(ErrorCode::topic_closed, "topic " + state_->name + " is closed");
  return {};
}

std::unexpected<Error> MemoryTopic::full(const ChannelState& channel) const {
  const std::string where = channel.name.empty() ? "the backlog of topic " + state_->name
                                                 : "channel " + channel.name + " of topic " + state_->name;
  return fail(ErrorCode::queue_full,
              where + " holds " + std::to_string(channel.store.depth()) + " of at most " +
                  std::to_string(policy_.max_msg_size) + " messages; consume faster or raise max_msg_size",
              true);
}

// All or nothing (D16): nothing is dropped unless every channel can make room.
Result<void> MemoryTopic::make_room(const Channels& targets, std::size_t count, Garbage& garbage) {
  const auto wanted = static_cast<std::int64_t>(count);
  const auto first_full = std::ranges::find_if(
      targets, [&](const auto& channel) { return !channel->store.has_room(wanted, policy_.max_msg_size); });
  if (first_full == targets.end()) return {};
  if (policy_.overflow == Overflow::reject) return full(**first_full);
  const auto excess = [&](const ChannelState& channel) {
    return channel.store.depth() + wanted - policy_.max_msg_size;
  };
  std::vector<std::unique_lock<detail::Mutex>> locks;  // consumers must stand still between the check and the drop
  for (const auto& channel : targets) locks.emplace_back(channel->mutex);
  for (const auto& channel : targets) {
    const Store& store = channel->store;
    const std::int64_t ready = store.depth() - store.in_flight_count() - store.delayed_count();
    if (excess(*channel) > ready) return full(*channel);
  }
  for (const auto& channel : targets) {
    channel->dropped += channel->store.drop_ready(std::max<std::int64_t>(excess(*channel), 0), garbage);
  }
  return {};
}

Result<void> MemoryTopic::publish(std::span<Outgoing> batch, Duration /*timeout: nothing here waits*/) {
  if (batch.size() == 1 && batch[0].delay.count() == 0 && publish_one(batch[0])) return {};
  return publish_all(batch);
}

// The common case without the machinery of the others: one message, ready now, room everywhere, everybody awake. False
// when nothing was done because it is none.
bool MemoryTopic::publish_one(Outgoing& out) {
  {
    const std::lock_guard lock(state_->mutex);
    const Channels& targets = state_->channels;
    if (closed_ || targets.empty()) return false;
    for (const auto& channel : targets) {
      if (!channel->store.has_room(1, policy_.max_msg_size)) return false;
    }
    for (const auto& channel : targets) channel->store.fifo().reserve(1);
    take_over(out, static_cast<std::uint32_t>(targets.size()));
    Envelope* const message = out.message.release();
    for (const auto& channel : targets) {
      channel->store.fifo().push(message);
      channel->store.fifo().commit();
    }
  }
  wake_sleepers();
  return true;
}

// After a publish and its unlock: wakes a consumer of every channel that has one asleep.
void MemoryTopic::wake_sleepers() {
  detail::full_fence_after_unlock();
  if (state_->sleepers->load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(state_->mutex);
  for (const auto& channel : state_->channels) {
    if (channel->waiting.load(std::memory_order_relaxed) == 0) continue;
    WakeUps wake_ups;
    const std::lock_guard inner(channel->mutex);
    channel->wake_as_needed(wake_ups);
  }
}

Result<void> MemoryTopic::publish_all(std::span<Outgoing> batch) {
  Garbage garbage;
  {
    const std::lock_guard lock(state_->mutex);
    if (closed_) return check_open();
    const auto& targets = state_->targets();
    if (auto room = make_room(targets, batch.size(), garbage); !room) return room;
    for (const auto& channel : targets) channel->store.fifo().reserve(batch.size());
    bool delayed = false;
    for (const Outgoing& out : batch) delayed |= take_over(out, static_cast<std::uint32_t>(targets.size()));
    for (const auto& channel : targets) {
      Fifo& fifo = channel->store.fifo();
      for (const Outgoing& out : batch) {
        if (out.delay.count() == 0) fifo.push(out.message.get());
      }
      fifo.commit();
    }
    for (Outgoing& out : batch) {
      if (out.delay.count() == 0) static_cast<void>(out.message.release());  // the channels hold all references now
    }
    if (delayed) add_delayed(targets, batch);
  }
  wake_sleepers();
  return {};
}

// Gives a message the references of that many channels. True when it is for later.
bool MemoryTopic::take_over(const Outgoing& out, std::uint32_t channels) noexcept {
  if (out.delay.count() > 0) {
    out.message->add_refs(channels);
    return true;
  }
  // Two for each channel (see Store), the caller's among them. Normally nobody else holds the message: no atomic
  // addition.
  if (out.message->unique()) {
    out.message->set_refs(2 * channels);
  } else {
    out.message->add_refs(2 * channels - 1);
  }
  return false;
}

void MemoryTopic::add_delayed(const Channels& targets, std::span<const Outgoing> batch) {
  const std::int64_t now = clock_->now().tick_ms;
  for (const auto& channel : targets) {
    WakeUps wake_ups;
    const std::lock_guard inner(channel->mutex);
    for (const Outgoing& out : batch) {
      if (out.delay.count() > 0) {
        channel->store.add_delayed(out.message.get(), now + out.delay.count(), now);
      }
    }
    channel->wake_as_needed(wake_ups);
  }
}

Result<std::shared_ptr<BackendChannel>> MemoryTopic::open_channel(const std::string& name, const ChannelPolicy& policy,
                                                                  bool create) {
  const std::lock_guard lock(state_->mutex);
  if (closed_) return std::unexpected(std::move(check_open().error()));
  TopicState& t = *state_;
  const std::size_t place = t.place_of(name);
  if (place == t.channels.size()) {
    if (!create) {
      return fail(ErrorCode::channel_not_found, "topic " + t.name + " has no channel " + name);
    }
    if (!t.backlog.empty()) {
      // The first channel gets what was published before it (D4).
      t.backlog.front()->name = name;
      t.add(t.backlog.front());
      t.backlog.clear();
    } else {
      t.add(std::make_shared<ChannelState>(name, t.sleepers));
    }
  }
  return std::make_shared<MemoryChannel>(t.channels[place], clock_, policy);
}

Result<std::vector<std::string>> MemoryTopic::channels() {
  const std::lock_guard lock(state_->mutex);
  if (closed_) return std::unexpected(std::move(check_open().error()));
  std::vector<std::string> names;
  names.reserve(state_->channels.size());
  for (const auto& channel : state_->channels) names.push_back(channel->name);
  std::ranges::sort(names);
  return names;
}

Result<void> MemoryTopic::delete_channel(const std::string& name) {
  Garbage garbage;
  WakeUps wake_ups;
  std::shared_ptr<ChannelState> channel;
  const std::lock_guard lock(state_->mutex);
  if (closed_) return check_open();
  const std::size_t place = state_->place_of(name);
  if (place == state_->channels.size()) {
    return fail(ErrorCode::channel_not_found, "topic " + state_->name + " has no channel " + name);
  }
  channel = state_->take_out(place);
  const std::lock_guard inner(channel->mutex);
  channel->deleted = true;
  channel->store.clear(garbage);
  channel->wake_all(wake_ups);
  return {};
}

Result<void> MemoryTopic::close() {
  const std::lock_guard lock(state_->mutex);
  closed_ = true;
  return {};
}

}  // namespace lrpc::queue::memory
