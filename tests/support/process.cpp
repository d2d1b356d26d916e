// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "support/process.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <thread>

extern char** environ;

namespace lrpc::queue::support {
namespace {

/// Starts a program with its output in a file.
pid_t start_program(std::vector<std::string> words, const std::filesystem::path& output) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, words.front().c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " + words.front());
  return pid;
}

std::string end_of(const std::filesystem::path& log) {
  constexpr std::size_t kEnough = 8'000;
  const std::string all = contents(log);
  return all.size() <= kEnough ? all : "..." + all.substr(all.size() - kEnough);
}

}  // namespace

std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

void run(const std::vector<std::string>& words, const std::filesystem::path& output) {
  const std::string name = words.front() + " " + words.at(1);
  const pid_t pid = start_program(words, output);
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw std::runtime_error(name + " failed: " + end_of(output));
  }
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "lrpc-queue-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a folder like " + name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

int free_port() {
  constexpr int kFirst = 20'000;
  constexpr int kEnd = 32'000;  // where Linux begins to give ports to connections
  std::random_device random;
  for (int tries = 0; tries < 100; ++tries) {
    const int port = std::uniform_int_distribution(kFirst, kEnd - 1)(random);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool ok = fd >= 0 && ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    if (fd >= 0) ::close(fd);
    if (ok) return port;
  }
  throw std::runtime_error("no free port");
}

void Process::launch(const std::vector<std::string>& words, const std::filesystem::path& log) {
  name_ = words.front();
  log_ = log;
  pid_ = start_program(words, log);
}

void Process::await(const std::function<bool()>& ready, std::chrono::milliseconds time) {
  using std::chrono::steady_clock;
  for (const auto end = steady_clock::now() + time; steady_clock::now() < end && !ended();) {
    if (ready()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  throw std::runtime_error(name_ + " did not start: " + end_of(log_));
}

void Process::start(const std::vector<std::string>& words, const std::filesystem::path& log, const std::string& ready) {
  const std::size_t before = contents(log).size();
  launch(words, log);
  await([&] { return contents(log).find(ready, before) != std::string::npos; }, std::chrono::seconds(20));
}

Process::~Process() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  await_end();
}

void Process::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

void Process::pause() {
  signal(SIGSTOP);
  int status = 0;
  if (pid_ > 0 && ::waitpid(pid_, &status, WUNTRACED) == pid_ && !WIFSTOPPED(status)) pid_ = -1;
}

bool Process::ended() {
  int status = 0;
  if (pid_ > 0 && ::waitpid(pid_, &status, WNOHANG) == pid_) pid_ = -1;
  return pid_ < 0;
}

void Process::await_end() {
  int status = 0;
  if (pid_ > 0) ::waitpid(pid_, &status, 0);
  pid_ = -1;
}

bool Process::await_end(std::chrono::milliseconds time) {
  using std::chrono::steady_clock;
  for (const auto end = steady_clock::now() + time; !ended() && steady_clock::now() < end;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return pid_ < 0;
}

}  // namespace lrpc::queue::support
