// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Bodies: what can be decoded can be encoded, and decodes to the same.
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <lrpc/queue.hpp>

#include "fuzz.hpp"

using namespace lrpc::queue;

namespace {

template <class T>
void check(std::span<const std::byte> bytes) {
  const Result<T> value = codec<T>::decode(bytes);
  if (!value) {
    fuzz::require(value.error().code == ErrorCode::codec, "what cannot be read is an error of the codec");
    return;
  }
  const Result<Bytes> encoded = codec<T>::encode(*value);
  fuzz::require(encoded.has_value(), "what was read can be written");
  const Result<T> again = codec<T>::decode(*encoded);
  fuzz::require(again.has_value() && *again == *value, "it reads the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  check<std::string>(bytes);
  check<std::int64_t>(bytes);
  check<std::map<std::string, std::vector<bool>>>(bytes);
  check<Bytes>(bytes);
  return 0;
}
