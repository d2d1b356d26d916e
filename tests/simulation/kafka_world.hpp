// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kafka_model.hpp"

namespace lrpc::queue::simulation {

/// A model of brokers: logs, what the group has committed, and what has truly become of each record.
class KafkaWorld {
 public:
  struct Partition {
    std::int64_t low = 0;
    std::vector<LogRecord> records{};
    std::optional<std::pair<std::int64_t, std::string>> stored{};  ///< The group's offset and its metadata.
    std::int64_t floor = 0;                                        ///< A commit below it would be a step back.
    bool stale = false;  ///< The log was cut off, and what is stored tells nothing until the next commit.

    /// Somebody saw that it was cut off, and begins from its start.
    void read_anew() {
      floor = 0;
      stale = stored.has_value();
    }
    [[nodiscard]] std::int64_t high() const { return static_cast<std::int64_t>(records.size()); }
    [[nodiscard]] Shelf::Log bounds() const { return {.low = low, .high = high()}; }
    [[nodiscard]] std::optional<Shelf::Committed> committed() const {
      if (!stored) return std::nullopt;
      return Shelf::Committed{.offset = stored->first, .note = kafka::read_note(stored->second, stored->first)};
    }
  };
  enum class Fate : std::uint8_t { open, acked, copied, dead, dropped, taken };

  explicit KafkaWorld(int partitions) {
    for (std::int32_t number = 0; number < partitions; ++number) {
      for (const Lane lane : {Lane::topic, Lane::retry}) logs[{.lane = lane, .number = number}] = {};
    }
  }

  /// Returns where it lies.
  std::int64_t append(PartitionKey key, LogRecord record) {
    record.number = static_cast<int>(fates.size());
    fates.push_back(record.mark ? Fate::dropped : Fate::open);
    logs.at(key).records.push_back(record);
    return logs.at(key).high() - 1;
  }
  [[nodiscard]] const LogRecord& at(Place place) const {
    return logs.at(place.key).records.at(static_cast<std::size_t>(place.offset));
  }
  /// What a consumer settles has come to an end; the first end counts.
  void end(const LogRecord& record, Fate fate) {
    if (fates[static_cast<std::size_t>(record.number)] == Fate::open) {
      fates[static_cast<std::size_t>(record.number)] = fate;
    }
  }
  [[nodiscard]] bool is_open(const LogRecord& record) const {
    return fates[static_cast<std::size_t>(record.number)] == Fate::open;
  }

  std::map<PartitionKey, Partition> logs;
  std::vector<Fate> fates;  ///< By number of record.
  int messages = 0;
  int generation = 0;
  bool rebalancing = true;
  std::size_t most_metadata = kafka::kMostMetadata;
  std::int64_t tick = 1000;     ///< Of leases.
  std::int64_t wall_ms = 5000;  ///< Of due times.
};

/// One consumer of the group: a real shelf, its model, and what its threads have in hand.
struct KafkaConsumer {
  enum class Phase : std::uint8_t { joining, assigning, joined, lost };
  /// What its user has.
  struct Held {
    DeliveryTag tag{};
    Place place{};
    std::uint64_t hand_over = 0;
  };
  struct Move {
    Held held{};
    LogRecord record{};
    std::int64_t attempts = 0;
    std::int64_t due_ms = 0;
    bool dead = false;
    bool early = false;
  };
  struct Under {
    std::vector<Shelf::Commit> commits{};
    std::optional<bool> accepted{};  ///< By the broker; empty while on its way.
    bool too_large = false;
    bool for_hand_over = false;
  };
  struct Handing {
    std::vector<Delivery> deliveries{};
    std::vector<Held> held{};
    std::vector<bool> was_expired{};
    bool asked = false;  ///< A commit that began after it is under way.
  };

  KafkaConsumer(int number, std::uint64_t owner_number, std::size_t most_entries, std::size_t most_kept)
      : name("c" + std::to_string(number)),
        owner(owner_number),
        shelf(owner_number, kafka::RetryIndex(most_entries, most_kept * kFootprint)),
        model(most_entries, most_kept) {}

  static constexpr std::size_t kBody = 10;
  static constexpr std::size_t kFootprint = 256 + kBody;

  std::string name;
  std::uint64_t owner;
  Shelf shelf;
  ShelfModel model;
  Phase phase = Phase::joining;
  int generation = -1;
  std::vector<PartitionKey> mine{};
  std::map<PartitionKey, std::int64_t> position{};
  std::vector<Held> held{};
  std::vector<Move> moves{};
  std::vector<kafka::RetryIndex::Waiting> rewriting{};
  std::vector<Place> to_read{};
  std::optional<Under> under{};
  std::optional<Handing> handing{};
  std::unordered_map<std::uint64_t, DeliveryTag> tags{};  ///< By hand-over.
};

}  // namespace lrpc::queue::simulation
