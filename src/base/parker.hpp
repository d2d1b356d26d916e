// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace lrpc::queue::detail {

/// Lets one thread sleep until another wakes it, with a memory, so that a wake-up that comes before the sleep is not
/// lost. There are two kinds: any number of pokes ("look again"), and one release, after which the releasing thread
/// never touches the parker again: who sleeps may be gone with it at once.
class Parker {
 public:
  enum class Woken : std::uint8_t { time_out, poked, released };

  /// Sleeps until `poke`, `release` or `deadline` (time_point::max() = none). Only one thread may park. A release is
  /// not forgotten: later calls return `released` at once.
  Woken park_until(std::chrono::steady_clock::time_point deadline) noexcept;
  /// The caller makes sure that the parker lives until this has returned.
  void poke() noexcept;
  /// At most once.
  void release() noexcept;

 private:
  static constexpr std::uint32_t kEmpty = 0;
  static constexpr std::uint32_t kSleeping = 1;
  static constexpr std::uint32_t kPoked = 2;
  static constexpr std::uint32_t kReleased = 3;
  std::atomic<std::uint32_t> state_{kEmpty};
};

}  // namespace lrpc::queue::detail
