// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/watcher.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

namespace lrpc::queue::cli {

namespace {

using SteadyClock = std::chrono::steady_clock;

/// Who stops us may say so twice: timeout(1) to us and to our process group, a wrapper beside the terminal. That is not
/// the impatience of a second signal.
constexpr Duration kOneMoment{100};

/// Whether a lost reader of stdout can be noticed (and is worth it): pipes and sockets.
bool output_has_reader() noexcept {
  struct stat info{};
  return ::fstat(STDOUT_FILENO, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode));
}

}  // namespace

WatchedSignals::WatchedSignals() {
  sigemptyset(&watched_);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action{};
    // An ignored signal stays ignored: whoever started us wants that.
    if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) sigaddset(&watched_, number);
  }
  ::pthread_sigmask(SIG_BLOCK, &watched_, &original_);
}

WatchedSignals::~WatchedSignals() { ::pthread_sigmask(SIG_SETMASK, &original_, nullptr); }

Watcher::Watcher(const WatchedSignals& signals, Events events)
    : signal_fd_(::signalfd(-1, &signals.set(), SFD_CLOEXEC | SFD_NONBLOCK)), events_(std::move(events)) {
  if (signal_fd_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
  thread_ = std::jthread([this] { run(); });
}

Watcher::~Watcher() {
  quit_.signal();
  thread_.join();
  ::close(signal_fd_);
}

void Watcher::run() {
  std::array<pollfd, 3> waits{{{.fd = quit_.fd(), .events = POLLIN, .revents = 0},
                               {.fd = signal_fd_, .events = POLLIN, .revents = 0},
                               {.fd = output_has_reader() ? STDOUT_FILENO : -1, .events = 0, .revents = 0}}};
  auto next_tick = SteadyClock::now();
  std::optional<SteadyClock::time_point> last_signal;
  while (true) {
    int timeout = -1;
    if (events_.tick) {
      const auto left = std::chrono::ceil<Duration>(next_tick - SteadyClock::now());
      timeout = left.count() > 0 ? static_cast<int>(left.count()) : 0;
    }
    if (::poll(waits.data(), waits.size(), timeout) < 0 && errno != EINTR) return;
    if ((waits[0].revents & POLLIN) != 0) return;
    signalfd_siginfo info{};
    const auto now = SteadyClock::now();
    while (::read(signal_fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (last_signal && now - *last_signal < kOneMoment) continue;
      last_signal = now;
      events_.on_signal(static_cast<int>(info.ssi_signo));
    }
    if ((waits[2].revents & (POLLERR | POLLHUP)) != 0) {
      waits[2].fd = -1;
      events_.on_output_lost();
    }
    if (events_.tick && SteadyClock::now() >= next_tick) {
      next_tick = SteadyClock::now() + *events_.tick;
      events_.on_tick();
    }
  }
}

}  // namespace lrpc::queue::cli
