// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis_raw.hpp"

#include <string_view>

#include "rig.hpp"

namespace lrpc::queue::bench {

namespace {
void free_reply(redisReply* reply) { freeReplyObject(reply); }
}  // namespace

RawRedis::RawRedis(int port) : context_(redisConnect("127.0.0.1", port), &redisFree) {
  if (context_ == nullptr || context_->err != 0) die("hiredis cannot connect");
}

void RawRedis::append(const std::vector<std::string>& words) {
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const std::string& word : words) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  redisAppendCommandArgv(context_.get(), static_cast<int>(words.size()), texts.data(), sizes.data());
}

void RawRedis::append_publish(const std::string& stream, const std::string& body) {
  static const std::string id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
  const char* const words[] = {"XADD", stream.c_str(), "*",          "id",         id.c_str(),
                               "body", body.c_str(),   "timestamp",  "1795000000", "channel",
                               "work", "expires_at",   "1795086400", "attempts",   "0"};
  const std::size_t sizes[] = {4, stream.size(), 1, 2, id.size(), 4, body.size(), 9, 10, 7, 4, 10, 10, 8, 1};
  redisAppendCommandArgv(context_.get(), 15, const_cast<const char**>(words), sizes);
}

void RawRedis::append_create_group(const std::string& stream) {
  append({"XGROUP", "CREATE", stream, "raw", "0", "MKSTREAM"});
}

void RawRedis::append_read(const std::string& stream, std::size_t count, int block_ms) {
  std::vector<std::string> words{"XREADGROUP", "GROUP", "raw", "one", "COUNT", std::to_string(count)};
  if (block_ms > 0) words.insert(words.end(), {"BLOCK", std::to_string(block_ms)});
  words.insert(words.end(), {"STREAMS", stream, ">"});
  append(words);
}

void RawRedis::append_settle(const std::string& stream, const redisReply& read) {
  std::vector<std::string> ack{"XACK", stream, "raw"};
  std::vector<std::string> del{"XDEL", stream};
  const redisReply& list = *read.element[0]->element[1];
  for (std::size_t i = 0; i < list.elements; ++i) {
    const redisReply& id = *list.element[i]->element[0];
    ack.emplace_back(id.str, static_cast<std::size_t>(id.len));
    del.emplace_back(id.str, static_cast<std::size_t>(id.len));
  }
  append(ack);
  append(del);
}

RawRedis::Reply RawRedis::get() {
  void* reply = nullptr;
  if (redisGetReply(context_.get(), &reply) != REDIS_OK) die("hiredis lost the connection");
  Reply owned(static_cast<redisReply*>(reply), &free_reply);
  if (owned->type == REDIS_REPLY_ERROR) die(std::string("redis: ") + owned->str);
  return owned;
}

std::size_t RawRedis::entries(const redisReply& read) {
  return read.type == REDIS_REPLY_ARRAY && read.elements == 1 ? read.element[0]->element[1]->elements : 0;
}

}  // namespace lrpc::queue::bench
