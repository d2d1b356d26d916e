// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "suite.hpp"

namespace lrpc::queue::bench {

/// A line with its figures: medians over the rounds.
struct Row {
  Line line{};
  double measured = 0;
  std::optional<double> reference{};
  std::optional<double> ratio{};  ///< measured / reference.
  std::optional<bool> met{};      ///< Unset without a target.
};

/// Of a figure over the rounds.
[[nodiscard]] double median_of(const Readings& readings, const Figure& figure);

[[nodiscard]] Row evaluate(const Line& line, const Readings& readings);

/// The head of the Markdown table, then one line of it.
[[nodiscard]] std::string table_head();
[[nodiscard]] std::string table_row(const Row& row);

[[nodiscard]] nlohmann::json to_report(const Row& row);

}  // namespace lrpc::queue::bench
