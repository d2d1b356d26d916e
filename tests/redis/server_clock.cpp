// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "server_clock.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>

namespace lrpc::queue::redis {

ServerClock::ServerClock() {
  const int fd = ::open((folder_.path() / "clock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, sizeof(std::int64_t)) != 0) throw std::runtime_error("cannot make the server's clock");
  void* const page = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (page == MAP_FAILED) throw std::runtime_error("cannot map the server's clock");
  time_ = static_cast<std::int64_t*>(page);
  set(system_clock()->now().wall_ms);
}

ServerClock::~ServerClock() {
  followed_.clear();
  ::munmap(time_, sizeof(std::int64_t));
}

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
  std::atomic_ref(*time_).store(wall_ms);
  if (reads_seldom()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

std::jthread ServerClock::run() {
  return std::jthread([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::atomic_ref(*time_).store(system_clock()->now().wall_ms);
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
