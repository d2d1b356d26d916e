// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// A codec of one's own: how bodies of a type become bytes and back where they leave the process. Types that
// nlohmann::json converts need none. The memory back end only encodes when told to, as here, which is also how to test
// that one's types survive a network back end.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <span>
#include <string>

#include <lrpc/queue.hpp>

#include "must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

struct Sample {
  std::uint32_t sensor = 0;
  std::int32_t millidegrees = 0;
};

/// Eight bytes, big endian.
template <>
struct lrpc::queue::codec<Sample> {
  static Result<Bytes> encode(const Sample& sample) {
    Bytes bytes;
    for (const std::uint32_t word : {sample.sensor, static_cast<std::uint32_t>(sample.millidegrees)}) {
      for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::byte>(word >> shift));
    }
    return bytes;
  }
  static Result<Sample> decode(std::span<const std::byte> bytes) {
    if (bytes.size() != 8) return fail(ErrorCode::codec, "a Sample has 8 bytes, not " + std::to_string(bytes.size()));
    const auto word = [](std::span<const std::byte> four) {
      std::uint32_t value = 0;
      for (const std::byte byte : four) value = value << 8 | std::to_integer<std::uint32_t>(byte);
      return value;
    };
    return Sample{.sensor = word(bytes.first(4)), .millidegrees = static_cast<std::int32_t>(word(bytes.subspan(4)))};
  }
};

struct WithoutCodec {};

int main() try {
  auto q = must(queue::Queue::open({.memory_config = {.serialize = true}}));
  auto topic = must(q.topic<Sample>("samples"));
  auto channel = must(topic.get_or_add_channel("plot"));

  must(topic.pub(Sample{.sensor = 7, .millidegrees = -12'500}));
  const auto message = must(channel.try_next(1s));
  must(channel.ack(message));
  std::cout << "sensor " << message.body().sensor << ": " << message.body().millidegrees << " millidegrees\n";
  must(message.body().sensor == 7 && message.body().millidegrees == -12'500, "the sample came back as it was");

  // What decode refuses never reaches a handler: the message becomes a dead letter with its bytes.
  const auto broken = queue::codec<Sample>::decode(queue::Bytes(3));
  must(!broken, "three bytes are no sample");
  std::cout << "decode: " << broken.error().message << '\n';

  // A type without a codec compiles; only a back end that needs one says no.
  const auto impossible = q.topic<WithoutCodec>("impossible");
  must(!impossible && impossible.error().code == queue::ErrorCode::codec, "this type cannot leave the process");
  std::cout << "topic: " << impossible.error().message << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
