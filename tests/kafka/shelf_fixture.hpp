// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kafka/shelf.hpp"

namespace lrpc::queue::kafka::shelf_test {

inline constexpr std::uint64_t kMe = 7;
inline constexpr Shelf::Log kLog{.low = 0, .high = 1'000'000};
inline constexpr PartitionKey kTopic0{.lane = Lane::topic, .number = 0};
inline constexpr PartitionKey kRetry0{.lane = Lane::retry, .number = 0};

inline ReadRecord record(std::int64_t number, std::optional<std::int64_t> due_ms = {}, std::int64_t attempts = 0) {
  ReadRecord read{.message = Envelope::make_encoded(Bytes(10)), .attempts = attempts, .due_ms = due_ms};
  read.message->set_id("m" + std::to_string(number));
  return read;
}

/// A shelf with one partition of the topic and one of the retries, both empty.
struct ShelfFixture {
  Shelf shelf;
  explicit ShelfFixture(RetryIndex waiting = RetryIndex()) : shelf(kMe, std::move(waiting)) {
    shelf.assign(kTopic0, std::nullopt, kLog);
    shelf.assign(kRetry0, std::nullopt, kLog);
  }
  void read(std::int64_t first, std::int64_t end, PartitionKey key = kTopic0) {
    for (std::int64_t i = first; i < end; ++i) shelf.ingest({key, i}, record(i), 0);
  }
  std::vector<Delivery> take(std::size_t most, std::int64_t until = Shelf::kForever, std::int64_t now_ms = 0) {
    static_cast<void>(shelf.mature(now_ms));
    std::vector<Delivery> out(most);
    out.resize(shelf.hand_out(out, until));
    return out;
  }
  Shelf::Commit commit(PartitionKey key = kTopic0) {
    for (Shelf::Commit& one : shelf.to_commit(true)) {
      if (one.key == key) return std::move(one);
    }
    return {};
  }
  CommitNote note(PartitionKey key = kTopic0) {
    const Shelf::Commit one = commit(key);
    return read_note(one.note.text, one.offset).value();
  }
  /// A commit that the broker takes.
  void commit_all() {
    for (const Shelf::Commit& one : shelf.to_commit(true)) shelf.committed(one, true);
  }
  Shelf::Committed stored(PartitionKey key = kTopic0) {
    const Shelf::Commit one = commit(key);
    return {.offset = one.offset, .note = read_note(one.note.text, one.offset)};
  }
};

inline std::vector<std::string> ids(const std::vector<Delivery>& deliveries) {
  std::vector<std::string> list;
  for (const Delivery& d : deliveries) list.push_back(d.message->id());
  return list;
}

}  // namespace lrpc::queue::kafka::shelf_test
