// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/console.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace lrpc::queue::cli {

void open_standard_streams() noexcept {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is `fd`, because those before it are open by now.
    static_cast<void>(::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY));
  }
}

Result<void> write_all(int fd, std::string_view data, std::string_view what) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written >= 0) {
      data.remove_prefix(static_cast<std::size_t>(written));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {  // the descriptor is shared with a process that made it non-blocking
      pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
      static_cast<void>(::poll(&wait, 1, -1));
      continue;
    }
    const int code = errno;
    auto error =
        fail(ErrorCode::backend, fmt::format("cannot write to {}: {}", what, std::generic_category().message(code)));
    error.error().native_code = code;
    return error;
  }
  return {};
}

Result<void> write_output(std::string_view data) { return write_all(STDOUT_FILENO, data, "standard output"); }

bool output_lost() noexcept {
  pollfd check{.fd = STDOUT_FILENO, .events = 0, .revents = 0};
  return ::poll(&check, 1, 0) > 0 && (check.revents & (POLLERR | POLLHUP)) != 0;
}

Console::Console() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void Console::error(std::string_view text) { line(fmt::format("lrpc-queue: {}", text)); }

void Console::line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  clear_locked();
  // There is nowhere left to report that stderr itself cannot be written.
  static_cast<void>(write_all(STDERR_FILENO, fmt::format("{}\n", text), "standard error"));
}

void Console::prompt(std::string_view text) {
  const std::lock_guard lock(mutex_);
  clear_locked();
  static_cast<void>(write_all(STDERR_FILENO, text, "standard error"));
}

void Console::progress(std::string_view text) {
  if (!terminal_) return;
  const std::lock_guard lock(mutex_);
  if (text.empty()) {
    clear_locked();
    return;
  }
  const std::size_t padding = progress_width_ > text.size() ? progress_width_ - text.size() : 0;
  static_cast<void>(write_all(STDERR_FILENO, fmt::format("\r{}{:{}}", text, "", padding), "standard error"));
  progress_width_ = text.size();
}

void Console::clear_locked() {
  if (progress_width_ == 0) return;
  static_cast<void>(write_all(STDERR_FILENO, fmt::format("\r{:{}}\r", "", progress_width_), "standard error"));
  progress_width_ = 0;
}

}  // namespace lrpc::queue::cli
