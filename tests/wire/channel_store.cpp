// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "channel_store.hpp"

#include <algorithm>
#include <atomic>

#include <lrpc/queue/policy.hpp>

#include "frame.hpp"

namespace lrpc::queue::wire {

namespace {

/// `base + by` without overflow: a lease or delay of years must not wrap.
std::int64_t later(std::int64_t base, Duration by) {
  const std::int64_t ms = std::max<std::int64_t>(by.count(), 0);
  return ms > ChannelStore::kNever - base ? ChannelStore::kNever : base + ms;
}

constexpr unsigned kPartitionShift = 56;

// Tags of different channels differ, so that one is good for its own channel only.
std::uint64_t first_generation() {
  static std::atomic<std::uint64_t> channels{0};
  return (channels.fetch_add(1) + 1) << 40U;
}

}  // namespace

ChannelStore::ChannelStore(unsigned partitions, std::uint32_t seed)
    : next_generation_(first_generation()), partitions_(partitions), random_(seed * 7919 + 1) {}

std::uint64_t ChannelStore::last_place(const Entry& entry) {
  const std::uint64_t place = next_order_++;
  if (partitions_ <= 1) return place;
  const auto message = decode_frame(*entry.frame);
  const std::uint64_t choice =
      message && !message->key.empty() ? std::hash<std::string_view>{}(message->key) : std::uint64_t{random_()};
  return (choice % partitions_) << kPartitionShift | place;
}

std::uint64_t ChannelStore::first_place() {
  const std::uint64_t place = partitions_ <= 1 ? 0 : std::uint64_t{random_() % partitions_} << kPartitionShift;
  const auto found = ready_.lower_bound(place);
  return found != ready_.end() ? found->first : ready_.begin()->first;
}

void ChannelStore::to_ready(std::uint64_t slot, Entry& entry, std::uint64_t order) {
  entry.state = State::ready;
  entry.order = order;
  ready_.emplace(order, slot);
}

void ChannelStore::to_delayed(std::uint64_t slot, Entry& entry, std::int64_t due) {
  entry.state = State::delayed;
  entry.at = due;
  delayed_.emplace(due, slot);
}

void ChannelStore::add(Frame frame, Instant now, Duration delay) {
  const std::uint64_t slot = next_slot_++;
  Entry& entry = entries_[slot];
  entry.frame = std::move(frame);
  if (delay.count() > 0) {
    to_delayed(slot, entry, later(now.tick_ms, delay));
  } else {
    to_ready(slot, entry, last_place(entry));
  }
}

void ChannelStore::promote(Instant now) {
  while (!delayed_.empty() && delayed_.begin()->first <= now.tick_ms) {
    const std::uint64_t slot = delayed_.begin()->second;
    delayed_.erase(delayed_.begin());
    Entry& entry = entries_.at(slot);
    to_ready(slot, entry, last_place(entry));
  }
}

bool ChannelStore::fits(std::size_t messages, std::int64_t limit, bool drop_oldest, Instant now) {
  promote(now);
  const auto bound = static_cast<std::size_t>(std::max<std::int64_t>(limit, 0));
  const std::size_t kept = drop_oldest ? entries_.size() - ready_.size() : entries_.size();
  return kept + messages <= bound;
}

void ChannelStore::make_room(std::size_t messages, std::int64_t limit) {
  while (!ready_.empty() && entries_.size() + messages > static_cast<std::size_t>(limit)) {
    erase(ready_.begin()->second);
    ready_.erase(ready_.begin());
    ++dropped_;
  }
}

std::size_t ChannelStore::room(const Request& request, Instant now) const {
  if (request.renewed || request.limit <= 0) return request.max;
  // A lease that ran out leaves room: else a holder that forgot a message could never get it again.
  const auto held = std::count_if(entries_.begin(), entries_.end(), [&](const auto& item) {
    const Entry& entry = item.second;
    return entry.state == State::in_flight && entry.session == request.session && !entry.renewed &&
           entry.at > now.tick_ms;
  });
  return static_cast<std::size_t>(
      std::min<std::int64_t>(static_cast<std::int64_t>(request.max), std::max<std::int64_t>(request.limit - held, 0)));
}

ChannelStore::Handed ChannelStore::hand_out(std::uint64_t slot, Entry& entry, const Request& request, Instant now) {
  entry.state = State::in_flight;
  entry.at = later(now.tick_ms, request.lease);
  entry.generation = next_generation_++;
  entry.session = request.session;
  entry.renewed = request.renewed;
  ++entry.deliveries;
  leases_.emplace(entry.at, slot);
  return {.tag = {.slot = slot, .generation = entry.generation},
          .deliveries = entry.deliveries,
          .expired_from = 0,
          .frame = entry.frame};
}

std::vector<ChannelStore::Handed> ChannelStore::receive(const Request& request, Instant now) {
  promote(now);
  const std::size_t max = room(request, now);
  std::vector<Handed> result;
  while (result.size() < max && !leases_.empty() && leases_.begin()->first <= now.tick_ms) {
    const std::uint64_t slot = leases_.begin()->second;
    Entry& entry = entries_.at(slot);
    const SessionId former = entry.session;
    leases_.erase(leases_.begin());
    result.push_back(hand_out(slot, entry, request, now));
    result.back().expired_from = former;
    if (request.lease.count() <= 0) break;  // the lease just given has run out already
  }
  if (result.size() == max || ready_.empty()) return result;
  auto next = ready_.find(first_place());
  const std::uint64_t partition = next->first >> kPartitionShift;
  while (result.size() < max && next != ready_.end() && next->first >> kPartitionShift == partition) {
    const std::uint64_t slot = next->second;
    next = ready_.erase(next);
    result.push_back(hand_out(slot, entries_.at(slot), request, now));
  }
  return result;
}

std::int64_t ChannelStore::next_due(Instant now) const {
  std::int64_t due = delayed_.empty() ? kNever : delayed_.begin()->first;
  // Leases that ran out are passed over: at the limit of next they stay behind, and time changes nothing for them.
  const auto lease = leases_.upper_bound({now.tick_ms, std::numeric_limits<std::uint64_t>::max()});
  if (lease != leases_.end()) due = std::min(due, lease->first);
  return due;
}

ChannelStore::Entry* ChannelStore::held(SessionId session, DeliveryTag tag) {
  const auto found = entries_.find(tag.slot);
  if (found == entries_.end()) return nullptr;
  Entry& entry = found->second;
  const bool same = entry.state == State::in_flight && entry.session == session && entry.generation == tag.generation;
  return same ? &entry : nullptr;
}

void ChannelStore::end_lease(std::uint64_t slot, Entry& entry) { leases_.erase({entry.at, slot}); }

bool ChannelStore::ack(SessionId session, DeliveryTag tag) {
  Entry* const entry = held(session, tag);
  if (entry == nullptr) return false;
  end_lease(tag.slot, *entry);
  erase(tag.slot);
  return true;
}

bool ChannelStore::touch(SessionId session, DeliveryTag tag, Instant now, Duration lease) {
  Entry* const entry = held(session, tag);
  if (entry == nullptr) return false;
  end_lease(tag.slot, *entry);
  entry->at = later(now.tick_ms, lease);
  leases_.emplace(entry->at, tag.slot);
  return true;
}

void ChannelStore::bury(std::uint64_t slot, Entry& entry, Settlement& settlement, Instant now, std::int64_t limit) {
  const auto message = decode_frame(*entry.frame);
  const int before = message ? static_cast<int>(message->attempts) : 0;
  dead_.emplace(next_dead_++, Dead{.id = message ? message->id : malformed_id(slot),
                                   .slot = slot,
                                   .frame = entry.frame,
                                   .reason = settlement.reason,
                                   .error = std::move(settlement.error),
                                   .attempts = before + entry.deliveries - (settlement.count_attempt ? 0 : 1),
                                   .last_at_ms = now.wall_ms});
  erase(slot);
  while (dead_.size() > static_cast<std::size_t>(std::max<std::int64_t>(limit, 0))) {
    dead_.erase(dead_.begin());
    ++dropped_;
  }
}

void ChannelStore::settle(SessionId session, Settlement& settlement, Instant now, Duration lease,
                          std::int64_t dead_limit) {
  const std::uint64_t slot = settlement.tag.slot;
  Entry* const entry = held(session, settlement.tag);
  settlement.done = entry != nullptr;
  if (entry == nullptr) return;
  end_lease(slot, *entry);
  using Action = Settlement::Action;
  const bool comes_again =
      settlement.action == Action::retry || settlement.action == Action::give_back || settlement.action == Action::keep;
  if (comes_again && !settlement.count_attempt) --entry->deliveries;
  switch (settlement.action) {
    case Action::retry:
      if (settlement.delay.count() > 0) {
        to_delayed(slot, *entry, later(now.tick_ms, settlement.delay));
      } else {
        promote(now);  // what is due by now goes before it
        to_ready(slot, *entry, last_place(*entry));
      }
      break;
    case Action::give_back:
      to_ready(slot, *entry, entry->order);
      break;
    case Action::keep: {
      const Request again{.session = session, .max = 1, .lease = lease, .renewed = entry->renewed, .limit = 0};
      settlement.tag = hand_out(slot, *entry, again, now).tag;
      break;
    }
    case Action::dead_letter:
      bury(slot, *entry, settlement, now, dead_limit);
      break;
    case Action::drop:
      erase(slot);
      break;
  }
}

bool ChannelStore::release(SessionId session) {
  bool any = false;
  for (auto& [slot, entry] : entries_) {
    if (entry.state != State::in_flight || entry.session != session) continue;
    end_lease(slot, entry);
    to_ready(slot, entry, entry.order);
    any = true;
  }
  return any;
}

BackendStats ChannelStore::stats(Instant now) {
  promote(now);
  return {.ready = static_cast<std::int64_t>(ready_.size()),
          .in_flight = static_cast<std::int64_t>(leases_.size()),
          .delayed = static_cast<std::int64_t>(delayed_.size()),
          .dead = static_cast<std::int64_t>(dead_.size()),
          .dropped = dropped_};
}

std::int64_t ChannelStore::drop_all() {
  const auto count = static_cast<std::int64_t>(ready_.size() + delayed_.size());
  for (const auto& [order, slot] : ready_) erase(slot);
  for (const auto& [due, slot] : delayed_) erase(slot);
  ready_.clear();
  delayed_.clear();
  return count;
}

std::vector<std::pair<std::uint64_t, const ChannelStore::Dead*>> ChannelStore::dead_from(std::uint64_t from,
                                                                                         std::size_t limit) const {
  std::vector<std::pair<std::uint64_t, const Dead*>> page;
  for (auto it = dead_.lower_bound(from); it != dead_.end() && page.size() < limit; ++it) {
    page.emplace_back(it->first, &it->second);
  }
  return page;
}

std::int64_t ChannelStore::requeue(const std::set<std::string>& ids, bool all, Instant now, Duration fresh_ttl) {
  std::int64_t count = 0;
  for (auto it = dead_.begin(); it != dead_.end();) {
    if (!all && !ids.contains(it->second.id)) {
      ++it;
      continue;
    }
    Frame frame = it->second.frame;
    if (auto message = decode_frame(*frame)) {
      message->attempts = 0;
      message->enqueued_at_ms = now.wall_ms;
      if (message->expires_at != 0 && now.wall_s() >= message->expires_at) {
        message->expires_at = expiry_after(now.wall_ms, fresh_ttl);
        message->expiry_set = false;
      }
      frame = std::make_shared<const Bytes>(encode_frame(*message));
    }
    add(std::move(frame), now, Duration{0});
    it = dead_.erase(it);
    ++count;
  }
  return count;
}

std::int64_t ChannelStore::purge() {
  const auto count = static_cast<std::int64_t>(dead_.size());
  dead_.clear();
  return count;
}

}  // namespace lrpc::queue::wire
