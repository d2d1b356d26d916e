// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "server_clock.hpp"

namespace lrpc::queue::redis {

ServerClock::ServerClock() { set(system_clock()->now().wall_ms); }

std::vector<std::string> ServerClock::launcher() const {
  return {"/usr/bin/env", std::string("LD_PRELOAD=") + LRPC_QUEUE_SERVER_CLOCK,
          "LRPC_TEST_CLOCK=" + (folder_.path() / "clock").string()};
}

std::vector<std::string> ServerClock::options() {
  return reads_seldom() ? std::vector<std::string>{"--hz", "500"} : std::vector<std::string>{};
}

// Valkey reads the machine's clock at each of its ticks, and in between goes on by the processor's.
bool ServerClock::reads_seldom() { return server_version() >= 900; }

void ServerClock::set(std::int64_t wall_ms) {
  time_.store(wall_ms);
  if (reads_seldom()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

std::jthread ServerClock::run() {
  return std::jthread([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      time_.store(system_clock()->now().wall_ms);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
}

void ServerClock::follow(const std::shared_ptr<Clock>& clock) {
  const Instant start = clock->now();
  set(start.wall_ms);
  auto registration = clock->on_jump([this, start, weak = std::weak_ptr(clock)] {
    if (const auto alive = weak.lock()) set(start.wall_ms + alive->now().tick_ms - start.tick_ms);
  });
  const std::lock_guard lock(mutex_);
  followed_.push_back(std::move(registration));
}

}  // namespace lrpc::queue::redis
