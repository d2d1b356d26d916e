// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/script.hpp"

#include <openssl/sha.h>

#include <array>
#include <utility>

namespace lrpc::queue::redis {
namespace {

std::string sha1_of(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += kDigits[byte >> 4U];
    hex += kDigits[byte & 15U];
  }
  return hex;
}

}  // namespace

Script::Script(std::string_view name, std::string_view text) : name_(name), text_(text), hash_(sha1_of(text)) {}

Result<Reply> Script::run(Route& route, std::span<const std::string> keys, const Arguments& arguments,
                          SteadyTime deadline, Repeat repeat, const Arguments& more) const {
  auto replies = route.call(command(keys, arguments, more), deadline, repeat);
  if (replies && replies->front().is_error() && replies->front().text().starts_with("NOSCRIPT")) {
    replies = route.call(command("EVAL", text_, keys, arguments, more), deadline, repeat);
  }
  if (!replies) return std::unexpected(std::move(replies.error()));
  Reply& reply = replies->front();
  if (reply.is_error()) return std::unexpected(error_of(reply.text(), name_, route.where()));
  return std::move(reply);
}

Pipeline Script::command(std::string_view how, std::string_view what, std::span<const std::string> keys,
                         const Arguments& arguments, const Arguments& more) {
  Pipeline command;
  command.reserve(what.size() + arguments.bytes().size() + more.bytes().size() + 64 * (1 + keys.size()));
  command.begin(3 + keys.size() + arguments.count() + more.count()).arg(how).arg(what);
  command.arg(static_cast<std::int64_t>(keys.size()));
  for (const std::string& key : keys) command.arg(key);
  command.args(arguments).args(more);
  return command;
}

}  // namespace lrpc::queue::redis
