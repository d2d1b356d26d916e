// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kafka/record.hpp"

namespace lrpc::queue::kafka {

/// The two topics that a channel reads.
enum class Lane : std::uint8_t { topic, retry };
/// A partition of one of them.
struct PartitionKey {
  Lane lane = Lane::topic;
  std::int32_t number = 0;
  friend auto operator<=>(const PartitionKey&, const PartitionKey&) = default;
};
/// Where a record lies.
struct Place {
  PartitionKey key{};
  std::int64_t offset = 0;
  friend auto operator<=>(const Place&, const Place&) = default;
};

/// The messages of the retry topic that were read and wait for their time, in order of it. The bodies of those that
/// came when there were bytes enough are not kept, only their places.
class RetryIndex {
 public:
  static constexpr std::size_t kMostEntries = 1'000'000;
  static constexpr std::size_t kMostBytes = std::size_t{64} << 20;
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  struct Waiting {
    std::int64_t due_ms = 0;
    Place place{};
    std::unique_ptr<ReadRecord> record{};  ///< Empty: to be read again.
    std::int64_t deliveries = 0;           ///< Of this record, to others before us; of one to be written anew.
  };

  explicit RetryIndex(std::size_t most_entries = kMostEntries, std::size_t most_bytes = kMostBytes)
      : most_entries_(most_entries), most_bytes_(most_bytes) {}

  void add(Place place, ReadRecord record);
  void add(Waiting waiting);
  /// The next that is due by `now_ms`.
  [[nodiscard]] std::optional<Waiting> pop(std::int64_t now_ms);
  [[nodiscard]] std::int64_t next_due_ms() const { return heap_.empty() ? kNever : heap_.front().due_ms; }
  [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
  [[nodiscard]] std::size_t most_entries() const noexcept { return most_entries_; }
  [[nodiscard]] bool full() const noexcept { return heap_.size() >= most_entries_; }
  /// The lowest places of a partition, at most `most`, ascending.
  [[nodiscard]] std::vector<Place> oldest(PartitionKey key, std::size_t most) const;
  /// Those of a partition that are due last, at most `most`.
  [[nodiscard]] std::vector<Place> last_due(PartitionKey key, std::size_t most) const;
  /// Takes out those for which `wanted` is true.
  std::vector<Waiting> extract(const std::function<bool(const Waiting&)>& wanted);

 private:
  std::size_t most_entries_;
  std::size_t most_bytes_;
  std::vector<Waiting> heap_;  // the earliest in front
  std::size_t bytes_ = 0;      // of the records that are kept
};

/// What a record takes in memory, about.
[[nodiscard]] std::size_t footprint(const ReadRecord& record);

}  // namespace lrpc::queue::kafka
