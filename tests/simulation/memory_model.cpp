// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "memory_model.hpp"

#include <algorithm>

namespace lrpc::queue::simulation {

std::uint64_t ChannelModel::id_of(const Entry& entry) const {
  for (const auto& [id, one] : entries) {
    if (&one == &entry) return id;
  }
  return 0;
}

void ChannelModel::publish(const Entry& entry) {
  entries[++last_id_] = entry;
  fifo_.push_back(last_id_);
  ++pushed_;
  count_event(Stand::none, MemoryEvent::publish, Stand::fifo);
}

void ChannelModel::publish_later(Entry entry, std::int64_t due) {
  entry.stand = Stand::delayed;
  entry.due = due;
  entry.waits_since = ++last_wait_;
  entries[++last_id_] = entry;
  count_event(Stand::none, MemoryEvent::publish_later, Stand::delayed);
}

void ChannelModel::run_timers(std::int64_t tick) {
  std::vector<std::pair<std::pair<std::int64_t, std::uint64_t>, std::uint64_t>> due;
  std::vector<std::uint64_t> lapsed;
  for (const auto& [id, entry] : entries) {
    if (entry.stand == Stand::delayed && entry.due <= tick) due.push_back({{entry.due, entry.waits_since}, id});
    if (entry.stand == Stand::in_flight && !entry.renewed && entry.lease_end <= tick) lapsed.push_back(id);
  }
  std::ranges::sort(due);
  for (const auto& [when, id] : due) {
    count_event(Stand::delayed, MemoryEvent::due, Stand::line);
    line_up_behind(id);
  }
  for (const std::uint64_t id : lapsed) {
    count_event(Stand::in_flight, MemoryEvent::expire, Stand::lapsed);
    entries.at(id).lease_expired = true;
    line_up_in_front(id);
    entries.at(id).stand = Stand::lapsed;
  }
}

void ChannelModel::line_up_behind(std::uint64_t id) {
  Entry& entry = entries.at(id);
  entry.stand = Stand::line;
  entry.order = pushed_;
  behind_.push_back(id);
}

void ChannelModel::line_up_in_front(std::uint64_t id) {
  Entry& entry = entries.at(id);
  entry.stand = Stand::line;
  const auto at =
      std::ranges::upper_bound(front_, entry.order, {}, [this](std::uint64_t one) { return entries.at(one).order; });
  front_.insert(at, id);
}

void ChannelModel::leave_line(std::uint64_t id) {
  std::erase(front_, id);
  std::erase(behind_, id);
}

void ChannelModel::detach(std::uint64_t id) {
  Entry& entry = entries.at(id);
  leave_line(id);
  entry.lease_expired = false;
  entry.hand_over = 0;
}

std::optional<std::uint64_t> ChannelModel::next(int number) {
  if (!front_.empty()) {
    const std::uint64_t order = entries.at(front_.front()).order;
    for (const std::uint64_t id : front_) {
      if (entries.at(id).order == order && entries.at(id).number == number) return id;
    }
    return front_.front();
  }
  if (!behind_.empty() && entries.at(behind_.front()).order <= popped_) return behind_.front();
  if (!fifo_.empty()) return fifo_.front();
  return std::nullopt;
}

ChannelModel::Entry* ChannelModel::take(int number, bool renewed, std::int64_t lease_end) {
  const auto id = next(number);
  if (!id) return nullptr;
  Entry& entry = entries.at(*id);
  count_event(entry.stand, MemoryEvent::hand_out, Stand::in_flight);
  if (entry.stand == Stand::fifo) {
    fifo_.pop_front();
    entry.order = popped_++;
  } else {
    leave_line(*id);
  }
  ++entry.attempts;
  entry.stand = Stand::in_flight;
  entry.hand_over = ++hand_overs;
  entry.renewed = renewed;
  entry.lease_end = lease_end;
  return &entry;
}

ChannelModel::Entry* ChannelModel::held(std::uint64_t id, std::uint64_t hand_over) {
  const auto it = entries.find(id);
  return it != entries.end() && it->second.hand_over == hand_over ? &it->second : nullptr;
}

void ChannelModel::remove(std::uint64_t id, MemoryEvent why) {
  count_event(entries.at(id).stand, why, why == MemoryEvent::bury ? Stand::dead : Stand::gone);
  leave_line(id);
  entries.erase(id);
}

void ChannelModel::retry(std::uint64_t id, bool count_attempt, std::int64_t due, std::int64_t tick) {
  Entry& entry = entries.at(id);
  const Stand before = entry.stand;
  detach(id);
  if (!count_attempt) --entry.attempts;
  if (due <= tick) {
    line_up_behind(id);
    count_event(before, MemoryEvent::retry, Stand::line);
  } else {
    entry.stand = Stand::delayed;
    entry.due = due;
    entry.waits_since = ++last_wait_;
    count_event(before, MemoryEvent::retry_later, Stand::delayed);
  }
}

void ChannelModel::give_back(std::uint64_t id, bool count_attempt, MemoryEvent why) {
  Entry& entry = entries.at(id);
  count_event(entry.stand, why, Stand::line);
  detach(id);
  if (!count_attempt) --entry.attempts;
  line_up_in_front(id);
}

void ChannelModel::keep(std::uint64_t id, bool count_attempt, std::int64_t lease_end) {
  Entry& entry = entries.at(id);
  count_event(entry.stand, MemoryEvent::keep, Stand::in_flight);
  detach(id);
  if (count_attempt) ++entry.attempts;
  entry.stand = Stand::in_flight;
  entry.hand_over = ++hand_overs;
  entry.lease_end = lease_end;
}

void ChannelModel::bury(std::uint64_t id, const Settlement& settlement, std::int64_t wall_ms, std::int64_t limit) {
  const Entry entry = entries.at(id);
  remove(id, MemoryEvent::bury);
  dead.push_back({.place = ++last_dead_,
                  .entry = entry,
                  .reason = settlement.reason,
                  .error = settlement.error,
                  .attempts = entry.attempts - (settlement.count_attempt ? 0 : 1),
                  .last_at_ms = wall_ms});
  while (static_cast<std::int64_t>(dead.size()) > limit) {
    dead.pop_front();
    ++dropped;
    count_event(Stand::dead, MemoryEvent::beyond_limit, Stand::gone);
  }
}

void ChannelModel::renew(std::uint64_t id, std::int64_t lease_end) {
  Entry& entry = entries.at(id);
  if (entry.renewed) return;
  count_event(entry.stand, MemoryEvent::touch, Stand::in_flight);
  if (entry.stand == Stand::lapsed) leave_line(id);
  entry.stand = Stand::in_flight;
  entry.lease_expired = false;
  entry.lease_end = lease_end;
}

void ChannelModel::give_back_all() {
  std::vector<std::uint64_t> held;
  for (const auto& [id, entry] : entries) {
    if (entry.stand == Stand::in_flight) held.push_back(id);
  }
  for (const std::uint64_t id : held) give_back(id, true, MemoryEvent::close);
}

std::int64_t ChannelModel::drop_ready(std::int64_t count, MemoryEvent why) {
  std::int64_t dropped_now = 0;
  for (; dropped_now < count; ++dropped_now) {
    const auto id = next(-1);
    if (!id) break;
    if (entries.at(*id).stand == Stand::fifo) {
      fifo_.pop_front();
      ++popped_;
    }
    remove(*id, why);
  }
  return dropped_now;
}

std::int64_t ChannelModel::drop_all() {
  std::int64_t count = drop_ready(depth(), MemoryEvent::drop_all);
  std::vector<std::uint64_t> delayed;
  for (const auto& [id, entry] : entries) {
    if (entry.stand == Stand::delayed) delayed.push_back(id);
  }
  for (const std::uint64_t id : delayed) {
    remove(id, MemoryEvent::drop_all);
    ++count;
  }
  return count;
}

void ChannelModel::clear() {
  while (!entries.empty()) remove(entries.begin()->first, MemoryEvent::delete_channel);
  purge();
}

std::int64_t ChannelModel::requeue(const std::vector<int>& numbers, bool all, std::int64_t wall_ms,
                                   Duration fresh_ttl) {
  std::deque<Dead> kept;
  std::int64_t count = 0;
  for (const Dead& one : dead) {
    if (!all && std::ranges::find(numbers, one.entry.number) == numbers.end()) {
      kept.push_back(one);
      continue;
    }
    Entry entry{.number = one.entry.number, .expires_at = one.entry.expires_at, .enqueued_at_ms = wall_ms};
    if (entry.expires_at != 0 && entry.expires_at * 1000 <= wall_ms) {
      entry.expires_at = fresh_ttl.count() == 0 ? 0 : (wall_ms + fresh_ttl.count() + 999) / 1000;
    }
    entries[++last_id_] = entry;
    line_up_behind(last_id_);
    count_event(Stand::dead, MemoryEvent::requeue, Stand::line);
    ++count;
  }
  dead = std::move(kept);
  return count;
}

std::int64_t ChannelModel::purge() {
  const auto count = static_cast<std::int64_t>(dead.size());
  for (std::int64_t i = 0; i < count; ++i) count_event(Stand::dead, MemoryEvent::purge, Stand::gone);
  dead.clear();
  return count;
}

bool ChannelModel::has_ties() const {
  return std::ranges::adjacent_find(front_, {}, [this](std::uint64_t id) { return entries.at(id).order; }) !=
         front_.end();
}

std::int64_t ChannelModel::count(Stand stand) const {
  return std::ranges::count_if(entries, [stand](const auto& one) { return one.second.stand == stand; });
}

std::int64_t ChannelModel::unrenewed() const {
  return std::ranges::count_if(
      entries, [](const auto& one) { return one.second.stand == Stand::in_flight && !one.second.renewed; });
}

}  // namespace lrpc::queue::simulation
