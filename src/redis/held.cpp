// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/held.hpp"

#include <algorithm>
#include <atomic>

namespace lrpc::queue::redis {
namespace {

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

DeliveryTag tag_of(std::uint64_t number, int attempts) {
  return {.slot = number, .generation = number, .attempts = attempts};
}

}  // namespace

void HeldTable::index(Number number, const Held& held) {
  by_entry_[held.handle.entry_id] = number;
  by_id_.emplace(held.id, number);
  if (!held.renewed()) by_end_.emplace(held.until, number);
}

void HeldTable::erase(Number number) {
  const auto it = held_.find(number);
  if (it == held_.end()) return;
  const Held& held = it->second;
  if (const auto entry = by_entry_.find(held.handle.entry_id); entry != by_entry_.end() && entry->second == number) {
    by_entry_.erase(entry);
  }
  const auto [begin, end] = by_id_.equal_range(held.id);
  for (auto id = begin; id != end; ++id) {
    if (id->second == number) {
      by_id_.erase(id);
      break;
    }
  }
  by_end_.erase({held.until, number});
  held_.erase(it);
}

void HeldTable::wanted(std::span<const DeliveryTag> tags, std::int64_t now) {
  for (const DeliveryTag& tag : tags) {
    if (const auto it = held_.find(tag.generation); it != held_.end()) it->second.renewed_at = now;
  }
}

HeldTable::Put HeldTable::put(const Taken& taken, std::int64_t now, std::int64_t until, std::int64_t lease) {
  Put put;
  if (const auto before = by_entry_.find(taken.handle.entry_id); before != by_entry_.end()) {
    Held& old = held_.at(before->second);
    // One that nobody has renewed for a lease has been forgotten.
    if (old.renewed() ? now - old.renewed_at <= lease : old.until > now) {
      // Taken from ourselves, since the renewal came late: it goes on under the new count.
      old.handle.deliveries = taken.handle.deliveries;
      return put;
    }
    put.lease_expired = true;
    erase(before->second);
  }
  const Number number = next_number();
  put.attempts = static_cast<int>(std::clamp<std::int64_t>(taken.attempts(), 1, std::numeric_limits<int>::max()));
  Held held{.handle = taken.handle,
            .id = taken.entry.message->id(),
            .attempts = put.attempts,
            .base = taken.entry.attempts,
            .until = until,
            .renewed_at = now};
  index(number, held);
  held_.emplace(number, std::move(held));
  put.tag = tag_of(number, put.attempts);
  return put;
}

const Held* HeldTable::find(DeliveryTag tag) const {
  const auto it = held_.find(tag.generation);
  return it == held_.end() ? nullptr : &it->second;
}

std::optional<DeliveryTag> HeldTable::find(std::string_view id) const {
  Number newest = 0;
  const auto [begin, end] = by_id_.equal_range(std::string(id));
  for (auto it = begin; it != end; ++it) newest = std::max(newest, it->second);
  if (newest == 0) return std::nullopt;
  return tag_of(newest, held_.at(newest).attempts);
}

void HeldTable::remove(DeliveryTag tag) { erase(tag.generation); }

bool HeldTable::survives_refusal(DeliveryTag tag, const Handle& handle) {
  const auto it = held_.find(tag.generation);
  if (it == held_.end()) return false;
  if (it->second.being_kept || it->second.handle.deliveries != handle.deliveries) return true;
  erase(tag.generation);
  return false;
}

void HeldTable::set_being_kept(DeliveryTag tag, bool being_kept) {
  if (const auto it = held_.find(tag.generation); it != held_.end()) it->second.being_kept = being_kept;
}

DeliveryTag HeldTable::renew(DeliveryTag tag, std::int64_t deliveries, int attempts) {
  const auto it = held_.find(tag.generation);
  if (it == held_.end()) return tag;
  Held held = it->second;
  erase(tag.generation);
  held.handle.deliveries = deliveries;
  held.attempts = attempts;
  held.being_kept = false;
  const Number number = next_number();
  index(number, held);
  held_.emplace(number, std::move(held));
  return tag_of(number, attempts);
}

void HeldTable::set_lease(DeliveryTag tag, std::int64_t until, bool long_lease) {
  const auto it = held_.find(tag.generation);
  if (it == held_.end() || it->second.renewed()) return;
  by_end_.erase({it->second.until, it->first});
  it->second.until = until;
  it->second.long_lease = long_lease;
  by_end_.emplace(until, it->first);
}

bool HeldTable::goes_on(const Handle& server, std::int64_t now) {
  const auto it = by_entry_.find(server.entry_id);
  if (it == by_entry_.end()) return false;
  Held& held = held_.at(it->second);
  if (held.handle.deliveries == server.deliveries) return true;
  if (held.until > now) {
    held.handle.deliveries = server.deliveries;
    return true;
  }
  erase(it->second);
  return false;
}

void HeldTable::end_by(DeliveryTag tag, std::int64_t until) {
  const auto it = held_.find(tag.generation);
  if (it == held_.end() || !it->second.renewed()) return;
  it->second.until = until;
  by_end_.emplace(until, it->first);
}

void HeldTable::clear() {
  held_.clear();
  by_entry_.clear();
  by_id_.clear();
  by_end_.clear();
}

std::vector<Ended> HeldTable::ended(std::int64_t now, std::size_t most) const {
  std::vector<Ended> result;
  for (const auto& [until, number] : by_end_) {
    if (until > now || result.size() == most) break;
    const Held& held = held_.at(number);
    // Not one more than the server's count: that has grown where a delivery was taken from ourselves.
    result.push_back({.handle = held.handle, .next = held.attempts - held.base + 1});
  }
  return result;
}

void HeldTable::forget_ended(std::span<const Ended> ended, std::int64_t now) {
  for (const Ended& end : ended) {
    const auto it = by_entry_.find(end.handle.entry_id);
    if (it == by_entry_.end()) continue;
    // The count alone does not tell: what was lost on its way comes again under the same.
    const Held& held = held_.at(it->second);
    if (held.handle == end.handle && held.until <= now) erase(it->second);
  }
}

std::vector<Handle> HeldTable::long_leases(std::int64_t now) const {
  std::vector<Handle> result;
  for (const auto& [until, number] : by_end_) {
    if (const Held& held = held_.at(number); held.long_lease && until > now) result.push_back(held.handle);
  }
  return result;
}

}  // namespace lrpc::queue::redis
