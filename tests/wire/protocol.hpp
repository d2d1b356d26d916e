// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>

#include <lrpc/queue/error.hpp>
#include <lrpc/queue/types.hpp>

#include "frame.hpp"

/// \file
/// Requests and replies between WireBackend and WireServer. A request is its Op, the session's number, then the
/// arguments; a reply is a code (0 = done), then the result or the error's text. Both ends read strictly.

namespace lrpc::queue::wire {

enum class Op : std::uint8_t {
  connect,         // -> session
  disconnect,      // gives back all that the session holds
  ping,            //
  topics,          // -> names
  open_topic,      // name
  publish,         // topic, limit, drop_oldest, n x (delay, frame)
  channels,        // topic -> names
  open_channel,    // topic, name, create -> channel number, dropped so far
  delete_channel,  // topic, name
  // The rest begins with topic, name and channel number, which tells a deleted channel from a later one of its name.
  receive,        // max, lease, renewed, limit -> due, n x (slot, generation, deliveries, expired_from, frame)
  ack,            // n x tag -> n x done
  settle,         // lease, dead_limit, n x settlement -> n x (done, tag)
  touch,          // lease, n x tag -> n x done
  stats,          // -> figures
  drop_all,       // -> count
  dead_letters,   // limit, cursor -> next cursor, n x letter
  requeue_dead,   // all, fresh_ttl, n x id -> count
  purge_dead,     // -> count
  close_channel,  // gives back what the session holds of the channel
  count_,
};

/// The reply to a request that failed.
inline Bytes error_reply(const Error& error) {
  return Writer().u32(static_cast<std::uint32_t>(error.code)).text(error.message).flag(error.retryable).take();
}

/// The start of a reply to a request that succeeded.
inline Writer done_reply() {
  Writer out;
  out.u32(0);
  return out;
}

/// A reply as the client reads it: the bytes and a position behind the code.
struct Reply {
  Bytes bytes{};
  Reader in{};
};

/// Splits a reply into result and Error.
inline Result<Reply> open_reply(Bytes bytes) {
  Reply reply{.bytes = std::move(bytes), .in = {}};
  reply.in = Reader(reply.bytes);
  const std::uint32_t code = reply.in.u32();
  if (reply.in.ok() && code == 0) return reply;
  Error error{.code = static_cast<ErrorCode>(code)};
  error.message = reply.in.text();
  error.retryable = reply.in.flag();
  if (!reply.in.complete()) return fail(ErrorCode::backend, "the reply cannot be read");
  return std::unexpected(std::move(error));
}

}  // namespace lrpc::queue::wire
