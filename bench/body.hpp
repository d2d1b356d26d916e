// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lrpc::queue::bench {

/// What every measured message carries, ours and the references': 100 bytes without a codec.
struct Body {
  std::uint32_t sequence = 0;
  std::array<std::byte, 96> payload{};
};
static_assert(sizeof(Body) == 100);

/// Messages per call in the shapes that use batches.
inline constexpr std::size_t kBatch = 64;

}  // namespace lrpc::queue::bench
