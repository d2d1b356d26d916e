// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <lrpc/queue/config.hpp>

namespace lrpc::queue::cli {

/// The size of a measurement.
struct BenchLoad {
  std::int64_t messages = 200'000;
  std::int64_t size = 100;  ///< Bytes of a body.
  int producers = 4;
  int consumers = 4;
  int channels = 16;
  std::int64_t batch = 64;
};

/// What a shape took. A delivery is one message received and acked from one channel.
struct BenchResult {
  std::int64_t messages = 0;
  std::int64_t deliveries = 0;
  double seconds = 0;
};

/// One way of using a queue.
struct BenchShape {
  std::string_view name;
  std::string (*describe)(const BenchLoad& load);
  /// Runs it in a topic of its own on a queue of its own.
  Result<BenchResult> (*run)(const Config& config, const BenchLoad& load);
};

/// All shapes, in the order of the table.
[[nodiscard]] std::span<const BenchShape> bench_shapes() noexcept;

}  // namespace lrpc::queue::cli
