// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

/// \file
/// What is made of the readings: quantiles of times, and whether a figure grows.

namespace lrpc::queue::soak {

/// Of times in microseconds; all 0 when there were none.
struct Quantiles {
  std::uint64_t count = 0;
  std::int64_t p50 = 0;
  std::int64_t p99 = 0;
  std::int64_t p999 = 0;
  std::int64_t max = 0;
};

/// Any number of times in memory that does not grow: a quantile is at most 1/32 above the true one, the maximum exact.
class Histogram {
 public:
  Histogram();
  void add(std::int64_t us) noexcept;
  void clear() noexcept;
  [[nodiscard]] Quantiles quantiles() const;

 private:
  [[nodiscard]] std::int64_t quantile(double share) const;

  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::int64_t max_ = 0;
};

/// Times of the whole run and of the present interval, from many threads.
class Meter {
 public:
  void add(std::int64_t us);
  /// Those since the last call.
  [[nodiscard]] Quantiles take_interval();
  [[nodiscard]] Quantiles total() const;

 private:
  mutable std::mutex mutex_;
  Histogram interval_;
  Histogram total_;
};

/// The middle value; of an even number the lower of the two. 0 when there is none.
[[nodiscard]] double median(std::vector<double> values);

/// The medians of a run's four quarters.
using Quarters = std::array<double, 4>;
[[nodiscard]] Quarters quarters_of(std::span<const double> readings);

/// Growth beyond both of these is a leak.
struct Limit {
  double per_hour = 0;  ///< Of the figure's unit.
  double share = 0;     ///< Of the second quarter's median.
};

/// Whether the figure grows steadily: the medians of the last three quarters rise, by more than `per_hour` an hour
/// (between the second and the fourth, which are half the run apart) and by more than `share` in all. The first quarter
/// is for what is made once: pools, caches, connections.
[[nodiscard]] bool grows(const Quarters& quarters, double hours, const Limit& limit);

/// Runs shorter than this are not judged by growth: what is made once would look like it.
inline constexpr double kHoursToJudge = 1.0 / 6;

/// 8 MiB an hour are 8 bytes a message at 300 messages a second. Unit: KiB.
inline constexpr Limit kMemoryLimit{.per_hour = 8 * 1024, .share = 0.05};
/// Threads and descriptors: one that is left every five minutes.
inline constexpr Limit kHandleLimit{.per_hour = 12, .share = 0.1};

}  // namespace lrpc::queue::soak
