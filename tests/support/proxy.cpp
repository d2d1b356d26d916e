// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "proxy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <utility>

namespace lrpc::queue::support {
namespace {

using Clock = std::chrono::steady_clock;

/// What a direction holds at most: a line that stalls is one on which the sender gets stuck soon.
constexpr std::size_t kMostWaiting = 256 << 10;

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

void at_once(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

Proxy::Proxy(int target) : target_(target) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  const bool ok =
      listener_ >= 0 && ::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::listen(listener_, 128) == 0 && ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  if (!ok) throw std::runtime_error("cannot listen");
  port_ = ntohs(address.sin_port);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

Proxy::~Proxy() {
  thread_.request_stop();
  waker_.wake();
  thread_.join();
  for (const auto& line : lines_) close_line(*line, false);
  ::close(listener_);
}

template <class F>
void Proxy::change(F&& f) {
  {
    const std::lock_guard lock(mutex_);
    f();
  }
  waker_.wake();
}

std::size_t Proxy::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_.size();
}

std::size_t Proxy::swallowed() const {
  const std::lock_guard lock(mutex_);
  return swallowed_;
}

void Proxy::to_server(Flow flow) {
  change([&] { to_server_ = flow; });
}
void Proxy::to_client(Flow flow) {
  change([&] { to_client_ = flow; });
}
void Proxy::both(Flow flow) {
  change([&] { to_server_ = to_client_ = flow; });
}
void Proxy::delay(std::chrono::milliseconds time) {
  change([&] { delay_ = time; });
}
void Proxy::accept(bool on) {
  change([&] { accepting_ = on; });
}

void Proxy::cut() {
  change([&] {
    for (const auto& line : lines_) close_line(*line, false);
    lines_.clear();
  });
}

void Proxy::reset() {
  change([&] {
    for (const auto& line : lines_) close_line(*line, true);
    lines_.clear();
  });
}

void Proxy::half_open() {
  change([&] {
    for (const auto& line : lines_) {
      if (line->server >= 0) ::close(std::exchange(line->server, -1));
    }
  });
}

void Proxy::close_line(Line& line, bool with_reset) {
  for (int* const fd : {&line.client, &line.server}) {
    if (*fd < 0) continue;
    const linger now{.l_onoff = 1, .l_linger = 0};
    if (with_reset) ::setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(std::exchange(*fd, -1));
  }
}

void Proxy::take_new() {
  const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) return;
  auto line = std::make_unique<Line>();
  line->client = client;
  line->server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(target_);
  if (line->server < 0 || ::connect(line->server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close_line(*line, false);
    return;
  }
  at_once(line->client);
  at_once(line->server);
  lines_.push_back(std::move(line));
}

// Takes what there is and hands on what is due; false at the end of the line.
bool Proxy::carry(int from, int to, Pipe& pipe, Flow flow, bool readable) {
  if (readable && from >= 0 && flow != Flow::stall) {
    std::array<char, 65'536> buffer;
    const ssize_t n = ::recv(from, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
    if (n > 0 && flow == Flow::swallow) swallowed_ += static_cast<std::size_t>(n);
    if (n > 0 && flow == Flow::pass && to >= 0) {
      pipe.waiting.emplace_back(Clock::now() + delay_, std::string(buffer.data(), static_cast<std::size_t>(n)));
      pipe.size += static_cast<std::size_t>(n);
    }
  }
  while (flow == Flow::pass && to >= 0 && !pipe.waiting.empty() && pipe.waiting.front().first <= Clock::now()) {
    std::string& bytes = pipe.waiting.front().second;
    const ssize_t n = ::send(to, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN;
    pipe.size -= static_cast<std::size_t>(n);
    bytes.erase(0, static_cast<std::size_t>(n));
    if (bytes.empty()) pipe.waiting.pop_front();
  }
  return true;
}

// What to wait for: the waker, new lines, and both ends of each line.
std::vector<pollfd> Proxy::watched() const {
  std::vector<pollfd> entries{{.fd = waker_.fd(), .events = POLLIN, .revents = 0},
                              {.fd = accepting_ ? listener_ : -1, .events = POLLIN, .revents = 0}};
  const auto watch = [&](int fd, const Pipe& in, Flow in_flow, const Pipe& out, Flow out_flow) {
    const bool reads = in_flow != Flow::stall && in.size < kMostWaiting;
    const bool writes = out_flow == Flow::pass && !out.waiting.empty() && out.waiting.front().first <= Clock::now();
    // A line that is not looked at does not tell of its end either.
    entries.push_back({.fd = reads || writes ? fd : -1,
                       .events = static_cast<short>((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)),
                       .revents = 0});
  };
  for (const auto& line : lines_) {
    watch(line->client, line->to_server, to_server_, line->to_client, to_client_);
    watch(line->server, line->to_client, to_client_, line->to_server, to_server_);
  }
  return entries;
}

void Proxy::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    waker_.clear();
    std::unique_lock lock(mutex_);
    std::vector<pollfd> entries = watched();
    const int pause = delay_.count() > 0 ? 1 : -1;  // milliseconds
    lock.unlock();
    ::poll(entries.data(), entries.size(), pause);
    lock.lock();
    // Only the test takes lines away meanwhile; then what was seen is of no use.
    if (entries.size() != 2 + 2 * lines_.size()) continue;
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      Line& line = *lines_[i];
      const auto readable = [&](std::size_t end) { return (entries[2 + 2 * i + end].revents & ~POLLOUT) != 0; };
      const bool ok = carry(line.client, line.server, line.to_server, to_server_, readable(0)) &&
                      carry(line.server, line.client, line.to_client, to_client_, readable(1));
      if (!ok) close_line(line, false);
    }
    std::erase_if(lines_, [](const auto& line) { return line->client < 0; });
    if ((entries[1].revents & POLLIN) != 0) take_new();
  }
}

}  // namespace lrpc::queue::support
