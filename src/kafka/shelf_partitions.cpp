// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The shelf's partitions: assignment, revocation, and what is committed of them.
#include <algorithm>
#include <utility>

#include "kafka/shelf.hpp"

namespace lrpc::queue::kafka {

Shelf::Start Shelf::assign(PartitionKey key, const std::optional<Committed>& committed, Log log) {
  const auto it = partitions_.find(key);
  const bool ours = committed && committed->note && committed->note->owner == owner_;
  if (ours && it != partitions_.end() && it->second.suspended && committed->offset <= log.high) {
    resume(it->second);
    const std::int64_t next = it->second.progress.end();
    return next < log.low || next > log.high ? relocate(key, log) : Start{.offset = next};
  }
  if (!committed) return begin(key, {.offset = log.low}, log);  // new since the channel: from its start
  if (committed->offset <= log.high) return begin(key, *committed, log);
  Start start = begin(key, {.offset = log.low}, log);
  start.anew = true;
  return start;
}

// Knows nothing of the partition but what was committed.
Shelf::Start Shelf::begin(PartitionKey key, const Committed& committed, Log log) {
  forget(key);
  std::vector<OffsetRange> settled;
  Partition partition;
  if (committed.note) {
    for (OffsetRange range : committed.note->settled) {
      // What a damaged note claims beyond the log would be passed over when it is written.
      range.end = std::min(range.end, log.high);
      if (range.first < range.end) settled.push_back(range);
    }
    for (const CommitNote::HandedOut& one : committed.note->handed_out) {
      partition.carried.emplace(one.offset, one.deliveries);
    }
  }
  partition.progress = Progress(committed.offset, settled);
  partition.assignment = ++last_assignment_;
  partition.stored = committed.offset;
  partition.trimmed = log.low;
  const std::int64_t lost = partition.progress.skip_to(log.low);
  const std::int64_t next = partition.progress.end();
  partitions_.emplace(key, std::move(partition));
  return {.offset = next, .lost = lost};
}

Shelf::Start Shelf::relocate(PartitionKey key, Log log) {
  Partition& partition = partitions_.at(key);
  const std::int64_t next = partition.progress.end();
  if (next > log.high) {
    begin(key, {.offset = log.low}, log);
    return {.offset = log.low, .anew = true};
  }
  if (next >= log.low) return {.offset = next};
  partition.dirty = true;
  const std::int64_t lost = partition.progress.skip_to(log.low);
  return {.offset = partition.progress.end(), .lost = lost};
}

// All goes on as it was before the partition was suspended.
void Shelf::resume(Partition& partition) {
  partition.suspended = false;
  partition.dirty = true;
  partition.assignment = ++last_assignment_;
  partition.handed_out = partition.told = 0;
  // In front: they were read before whatever is ready here.
  std::vector<Index> parked = std::exchange(partition.parked, {});
  std::ranges::sort(parked, std::greater{}, [this](Index index) { return slots_[index].place; });
  for (const Index index : parked) {
    if (slots_[index].state == State::early) {
      early_.push_front(index);
    } else {
      make_ready(index, true);
    }
  }
  for (RetryIndex::Waiting& waiting : std::exchange(partition.parked_waiting, {})) waiting_.add(std::move(waiting));
}

void Shelf::suspend(PartitionKey key) {
  const auto it = partitions_.find(key);
  if (it == partitions_.end() || it->second.suspended) return;
  Partition& partition = it->second;
  partition.suspended = true;
  const auto park = [&](Index index) {
    const Slot& slot = slots_[index];
    if (slot.place.key != key) return false;
    if (slot.state == State::ready) ready_bytes_ -= slot.message->encoded_body().size();
    partition.parked.push_back(index);
    return true;
  };
  std::erase_if(ready_, park);
  std::erase_if(early_, park);
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
  suspend(key);  // nothing of it is in a line any more
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
    if (partitions_.at(slot.place.key).progress.settled(slot.place.offset)) continue;
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
                  .note = write_note(note, progress.watermark(), most_metadata_),
                  .assignment = partition.assignment,
                  .handed_out = partition.handed_out};
    partition.full = !commit.note.all_settled;
    partition.dirty = false;
    commits.push_back(std::move(commit));
  }
  return commits;
}

void Shelf::committed(const Commit& commit, bool stored) {
  const auto it = partitions_.find(commit.key);
  if (it == partitions_.end() || it->second.assignment != commit.assignment) return;
  if (stored) {
    it->second.told = std::max(it->second.told, commit.handed_out);
    it->second.stored = std::max(it->second.stored, commit.offset);
  } else {
    it->second.dirty = true;
  }
}

bool Shelf::shorten_notes() {
  if (most_metadata_ == kLeastMetadata) return false;
  most_metadata_ = std::max(most_metadata_ / 2, kLeastMetadata);
  return true;
}

std::int64_t Shelf::skip_to(PartitionKey key, std::int64_t end) {
  Partition& partition = partitions_.at(key);
  if (end <= partition.progress.end()) return 0;
  partition.dirty = true;
  return partition.progress.skip_to(end);
}

std::vector<Shelf::Finished> Shelf::finished() const {
  std::vector<Finished> finished;
  for (const auto& [key, partition] : partitions_) {
    if (key.lane != Lane::retry || partition.suspended) continue;
    if (partition.stored - partition.trimmed < kEnoughFinished) continue;
    finished.push_back({.partition = key.number, .offset = partition.stored});
  }
  return finished;
}

void Shelf::trimmed(const Finished& finished) {
  const auto it = partitions_.find({.lane = Lane::retry, .number = finished.partition});
  if (it != partitions_.end()) it->second.trimmed = std::max(it->second.trimmed, finished.offset);
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

std::vector<PartitionKey> Shelf::owned() const {
  std::vector<PartitionKey> keys;
  for (const auto& [key, partition] : partitions_) {
    if (!partition.suspended) keys.push_back(key);
  }
  return keys;
}

std::int64_t Shelf::unfinished(PartitionKey key, Log log) const {
  return partitions_.at(key).progress.open({log.low, log.high});
}

bool Shelf::owns(PartitionKey key) const {
  const auto it = partitions_.find(key);
  return it != partitions_.end() && !it->second.suspended;
}

}  // namespace lrpc::queue::kafka
