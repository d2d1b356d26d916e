// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <hiredis/hiredis.h>

#include <lrpc/queue/error.hpp>

namespace lrpc::queue::redis {

/// A value of a reply; it and its text lie in an arena.
struct ReplyNode {
  int type = REDIS_REPLY_NIL;
  std::int64_t integer = 0;
  std::string_view text{};
  ReplyNode** elements = nullptr;
  std::size_t count = 0;
};

/// Memory of one reply, all of which goes at once: an entry of a stream is some forty values. Not thread-safe.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();
  /// Memory for any type without destructor; null when there is none.
  [[nodiscard]] void* take(std::size_t bytes) noexcept;

 private:
  struct Chunk {
    Chunk* next;
  };
  Chunk* chunks_ = nullptr;
  char* free_ = nullptr;
  std::size_t left_ = 0;
  std::size_t chunk_size_ = 1024;
};

/// What a server answered. An element of an array belongs to the array.
class Reply {
 public:
  Reply() = default;
  Reply(std::unique_ptr<Arena> owned, const ReplyNode* node) noexcept : owned_(std::move(owned)), node_(node) {}

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
  [[nodiscard]] std::size_t size() const noexcept { return is_array() ? node_->count : 0; }
  /// An element that is there; valid as long as this reply.
  [[nodiscard]] Reply operator[](std::size_t index) const noexcept { return {nullptr, node_->elements[index]}; }

 private:
  [[nodiscard]] int type() const noexcept { return node_ != nullptr ? node_->type : REDIS_REPLY_NIL; }

  std::unique_ptr<Arena> owned_{};
  const ReplyNode* node_ = nullptr;
};

/// Takes the bytes of a connection apart into replies: hiredis's parser, with values of our own. Not thread-safe.
class ReplyReader {
 public:
  ReplyReader();

  /// Appends bytes that arrived.
  Result<void> feed(std::string_view bytes);
  /// The next whole reply, if there is one. An error means that the bytes are no replies: the connection is of no use.
  Result<std::optional<Reply>> next();

 private:
  struct Free {
    void operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }
  };
  [[nodiscard]] std::unexpected<Error> broken() const;
  std::unique_ptr<Arena> arena_;  // of the reply that is being read; outlives the reader's use of it
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
