// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// An entry of a stream, of whatever program: what is not malformed can be written again and reads the same.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "fuzz.hpp"
#include "redis/wire.hpp"

using namespace lrpc::queue;
using namespace lrpc::queue::redis;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  constexpr std::array kNames{"id",       "body",    "timestamp", "channel",        "expires_at",
                              "attempts", "headers", "key",       "enqueued_at_ms", "other"};
  std::vector<std::pair<std::string, std::string>> texts;
  const std::string entry_id = input.ConsumeRandomLengthString(40);
  while (input.remaining_bytes() > 0 && texts.size() < 20) {
    texts.emplace_back(input.PickValueInArray(kNames), input.ConsumeRandomLengthString(200));
  }
  const std::vector<Field> fields(texts.begin(), texts.end());
  const Entry entry = read_entry(entry_id, fields);
  fuzz::require(static_cast<bool>(entry.message), "there is a message, also of a malformed entry");
  if (!entry.malformed.empty()) return 0;
  const auto read = entry.message->encoded_body();
  fuzz::require(entry.attempts >= 0, "attempts are not negative");
  Outgoing out{.message = entry.message};
  const auto further = further_fields(out);
  if (!further) return 0;
  std::vector<std::pair<std::string, std::string>> again{
      {"id", entry.message->id()},
      {"body", std::string(reinterpret_cast<const char*>(read.data()), read.size())},
      {"timestamp", std::to_string(entry.message->timestamp())},
      {"expires_at", std::to_string(entry.message->expires_at())},
      {"attempts", std::to_string(entry.attempts)}};
  for (std::size_t i = 0; i + 1 < further->size(); i += 2) again.emplace_back((*further)[i], (*further)[i + 1]);
  const Entry second = read_entry(entry_id, {again.begin(), again.end()});
  fuzz::require(second.malformed.empty(), "what we write is not malformed");
  fuzz::require(second.message->id() == entry.message->id() && second.message->key() == entry.message->key() &&
                    second.message->headers() == entry.message->headers() && second.attempts == entry.attempts &&
                    second.message->expires_at() == entry.message->expires_at() &&
                    std::ranges::equal(second.message->encoded_body(), read),
                "what is written again reads the same");
  return 0;
}
