// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// \file
/// What a benchmark consists of: cases (one thing measured), lines (a statement about cases, with its target) and
/// groups (cases that are measured in turns, in one process).

namespace lrpc::queue::bench {

/// How much to do: everything that the targets need, or a smoke run.
struct Scale {
  bool quick = false;
  /// `full` messages, a tenth of them in a smoke run.
  [[nodiscard]] std::size_t of(std::size_t full) const noexcept { return quick ? full / 10 : full; }
};

/// The field of a reading that lines use unless they name another.
inline constexpr const char* kValue = "value";

/// The figures of one run of a case.
using Reading = std::map<std::string, double>;

struct Case {
  std::string name{};  ///< Letters, digits, '_' and '/'.
  std::function<Reading()> run{};
};

/// What a figure is measured in: decides how it is printed.
enum class Unit { nanoseconds, microseconds, million_per_second, percent, bytes, mebibytes };

/// `figure <= factor * reference + offset` (or `>=` with `at_least`).
struct Target {
  bool at_least = false;
  double factor = 0;
  double offset = 0;
};
[[nodiscard]] inline Target at_most(double factor, double offset = 0) { return {false, factor, offset}; }
[[nodiscard]] inline Target at_least(double factor, double offset = 0) { return {true, factor, offset}; }

/// A field of a case.
struct Figure {
  std::string name{};
  std::string field = kValue;
};

/// A row of the table.
struct Line {
  std::string title{};
  Unit unit = Unit::nanoseconds;
  Figure measured{};
  std::optional<Figure> reference{};
  std::optional<Target> target{};  ///< Unset: for information.
};

/// A figure over a number.
struct Point {
  double x = 0;
  Figure figure{};
};
struct Curve {
  std::string title{};
  std::vector<Point> points{};
};
/// Curves of one picture.
struct Plot {
  std::string name{};  ///< Of the file: letters, digits and '_'.
  std::string title{};
  std::string x_title{};
  std::string y_title{};
  bool log_x = true;
  double y_factor = 1;  ///< From the figures to what is shown.
  std::vector<Curve> curves{};
};

struct Group {
  std::string name{};
  std::vector<Case> cases{};
  std::vector<Line> lines{};
  std::vector<Plot> plots{};
  bool isolated = false;  ///< Each run in a process of its own, for figures that earlier runs would change.
  int most_rounds = 0;    ///< At most so many rounds; 0 = as many as are asked for.
};

/// All readings of each case, by case name.
using Readings = std::map<std::string, std::vector<Reading>>;

// One function per file of shapes.
[[nodiscard]] Group single_thread_group(const Scale& scale);
[[nodiscard]] Group ack_group(const Scale& scale);
[[nodiscard]] Group threads_group(const Scale& scale);
[[nodiscard]] Group fan_out_group(const Scale& scale);
/// The time of a delivery where each message goes to so many channels, by us and by bare queues.
[[nodiscard]] double fan_out_ns(std::size_t deliveries, std::size_t channels);
[[nodiscard]] double bare_fan_out_ns(std::size_t deliveries, std::size_t channels);
[[nodiscard]] Group wake_up_group(const Scale& scale);
[[nodiscard]] Group idle_group(const Scale& scale);
[[nodiscard]] Group backlog_group(const Scale& scale);
[[nodiscard]] Group memory_group(const Scale& scale);
[[nodiscard]] Group memory_curves_group(const Scale& scale);
#if LRPC_QUEUE_WITH_REDIS
[[nodiscard]] Group redis_group(const Scale& scale);
[[nodiscard]] Group redis_curves_group(const Scale& scale);
#endif
#if LRPC_QUEUE_WITH_KAFKA
[[nodiscard]] Group kafka_publish_group(const Scale& scale);
[[nodiscard]] Group kafka_consume_group(const Scale& scale);
[[nodiscard]] Group kafka_curves_group(const Scale& scale);
#endif

}  // namespace lrpc::queue::bench
