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

}  // namespace

DeliveryTag HeldTable::tag_of(std::size_t slot) const {
  const Slot& at = slots_[slot];
  return {.slot = slot, .generation = at.number, .attempts = at.held.attempts};
}

const Held* HeldTable::find(DeliveryTag tag) const {
  if (tag.slot >= slots_.size() || tag.generation == 0) return nullptr;
  const Slot& slot = slots_[tag.slot];
  return slot.number == tag.generation ? &slot.held : nullptr;
}

Held* HeldTable::held_by(DeliveryTag tag) { return const_cast<Held*>(std::as_const(*this).find(tag)); }

void HeldTable::remove(std::size_t slot) {
  Slot& at = slots_[slot];
  by_entry_.erase(at.held.handle.entry_id);
  if (ids_known_) {
    const auto [begin, end] = by_id_.equal_range(at.held.id);
    const auto mine = std::find_if(begin, end, [&](const auto& each) { return each.second == slot; });
    if (mine != end) by_id_.erase(mine);
  }
  if (!at.held.renewed()) by_end_.erase({at.held.until, at.number});
  at = Slot{};
  free_.push_back(slot);
}

void HeldTable::remove(DeliveryTag tag) {
  if (held_by(tag) != nullptr) remove(tag.slot);
}

void HeldTable::wanted(std::span<const DeliveryTag> tags, std::int64_t now) {
  for (const DeliveryTag& tag : tags) {
    if (Held* const held = held_by(tag)) held->renewed_at = now;
  }
}

HeldTable::Put HeldTable::put(const Taken& taken, std::int64_t now, std::int64_t until, std::int64_t lease) {
  Put put;
  if (const auto before = by_entry_.find(taken.handle.entry_id); before != by_entry_.end()) {
    Held& old = slots_[before->second].held;
    // One that nobody has renewed for a lease has been forgotten.
    const bool lasts = old.renewed() ? now - old.renewed_at <= lease : old.until > now;
    if (lasts && !old.going_back) {
      // Taken from ourselves, since the renewal came late: it goes on under the new count.
      old.handle.deliveries = taken.handle.deliveries;
      return put;
    }
    // Where it was going back it has been there: the answer that tells so comes later than the entry.
    put.lease_expired = !lasts;
    remove(before->second);
  }
  put.attempts = static_cast<int>(std::clamp<std::int64_t>(taken.attempts(), 1, std::numeric_limits<int>::max()));
  std::size_t slot = slots_.size();
  if (free_.empty()) {
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  Slot& at = slots_[slot];
  at.number = next_number();
  at.held = Held{.handle = taken.handle,
                 .id = taken.entry.message->id(),
                 .attempts = put.attempts,
                 .base = taken.entry.attempts,
                 .until = until,
                 .renewed_at = now};
  by_entry_.emplace(taken.handle.entry_id, slot);
  if (ids_known_) by_id_.emplace(at.held.id, slot);
  // Leases of one length end in the order in which they began.
  if (!at.held.renewed()) by_end_.emplace_hint(by_end_.end(), std::pair(until, at.number), slot);
  put.tag = tag_of(slot);
  return put;
}

std::optional<DeliveryTag> HeldTable::find(std::string_view id) const {
  if (!ids_known_) {
    for (const auto& [entry, slot] : by_entry_) by_id_.emplace(slots_[slot].held.id, slot);
    ids_known_ = true;
  }
  std::optional<DeliveryTag> newest;
  const auto [begin, end] = by_id_.equal_range(std::string(id));
  for (auto it = begin; it != end; ++it) {
    const DeliveryTag tag = tag_of(it->second);
    if (!newest || tag.generation > newest->generation) newest = tag;
  }
  return newest;
}

bool HeldTable::survives_refusal(DeliveryTag tag, const Handle& handle) {
  const Held* const held = find(tag);
  if (held == nullptr) return false;
  if (held->being_kept || held->handle.deliveries != handle.deliveries) return true;
  remove(tag.slot);
  return false;
}

void HeldTable::set_being_kept(DeliveryTag tag, bool being_kept) {
  if (Held* const held = held_by(tag)) held->being_kept = being_kept;
}

void HeldTable::set_going_back(DeliveryTag tag, bool going_back) {
  if (Held* const held = held_by(tag)) held->going_back = going_back;
}

DeliveryTag HeldTable::renew(DeliveryTag tag, std::int64_t deliveries, int attempts) {
  Held* const held = held_by(tag);
  if (held == nullptr) return tag;
  const Number number = next_number();
  if (!held->renewed()) {
    by_end_.erase({held->until, tag.generation});
    by_end_.emplace(std::pair(held->until, number), tag.slot);
  }
  slots_[tag.slot].number = number;
  held->handle.deliveries = deliveries;
  held->attempts = attempts;
  held->being_kept = false;
  return tag_of(tag.slot);
}

void HeldTable::set_lease(DeliveryTag tag, std::int64_t until, bool long_lease) {
  Held* const held = held_by(tag);
  if (held == nullptr || held->renewed()) return;
  by_end_.erase({held->until, tag.generation});
  held->until = until;
  held->long_lease = long_lease;
  by_end_.emplace(std::pair(until, tag.generation), tag.slot);
}

bool HeldTable::goes_on(const Handle& server, std::int64_t now) {
  const auto it = by_entry_.find(server.entry_id);
  if (it == by_entry_.end()) return false;
  Held& held = slots_[it->second].held;
  if (held.handle.deliveries == server.deliveries) return true;
  if (held.until > now) {
    held.handle.deliveries = server.deliveries;
    return true;
  }
  remove(it->second);
  return false;
}

void HeldTable::end_by(DeliveryTag tag, std::int64_t until) {
  Held* const held = held_by(tag);
  if (held == nullptr || !held->renewed()) return;
  held->until = until;
  by_end_.emplace(std::pair(until, tag.generation), tag.slot);
}

void HeldTable::clear() {
  slots_.clear();
  free_.clear();
  by_entry_.clear();
  by_id_.clear();
  by_end_.clear();
}

std::vector<Ended> HeldTable::ended(std::int64_t now, std::size_t most) const {
  std::vector<Ended> result;
  for (const auto& [end, slot] : by_end_) {
    if (end.first > now || result.size() == most) break;
    const Held& held = slots_[slot].held;
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
    const Held& held = slots_[it->second].held;
    if (held.handle == end.handle && held.until <= now) remove(it->second);
  }
}

std::vector<Handle> HeldTable::long_leases(std::int64_t now) const {
  std::vector<Handle> result;
  for (const auto& [end, slot] : by_end_) {
    if (const Held& held = slots_[slot].held; held.long_lease && end.first > now) result.push_back(held.handle);
  }
  return result;
}

}  // namespace lrpc::queue::redis
