// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "process.hpp"

#include <fcntl.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

namespace lrpc::queue::test {

namespace {

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

struct Pipe {
  /// With `terminal` its reader is a pseudo-terminal.
  explicit Pipe(bool terminal = false) {
    if (!terminal) {
      checked(::pipe2(ends.data(), O_CLOEXEC), "pipe");
      return;
    }
    checked(::openpty(&ends[1], ends.data(), nullptr, nullptr, nullptr), "openpty");
    for (const int fd : ends) checked(::fcntl(fd, F_SETFD, FD_CLOEXEC), "fcntl");
  }
  [[nodiscard]] int reader() const { return ends[0]; }
  [[nodiscard]] int writer() const { return ends[1]; }
  std::array<int, 2> ends{};
};

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const Start& start) {
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));  // of our write to a program that has ended
  const Pipe in(start.terminal_input);
  const Pipe out;
  int out_child = out.writer();
  if (start.out_file) {
    out_child = checked(::open(start.out_file->c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), "open output");
  }
  std::array<int, 2> err{};
  if (start.terminal) {
    checked(::openpty(&err[0], &err[1], nullptr, nullptr, nullptr), "openpty");
    for (const int fd : err) checked(::fcntl(fd, F_SETFD, FD_CLOEXEC), "fcntl");
  } else {
    checked(::pipe2(err.data(), O_CLOEXEC), "pipe");
  }

  std::vector<std::string> words{LRPC_QUEUE_CLI};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = start.environment;
  for (const char* const name : {"PATH", "ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"}) {
    if (const char* const value = std::getenv(name)) variables.push_back(std::string(name) + "=" + value);
  }
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (std::string& variable : variables) envp.push_back(variable.data());
  envp.push_back(nullptr);

  pid_ = checked(::fork(), "fork");
  if (pid_ == 0) {
    for (const int number : start.ignored_signals) static_cast<void>(std::signal(number, SIG_IGN));
    static_cast<void>(std::signal(SIGPIPE, SIG_DFL));
    ::dup2(in.reader(), STDIN_FILENO);
    ::dup2(out_child, STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(in.reader());
  ::close(out.writer());
  if (out_child != out.writer()) ::close(out_child);
  ::close(err[1]);
  input_ = in.writer();
  out_.fd = out.reader();
  err_.fd = err[0];
  if (start.closed_output) {
    ::close(std::exchange(out_.fd, -1));
    out_.ended = true;
  } else {
    out_.reader = std::jthread([this] { collect(out_); });
  }
  err_.reader = std::jthread([this] { collect(err_); });
}

Process::~Process() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    static_cast<void>(wait());
  }
  for (Stream* stream : {&out_, &err_}) {
    if (stream->reader.joinable()) stream->reader.join();
    if (stream->fd >= 0) ::close(stream->fd);
  }
}

void Process::collect(Stream& stream) {
  std::array<char, 65536> chunk{};
  while (true) {
    const ssize_t got = ::read(stream.fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    const std::lock_guard lock(mutex_);
    if (got <= 0) {  // a pseudo-terminal ends with EIO
      stream.ended = true;
      changed_.notify_all();
      return;
    }
    stream.text.append(chunk.data(), static_cast<std::size_t>(got));
    changed_.notify_all();
  }
}

bool Process::wait_for(const Stream& stream, std::string_view text) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stream.ended || stream.text.find(text) != std::string::npos; });
  return stream.text.find(text) != std::string::npos;
}

bool Process::wait_for_output(std::string_view text) { return wait_for(out_, text); }
bool Process::wait_for_error(std::string_view text) { return wait_for(err_, text); }

std::string Process::output() const {
  const std::lock_guard lock(mutex_);
  return out_.text;
}

bool Process::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(input_, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

void Process::close_input() {
  if (input_ >= 0) ::close(std::exchange(input_, -1));
}

void Process::signal(int number) const { ::kill(pid_, number); }

void Process::signal_until_end(int number) const {
  for (siginfo_t ended{}; ::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0;) {
    if (ended.si_pid != 0) return;
    signal(number);
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
  }
}

RunResult Process::wait() {
  close_input();
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  for (Stream* stream : {&out_, &err_}) {
    if (stream->reader.joinable()) stream->reader.join();
  }
  return {
      .exit_code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status), .out = out_.text, .err = err_.text};
}

RunResult run(const std::vector<std::string>& arguments, std::string_view input, const Start& start) {
  Process process(arguments, start);
  process.write(input);
  return process.wait();
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TempFolder::TempFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "lrpc-queue-cli-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp");
  folder_ = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;  // a folder left over fails no test
  std::filesystem::remove_all(folder_, ignored);
}

std::string TempFolder::file(std::string_view name, std::string_view content) const {
  std::ofstream(folder_ / name, std::ios::binary) << content;
  return path(name);
}

}  // namespace lrpc::queue::test
