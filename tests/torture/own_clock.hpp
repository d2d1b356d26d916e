// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

#include <lrpc/queue/clock.hpp>

#include "support/shared_number.hpp"

namespace lrpc::queue::torture {

/// How far a process' wall clock of its own may be from the machine's.
inline constexpr std::int64_t kFarthestClockMs = 3'000;

/// The clocks of a host whose wall clock is not the machine's: so many milliseconds apart from that as a file says at
/// the time. As with an operator's change of a host's clock, nobody is told.
class OwnClock final : public Clock {
 public:
  explicit OwnClock(const std::filesystem::path& offset_ms) : offset_ms_(offset_ms) {}

  [[nodiscard]] Instant now() const noexcept override { return moved(system_clock()->now()); }
  [[nodiscard]] Instant coarse() const noexcept override { return moved(system_clock()->coarse()); }
  [[nodiscard]] Duration granularity() const noexcept override { return system_clock()->granularity(); }
  [[nodiscard]] std::int64_t coarse_lag_ms() const noexcept override { return system_clock()->coarse_lag_ms(); }
  [[nodiscard]] std::chrono::steady_clock::time_point real(std::int64_t tick_ms) const noexcept override {
    return system_clock()->real(tick_ms);
  }
  [[nodiscard]] std::shared_ptr<void> on_jump(std::function<void()> /*listener*/) override { return nullptr; }

 private:
  [[nodiscard]] Instant moved(Instant instant) const noexcept {
    instant.wall_ms += offset_ms_.load();
    return instant;
  }

  support::SharedNumber offset_ms_;
};

}  // namespace lrpc::queue::torture
