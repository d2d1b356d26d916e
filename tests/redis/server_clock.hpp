// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <lrpc/queue/clock.hpp>

#include "server.hpp"
#include "support/shared_number.hpp"

namespace lrpc::queue::redis {

/// The wall clock of servers that are started with `launcher`: it stands still unless moved.
class ServerClock {
 public:
  ServerClock();
  ServerClock(const ServerClock&) = delete;
  ServerClock& operator=(const ServerClock&) = delete;

  /// The words before a server's command line.
  [[nodiscard]] std::vector<std::string> launcher() const;
  /// What a server needs to follow the clock closely.
  [[nodiscard]] static std::vector<std::string> options();
  void set(std::int64_t wall_ms);
  /// Runs with the machine's clock until the result goes: servers that get to know each other need time.
  [[nodiscard]] std::jthread run();
  /// Takes a clock's time, and moves with it from now on. A change of its wall clock alone is one of that machine's.
  void follow(const std::shared_ptr<Clock>& clock);

 private:
  [[nodiscard]] static bool reads_seldom();

  TemporaryFolder folder_;
  support::SharedNumber time_{folder_.path() / "clock"};  // the servers have it, too
  std::mutex mutex_;
  std::vector<std::shared_ptr<void>> followed_;  // guarded by mutex_
};

}  // namespace lrpc::queue::redis
