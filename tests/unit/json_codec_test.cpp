// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lrpc/queue.hpp>

/// Bodies that other programs wrote: numbers that are none of the type (D13).
namespace lrpc::queue {
namespace {

using testing::HasSubstr;

template <class T>
Result<T> decoded(std::string_view text) {
  return codec<T>::decode(std::as_bytes(std::span(text)));
}

template <class T>
void expect_refused(std::string_view text) {
  const auto result = decoded<T>(text);
  ASSERT_FALSE(result) << text << " became " << +*result;
  EXPECT_EQ(result.error().code, ErrorCode::codec);
  EXPECT_THAT(result.error().message, HasSubstr("is no integer of"));
}

TEST(JsonCodec, D13_integers_at_their_ends) {
  EXPECT_EQ(decoded<std::int8_t>("-128"), -128);
  EXPECT_EQ(decoded<std::uint8_t>("255"), 255);
  EXPECT_EQ(decoded<int>("-2147483648"), std::numeric_limits<int>::min());
  EXPECT_EQ(decoded<std::int64_t>("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(decoded<std::uint64_t>("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
}

TEST(JsonCodec, D13_integers_beyond_their_ends_are_refused) {
  expect_refused<std::int8_t>("-129");
  expect_refused<std::int8_t>("128");
  expect_refused<std::uint8_t>("256");
  expect_refused<std::uint8_t>("-1");
  expect_refused<int>("2147483648");
  expect_refused<std::int64_t>("9223372036854775808");
  expect_refused<std::uint64_t>("-1");
}

TEST(JsonCodec, D13_a_float_is_an_integer_when_it_is_whole_and_fits) {
  EXPECT_EQ(decoded<int>("3.0"), 3);
  EXPECT_EQ(decoded<int>("-2e9"), -2'000'000'000);
  EXPECT_EQ(decoded<std::int64_t>("-9223372036854775808.0"), std::numeric_limits<std::int64_t>::min());
  expect_refused<int>("2.5");
  expect_refused<int>("3e9");
  expect_refused<int>("1e300");
  expect_refused<std::uint64_t>("-1.0");
  expect_refused<std::uint64_t>("18446744073709551616.0");
  expect_refused<std::int64_t>("9223372036854775808.0");
}

TEST(JsonCodec, D13_other_types_are_as_before) {
  EXPECT_EQ(decoded<bool>("true"), true);
  EXPECT_EQ(decoded<double>("2.5"), 2.5);
  const auto text = decoded<int>(R"("3")");
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::codec);
}

}  // namespace
}  // namespace lrpc::queue
