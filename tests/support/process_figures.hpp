// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace lrpc::queue::support {

/// What the system says of a process.
struct ProcessFigures {
  std::int64_t rss_kib = 0;
  std::int64_t threads = 0;
  std::int64_t descriptors = 0;
};
/// Of this one, or another of ours. Throws std::runtime_error when there is none.
[[nodiscard]] ProcessFigures own_figures();
[[nodiscard]] std::int64_t rss_kib_of(pid_t pid);
/// The machine's load of the last minute.
[[nodiscard]] double machine_load();

}  // namespace lrpc::queue::support
