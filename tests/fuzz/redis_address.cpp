// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Addresses and URLs of Redis servers: no error and no name of a server shows the password.
#include <string>

#include "fuzz.hpp"
#include "redis/endpoint.hpp"

using namespace lrpc::queue;
using namespace lrpc::queue::redis;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  if (const auto endpoint = parse_address(text); endpoint) {
    fuzz::require(!endpoint->where().empty(), "a server has a name");
  } else {
    fuzz::require(!endpoint.error().message.empty(), "an error says what is wrong");
  }
  // With a password of ours in it.
  const std::string secret = "Xq7secretXq7";
  if (text.find(secret) != std::string_view::npos) return 0;  // then it may stand for something else
  FuzzedDataProvider input(data, size);
  std::string url = input.ConsumeBool() ? "redis://" : "rediss://";
  url += input.ConsumeRandomLengthString(20) + ':' + secret + '@';
  url += input.ConsumeRemainingBytesAsString();
  const auto endpoint = parse_url(url);
  if (endpoint && endpoint->password == secret) {
    fuzz::require(endpoint->where().find(secret) == std::string::npos, "a server's name shows no password");
  }
  if (!endpoint) {
    fuzz::require(endpoint.error().message.find(secret) == std::string::npos, "an error shows no password");
  }
  return 0;
}
