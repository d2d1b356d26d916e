// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include <lrpc/queue/backend.hpp>

namespace lrpc::queue::mutants {

/// Wraps a real back end into a spoilt one.
using Spoil = std::function<std::shared_ptr<Backend>(std::shared_ptr<Backend>)>;

/// A back end that breaks one promise, and where the suite should notice.
struct Variant {
  std::string_view name;
  std::string_view defect;
  /// Beginnings of the names of the tests to run: those of the rules that the defect breaks.
  std::vector<std::string_view> tests;
  Spoil spoil;
};

// Grouped by what they spoil.
[[nodiscard]] std::vector<Variant> delivery_variants();    // receive, leases, order
[[nodiscard]] std::vector<Variant> settlement_variants();  // ack, retry, dead letters
[[nodiscard]] std::vector<Variant> topic_variants();       // publish, channels, limits
[[nodiscard]] std::vector<Variant> lifecycle_variants();   // counts, close, deletion

}  // namespace lrpc::queue::mutants
