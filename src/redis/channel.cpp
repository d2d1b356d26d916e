// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/channel.hpp"

#include <algorithm>
#include <utility>

#include <lrpc/queue/message_id.hpp>

#include "engine/context.hpp"

namespace lrpc::queue::redis {
std::shared_ptr<RedisChannel> RedisChannel::open(Parts parts) {
  auto channel = std::make_shared<RedisChannel>(std::move(parts));
  channel->parts_.listener->add(channel->store()->stream(), channel);
  return channel;
}

RedisChannel::RedisChannel(Parts parts)
    : parts_(std::move(parts)),
      lease_(std::min(parts_.policy.ack_timeout, kLongest).count()),
      dead_limit_(parts_.policy.dead_letter_limit) {
  make_store();
  // Not only its own times may have come: the server's clock may jump a moment later.
  on_jump_ = parts_.clock->on_jump([this] { heard(); });
}

void RedisChannel::make_store() {
  // The name tells others how long this consumer may hold a delivery (D9).
  const std::string consumer = "consumer-" + generate_message_id() + "-" + std::to_string(lease().count());
  store_ = std::make_shared<ChannelStore>(parts_.route, parts_.topic->keys(), parts_.name, consumer);
}

SteadyTime RedisChannel::deadline() const { return after(parts_.route->usual_time()); }

std::unexpected<Error> RedisChannel::closed() const {
  return fail(ErrorCode::channel_closed, "channel " + parts_.name + " of topic " + parts_.topic_name + " was closed");
}

std::unexpected<Error> RedisChannel::deleted() const {
  return fail(ErrorCode::channel_not_found,
              "channel " + parts_.name + " of topic " + parts_.topic_name + " was deleted");
}

void RedisChannel::wake() noexcept {
  {
    const std::lock_guard lock(mutex_);
    ++wakes_;
  }
  waker_.wake();
  changed_.notify_all();
}

// A message was delayed: nobody needs to look before it is due.
void RedisChannel::due_in(Duration delay) noexcept {
  const std::int64_t due = now() + delay.count();
  for (std::int64_t next = next_due_; due < next;) {
    if (next_due_.compare_exchange_weak(next, due)) break;
  }
}

void RedisChannel::heard() noexcept {
  look_ = true;
  wake();
}

void RedisChannel::set_receiving(bool on) noexcept {
  receiving_ = on;
  wake();
}

// The keys went without the mark of a deletion: made anew, read from 0 (D22).
Result<void> RedisChannel::rebuild(std::uint64_t rebuilt) {
  const std::lock_guard one_at_a_time(rebuild_mutex_);
  if (rebuilt_ != rebuilt) return {};  // since the call that found them gone
  Incarnation known;
  {
    const std::lock_guard lock(mutex_);
    known = parts_.incarnation;
  }
  auto fresh = parts_.topic->rebuild_channel(parts_.name, known, deadline());
  if (!fresh) {
    if (fresh.error().code != ErrorCode::channel_not_found) return std::unexpected(std::move(fresh.error()));
    dead_ = true;
    wake();
    return deleted();
  }
  parts_.logger(LogLevel::warning, "channel " + parts_.name + " of topic " + parts_.topic_name +
                                       ": its keys were gone from Redis and were made anew");
  {
    const std::lock_guard lock(mutex_);
    held_.clear();
    ++rebuilt_;
    parts_.incarnation = std::move(*fresh);
  }
  look_ = true;
  return {};
}

// Gives an error its meaning for the channel: keys that are gone are looked after.
std::unexpected<Error> RedisChannel::explain(Error error, std::uint64_t rebuilt) {
  if (error.code == ErrorCode::outcome_unknown) maybe_lost_ = true;
  if (!is_gone(error)) return std::unexpected(std::move(error));
  if (auto ok = rebuild(rebuilt); !ok) return std::unexpected(std::move(ok.error()));
  return fail(ErrorCode::unavailable, "the keys of channel " + parts_.name + " were gone and were made anew", true);
}

std::optional<DeliveryTag> RedisChannel::find(std::string_view id) {
  const std::lock_guard lock(mutex_);
  return held_.find(id);
}

Result<BackendStats> RedisChannel::stats() {
  auto result = guarded([this] { return store()->stats(deadline()); });
  if (result) result->dropped = dropped_;
  return result;
}

Result<std::int64_t> RedisChannel::drop_all() {
  return guarded([this] { return store()->drop_all(deadline()); });
}

Result<DeadPage> RedisChannel::dead_letters(std::size_t limit, std::string_view cursor) {
  return guarded([&] { return store()->dead_letters(limit, cursor, deadline()); });
}

Result<std::int64_t> RedisChannel::requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) {
  return guarded([&] { return store()->requeue_dead(ids, all, std::min(fresh_ttl, kLongest), deadline()); });
}

Result<std::int64_t> RedisChannel::purge_dead() {
  return guarded([this] { return store()->purge_dead(deadline()); });
}

void RedisChannel::configure(const ChannelPolicy& policy) {
  std::unique_lock lock(mutex_);
  dead_limit_ = policy.dead_letter_limit;
  const std::int64_t lease = std::min(policy.ack_timeout, kLongest).count();
  if (lease_.exchange(lease) == lease) return;
  // The consumer's name tells its lease: another consumer, once nobody waits as the old one. One that has been handed
  // something keeps its name; it renews by the new lease.
  searching_ = true;
  ++wakes_;
  waker_.wake();
  changed_.notify_all();
  changed_.wait(lock, [this] { return !asking_ && reading_ == 0; });
  if (held_.empty()) make_store();
  searching_ = false;
  changed_.notify_all();
}

Result<void> RedisChannel::close() {
  const bool first = gate_.shut();
  wake();
  gate_.drain();
  if (!first) return {};
  on_jump_.reset();
  parts_.listener->remove(store()->stream(), this);
  reader_.disconnect();
  waker_.close();
  if (dead_) return {};
  return store()->leave(deadline());
}

}  // namespace lrpc::queue::redis
