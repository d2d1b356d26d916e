// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Moves of a model shelf, and its figures.
#include <algorithm>

#include "kafka_model.hpp"

namespace lrpc::queue::simulation {

// Moves.

std::vector<Place> ShelfModel::begin_early(std::size_t most) {
  std::vector<Place> places;
  while (places.size() < most && !early.empty()) {
    places.push_back(early.front());
    early.pop_front();
    Item& item = *find(places.back());
    note_event(At::early, ShelfEvent::begin_move, At::moving);
    item.before = std::exchange(item.at, At::moving);
    item.hand_over = ++hand_overs;
  }
  return places;
}

void ShelfModel::begin_move(Place place) {
  Item& item = *find(place);
  note_event(At::out, ShelfEvent::begin_move, At::moving);
  item.before = std::exchange(item.at, At::moving);
}

void ShelfModel::end_move(Place place, bool moved) {
  Item& item = *find(place);
  if (moved) return settle(place, ShelfEvent::moved);
  item.at = item.before;
  note_event(At::moving, ShelfEvent::not_moved, item.at);
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
    note_event(At::waiting, ShelfEvent::begin_rewrite, At::away);
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
    note_event(At::away, ShelfEvent::not_rewritten, At::waiting);
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
  check(moving == 0 || shelf.moving(), "something is being moved, and figures do not wait for it");
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
