// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "suite.hpp"

namespace lrpc::queue::bench {

/// A thread that only exists: glibc and libstdc++ leave out locks and atomics in a process that never had two.
class Bystander {
 public:
  Bystander()
      : thread_([this](const std::stop_token& stop) {
          std::unique_lock lock(mutex_);
          wake_.wait(lock, stop, [] { return false; });
        }) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

/// Registers the cases with google-benchmark, each as one iteration whose counters are the reading.
void register_cases(const std::vector<Group>& groups);

/// Measures the cases of a group in turns, `rounds` times, every second round in reverse order, in a child process
/// that starts with an empty heap (an isolated group: one process for each run). Needs `register_cases`, and no other
/// thread running. Ends the process when a child fails.
[[nodiscard]] Readings measure(const Group& group, int rounds);

}  // namespace lrpc::queue::bench
