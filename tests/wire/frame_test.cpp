// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "frame.hpp"

#include <cstddef>

#include <gtest/gtest.h>

namespace lrpc::queue::wire {
namespace {

StoredMessage sample() {
  return {.id = "01ARZ3NDEKTSV4RRFFQ69G5FAV",
          .body = {std::byte{'"'}, std::byte{0}, std::byte{255}},
          .timestamp = -5,
          .expires_at = 4'102'444'800,
          .expiry_set = true,
          .attempts = 3,
          .enqueued_at_ms = 1'700'000'000'123,
          .key = "customer 7",
          .headers = {{"", "empty name"}, {"trace", ""}, {"zone", std::string("a\0b", 3)}}};
}

TEST(Frame, ComesBackAsItWas) {
  const auto decoded = decode_frame(encode_frame(sample()));
  ASSERT_TRUE(decoded) << decoded.error();
  EXPECT_EQ(*decoded, sample());
}

TEST(Frame, SurvivesTheWayThroughAnEnvelope) {
  StoredMessage expected = sample();
  expected.attempts = 0;  // the server counts deliveries, not the envelope
  EXPECT_EQ(to_stored(*to_envelope(sample())), expected);
}

TEST(Frame, RefusesEveryTruncation) {
  const Bytes frame = encode_frame(sample());
  for (std::size_t size = 0; size < frame.size(); ++size) {
    EXPECT_FALSE(decode_frame(std::span(frame).first(size))) << size << " bytes";
  }
}

TEST(Frame, RefusesEveryFlippedBit) {
  const Bytes frame = encode_frame(sample());
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    Bytes damaged = frame;
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(decode_frame(damaged)) << "bit " << bit;
  }
}

TEST(Frame, RefusesWhatIsLeftOver) {
  Bytes frame = encode_frame(sample());
  frame.push_back(std::byte{0});
  EXPECT_FALSE(decode_frame(frame));
}

TEST(Frame, RefusesAMessageWithoutId) {
  StoredMessage message = sample();
  message.id.clear();
  EXPECT_FALSE(decode_frame(encode_frame(message)));
}

TEST(Frame, RefusesAbsurdAttempts) {
  StoredMessage message = sample();
  message.attempts = INT64_MAX;
  EXPECT_FALSE(decode_frame(encode_frame(message)));
  message.attempts = -1;
  EXPECT_FALSE(decode_frame(encode_frame(message)));
}

TEST(Reader, DoesNotBelieveALengthBeyondTheEnd) {
  Writer out;
  out.u32(UINT32_MAX).u8(1);
  Reader block(out.bytes());
  EXPECT_TRUE(block.block().empty());
  EXPECT_FALSE(block.ok());
  Reader count(out.bytes());
  EXPECT_EQ(count.count(), 0U);
  EXPECT_FALSE(count.ok());
}

TEST(Reader, TakesOnlyZeroAndOneForAFlag) {
  const Bytes two{std::byte{2}};
  Reader in(two);
  EXPECT_FALSE(in.flag());
  EXPECT_FALSE(in.ok());
}

}  // namespace
}  // namespace lrpc::queue::wire
