// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The bytes of a Redis connection: what arrives in pieces is what arrives at once.
#include <string>
#include <vector>

#include "fuzz.hpp"
#include "redis/reply.hpp"

using namespace lrpc::queue;
using namespace lrpc::queue::redis;

namespace {

void write(const Reply& reply, std::string& out) {
  out += reply.is_error() ? 'E' : reply.is_nil() ? 'N' : reply.is_array() ? 'A' : reply.is_integer() ? 'I' : 'T';
  out += std::to_string(reply.number().value_or(-1)) + ' ' + std::string(reply.text());
  for (std::size_t i = 0; i < reply.size(); ++i) write(reply[i], out);
  if (reply.is_error()) out += error_of(reply.text(), "XADD", "here").message;
}

/// The replies of bytes that arrive in pieces of this size, and whether they ended in an error.
std::string read(std::string_view bytes, std::size_t piece) {
  ReplyReader reader;
  std::string out;
  while (!bytes.empty()) {
    const std::string_view now = bytes.substr(0, piece);
    bytes.remove_prefix(now.size());
    if (!reader.feed(now)) return out + "broken";
    for (;;) {
      auto reply = reader.next();
      if (!reply) return out + "broken";
      if (!*reply) break;
      write(**reply, out);
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = fuzz::text_of(data + 1, size - 1);
  fuzz::require(read(bytes, bytes.size()) == read(bytes, 1 + data[0] % 17U), "replies do not depend on the pieces");
  return 0;
}
