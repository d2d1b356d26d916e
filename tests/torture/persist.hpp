// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <stop_token>

#include "nemesis.hpp"

namespace lrpc::queue::torture {

/// Until it succeeds: whoever starts a process while the server is down starts it again. But not past a stop, or the
/// time: then as it was last.
template <class F>
auto persist(const F& attempt, const std::stop_token& stop,
             std::chrono::steady_clock::time_point end = std::chrono::steady_clock::time_point::max())
    -> decltype(attempt()) {
  for (;;) {
    auto result = attempt();
    if (result || stop.stop_requested() || std::chrono::steady_clock::now() >= end) return result;
    rest(std::chrono::milliseconds(50), stop);
  }
}

}  // namespace lrpc::queue::torture
