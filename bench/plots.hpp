// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "suite.hpp"

namespace lrpc::queue::bench {

/// A plot's points: medians over the rounds.
[[nodiscard]] nlohmann::json to_report(const Plot& plot, const Readings& readings);

/// Writes what gnuplot reads to `folder`: NAME.dat, a block of "x y" lines for each curve of that report, and NAME.gp,
/// which makes NAME.svg of it when run there.
void write_plot(const std::string& folder, const Plot& plot, const nlohmann::json& report);

}  // namespace lrpc::queue::bench
