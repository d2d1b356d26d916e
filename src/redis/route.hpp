// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "redis/command.hpp"
#include "redis/connection.hpp"
#include "redis/reply.hpp"

namespace lrpc::queue::redis {

/// Whether a call may be made twice when its first outcome is unknown.
enum class Repeat : std::uint8_t { no, safe };

/// The way to the server that is in charge of some keys. Thread-safe.
class Route {
 public:
  Route() = default;
  Route(const Route&) = delete;
  Route& operator=(const Route&) = delete;
  virtual ~Route() = default;

  /// Sends the commands in one piece and waits for their replies, error replies included, until `deadline`. Errors as
  /// of Connection::call; `unavailable` also when no connection was free within pool_timeout.
  virtual Result<std::vector<Reply>> call(const Pipeline& commands, SteadyTime deadline, Repeat repeat) = 0;
  /// A connection that nobody shares and the pool does not count: for blocking commands.
  virtual Result<std::shared_ptr<Connection>> own_connection(SteadyTime deadline) = 0;
  /// The server, for messages.
  [[nodiscard]] virtual std::string where() const = 0;
  /// The time that a call may take where its caller names none: waiting for a connection, writing, reading.
  [[nodiscard]] virtual Duration usual_time() const noexcept = 0;

  /// A call of one command whose error reply is an error; `name` is for its text.
  Result<Reply> command(std::string_view name, const Pipeline& command, SteadyTime deadline, Repeat repeat) {
    auto replies = call(command, deadline, repeat);
    if (!replies) return std::unexpected(std::move(replies.error()));
    Reply& reply = replies->front();
    if (reply.is_error()) return std::unexpected(error_of(reply.text(), name, where()));
    return std::move(reply);
  }
};

}  // namespace lrpc::queue::redis
