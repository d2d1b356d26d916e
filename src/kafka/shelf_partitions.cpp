// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The shelf's partitions: assignment, revocation, and what is committed of them.
#include <algorithm>
#include <utility>

#include "kafka/shelf.hpp"

namespace lrpc::queue::kafka {

std::int64_t Shelf::assign(PartitionKey key, const Committed& committed, std::int64_t log_end) {
  const bool ours = committed.note && committed.note->owner == owner_;
  if (const auto it = partitions_.find(key); it != partitions_.end() && it->second.suspended && ours) {
    Partition& partition = it->second;
    partition.suspended = false;
    partition.dirty = true;
    // In front: they were read before whatever is ready here.
    std::vector<Index> parked = std::exchange(partition.parked, {});
    std::ranges::sort(parked, std::greater{}, [this](Index index) { return slots_[index].place; });
    for (const Index index : parked) make_ready(index, true);
    for (RetryIndex::Waiting& waiting : std::exchange(partition.parked_waiting, {})) waiting_.add(std::move(waiting));
    return partition.progress.end();
  }
  forget(key);
  std::vector<OffsetRange> settled;
  Partition partition;
  if (committed.note) {
    for (OffsetRange range : committed.note->settled) {
      // What a damaged note claims beyond the log would be passed over when it is written.
      range.end = std::min(range.end, log_end);
      if (range.first < range.end) settled.push_back(range);
    }
    for (const CommitNote::HandedOut& one : committed.note->handed_out) {
      partition.carried.emplace(one.offset, one.deliveries);
    }
  }
  partition.progress = Progress(committed.offset, settled);
  partitions_.emplace(key, std::move(partition));
  return partitions_.at(key).progress.end();
}

void Shelf::suspend(PartitionKey key) {
  const auto it = partitions_.find(key);
  if (it == partitions_.end() || it->second.suspended) return;
  Partition& partition = it->second;
  partition.suspended = true;
  partition.handed_out = partition.told = 0;
  std::erase_if(ready_, [&](Index index) {
    if (slots_[index].place.key != key) return false;
    ready_bytes_ -= slots_[index].message->encoded_body().size();
    partition.parked.push_back(index);
    return true;
  });
  partition.parked_waiting = waiting_.extract([&](const RetryIndex::Waiting& w) { return w.place.key == key; });
}

void Shelf::forget_suspended() {
  std::vector<PartitionKey> suspended;
  for (const auto& [key, partition] : partitions_) {
    if (partition.suspended) suspended.push_back(key);
  }
  for (const PartitionKey key : suspended) forget(key);
}

void Shelf::forget(PartitionKey key) {
  if (!partitions_.contains(key)) return;
  suspend(key);  // nothing of it is ready or waiting any more
  std::erase_if(early_, [&](Index index) { return slots_[index].place.key == key; });
  for (Index index = 0; index < slots_.size(); ++index) {
    Slot& slot = slots_[index];
    if (slot.state == State::free || slot.place.key != key) continue;
    const State state = slot.state == State::moving ? slot.before : slot.state;
    if (slot.state == State::moving) {
      ++moves_;
      --moving_;
    }
    if (state == State::out) {
      leave_out(slot);
      leave_by_id(index);
    }
    free_slot(index);
  }
  partitions_.erase(key);
}

std::vector<Shelf::Commit> Shelf::to_commit(bool all) {
  std::vector<Commit> commits;
  std::map<PartitionKey, std::vector<CommitNote::HandedOut>> handed_out;
  const auto wanted = [&](const Partition& partition) { return !partition.suspended && (all || partition.dirty); };
  for (const Slot& slot : slots_) {
    if (slot.state == State::free || slot.deliveries == 0) continue;
    handed_out[slot.place.key].push_back({.offset = slot.place.offset, .deliveries = slot.deliveries});
  }
  for (auto& [key, partition] : partitions_) {
    if (!wanted(partition)) continue;
    CommitNote note{.owner = owner_, .handed_out = std::move(handed_out[key])};
    const Progress& progress = partition.progress;
    note.settled = progress.runs_ahead(kMostMetadata);  // none takes less than a byte
    for (const auto& [offset, deliveries] : partition.carried) {
      if (!progress.settled(offset)) note.handed_out.push_back({.offset = offset, .deliveries = deliveries});
    }
    std::ranges::sort(note.handed_out, {}, &CommitNote::HandedOut::offset);
    Commit commit{.key = key,
                  .offset = progress.watermark(),
                  .note = write_note(note, progress.watermark()),
                  .handed_out = partition.handed_out};
    partition.full = !commit.note.all_settled;
    partition.dirty = false;
    commits.push_back(std::move(commit));
  }
  return commits;
}

void Shelf::committed(const Commit& commit, bool stored) {
  const auto it = partitions_.find(commit.key);
  if (it == partitions_.end()) return;
  if (stored) {
    it->second.told = std::max(it->second.told, commit.handed_out);
  } else {
    it->second.dirty = true;
  }
}

std::int64_t Shelf::skip_to(PartitionKey key, std::int64_t end) {
  Partition& partition = partitions_.at(key);
  const std::int64_t before =
      partition.progress.end() - partition.progress.watermark() - partition.progress.settled_ahead();
  const std::int64_t unread = std::max<std::int64_t>(end - partition.progress.end(), 0);
  if (unread == 0) return 0;
  partition.progress.skip_to(end);
  partition.dirty = true;
  const std::int64_t after =
      partition.progress.end() - partition.progress.watermark() - partition.progress.settled_ahead();
  // Those that were settled ahead of the reader were not unread to anybody.
  return unread - (after - before);
}

Shelf::Counts Shelf::counts() const {
  Counts counts;
  for (const Slot& slot : slots_) {
    const bool retry = slot.place.key.lane == Lane::retry;
    const State state = slot.state == State::moving ? slot.before : slot.state;
    if (state == State::ready && retry) ++counts.ready_of_retry;
    if (state == State::out) ++(retry ? counts.out_of_retry : counts.out_of_topic);
    if (state == State::early) ++counts.early;
  }
  return counts;
}

std::vector<Shelf::Position> Shelf::positions() const {
  std::vector<Position> positions;
  for (const auto& [key, partition] : partitions_) {
    if (partition.suspended) continue;
    positions.push_back(
        {.key = key, .watermark = partition.progress.watermark(), .settled_ahead = partition.progress.settled_ahead()});
  }
  return positions;
}

bool Shelf::owns(PartitionKey key) const {
  const auto it = partitions_.find(key);
  return it != partitions_.end() && !it->second.suspended;
}

}  // namespace lrpc::queue::kafka
