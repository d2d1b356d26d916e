// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/retry_index.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace lrpc::queue::kafka {
namespace {

bool is_later(const RetryIndex::Waiting& a, const RetryIndex::Waiting& b) {
  return std::pair(a.due_ms, a.place) > std::pair(b.due_ms, b.place);
}

}  // namespace

std::size_t footprint(const ReadRecord& record) {
  constexpr std::size_t kEnvelope = 256;
  return kEnvelope + record.message->encoded_body().size();
}

void RetryIndex::add(Place place, ReadRecord record) {
  Waiting waiting{.due_ms = record.due_ms.value_or(0), .place = place};
  if (bytes_ + footprint(record) <= most_bytes_) waiting.record = std::make_unique<ReadRecord>(std::move(record));
  add(std::move(waiting));
}

void RetryIndex::add(Waiting waiting) {
  if (waiting.record) bytes_ += footprint(*waiting.record);
  heap_.push_back(std::move(waiting));
  std::ranges::push_heap(heap_, is_later);
}

std::optional<RetryIndex::Waiting> RetryIndex::pop(std::int64_t now_ms) {
  if (next_due_ms() > now_ms) return std::nullopt;
  std::ranges::pop_heap(heap_, is_later);
  Waiting waiting = std::move(heap_.back());
  heap_.pop_back();
  if (waiting.record) bytes_ -= footprint(*waiting.record);
  return waiting;
}

std::vector<Place> RetryIndex::oldest(PartitionKey key, std::size_t most) const {
  std::vector<Place> places;
  for (const Waiting& waiting : heap_) {
    if (waiting.place.key == key) places.push_back(waiting.place);
  }
  const auto middle = places.begin() + static_cast<std::ptrdiff_t>(std::min(most, places.size()));
  std::ranges::partial_sort(places, middle);
  places.erase(middle, places.end());
  return places;
}

std::vector<Place> RetryIndex::last_due(PartitionKey key, std::size_t most) const {
  std::vector<std::pair<std::int64_t, Place>> all;
  for (const Waiting& waiting : heap_) {
    if (waiting.place.key == key) all.emplace_back(waiting.due_ms, waiting.place);
  }
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(std::min(most, all.size()));
  std::ranges::partial_sort(all, middle, std::greater{});
  std::vector<Place> places;
  std::ranges::transform(all.begin(), middle, std::back_inserter(places), [](const auto& one) { return one.second; });
  return places;
}

std::vector<RetryIndex::Waiting> RetryIndex::extract(const std::function<bool(const Waiting&)>& wanted) {
  const auto rest = std::ranges::partition(heap_, [&](const Waiting& waiting) { return !wanted(waiting); });
  std::vector<Waiting> taken(std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
  heap_.erase(rest.begin(), rest.end());
  std::ranges::make_heap(heap_, is_later);
  for (const Waiting& waiting : taken) {
    if (waiting.record) bytes_ -= footprint(*waiting.record);
  }
  return taken;
}

}  // namespace lrpc::queue::kafka
