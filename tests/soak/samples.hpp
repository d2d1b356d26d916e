// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <span>
#include <vector>

#include "figures.hpp"

namespace lrpc::queue::soak {

/// What is seen about once a second: a line of samples.csv.
struct Sample {
  double seconds = 0;
  double rss_kib = 0;
  double threads = 0;
  double descriptors = 0;
  double server_kib = 0;  ///< 0 = there is no server.
  double depth = 0;
  Quantiles handle{};   ///< Of the interval that ends here.
  Quantiles publish{};  ///< Likewise.
  std::int64_t published = 0;
  std::int64_t handled = 0;
  std::int64_t dead = 0;
  std::int64_t expired = 0;
  std::int64_t errors = 0;
  double load = 0;  ///< Of the machine.
};

void write_csv_head(std::ostream& out);
void write_csv(std::ostream& out, const Sample& sample);

/// At most so many samples, for a plot: of each stretch the medians, but the largest of each maximum, and the last of
/// what only counts up.
[[nodiscard]] std::vector<Sample> thinned(std::span<const Sample> samples, std::size_t most);

/// One figure of all samples.
[[nodiscard]] std::vector<double> column(std::span<const Sample> samples, double Sample::* figure);

}  // namespace lrpc::queue::soak
