// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "redis/waker.hpp"

namespace lrpc::queue::support {

/// A line to a server on which a test does what networks do. Everything holds for the lines that are there and for
/// those that come later, unless told otherwise.
class Proxy {
 public:
  /// What becomes of the bytes of one direction.
  enum class Flow : std::uint8_t {
    pass,
    stall,    ///< They wait before the proxy, until the sender's buffers are full; nothing is lost.
    swallow,  ///< They are taken, and lost.
  };

  /// To a port of the loopback interface.
  explicit Proxy(int target);
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;
  ~Proxy();

  [[nodiscard]] int port() const noexcept { return port_; }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  /// The lines that are there now.
  [[nodiscard]] std::size_t lines() const;
  /// Bytes that were swallowed.
  [[nodiscard]] std::size_t swallowed() const;

  void to_server(Flow flow);
  void to_client(Flow flow);
  void both(Flow flow);
  /// What passes does so that much later.
  void delay(std::chrono::milliseconds time);
  /// New lines are accepted by the kernel, and nobody takes them.
  void accept(bool on);

  // Once, for the lines that are there.
  void cut();    ///< Closed, to both ends.
  void reset();  ///< Reset, to both ends.
  /// The server's ends are closed; the clients' stay open, and whatever they say is lost: a firewall that forgot them.
  void half_open();

 private:
  struct Pipe {
    std::deque<std::pair<std::chrono::steady_clock::time_point, std::string>> waiting{};
    std::size_t size = 0;
  };
  struct Line {
    int client = -1;
    int server = -1;  // -1 = half open
    Pipe to_server{};
    Pipe to_client{};
  };

  void run(const std::stop_token& stop);
  void take_new();
  [[nodiscard]] std::vector<pollfd> watched() const;
  bool carry(int from, int to, Pipe& pipe, Flow flow, bool readable);
  static void close_line(Line& line, bool with_reset);
  template <class F>
  void change(F&& f);

  const int target_;
  int listener_ = -1;
  int port_ = 0;
  redis::Waker waker_;
  mutable std::mutex mutex_;  // guards all below
  Flow to_server_ = Flow::pass;
  Flow to_client_ = Flow::pass;
  std::chrono::milliseconds delay_{0};
  bool accepting_ = true;
  std::size_t swallowed_ = 0;
  std::vector<std::unique_ptr<Line>> lines_;
  std::jthread thread_;  // last: uses the others
};

}  // namespace lrpc::queue::support
