// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/shelf.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace lrpc::queue::kafka {

// What is read, and what waits for its time.

void Shelf::ingest(Place place, ReadRecord record, std::int64_t now_ms) {
  const auto it = partitions_.find(place.key);
  if (it == partitions_.end()) return;
  it->second.dirty = true;  // also a gap moves the watermark
  if (it->second.progress.reach(place.offset)) take_in(place, std::move(record), now_ms);
}

void Shelf::foresee(Place place, ReadRecord record, std::int64_t now_ms) {
  const auto it = partitions_.find(place.key);
  if (it == partitions_.end() || it->second.suspended) return;
  if (it->second.progress.foresee(place.offset)) take_in(place, std::move(record), now_ms);
}

void Shelf::take_in(Place place, ReadRecord record, std::int64_t now_ms) {
  if (!record.due_ms) {
    make_ready(add(place, std::move(record), State::ready), false);
  } else if (*record.due_ms <= now_ms || place.key.lane == Lane::retry) {
    waiting_.add(place, std::move(record));  // what is due already comes in the order of its time, too
  } else {
    early_.push_back(add(place, std::move(record), State::early));
  }
}

std::vector<Place> Shelf::mature(std::int64_t now_ms) {
  std::vector<Place> to_read;
  while (auto waiting = waiting_.pop(now_ms)) {
    if (waiting->record) {
      make_ready(add(waiting->place, std::move(*waiting->record), State::ready), false);
    } else {
      partitions_.at(waiting->place.key).away.insert(waiting->place.offset);
      to_read.push_back(waiting->place);
    }
  }
  return to_read;
}

void Shelf::refill(Place place, ReadRecord record) {
  if (came_back(place)) make_ready(add(place, std::move(record), State::ready), false);
}

void Shelf::gone(Place place) {
  if (came_back(place)) settle_place(place);
}

bool Shelf::is_away(Place place) const {
  const auto it = partitions_.find(place.key);
  return it != partitions_.end() && it->second.away.contains(place.offset);
}

// Whether the mover has it in hand for us still; no more after this.
bool Shelf::came_back(Place place) {
  const auto it = partitions_.find(place.key);
  return it != partitions_.end() && it->second.away.erase(place.offset) > 0;
}

std::vector<Shelf::Moving> Shelf::begin_early(std::size_t most) {
  std::vector<Moving> moves;
  while (!early_.empty() && moves.size() < most) {
    const Index index = early_.front();
    early_.pop_front();
    Slot& slot = slots_[index];
    slot.before = std::exchange(slot.state, State::moving);
    ++moves_;
    ++moving_;
    slot.generation = ++last_generation_;
    moves.push_back({.tag = tag_of(index),
                     .message = slot.message,
                     .from = slot.place,
                     .attempts = slot.attempts(),
                     .due_ms = slot.until});
  }
  return moves;
}

bool Shelf::has_moves() const {
  return !early_.empty() || std::ranges::any_of(partitions_, [this](const auto& entry) {
    const auto& [key, partition] = entry;
    return key.lane == Lane::retry && !partition.suspended &&
           (partition.full || overflows(partition) || partition.stored - partition.trimmed >= kEnoughFinished);
  });
}

std::vector<RetryIndex::Waiting> Shelf::begin_rewrite(std::size_t most) {
  std::vector<Place> places;
  for (auto& [key, partition] : partitions_) {
    if (key.lane != Lane::retry || partition.suspended) continue;
    const bool overflow = overflows(partition);
    if (!partition.full && !overflow) continue;
    partition.full = false;  // the next commit will tell
    partition.copying = partition.copying || overflow;
    const std::vector<Place> some = overflow ? waiting_.last_due(key, most) : waiting_.oldest(key, most);
    places.insert(places.end(), some.begin(), some.end());
  }
  if (places.empty()) return {};
  std::ranges::sort(places);
  auto taken =
      waiting_.extract([&](const RetryIndex::Waiting& w) { return std::ranges::binary_search(places, w.place); });
  for (RetryIndex::Waiting& waiting : taken) {
    Partition& partition = partitions_.at(waiting.place.key);
    partition.away.insert(waiting.place.offset);
    const auto carried = partition.carried.find(waiting.place.offset);
    waiting.deliveries = carried == partition.carried.end() ? 0 : carried->second;
  }
  ++moves_;
  moving_ += taken.size();
  return taken;
}

// Whether the index is full, and what is not read yet was there before we wrote the first anew: a copy that is met
// again must not be a reason for the next.
bool Shelf::overflows(const Partition& partition) const {
  return waiting_.full() && unread_ && (!partition.first_copy || partition.progress.end() < *partition.first_copy);
}

void Shelf::rewritten(std::int32_t partition, std::int64_t offset) {
  const auto it = partitions_.find({.lane = Lane::retry, .number = partition});
  if (it == partitions_.end() || !it->second.copying || it->second.first_copy) return;
  // Without acknowledgement the offset is not known: what is read so far bounds it.
  it->second.first_copy = offset >= 0 ? offset : it->second.progress.end();
}

bool Shelf::index_is_full() const {
  if (waiting_.full()) return true;
  const auto round_is_over = [](const auto& entry) {
    const Partition& partition = entry.second;
    return !partition.suspended && partition.first_copy && partition.progress.end() >= *partition.first_copy;
  };
  return waiting_.size() > waiting_.most_entries() / 2 && std::ranges::any_of(partitions_, round_is_over);
}

void Shelf::set_unread(bool unread) {
  unread_ = unread;
  if (waiting_.size() > waiting_.most_entries() / 2) return;
  for (auto& [key, partition] : partitions_) {
    partition.first_copy.reset();
    partition.copying = false;
  }
}

void Shelf::end_rewrite(std::vector<RetryIndex::Waiting> taken, bool written) {
  ++moves_;
  moving_ -= taken.size();
  for (RetryIndex::Waiting& waiting : taken) {
    if (!came_back(waiting.place)) continue;
    Partition& partition = partitions_.at(waiting.place.key);
    if (written) {
      partition.carried.erase(waiting.place.offset);
      settle_place(waiting.place);
    } else if (partition.suspended) {
      partition.parked_waiting.push_back(std::move(waiting));
    } else {
      waiting_.add(std::move(waiting));
    }
  }
}

// Handing out.

std::size_t Shelf::hand_out(std::span<Delivery> out, std::int64_t until) {
  std::size_t count = 0;
  while (count < out.size() && !ready_.empty()) {
    const Index index = ready_.front();
    ready_.pop_front();
    Slot& slot = slots_[index];
    ready_bytes_ -= slot.message->encoded_body().size();
    Partition& partition = partitions_.at(slot.place.key);
    ++partition.handed_out;
    partition.dirty = true;
    ++slot.deliveries;
    slot.state = State::out;
    slot.generation = ++last_generation_;
    slot.until = until;
    enter_by_id(index);
    ++out_;
    if (until != kForever) {
      ++leased_;
      leases_.push({.until = until, .slot = index, .generation = slot.generation});
    }
    Delivery& delivery = out[count++];
    delivery.message = slot.message;
    delivery.tag = tag_of(index);
    delivery.attempts = delivery.tag.attempts;
    delivery.lease_expired = std::exchange(slot.lease_expired, false);
    delivery.malformed = slot.malformed;
  }
  return count;
}

bool Shelf::needs_commit(std::int64_t most) const {
  return std::ranges::any_of(partitions_, [most](const auto& entry) {
    const Partition& partition = entry.second;
    return partition.handed_out > partition.told && partition.told < most;
  });
}

void Shelf::take_back(std::span<const Delivery> deliveries) {
  for (auto it = deliveries.rbegin(); it != deliveries.rend(); ++it) {
    if (Slot* const slot = in_flight(it->tag)) slot->lease_expired = it->lease_expired;
    give_back(it->tag, false);
  }
}

void Shelf::expire(std::int64_t tick) {
  std::vector<Index> expired;
  while (!leases_.empty() && leases_.top().until <= tick) {
    const Lease lease = leases_.top();
    leases_.pop();
    Slot& slot = slots_[lease.slot];
    // One that was touched or settled meanwhile has another entry, or none; one that was touched to and fro has two.
    if (slot.generation != lease.generation || slot.state != State::out || slot.until != lease.until) continue;
    leave_out(slot);
    leave_by_id(lease.slot);
    slot.state = State::ready;
    slot.lease_expired = true;
    expired.push_back(lease.slot);
  }
  // In front in the order in which they were read.
  std::ranges::sort(expired, std::greater{}, [this](Index index) { return slots_[index].place; });
  for (const Index index : expired) make_ready(index, true);
}

std::int64_t Shelf::next_expiry() {
  while (!leases_.empty()) {
    const Lease& lease = leases_.top();
    const Slot& slot = slots_[lease.slot];
    if (slot.generation == lease.generation && slot.state == State::out && slot.until == lease.until) {
      return lease.until;
    }
    leases_.pop();
  }
  return kForever;
}

// Settling.

const EnvelopePtr* Shelf::find(const DeliveryTag& tag) const {
  const Slot* slot = in_flight(tag);
  return slot == nullptr ? nullptr : &slot->message;
}

bool Shelf::settle(const DeliveryTag& tag) {
  Slot* slot = in_flight(tag);
  if (slot == nullptr) return false;
  leave_out(*slot);
  const auto index = index_of(tag);
  leave_by_id(index);
  settle_place(slot->place);
  free_slot(index);
  return true;
}

bool Shelf::touch(const DeliveryTag& tag, std::int64_t until) {
  Slot* slot = in_flight(tag);
  if (slot == nullptr) return false;
  if (slot->until == kForever || slot->until == until) return true;
  slot->until = until;
  leases_.push({.until = until, .slot = index_of(tag), .generation = tag.generation});
  return true;
}

void Shelf::give_lease(const DeliveryTag& tag, std::int64_t until) {
  Slot* slot = in_flight(tag);
  if (slot == nullptr) return;
  if (slot->until == kForever) ++leased_;
  slot->until = until;
  leases_.push({.until = until, .slot = index_of(tag), .generation = tag.generation});
}

bool Shelf::is_ours(const DeliveryTag& tag) const {
  const Slot* slot = in_flight(tag);
  return slot != nullptr && !partitions_.at(slot->place.key).suspended;
}

bool Shelf::give_back(const DeliveryTag& tag, bool count_attempt) {
  Slot* slot = in_flight(tag);
  if (slot == nullptr) return false;
  leave_out(*slot);
  leave_by_id(index_of(tag));
  if (!count_attempt) --slot->deliveries;
  make_ready(index_of(tag), true);
  return true;
}

std::optional<DeliveryTag> Shelf::keep(const DeliveryTag& tag, bool count_attempt) {
  Slot* slot = in_flight(tag);
  if (slot == nullptr) return std::nullopt;
  if (count_attempt) ++slot->deliveries;
  partitions_.at(slot->place.key).dirty = true;
  slot->generation = ++last_generation_;
  if (slot->until != kForever) {
    leases_.push({.until = slot->until, .slot = index_of(tag), .generation = slot->generation});
  }
  return tag_of(index_of(tag));
}

std::optional<Shelf::Moving> Shelf::begin_move(const DeliveryTag& tag) {
  Slot* slot = in_flight(tag);
  if (slot == nullptr) return std::nullopt;
  slot->before = std::exchange(slot->state, State::moving);
  ++moves_;
  ++moving_;
  return Moving{.tag = tag, .message = slot->message, .from = slot->place, .attempts = slot->attempts()};
}

void Shelf::end_move(const DeliveryTag& tag, bool moved) {
  const auto index = index_of(tag);
  if (index >= slots_.size()) return;
  Slot& slot = slots_[index];
  if (slot.generation != tag.generation || slot.state != State::moving) return;
  slot.state = slot.before;
  ++moves_;
  --moving_;
  if (slot.state == State::early) {
    Partition& partition = partitions_.at(slot.place.key);
    if (moved) {
      settle_place(slot.place);
      free_slot(index);
    } else if (partition.suspended) {
      partition.parked.push_back(index);
    } else {
      early_.push_front(index);
    }
  } else if (moved) {
    settle(tag);
  } else if (slot.until != kForever) {
    leases_.push({.until = slot.until, .slot = index, .generation = slot.generation});  // it may have been passed over
  }
}

void Shelf::give_all_back() {
  for (Index index = 0; index < slots_.size(); ++index) {
    if (slots_[index].state == State::out) give_back(tag_of(index), true);
  }
}

std::int64_t Shelf::drop_all() {
  std::int64_t dropped = 0;
  for (const Index index : std::exchange(ready_, {})) {
    settle_place(slots_[index].place);
    free_slot(index);
    ++dropped;
  }
  ready_bytes_ = 0;
  for (const Index index : std::exchange(early_, {})) {
    settle_place(slots_[index].place);
    free_slot(index);
    ++dropped;
  }
  for (const RetryIndex::Waiting& waiting : waiting_.extract([](const auto&) { return true; })) {
    settle_place(waiting.place);
    ++dropped;
  }
  for (auto& [key, partition] : partitions_) {
    if (partition.suspended) continue;
    for (const std::int64_t offset : std::exchange(partition.away, {})) {
      settle_place({.key = key, .offset = offset});
      ++dropped;
    }
  }
  return dropped;
}

// Slots.

Shelf::Index Shelf::take_slot() {
  if (free_.empty()) {
    slots_.emplace_back();
    return static_cast<Index>(slots_.size() - 1);
  }
  const Index index = free_.back();
  free_.pop_back();
  return index;
}

void Shelf::free_slot(Index index) {
  const std::uint64_t generation = slots_[index].generation;
  slots_[index] = Slot{.generation = generation};
  free_.push_back(index);
}

Shelf::Index Shelf::add(Place place, ReadRecord record, State state) {
  const Index index = take_slot();
  Slot& slot = slots_[index];
  slot.place = place;
  slot.state = state;
  slot.base = record.attempts;
  slot.until = record.due_ms.value_or(0);
  slot.message = std::move(record.message);
  if (!record.malformed.empty()) slot.malformed = std::make_shared<const std::string>(std::move(record.malformed));
  auto& carried = partitions_.at(place.key).carried;
  if (const auto it = carried.find(place.offset); it != carried.end()) {
    slot.deliveries = it->second;
    carried.erase(it);
  }
  return index;
}

void Shelf::make_ready(Index index, bool in_front) {
  Slot& slot = slots_[index];
  slot.state = State::ready;
  Partition& partition = partitions_.at(slot.place.key);
  partition.dirty = true;
  if (partition.suspended) {
    partition.parked.push_back(index);
    return;
  }
  ready_bytes_ += slot.message->encoded_body().size();
  if (in_front) {
    ready_.push_front(index);
  } else {
    ready_.push_back(index);
  }
}

void Shelf::settle_place(Place place) {
  const auto it = partitions_.find(place.key);
  if (it == partitions_.end()) return;
  it->second.progress.settle(place.offset);
  it->second.dirty = true;
}

void Shelf::leave_out(Slot& slot) {
  --out_;
  if (slot.until != kForever) --leased_;
}

const Shelf::Slot* Shelf::in_flight(const DeliveryTag& tag) const {
  const Index index = index_of(tag);
  if (tag.slot >> 32 != (owner_ & kNone) || index >= slots_.size()) return nullptr;
  const Slot& slot = slots_[index];
  return slot.generation == tag.generation && slot.state == State::out ? &slot : nullptr;
}

Shelf::Slot* Shelf::in_flight(const DeliveryTag& tag) { return const_cast<Slot*>(std::as_const(*this).in_flight(tag)); }

DeliveryTag Shelf::tag_of(Index index) const {
  const Slot& slot = slots_[index];
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  return {.slot = owner_ << 32 | index,  // no two channels share a tag
          .generation = slot.generation,
          .attempts = static_cast<int>(std::clamp<std::int64_t>(slot.attempts(), 1, kMost))};
}

// By id: a hash table of chains through the slots that are out, made when somebody settles by id.

void Shelf::index_by_id() {
  indexed_ = true;
  by_id_.assign(std::max<std::size_t>(64, std::bit_ceil(slots_.size())), kNone);
  for (Index index = 0; index < slots_.size(); ++index) {
    const State state = slots_[index].state;
    const bool out = state == State::out || (state == State::moving && slots_[index].before == State::out);
    if (!out) continue;
    Index& bucket = by_id_[slots_[index].message->id_hash() % by_id_.size()];
    slots_[index].next_of_id = std::exchange(bucket, index);
  }
}

// Of one that is out already.
void Shelf::enter_by_id(Index index) {
  if (!indexed_) return;
  if (by_id_.size() < slots_.size()) {
    index_by_id();
    return;
  }
  Index& bucket = by_id_[slots_[index].message->id_hash() % by_id_.size()];
  slots_[index].next_of_id = std::exchange(bucket, index);
}

void Shelf::leave_by_id(Index index) {
  if (!indexed_) return;
  Index* at = &by_id_[slots_[index].message->id_hash() % by_id_.size()];
  while (*at != index) at = &slots_[*at].next_of_id;
  *at = std::exchange(slots_[index].next_of_id, kNone);
}

std::optional<DeliveryTag> Shelf::find(std::string_view id) {
  if (!indexed_) index_by_id();
  const Envelope::IdQuery query(id);
  Index newest = kNone;
  for (Index at = by_id_[query.hash() % by_id_.size()]; at != kNone; at = slots_[at].next_of_id) {
    const Slot& slot = slots_[at];
    if (slot.state != State::out || !slot.message->id_is(query)) continue;
    if (newest == kNone || slot.generation > slots_[newest].generation) newest = at;
  }
  if (newest == kNone) return std::nullopt;
  return tag_of(newest);
}

}  // namespace lrpc::queue::kafka
