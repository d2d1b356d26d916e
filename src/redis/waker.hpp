// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <utility>

namespace lrpc::queue::redis {

/// Ends a wait for bytes from any thread: a file descriptor that can be read once somebody has called `wake`.
class Waker {
 public:
  Waker() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  }
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;
  ~Waker() { close(); }

  /// Nothing happens after `close`.
  void wake() const noexcept {
    const std::lock_guard lock(mutex_);
    if (fd_ >= 0) static_cast<void>(::eventfd_write(fd_, 1));
  }
  /// Lets go of the descriptor. Nobody may wait for it any more.
  void close() noexcept {
    const std::lock_guard lock(mutex_);
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  // For who waits.

  void clear() const noexcept {
    eventfd_t value = 0;
    static_cast<void>(::eventfd_read(fd_, &value));
  }
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  mutable std::mutex mutex_;  // innermost; who waits reads fd_ without it, since that is before `close`
  int fd_;
};

}  // namespace lrpc::queue::redis
