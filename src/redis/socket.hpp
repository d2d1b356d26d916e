// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include <lrpc/queue/backend.hpp>

#include "redis/endpoint.hpp"

// OpenSSL's, kept out of this header.
struct ssl_st;
struct ssl_ctx_st;

namespace lrpc::queue::redis {

/// The moment so far ahead: deadlines of the network are real time, whatever the clock of the queue says.
[[nodiscard]] inline SteadyTime after(Duration duration) { return std::chrono::steady_clock::now() + duration; }

/// Bytes to and from a server: TCP, a Unix socket, or TLS over either. One thread may read while another writes;
/// `shut_down` may come from any.
class Socket {
 public:
  /// `unavailable` when there is no server, `timeout` at the deadline, `permission` when the server's certificate is
  /// not accepted or ours is refused, `invalid_config` for a file that cannot be read.
  static Result<std::unique_ptr<Socket>> connect(const Endpoint& endpoint, SteadyTime deadline);
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket();

  /// Waits for bytes and reads some, at least one. `timeout` at the deadline; `unavailable` when the line is gone;
  /// `cancelled` when `wake`, a file descriptor, can be read first (-1 = none).
  Result<std::size_t> read(std::span<char> into, SteadyTime deadline, int wake = -1);
  /// Writes everything. At an error `written` says how much surely went into the line.
  Result<void> write(std::string_view bytes, SteadyTime deadline, std::size_t& written);
  /// Whether the other side has closed the line, or said something: for when it is to say nothing. Does not wait.
  [[nodiscard]] bool ended();
  /// Ends the waits of both sides; later calls fail.
  void shut_down() noexcept;

 private:
  Socket(int fd, std::string where) noexcept;
  Result<void> start_tls(const TlsConfig& tls, SteadyTime deadline);
  /// Waits for the events of poll(2); says what ended the wait.
  enum class Woken : std::uint8_t { by_line, by_time, by_other };
  [[nodiscard]] Woken wait(short events, SteadyTime deadline, int other) const noexcept;
  [[nodiscard]] bool wait(short events, SteadyTime deadline) const noexcept {
    return wait(events, deadline, -1) == Woken::by_line;
  }
  [[nodiscard]] std::unexpected<Error> lost(std::string_view doing, int error) const;
  [[nodiscard]] std::unexpected<Error> tls_failed(std::string_view doing) const;

  const int fd_;
  const std::string where_;
  std::mutex tls_mutex_;  // OpenSSL lets only one thread use a connection at a time; not held while waiting
  ssl_ctx_st* context_ = nullptr;
  ssl_st* tls_ = nullptr;
};

}  // namespace lrpc::queue::redis
