// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace lrpc::queue::redis {

/// Ends a wait for bytes from any thread: a file descriptor that can be read once somebody has called `wake`.
class Waker {
 public:
  Waker() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  }
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;
  ~Waker() { ::close(fd_); }

  void wake() const noexcept { static_cast<void>(::eventfd_write(fd_, 1)); }
  void clear() const noexcept {
    eventfd_t value = 0;
    static_cast<void>(::eventfd_read(fd_, &value));
  }
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  const int fd_;
};

}  // namespace lrpc::queue::redis
