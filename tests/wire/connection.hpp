// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <lrpc/queue/backend.hpp>

#include "link.hpp"
#include "protocol.hpp"

namespace lrpc::queue::wire {

/// A client's session on the server: sends requests and reads replies. Thread-safe.
class Connection {
 public:
  /// Bound of a request for which the caller names none.
  static constexpr Duration kIoTimeout{3000};

  [[nodiscard]] static Result<std::shared_ptr<Connection>> open(std::shared_ptr<Link> link,
                                                                std::shared_ptr<Clock> clock) {
    auto connection = std::make_shared<Connection>(std::move(link), std::move(clock));
    auto reply = connection->call(Op::connect, {});
    if (!reply) return std::unexpected(std::move(reply.error()));
    connection->session_ = reply->in.u64();
    if (!reply->in.complete()) return std::unexpected(garbled());
    return connection;
  }
  Connection(std::shared_ptr<Link> link, std::shared_ptr<Clock> clock)
      : link_(std::move(link)), clock_(std::move(clock)) {
    jumps_ = clock_->on_jump([weak = std::weak_ptr(link_)] {
      if (const auto strong = weak.lock()) strong->wake_all();
    });
  }

  /// One request; `arguments` follow op and session.
  [[nodiscard]] Result<Reply> call(Op op, const Writer& arguments) { return call(op, arguments, within(kIoTimeout)); }
  [[nodiscard]] Result<Reply> call(Op op, const Writer& arguments, SteadyTime deadline) {
    Writer request;
    request.u8(static_cast<std::uint8_t>(op)).u64(session_).raw(arguments.bytes());
    auto answer = link_->call(op, request.bytes(), deadline);
    auto reply = answer ? open_reply(std::move(*answer)) : Result<Reply>(std::unexpected(std::move(answer.error())));
    if (!reply) reply.error().source = "wire";
    return reply;
  }
  /// A request that is safe to repeat and that nobody would repeat later: tries again where the line broke.
  [[nodiscard]] Result<Reply> call_repeatedly(Op op, const Writer& arguments) {
    Result<Reply> reply = call(op, arguments);
    for (int tries = 1; tries < kTries && !reply && broken(reply.error()); ++tries) reply = call(op, arguments);
    return reply;
  }

  /// Whether the line failed, not the request.
  [[nodiscard]] static bool broken(const Error& error) noexcept {
    return error.code == ErrorCode::unavailable || error.code == ErrorCode::outcome_unknown;
  }
  [[nodiscard]] static Error garbled() {
    return {.code = ErrorCode::backend, .message = "the reply cannot be read", .source = "wire"};
  }
  /// The instant `timeout` from now; a time-out of years does not overflow.
  [[nodiscard]] static SteadyTime within(Duration timeout) {
    constexpr Duration kLongest = std::chrono::hours(24);
    return std::chrono::steady_clock::now() + std::min(timeout, kLongest);
  }

  [[nodiscard]] Link& link() const noexcept { return *link_; }
  [[nodiscard]] const Clock& clock() const noexcept { return *clock_; }
  [[nodiscard]] std::uint64_t session() const noexcept { return session_; }

 private:
  static constexpr int kTries = 3;

  const std::shared_ptr<Link> link_;
  const std::shared_ptr<Clock> clock_;
  std::shared_ptr<void> jumps_;  // declared after what its listener uses
  std::uint64_t session_ = 0;
};

}  // namespace lrpc::queue::wire
