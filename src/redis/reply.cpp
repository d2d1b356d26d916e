// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/reply.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <new>
#include <utility>

namespace lrpc::queue::redis {
namespace {

/// What the first word of an error reply means to us.
struct Meaning {
  std::string_view word;
  ErrorCode code;
  bool retryable;
  std::string_view advice;
};

/// Far more than anything that we ask for: a length that is no length must not take the memory of the machine.
constexpr int kMostElements = 1 << 24;

constexpr std::array kMeanings{
    Meaning{"NOAUTH", ErrorCode::permission, false, "set redis_config.password"},
    Meaning{"WRONGPASS", ErrorCode::permission, false, "check redis_config.username and password"},
    Meaning{"NOPERM", ErrorCode::permission, false,
            "the ACL of this user forbids it; docs/redis.md has one that is enough"},
    Meaning{"OOM", ErrorCode::queue_full, true, "the server's maxmemory is reached"},
    Meaning{"LOADING", ErrorCode::unavailable, true, "the server still loads its data"},
    Meaning{"BUSY", ErrorCode::unavailable, true, "a script runs for too long on the server"},
    Meaning{"READONLY", ErrorCode::unavailable, true, "this is a replica; is the master's address meant?"},
    Meaning{"MASTERDOWN", ErrorCode::unavailable, true, "the replica has lost its master"},
    Meaning{"CLUSTERDOWN", ErrorCode::unavailable, true, "slots of the cluster have no master"},
    Meaning{"TRYAGAIN", ErrorCode::unavailable, true, "a slot of the cluster is being moved"},
    Meaning{"MOVED", ErrorCode::unavailable, true, "the slot has moved; is redis_config.cluster to be set?"},
    Meaning{"ASK", ErrorCode::unavailable, true, "a slot of the cluster is being moved"},
    Meaning{"UNBLOCKED", ErrorCode::unavailable, true, "the server's role has changed"},
    Meaning{"NOREPLICAS", ErrorCode::unavailable, true, "min-replicas-to-write is not reached"},
    Meaning{"MISCONF", ErrorCode::unavailable, true, "the server cannot write its snapshots to disk"},
    Meaning{"WRONGTYPE", ErrorCode::backend, false, "a key of the queue holds something else; is key_prefix shared?"},
};

// What hiredis calls for each value that it finds; the arena is the task's private data.

ReplyNode* add_node(const redisReadTask* task, int type) {
  auto* const memory = static_cast<Arena*>(task->privdata)->take(sizeof(ReplyNode));
  if (memory == nullptr) return nullptr;
  auto* const node = new (memory) ReplyNode{.type = type};
  if (task->parent != nullptr) static_cast<ReplyNode*>(task->parent->obj)->elements[task->idx] = node;
  return node;
}

void* make_text(const redisReadTask* task, char* text, std::size_t size) {
  ReplyNode* const node = add_node(task, task->type);
  auto* const copy = static_cast<char*>(static_cast<Arena*>(task->privdata)->take(size));
  if (node == nullptr || copy == nullptr) return nullptr;
  std::memcpy(copy, text, size);
  node->text = {copy, size};
  return node;
}

void* make_array(const redisReadTask* task, int count) {
  ReplyNode* const node = add_node(task, REDIS_REPLY_ARRAY);
  if (node == nullptr || count <= 0) return node;
  if (count > kMostElements) return nullptr;
  const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(ReplyNode*);
  node->elements = static_cast<ReplyNode**>(static_cast<Arena*>(task->privdata)->take(bytes));
  if (node->elements == nullptr) return nullptr;
  std::fill_n(node->elements, count, nullptr);
  node->count = static_cast<std::size_t>(count);
  return node;
}

void* make_integer(const redisReadTask* task, long long value) {
  ReplyNode* const node = add_node(task, REDIS_REPLY_INTEGER);
  if (node != nullptr) node->integer = value;
  return node;
}

void* make_nil(const redisReadTask* task) { return add_node(task, REDIS_REPLY_NIL); }

void forget(void* /*node*/) {}  // goes with the arena

redisReplyObjectFunctions kMakers{.createString = &make_text,
                                  .createArray = &make_array,
                                  .createInteger = &make_integer,
                                  .createNil = &make_nil,
                                  .freeObject = &forget};

}  // namespace

Arena::~Arena() {
  while (chunks_ != nullptr) ::operator delete(std::exchange(chunks_, chunks_->next));
}

void* Arena::take(std::size_t bytes) noexcept {
  constexpr std::size_t kAlignment = alignof(std::max_align_t);
  constexpr std::size_t kLargestChunk = 256 << 10U;
  constexpr std::size_t kHead = (sizeof(Chunk) + kAlignment - 1) / kAlignment * kAlignment;
  bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (bytes > left_) {
    const std::size_t size = std::max(chunk_size_, bytes + kHead);
    auto* const chunk = static_cast<Chunk*>(::operator new(size, std::nothrow));
    if (chunk == nullptr) return nullptr;
    chunk->next = std::exchange(chunks_, chunk);
    free_ = reinterpret_cast<char*>(chunk) + kHead;
    left_ = size - kHead;
    chunk_size_ = std::min(chunk_size_ * 2, kLargestChunk);
  }
  left_ -= bytes;
  return std::exchange(free_, free_ + bytes);
}

std::string_view Reply::text() const noexcept { return is_text() || is_error() ? node_->text : std::string_view(); }

std::optional<std::int64_t> Reply::number() const noexcept {
  if (is_integer()) return node_->integer;
  const std::string_view digits = is_text() ? text() : std::string_view{};
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

ReplyReader::ReplyReader() : reader_(redisReaderCreateWithFunctions(&kMakers)) {
  if (reader_ == nullptr) throw std::bad_alloc();
}

std::unexpected<Error> ReplyReader::broken() const {
  return fail(ErrorCode::backend, std::string("what came from there is no Redis reply: ") + reader_->errstr);
}

Result<void> ReplyReader::feed(std::string_view bytes) {
  if (redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK) return broken();
  return {};
}

Result<std::optional<Reply>> ReplyReader::next() {
  if (arena_ == nullptr) {
    arena_ = std::make_unique<Arena>();
    reader_->privdata = arena_.get();
  }
  void* reply = nullptr;
  if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) return broken();
  if (reply == nullptr) return std::nullopt;
  return Reply(std::move(arena_), static_cast<ReplyNode*>(reply));
}

Error error_of(std::string_view reply, std::string_view command, std::string_view where) {
  std::string_view cause = reply;
  if (cause.starts_with("ERR Error running script")) {
    // Before Redis 7 the error in a script comes behind its place, once or twice: "...: @user_script:12: WRONGTYPE
    // Operation...", "...: @user_script:2: @user_script: 2: -OOM command not allowed...".
    constexpr std::string_view kPlace = "@user_script:";
    if (const std::size_t at = cause.rfind(kPlace); at != std::string_view::npos) {
      cause.remove_prefix(at + kPlace.size());
      if (const std::size_t colon = cause.find(": "); colon != std::string_view::npos) cause.remove_prefix(colon + 2);
    }
    if (cause.starts_with('-')) cause.remove_prefix(1);
  }
  const std::string_view word = cause.substr(0, cause.find(' '));
  std::string text = std::string(command) + " at " + std::string(where) + ": " + std::string(reply);
  const auto* const meaning = std::ranges::find(kMeanings, word, &Meaning::word);
  if (meaning == kMeanings.end()) return {.code = ErrorCode::backend, .message = std::move(text), .source = "redis"};
  text += " (" + std::string(meaning->advice) + ")";
  return {.code = meaning->code, .message = std::move(text), .retryable = meaning->retryable, .source = "redis"};
}

bool is_refusal(const Reply& reply) noexcept {
  if (!reply.is_error()) return false;
  const std::string_view text = reply.text();
  // The third is a script's first write on a replica, before Redis 7.
  return text.starts_with("READONLY ") || text.starts_with("LOADING ") || text.starts_with("MASTERDOWN ") ||
         (text.starts_with("ERR Error running script") && text.contains("-READONLY "));
}

}  // namespace lrpc::queue::redis
