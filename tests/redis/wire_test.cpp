// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/wire.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "redis/reply.hpp"

namespace lrpc::queue::redis {
namespace {

using testing::HasSubstr;

constexpr std::string_view kEntryId = "1706745600123-4";

std::string body_of(const Entry& entry) {
  const auto bytes = entry.message->encoded_body();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(ReadEntry, TheManualsFields) {
  const Entry entry = read_entry(kEntryId, {{"id", "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
                                            {"body", "{}"},
                                            {"timestamp", "1706745600"},
                                            {"channel", "handler"},
                                            {"expires_at", "1706747400"},
                                            {"attempts", "2"}});
  EXPECT_EQ(entry.malformed, "");
  EXPECT_EQ(entry.message->id(), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
  EXPECT_EQ(body_of(entry), "{}");
  EXPECT_EQ(entry.message->timestamp(), 1'706'745'600);
  EXPECT_EQ(entry.message->expires_at(), 1'706'747'400);
  EXPECT_EQ(entry.attempts, 2);
  EXPECT_EQ(entry.message->enqueued_at_ms(), 1'706'745'600'123) << "the entry id tells";
  EXPECT_EQ(entry.message->key(), "");
}

TEST(ReadEntry, OurFields) {
  const Entry entry = read_entry(
      kEntryId, {{"body", ""}, {"headers", R"({"a":"1","b":"\u00e9"})"}, {"key", "k"}, {"enqueued_at_ms", "12"}});
  EXPECT_EQ(entry.malformed, "");
  EXPECT_EQ(entry.message->headers(), (Headers{{"a", "1"}, {"b", "\xC3\xA9"}}));
  EXPECT_EQ(entry.message->key(), "k");
  EXPECT_EQ(entry.message->enqueued_at_ms(), 12);
}

TEST(ReadEntry, MissingAndUnknownFieldsAreTolerated) {
  const Entry entry = read_entry(kEntryId, {{"body", "x"}, {"colour", "blue"}});
  EXPECT_EQ(entry.malformed, "");
  EXPECT_EQ(entry.message->id(), kEntryId);
  EXPECT_EQ(entry.message->timestamp(), 1'706'745'600);
  EXPECT_EQ(entry.message->expires_at(), 0);
  EXPECT_EQ(entry.attempts, 0);
}

TEST(ReadEntry, D13_WhatIsWrongIsNamed) {
  const auto wrong = [](std::vector<Field> fields) { return read_entry(kEntryId, fields).malformed; };
  EXPECT_THAT(wrong({{"id", "x"}}), HasSubstr("body"));
  EXPECT_THAT(wrong({{"body", ""}, {"timestamp", "soon"}}), HasSubstr("timestamp"));
  EXPECT_THAT(wrong({{"body", ""}, {"expires_at", "-1"}}), HasSubstr("expires_at"));
  EXPECT_THAT(wrong({{"body", ""}, {"expires_at", ""}}), HasSubstr("expires_at"));
  EXPECT_THAT(wrong({{"body", ""}, {"attempts", "99999999999999999999"}}), HasSubstr("attempts"));
  EXPECT_THAT(wrong({{"body", ""}, {"attempts", "9999999999"}}), HasSubstr("attempts"));
  EXPECT_THAT(wrong({{"body", ""}, {"headers", "{"}}), HasSubstr("headers"));
  EXPECT_THAT(wrong({{"body", ""}, {"headers", R"({"a":1})"}}), HasSubstr("headers"));
  EXPECT_THAT(wrong({{"body", ""}, {"headers", "[]"}}), HasSubstr("headers"));
  EXPECT_EQ(read_entry(kEntryId, {{"body", "kept"}, {"attempts", "x"}}).message->type(),
            Envelope::make_encoded({})->type());
  EXPECT_EQ(body_of(read_entry(kEntryId, {{"body", "kept"}, {"attempts", "x"}})), "kept") << "for the dead letter";
}

TEST(ReadEntry, AnyBytesAreTakenOrNamed) {
  std::mt19937 random(7);
  const std::vector<std::string> names{"id", "body", "timestamp", "expires_at", "attempts", "headers", "key", "", "x"};
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::string> texts;
    for (int i = static_cast<int>(random() % 10); i > 0; --i) {
      texts.push_back(names[random() % names.size()]);
      std::string value;
      for (int n = static_cast<int>(random() % 12); n > 0; --n) {
        value += random() % 2 == 0 ? static_cast<char>(random()) : "0123456789{}\"[]:,-"[random() % 18];
      }
      texts.push_back(std::move(value));
    }
    std::vector<Field> fields;
    for (std::size_t i = 0; i < texts.size(); i += 2) fields.emplace_back(texts[i], texts[i + 1]);
    const Entry entry = read_entry(random() % 2 == 0 ? kEntryId : std::string_view("\xFF-"), fields);
    ASSERT_TRUE(entry.message);
    ASSERT_GE(entry.attempts, 0);
    ASSERT_GE(entry.message->expires_at(), 0);
  }
}

// Before Redis 7 a script's error comes behind its place.
TEST(ErrorReply, OfAScriptMeansWhatItsCauseMeans) {
  constexpr std::string_view kPlace = "ERR Error running script (call to f_0c): @user_script:2: @user_script: 2: ";
  const auto code = [&](std::string_view cause) { return error_of(std::string(kPlace).append(cause), "x", "y").code; };
  EXPECT_EQ(code("-OOM command not allowed when used memory > 'maxmemory'."), ErrorCode::queue_full);
  EXPECT_EQ(code("-READONLY You can't write against a read only replica."), ErrorCode::unavailable);
  EXPECT_EQ(code("-NOGROUP No such key 'a' or consumer group 'b'"), ErrorCode::backend);
  EXPECT_EQ(code("attempt to index a nil value"), ErrorCode::backend);
  EXPECT_THAT(
      error_of("ERR Error running script (call to f_0c): @user_script:22: WRONGTYPE Operation", "x", "y").message,
      HasSubstr("key_prefix"));
  EXPECT_EQ(error_of("OOM command not allowed", "x", "y").code, ErrorCode::queue_full);
}

}  // namespace
}  // namespace lrpc::queue::redis
