// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka_model.hpp"

#include <algorithm>

namespace lrpc::queue::simulation {
namespace {

void count(At from, ShelfEvent event, At to) { shelf_coverage.count(from, event, to); }
void count(Part from, PartEvent event, Part to) { partition_coverage.count(from, event, to); }

}  // namespace

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
    count(before, PartEvent::resume, Part::ours);
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
  count(before, beyond ? PartEvent::begin_anew : PartEvent::assign, Part::ours);
  Shelf::Start start = begin(key, committed && !beyond ? *committed : Shelf::Committed{.offset = log.low}, log);
  start.anew = beyond;
  return start;
}

Shelf::Start ShelfModel::relocate(PartitionKey key, Shelf::Log log) {
  Partition& partition = partitions.at(key);
  count(Part::ours, partition.end > log.high ? PartEvent::begin_anew : PartEvent::relocate, Part::ours);
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
  count(Part::ours, PartEvent::suspend, Part::suspended);
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
    count(Part::suspended, PartEvent::forget, Part::none);
    forget(key);
  }
}

void ShelfModel::forget(PartitionKey key) {
  const auto it = partitions.find(key);
  if (it == partitions.end()) return;
  for (const auto& [offset, item] : it->second.items) count(item.at, ShelfEvent::forget, At::unread);
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
    count(partition.suspended ? Part::suspended : Part::ours, PartEvent::crash, Part::none);
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
    count(At::unread, why, At::settled);
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
  count(At::unread, why, item.at);
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
    count(At::waiting, ShelfEvent::mature, item.at);
  }
  return to_read;
}

void ShelfModel::came_back(Place place, bool gone) {
  Item* const item = find(place);
  if (item == nullptr || item->at != At::away) return;
  if (gone) {
    settle(place, ShelfEvent::gone);
  } else {
    count(At::away, ShelfEvent::refill, At::ready);
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
    count(item.at, ShelfEvent::hand_out, At::out);
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
    count(At::out, ShelfEvent::expire, At::ready);
    item.lease_expired = true;
    make_ready(*place, item, true);
  }
}

void ShelfModel::settle(Place place, ShelfEvent why) {
  Partition& partition = partitions.at(place.key);
  const auto it = partition.items.find(place.offset);
  count(it->second.at, why, At::settled);
  partition.items.erase(it);
  mark_settled(partition, place.offset);
  after_settling(partition);
}

void ShelfModel::give_back(Place place, bool count_attempt, ShelfEvent why) {
  Partition& partition = partitions.at(place.key);
  if (!count_attempt) --partition.deliveries[place.offset];
  Item& item = partition.items.at(place.offset);
  count(At::out, why, At::ready);
  make_ready(place, item, true);
}

void ShelfModel::keep(Place place, bool count_attempt) {
  Partition& partition = partitions.at(place.key);
  if (count_attempt) ++partition.deliveries[place.offset];
  count(At::out, ShelfEvent::keep, At::out);
  partition.items.at(place.offset).hand_over = ++hand_overs;
}

void ShelfModel::give_all_back() {
  for (auto& [key, partition] : partitions) {
    for (auto& [offset, item] : partition.items) {
      if (item.at == At::out) give_back({key, offset}, true, ShelfEvent::give_back);
    }
  }
}

// Moves.

std::vector<Place> ShelfModel::begin_early(std::size_t most) {
  std::vector<Place> places;
  while (places.size() < most && !early.empty()) {
    places.push_back(early.front());
    early.pop_front();
    Item& item = *find(places.back());
    count(At::early, ShelfEvent::begin_move, At::moving);
    item.before = std::exchange(item.at, At::moving);
    item.hand_over = ++hand_overs;
  }
  return places;
}

void ShelfModel::begin_move(Place place) {
  Item& item = *find(place);
  count(At::out, ShelfEvent::begin_move, At::moving);
  item.before = std::exchange(item.at, At::moving);
}

void ShelfModel::end_move(Place place, bool moved) {
  Item& item = *find(place);
  if (moved) return settle(place, ShelfEvent::moved);
  item.at = item.before;
  count(At::moving, ShelfEvent::not_moved, item.at);
  if (item.at == At::early && !partitions.at(place.key).suspended) early.push_front(place);
}

bool ShelfModel::overflows(const Partition& partition) const {
  return waiting.size() >= most_entries_ && unread_ && (!partition.first_copy || partition.end < *partition.first_copy);
}

std::vector<Place> ShelfModel::begin_rewrite(std::size_t most) {
  std::vector<Place> all;
  for (auto& [key, partition] : partitions) {
    const bool overflow = overflows(partition);
    if (key.lane != Lane::retry || partition.suspended || (!partition.full && !overflow)) continue;
    partition.full = false;
    partition.copying = partition.copying || overflow;
    std::vector<std::pair<std::int64_t, Place>> mine;
    for (const auto& [entry, kept] : waiting) {
      if (entry.second.key == key) mine.push_back(entry);
    }
    if (overflow) {
      std::ranges::reverse(mine);
    } else {
      std::ranges::sort(mine, {}, [](const auto& one) { return one.second; });
    }
    if (mine.size() > most) mine.resize(most);
    for (const auto& [due, place] : mine) all.push_back(place);
  }
  for (const Place place : all) {
    Item& item = *find(place);
    const auto it = waiting.find({*item.record.due_ms, place});
    item.kept = it->second;
    if (item.kept) --kept_;
    waiting.erase(it);
    item.at = At::away;
    count(At::waiting, ShelfEvent::begin_rewrite, At::away);
  }
  std::ranges::sort(all);
  return all;
}

void ShelfModel::rewritten(std::int32_t partition, std::int64_t offset) {
  const auto it = partitions.find({.lane = Lane::retry, .number = partition});
  if (it == partitions.end() || !it->second.copying || it->second.first_copy) return;
  it->second.first_copy = offset >= 0 ? offset : it->second.end;
}

bool ShelfModel::end_rewrite(Place place, bool written) {
  Item* const item = find(place);
  if (item == nullptr || item->at != At::away) return false;
  if (written) {
    partitions.at(place.key).deliveries.erase(place.offset);
    settle(place, ShelfEvent::rewritten);
  } else {
    count(At::away, ShelfEvent::not_rewritten, At::waiting);
    wait(place, *item);
  }
  return true;
}

void ShelfModel::set_unread(bool unread) {
  unread_ = unread;
  if (waiting.size() > most_entries_ / 2) return;
  for (auto& [key, partition] : partitions) {
    partition.first_copy.reset();
    partition.copying = false;
  }
}

std::vector<Place> ShelfModel::drop_all() {
  std::vector<Place> dropped;
  for (auto& [key, partition] : partitions) {
    if (partition.suspended) continue;
    for (const auto& [offset, item] : partition.items) {
      if (item.at != At::out && item.at != At::moving) dropped.push_back({key, offset});
    }
  }
  for (const Place place : dropped) settle(place, ShelfEvent::drop);
  ready.clear();
  early.clear();
  waiting.clear();
  kept_ = 0;
  return dropped;
}

// Figures.

ShelfModel::Item* ShelfModel::find(Place place) {
  const auto partition = partitions.find(place.key);
  if (partition == partitions.end()) return nullptr;
  const auto it = partition->second.items.find(place.offset);
  return it == partition->second.items.end() ? nullptr : &it->second;
}

ShelfModel::Item* ShelfModel::in_flight(Place place, std::uint64_t hand_over) {
  Item* const item = find(place);
  return item != nullptr && item->at == At::out && item->hand_over == hand_over ? item : nullptr;
}

bool ShelfModel::owns(PartitionKey key) const {
  const auto it = partitions.find(key);
  return it != partitions.end() && !it->second.suspended;
}

bool ShelfModel::needs_commit(std::int64_t most) const {
  return std::ranges::any_of(partitions, [most](const auto& entry) {
    return entry.second.handed_out > entry.second.told && entry.second.told < most;
  });
}

bool ShelfModel::index_is_full() const {
  if (waiting.size() >= most_entries_) return true;
  return waiting.size() > most_entries_ / 2 && std::ranges::any_of(partitions, [](const auto& entry) {
           const Partition& partition = entry.second;
           return !partition.suspended && partition.first_copy && partition.end >= *partition.first_copy;
         });
}

bool ShelfModel::has_moves() const {
  return !early.empty() || std::ranges::any_of(partitions, [this](const auto& entry) {
    const auto& [key, partition] = entry;
    return key.lane == Lane::retry && !partition.suspended &&
           (partition.full || overflows(partition) || partition.stored - partition.trimmed >= Shelf::kEnoughFinished);
  });
}

std::int64_t ShelfModel::next_expiry() const {
  std::int64_t next = Shelf::kForever;
  for (const auto& [key, partition] : partitions) {
    for (const auto& [offset, item] : partition.items) {
      if (item.at == At::out) next = std::min(next, item.until);
    }
  }
  return next;
}

void ShelfModel::compare(Shelf& shelf) const {
  std::int64_t out = 0;
  std::int64_t leased = 0;
  std::int64_t moving = 0;
  Shelf::Counts counts;
  std::vector<PartitionKey> owned;
  for (const auto& [key, partition] : partitions) {
    if (!partition.suspended) owned.push_back(key);
    for (const auto& [offset, item] : partition.items) {
      const At at = item.at == At::moving ? item.before : item.at;
      if (item.at == At::moving) ++moving;
      if (at == At::ready && key.lane == Lane::retry) ++counts.ready_of_retry;
      if (at == At::early) ++counts.early;
      if (at != At::out) continue;
      ++out;
      if (item.until != Shelf::kForever) ++leased;
      ++(key.lane == Lane::retry ? counts.out_of_retry : counts.out_of_topic);
    }
  }
  check_equal(shelf.ready(), static_cast<std::int64_t>(ready.size()), "ready");
  check_equal(shelf.ready_bytes(), ready.size() * 10, "bytes that are ready");
  check_equal(shelf.out(), out, "out");
  check_equal(shelf.leased(), leased, "with a lease");
  check_equal(shelf.waiting(), waiting.size() + early.size(), "waiting");
  check_equal(shelf.next_due_ms(), waiting.empty() ? kafka::RetryIndex::kNever : waiting.begin()->first.first,
              "the next due time");
  check_equal(shelf.next_expiry(), next_expiry(), "the next end of a lease");
  const Shelf::Counts is = shelf.counts();
  check_equal(is.ready_of_retry, counts.ready_of_retry, "ready of the retry topic");
  check_equal(is.out_of_topic, counts.out_of_topic, "out of the topic");
  check_equal(is.out_of_retry, counts.out_of_retry, "out of the retry topic");
  check_equal(is.early, counts.early, "early");
  check(shelf.owned() == owned, "the partitions that are ours");
  check_equal(shelf.index_is_full(), index_is_full(), "whether the index is full");
  check_equal(shelf.has_moves(), has_moves(), "whether something is to be moved");
  for (const PartitionKey key : owned) {
    check_equal(shelf.read_to(key), partitions.at(key).end, "how far a partition is read");
  }
}

}  // namespace lrpc::queue::simulation
