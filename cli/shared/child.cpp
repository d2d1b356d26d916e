// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

namespace lrpc::queue::cli {

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::seconds kGrace{1};  // between SIGTERM and SIGKILL

/// A file descriptor, closed at the end of its scope.
class OwnedFd {
 public:
  explicit OwnedFd(int fd) noexcept : fd_(fd) {}
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  ~OwnedFd() { reset(); }
  [[nodiscard]] int get() const noexcept { return fd_; }
  void reset() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

std::unexpected<Error> start_error(int code) {
  const bool may_pass = code == EAGAIN || code == ENOMEM || code == EMFILE || code == ENFILE;
  auto error = fail(ErrorCode::backend,
                    fmt::format("cannot start a process: {}", std::generic_category().message(code)), may_pass);
  error.error().native_code = code;
  return error;
}

/// The environment with `variables` in front, which win over variables of the same name.
std::vector<char*> environment_with(std::span<const std::string> variables) {
  std::vector<char*> result;
  // posix_spawn takes pointers to char but does not write through them.
  for (const std::string& variable : variables) result.push_back(const_cast<char*>(variable.c_str()));
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view present(*entry);
    bool replaced = false;
    for (const std::string& variable : variables) {
      replaced = replaced || present.starts_with(std::string_view(variable).substr(0, variable.find('=') + 1));
    }
    if (!replaced) result.push_back(*entry);
  }
  result.push_back(nullptr);
  return result;
}

/// Milliseconds for poll until `end`; -1 for none.
int poll_timeout(std::optional<SteadyClock::time_point> end) {
  if (!end) return -1;
  const auto left = std::chrono::ceil<Duration>(*end - SteadyClock::now()).count();
  if (left <= 0) return 0;
  return left > std::numeric_limits<int>::max() ? std::numeric_limits<int>::max() : static_cast<int>(left);
}

/// Writes as much of `input` as the pipe takes; closes it when all is written or nobody reads.
void feed(OwnedFd& pipe, std::string_view& input) {
  while (!input.empty()) {
    const ssize_t written = ::write(pipe.get(), input.data(), input.size());
    if (written >= 0) {
      input.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      break;  // EPIPE: the command has closed its stdin, which is its right
    }
  }
  pipe.reset();
}

}  // namespace

Result<pid_t> ChildProcesses::spawn(const std::string& command, std::span<const std::string> variables, int stdin_fd) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&files, stdin_fd, STDIN_FILENO);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);  // we ignore it, which would be inherited
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setsigmask(&attributes, &mask_);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);

  std::array<char*, 4> arguments{const_cast<char*>("sh"), const_cast<char*>("-c"), const_cast<char*>(command.c_str()),
                                 nullptr};
  std::vector<char*> environment = environment_with(variables);
  pid_t pid = 0;
  int code = 0;
  {
    const std::shared_lock starting(starting_);
    code =
        killed_ ? ECANCELED : ::posix_spawn(&pid, "/bin/sh", &files, &attributes, arguments.data(), environment.data());
    if (code == 0) {
      const std::lock_guard lock(live_mutex_);
      live_.insert(pid);
    }
  }
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  if (code != 0) return start_error(code);
  return pid;
}

ChildEnd ChildProcesses::reap(pid_t pid, bool timed_out) {
  // Until it is reaped its id, and with it the id of its group, cannot be given to anybody else.
  if (timed_out) ::kill(-pid, SIGKILL);
  const std::lock_guard lock(live_mutex_);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  live_.erase(pid);
  if (timed_out) return {.kind = ChildEnd::Kind::timed_out, .value = 0};
  if (WIFSIGNALED(status)) return {.kind = ChildEnd::Kind::signalled, .value = WTERMSIG(status)};
  return {.kind = ChildEnd::Kind::exited, .value = WEXITSTATUS(status)};
}

Result<ChildEnd> ChildProcesses::run(const std::string& command, std::string_view input,
                                     std::span<const std::string> variables, Duration timeout) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return start_error(errno);
  OwnedFd child_end(ends[0]);
  OwnedFd pipe(ends[1]);
  ::fcntl(pipe.get(), F_SETFL, O_NONBLOCK);

  Result<pid_t> spawned = spawn(command, variables, child_end.get());
  if (!spawned) return std::unexpected(std::move(spawned.error()));
  const pid_t pid = *spawned;
  child_end.reset();
  // glibc 2.36 declares pidfd_open without C linkage for C++.
  const OwnedFd ended(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (ended.get() < 0) {
    const int code = errno;
    ::kill(-pid, SIGKILL);
    static_cast<void>(reap(pid, false));
    return start_error(code);
  }

  std::optional<SteadyClock::time_point> deadline;
  if (timeout.count() > 0) deadline = SteadyClock::now() + timeout;
  bool timed_out = false;
  feed(pipe, input);
  while (true) {
    std::array<pollfd, 2> waits{
        {{.fd = ended.get(), .events = POLLIN, .revents = 0}, {.fd = pipe.get(), .events = POLLOUT, .revents = 0}}};
    const int ready = ::poll(waits.data(), waits.size(), poll_timeout(deadline));
    if ((waits[0].revents & POLLIN) != 0) return reap(pid, timed_out);
    if (ready > 0 && waits[1].revents != 0) feed(pipe, input);
    if (ready != 0 || !deadline || SteadyClock::now() < *deadline) continue;
    // The first time the command is asked to end, the second time it is made to; then only its end is awaited.
    ::kill(-pid, timed_out ? SIGKILL : SIGTERM);
    deadline = timed_out ? std::nullopt : std::optional(SteadyClock::now() + kGrace);
    timed_out = true;
  }
}

void ChildProcesses::kill_all() noexcept {
  const std::unique_lock starting(starting_);
  killed_ = true;
  const std::lock_guard lock(live_mutex_);
  for (const pid_t pid : live_) ::kill(-pid, SIGKILL);
}

}  // namespace lrpc::queue::cli
