// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <hiredis/hiredis.h>

#include <lrpc/queue/error.hpp>

namespace lrpc::queue::redis {

/// What a server answered: hiredis's reply object, owned. An element of an array belongs to the array.
class Reply {
 public:
  Reply() = default;
  explicit Reply(redisReply* owned) noexcept : owned_(owned), reply_(owned) {}

  [[nodiscard]] bool is_error() const noexcept { return type() == REDIS_REPLY_ERROR; }
  [[nodiscard]] bool is_nil() const noexcept { return type() == REDIS_REPLY_NIL; }
  [[nodiscard]] bool is_array() const noexcept { return type() == REDIS_REPLY_ARRAY; }
  [[nodiscard]] bool is_integer() const noexcept { return type() == REDIS_REPLY_INTEGER; }
  [[nodiscard]] bool is_text() const noexcept { return type() == REDIS_REPLY_STRING || type() == REDIS_REPLY_STATUS; }

  /// A string, status or error; empty for anything else.
  [[nodiscard]] std::string_view text() const noexcept;
  /// An integer, or a string that is one; empty for anything else.
  [[nodiscard]] std::optional<std::int64_t> number() const noexcept;
  /// How many elements an array has; 0 for anything else.
  [[nodiscard]] std::size_t size() const noexcept { return is_array() ? reply_->elements : 0; }
  /// An element that is there; valid as long as this reply.
  [[nodiscard]] Reply operator[](std::size_t index) const noexcept { return Reply(View{}, reply_->element[index]); }

 private:
  struct View {};
  struct Free {
    void operator()(redisReply* reply) const noexcept { freeReplyObject(reply); }
  };
  Reply(View /*tag*/, redisReply* reply) noexcept : reply_(reply) {}
  [[nodiscard]] int type() const noexcept { return reply_ != nullptr ? reply_->type : REDIS_REPLY_NIL; }

  std::unique_ptr<redisReply, Free> owned_{};
  redisReply* reply_ = nullptr;
};

/// Takes the bytes of a connection apart into replies. Not thread-safe.
class ReplyReader {
 public:
  ReplyReader() : reader_(redisReaderCreate()) {}

  /// Appends bytes that arrived.
  Result<void> feed(std::string_view bytes);
  /// The next whole reply, if there is one. An error means that the bytes are no replies: the connection is of no use.
  Result<std::optional<Reply>> next();

 private:
  struct Free {
    void operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }
  };
  [[nodiscard]] std::unexpected<Error> broken() const;
  std::unique_ptr<redisReader, Free> reader_;
};

/// The Error for an error reply ("CODE text"): permission, unavailable, queue_full or backend, with what to do.
/// `command` names what was asked, `where` the server.
[[nodiscard]] Error error_of(std::string_view reply, std::string_view command, std::string_view where);

/// Whether a server refused a command, untouched, as one that is not or not yet in charge: a replica since a failover,
/// or a server that still loads.
[[nodiscard]] bool is_refusal(const Reply& reply) noexcept;

/// The Error for a reply whose form is not the one that the command has.
[[nodiscard]] inline std::unexpected<Error> unexpected_reply(std::string_view doing) {
  return fail(ErrorCode::backend, std::string(doing) + ": the server gave an answer of an unknown form");
}

}  // namespace lrpc::queue::redis
