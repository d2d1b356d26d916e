// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "memory/garbage.hpp"

namespace lrpc::queue::memory {

/// The dead letters of one channel, oldest first, up to a limit (D18). Not thread-safe.
class DeadLetters {
 public:
  /// Keeps `record`; returns how many old ones had to go (or 1 when the limit is 0 and it was not kept).
  std::int64_t add(DeadRecord record, std::int64_t limit, Garbage& garbage);
  [[nodiscard]] std::int64_t size() const noexcept { return static_cast<std::int64_t>(items_.size()); }
  /// A page that starts behind `cursor`, which is the number of the last record of the page before.
  [[nodiscard]] Result<DeadPage> page(std::size_t limit, std::string_view cursor) const;
  /// Takes out the records of these ids, or all; oldest first.
  [[nodiscard]] std::vector<DeadRecord> take(std::span<const std::string> ids, bool all);
  /// Forgets all; returns how many.
  std::int64_t purge(Garbage& garbage);

 private:
  struct Item {
    std::uint64_t number;
    DeadRecord record;
  };
  std::deque<Item> items_;
  std::uint64_t last_number_ = 0;
};

}  // namespace lrpc::queue::memory
