// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>

/// \file
/// Preloaded into a redis-server, so that its wall clock is the one that a test moves: the milliseconds in the file
/// that LRPC_TEST_CLOCK names. Its monotonic clock runs on.

namespace {

std::int64_t now_ms() {
  static std::atomic<const std::atomic<std::int64_t>*> shared{nullptr};
  const auto* clock = shared.load();
  if (clock == nullptr) {
    const char* const path = std::getenv("LRPC_TEST_CLOCK");
    const int fd = path != nullptr ? ::open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) ::_exit(97);
    void* const page = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    if (page == MAP_FAILED) ::_exit(98);
    clock = static_cast<const std::atomic<std::int64_t>*>(page);
    shared.store(clock);
  }
  return clock->load();
}

}  // namespace

extern "C" {

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the names of the C library are reserved ones

int clock_gettime(clockid_t id, struct timespec* into) noexcept {
  if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE) {
    return static_cast<int>(::syscall(SYS_clock_gettime, id, into));
  }
  const std::int64_t ms = now_ms();
  *into = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1'000'000};
  return 0;
}

int gettimeofday(struct timeval* into, void* /*zone*/) noexcept {
  const std::int64_t ms = now_ms();
  *into = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
  return 0;
}

time_t time(time_t* into) noexcept {
  const time_t seconds = now_ms() / 1000;
  if (into != nullptr) *into = seconds;
  return seconds;
}

// NOLINTEND(readability-inconsistent-declaration-parameter-name)

}  // extern "C"
