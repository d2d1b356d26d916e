// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka_model.hpp"

#include <algorithm>

namespace lrpc::queue::simulation {
std::string text_of(Place place) {
  return (place.key.lane == Lane::topic ? "topic-" : "retry-") + std::to_string(place.key.number) + "@" +
         std::to_string(place.offset);
}

CommitNote ShelfModel::Partition::note(std::uint64_t owner) const {
  CommitNote note{.owner = owner};
  const std::int64_t from = watermark();
  for (std::int64_t offset = from; offset < static_cast<std::int64_t>(settled.size()); ++offset) {
    if (!is_settled(offset)) continue;
    if (note.settled.empty() || note.settled.back().end != offset) note.settled.push_back({offset, offset});
    note.settled.back().end = offset + 1;
  }
  for (const auto& [offset, count] : deliveries) {
    if (count > 0 && !is_settled(offset)) note.handed_out.push_back({.offset = offset, .deliveries = count});
  }
  return note;
}

// Partitions.

Shelf::Start ShelfModel::begin(PartitionKey key, const Shelf::Committed& committed, Shelf::Log log) {
  forget(key);
  Partition& partition = partitions[key];
  partition.start = partition.end = partition.stored = committed.offset;
  partition.trimmed = log.low;
  partition.assignment = ++last_assignment_;
  if (committed.note) {
    for (const OffsetRange& range : committed.note->settled) {
      for (std::int64_t offset = range.first; offset < std::min(range.end, log.high); ++offset) {
        mark_settled(partition, offset);
      }
    }
    for (const auto& one : committed.note->handed_out) partition.deliveries[one.offset] = one.deliveries;
  }
  after_settling(partition);
  const std::int64_t lost = partition.end < log.low ? pass(partition, log.low, ShelfEvent::pass) : 0;
  partition.last_watermark = partition.watermark();
  return {.offset = partition.end, .lost = lost};
}

Shelf::Start ShelfModel::assign(PartitionKey key, const std::optional<Shelf::Committed>& committed, Shelf::Log log,
                                std::uint64_t owner) {
  const auto it = partitions.find(key);
  const Part before = it == partitions.end() ? Part::none : it->second.suspended ? Part::suspended : Part::ours;
  const bool ours = committed && committed->note && committed->note->owner == owner;
  if (ours && before == Part::suspended && committed->offset <= log.high) {
    Partition& partition = it->second;
    partition.suspended = false;
    partition.assignment = ++last_assignment_;
    partition.handed_out = partition.told = 0;
    partition.last_watermark = partition.watermark();
    note_event(before, PartEvent::resume, Part::ours);
    for (auto place = partition.items.rbegin(); place != partition.items.rend(); ++place) {
      if (place->second.at == At::ready) ready.push_front({key, place->first});
      if (place->second.at == At::early) early.push_front({key, place->first});
    }
    for (auto& [offset, item] : partition.items) {
      if (item.at == At::waiting) {
        waiting[{*item.record.due_ms, {key, offset}}] = item.kept;
        if (item.kept) ++kept_;
      }
    }
    return partition.end < log.low || partition.end > log.high ? relocate(key, log) : Shelf::Start{partition.end};
  }
  const bool beyond = committed && committed->offset > log.high;
  note_event(before, beyond ? PartEvent::begin_anew : PartEvent::assign, Part::ours);
  Shelf::Start start = begin(key, committed && !beyond ? *committed : Shelf::Committed{.offset = log.low}, log);
  start.anew = beyond;
  return start;
}

Shelf::Start ShelfModel::relocate(PartitionKey key, Shelf::Log log) {
  Partition& partition = partitions.at(key);
  note_event(Part::ours, partition.end > log.high ? PartEvent::begin_anew : PartEvent::relocate, Part::ours);
  if (partition.end > log.high) {
    begin(key, {.offset = log.low}, log);
    return {.offset = log.low, .anew = true};
  }
  const std::int64_t lost = partition.end < log.low ? pass(partition, log.low, ShelfEvent::pass) : 0;
  return {.offset = partition.end, .lost = lost};
}

void ShelfModel::suspend(PartitionKey key) {
  const auto it = partitions.find(key);
  if (it == partitions.end() || it->second.suspended) return;
  note_event(Part::ours, PartEvent::suspend, Part::suspended);
  it->second.suspended = true;
  const auto here = [&](Place place) { return place.key == key; };
  std::erase_if(ready, here);
  std::erase_if(early, here);
  std::erase_if(waiting, [&](const auto& entry) {
    if (entry.first.second.key != key) return false;
    if (entry.second) --kept_;
    it->second.items.at(entry.first.second.offset).kept = entry.second;
    return true;
  });
}

void ShelfModel::forget_suspended() {
  std::vector<PartitionKey> keys;
  for (const auto& [key, partition] : partitions) {
    if (partition.suspended) keys.push_back(key);
  }
  for (const PartitionKey key : keys) {
    note_event(Part::suspended, PartEvent::forget, Part::none);
    forget(key);
  }
}

void ShelfModel::forget(PartitionKey key) {
  const auto it = partitions.find(key);
  if (it == partitions.end()) return;
  for (const auto& [offset, item] : it->second.items) note_event(item.at, ShelfEvent::forget, At::unread);
  const bool suspended = it->second.suspended;
  if (!suspended) {
    const auto here = [&](Place place) { return place.key == key; };
    std::erase_if(ready, here);
    std::erase_if(early, here);
    std::erase_if(waiting, [&](const auto& entry) {
      if (entry.first.second.key != key) return false;
      if (entry.second) --kept_;
      return true;
    });
  }
  partitions.erase(it);
}

void ShelfModel::crash() {
  for (const auto& [key, partition] : partitions) {
    note_event(partition.suspended ? Part::suspended : Part::ours, PartEvent::crash, Part::none);
  }
}

// Offsets.

void ShelfModel::mark_settled(Partition& partition, std::int64_t offset) {
  if (offset < partition.start) return;
  if (offset >= static_cast<std::int64_t>(partition.settled.size())) {
    partition.settled.resize(static_cast<std::size_t>(offset) + 1);
  }
  partition.settled[static_cast<std::size_t>(offset)] = true;
}

void ShelfModel::after_settling(Partition& partition) {
  const std::int64_t watermark = partition.watermark();
  if (watermark <= partition.end) return;
  partition.end = watermark;
  partition.foreseen.erase(partition.foreseen.begin(), partition.foreseen.lower_bound(watermark));
}

// The reader goes to `end`; what it passes over and was not foreseen is settled.
std::int64_t ShelfModel::pass(Partition& partition, std::int64_t end, ShelfEvent why) {
  std::int64_t settled = 0;
  for (std::int64_t offset = partition.end; offset < end; ++offset) {
    if (partition.foreseen.erase(offset) > 0 || partition.is_settled(offset)) continue;
    mark_settled(partition, offset);
    note_event(At::unread, why, At::settled);
    ++settled;
  }
  partition.end = std::max(partition.end, end);
  after_settling(partition);
  return settled;
}

std::int64_t ShelfModel::skip_to(PartitionKey key, std::int64_t end) {
  Partition& partition = partitions.at(key);
  return end <= partition.end ? 0 : pass(partition, end, ShelfEvent::skip);
}

void ShelfModel::make_ready(Place place, Item& item, bool in_front) {
  item.at = At::ready;
  if (partitions.at(place.key).suspended) return;
  if (in_front) {
    ready.push_front(place);
  } else {
    ready.push_back(place);
  }
}

void ShelfModel::wait(Place place, Item& item) {
  item.at = At::waiting;
  if (partitions.at(place.key).suspended) return;
  waiting[{*item.record.due_ms, place}] = item.kept;
  if (item.kept) ++kept_;
}

void ShelfModel::take_in(Place place, const LogRecord& record, std::int64_t now_ms, ShelfEvent why) {
  Item& item = partitions.at(place.key).items[place.offset];
  item = Item{.record = record};
  if (!record.due_ms) {
    make_ready(place, item, false);
  } else if (*record.due_ms <= now_ms || place.key.lane == Lane::retry) {
    item.kept = kept_ < most_kept_;
    wait(place, item);
  } else {
    item.at = At::early;
    early.push_back(place);
  }
  note_event(At::unread, why, item.at);
}

void ShelfModel::ingest(Place place, const LogRecord& record, std::int64_t now_ms) {
  const auto it = partitions.find(place.key);
  if (it == partitions.end() || place.offset < it->second.end) return;
  Partition& partition = it->second;
  pass(partition, place.offset, ShelfEvent::pass);
  if (place.offset < partition.end) return;
  partition.end = place.offset + 1;
  const bool foreseen = partition.foreseen.erase(place.offset) > 0;
  after_settling(partition);
  if (!foreseen && !partition.is_settled(place.offset)) take_in(place, record, now_ms, ShelfEvent::ingest);
}

void ShelfModel::foresee(Place place, const LogRecord& record, std::int64_t now_ms) {
  const auto it = partitions.find(place.key);
  if (it == partitions.end() || it->second.suspended) return;
  Partition& partition = it->second;
  if (place.offset < partition.end || partition.is_settled(place.offset)) return;
  if (partition.foreseen.insert(place.offset).second) take_in(place, record, now_ms, ShelfEvent::foresee);
}

std::vector<Place> ShelfModel::mature(std::int64_t now_ms) {
  std::vector<Place> to_read;
  while (!waiting.empty() && waiting.begin()->first.first <= now_ms) {
    const Place place = waiting.begin()->first.second;
    const bool kept = waiting.begin()->second;
    waiting.erase(waiting.begin());
    Item& item = *find(place);
    if (kept) {
      --kept_;
      make_ready(place, item, false);
    } else {
      item.at = At::away;
      to_read.push_back(place);
    }
    note_event(At::waiting, ShelfEvent::mature, item.at);
  }
  return to_read;
}

void ShelfModel::came_back(Place place, bool gone) {
  Item* const item = find(place);
  if (item == nullptr || item->at != At::away) return;
  if (gone) {
    settle(place, ShelfEvent::gone);
  } else {
    note_event(At::away, ShelfEvent::refill, At::ready);
    make_ready(place, *item, false);
  }
}

std::vector<Place> ShelfModel::hand_out(std::size_t most, std::int64_t until) {
  std::vector<Place> places;
  while (places.size() < most && !ready.empty()) {
    const Place place = ready.front();
    ready.pop_front();
    Partition& partition = partitions.at(place.key);
    Item& item = partition.items.at(place.offset);
    ++partition.handed_out;
    ++partition.deliveries[place.offset];
    note_event(item.at, ShelfEvent::hand_out, At::out);
    item.at = At::out;
    item.until = until;
    item.hand_over = ++hand_overs;
    places.push_back(place);
  }
  return places;
}

void ShelfModel::expire(std::int64_t tick) {
  std::vector<Place> expired;
  for (auto& [key, partition] : partitions) {
    for (auto& [offset, item] : partition.items) {
      if (item.at == At::out && item.until != Shelf::kForever && item.until <= tick) expired.push_back({key, offset});
    }
  }
  for (auto place = expired.rbegin(); place != expired.rend(); ++place) {
    Item& item = *find(*place);
    note_event(At::out, ShelfEvent::expire, At::ready);
    item.lease_expired = true;
    make_ready(*place, item, true);
  }
}

void ShelfModel::settle(Place place, ShelfEvent why) {
  Partition& partition = partitions.at(place.key);
  const auto it = partition.items.find(place.offset);
  note_event(it->second.at, why, At::settled);
  partition.items.erase(it);
  mark_settled(partition, place.offset);
  after_settling(partition);
}

void ShelfModel::give_back(Place place, bool count_attempt, ShelfEvent why) {
  Partition& partition = partitions.at(place.key);
  if (!count_attempt) --partition.deliveries[place.offset];
  Item& item = partition.items.at(place.offset);
  note_event(At::out, why, At::ready);
  make_ready(place, item, true);
}

void ShelfModel::keep(Place place, bool count_attempt) {
  Partition& partition = partitions.at(place.key);
  if (count_attempt) ++partition.deliveries[place.offset];
  note_event(At::out, ShelfEvent::keep, At::out);
  partition.items.at(place.offset).hand_over = ++hand_overs;
}

void ShelfModel::give_all_back() {
  for (auto& [key, partition] : partitions) {
    for (auto& [offset, item] : partition.items) {
      if (item.at == At::out) give_back({key, offset}, true, ShelfEvent::give_back);
    }
  }
}

}  // namespace lrpc::queue::simulation
