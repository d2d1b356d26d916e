// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

extern char** environ;

namespace lrpc::queue::redis {
namespace {

std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

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

void run(std::vector<std::string> words, const std::filesystem::path& output) {
  const std::string name = words.front() + " " + words.at(1);
  const pid_t pid = start_program(std::move(words), output);
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw std::runtime_error(name + " failed: " + contents(output));
  }
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "lrpc-redis-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a folder like " + name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool ok = fd >= 0 && ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  if (fd >= 0) ::close(fd);
  if (!ok) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

std::string server_program() {
  const char* const other = std::getenv("LRPC_QUEUE_TEST_REDIS_SERVER");
  return other != nullptr && *other != '\0' ? other : LRPC_QUEUE_REDIS_SERVER;
}

int server_version() {
  static const int version = [] {
    const TemporaryFolder folder;
    run({server_program(), "--version"}, folder.path() / "version");
    const std::string text = contents(folder.path() / "version");  // "Redis server v=7.0.15 sha=..."
    int major = 0;
    int minor = 0;
    const std::size_t at = text.find("v=");
    if (at == std::string::npos || std::sscanf(text.c_str() + at, "v=%d.%d", &major, &minor) != 2) {
      throw std::runtime_error("which version is " + server_program() + "? It says: " + text);
    }
    return major * 100 + minor;
  }();
  return version;
}

bool server_has_tls() {
  static const bool has = [] {
    const TemporaryFolder folder;
    const auto log = folder.path() / "log";
    const pid_t pid = start_program({server_program(), "--port", "0", "--tls-port", "1"}, log);
    int status = 0;
    ::waitpid(pid, &status, 0);  // it ends at once: there is no certificate
    return contents(log).find("No tls-cert-file configured") != std::string::npos;
  }();
  return has;
}

Certificates::Certificates() {
  const auto output = folder_.path() / "openssl.log";
  const std::string openssl = LRPC_QUEUE_OPENSSL;
  const std::vector<std::string> key_type{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"};
  std::vector<std::string> authority{
      openssl,   "req",          "-x509", "-days",       "2", "-subj", "/CN=lrpc-queue test authority",
      "-keyout", file("ca.key"), "-out",  file("ca.crt")};
  authority.insert(authority.end(), key_type.begin(), key_type.end());
  run(authority, output);
  std::vector<std::string> request{
      openssl, "req", "-subj", "/CN=localhost", "-keyout", file("server.key"), "-out", file("server.csr")};
  request.insert(request.end(), key_type.begin(), key_type.end());
  run(request, output);
  std::ofstream(file("names")) << "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
  run({openssl, "x509", "-req", "-days", "2", "-in", file("server.csr"), "-CA", file("ca.crt"), "-CAkey",
       file("ca.key"), "-CAcreateserial", "-extfile", file("names"), "-out", file("server.crt")},
      output);
}

std::vector<std::string> Certificates::options() const {
  return {"--tls-cert-file",    file("server.crt"),
          "--tls-key-file",     file("server.key"),
          "--tls-ca-cert-file", file("ca.crt"),
          "--tls-auth-clients", "no",
          "--tls-replication",  "yes"};
}

void Process::start(const std::vector<std::string>& words, const std::filesystem::path& log, const std::string& ready) {
  const std::size_t before = contents(log).size();
  pid_ = start_program(words, log);
  using std::chrono::steady_clock;
  for (const auto begin = steady_clock::now(); steady_clock::now() - begin < std::chrono::seconds(20);) {
    if (contents(log).find(ready, before) != std::string::npos) return;
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  throw std::runtime_error(words.front() + " did not start: " + contents(log));
}

Process::~Process() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  await_end();
}

void Process::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

void Process::await_end() {
  int status = 0;
  if (pid_ > 0) ::waitpid(pid_, &status, 0);
  pid_ = -1;
}

RedisServer::RedisServer(std::vector<std::string> options, std::vector<std::string> launcher)
    : options_(std::move(options)), launcher_(std::move(launcher)), port_(free_port()) {
  start();
}

void RedisServer::start(const std::string& ready, const std::vector<std::string>& more_options) {
  std::vector<std::string> words = launcher_;
  words.insert(words.end(), {server_program(), "--bind", "127.0.0.1", "--dir", folder_.path().string(), "--save", ""});
  bool tls = false;
  for (const std::string& option : options_) tls = tls || option == "--tls-cert-file";
  words.insert(words.end(), {tls ? "--tls-port" : "--port", std::to_string(port_)});
  if (tls) words.insert(words.end(), {"--port", "0"});
  words.insert(words.end(), options_.begin(), options_.end());
  words.insert(words.end(), more_options.begin(), more_options.end());
  process_.start(words, folder_.path() / "server.log", ready);
}

void RedisServer::kill() {
  signal(SIGKILL);
  await_end();
}

RedisConfig RedisServer::config() const {
  return {.addr = address(),
          .min_idle_conns = 1,
          .dial_timeout = std::chrono::seconds(5),
          .read_timeout = std::chrono::seconds(5),
          .write_timeout = std::chrono::seconds(5)};
}

}  // namespace lrpc::queue::redis
