// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "account.hpp"
#include "samples.hpp"
#include "support/process_figures.hpp"

namespace lrpc::queue::soak {

using support::ProcessFigures;

/// What is known at the end of a run.
struct Outcomes {
  Tally tally{};
  std::int64_t depth = 0;         ///< Of all channels after they were drained; -1 = not known.
  std::int64_t dead_kept = 0;     ///< Dead letters that are there at the end.
  std::int64_t dead_counted = 0;  ///< That the library says it made; those of expired ones are among them.
  std::int64_t expired_counted = 0;
  std::int64_t dropped = 0;
  std::int64_t requeued = 0;
  std::int64_t purged = 0;
  std::int64_t repeated = 0;
  std::int64_t out_of_order = 0;
  std::int64_t lost_leases = 0;
  std::int64_t errors = 0;
  std::int64_t warnings = 0;
  Quantiles handle{};
  Quantiles publish{};
  ProcessFigures before{};  ///< Before the queue was opened.
  ProcessFigures after{};   ///< After it was closed and the last handle was gone.
  std::string_view server_memory{};
  bool server_judged = false;
};

/// Why the run did not pass; empty = it did.
[[nodiscard]] std::vector<std::string> findings(std::span<const Sample> samples, const Outcomes& outcomes);
/// For people.
[[nodiscard]] std::string summary(std::span<const Sample> samples, const Outcomes& outcomes);

}  // namespace lrpc::queue::soak
