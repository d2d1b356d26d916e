// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/commit_note.hpp"

#include <random>

#include <gtest/gtest.h>

namespace lrpc::queue::kafka {
namespace {

CommitNote random_note(std::mt19937_64& random, std::int64_t watermark, std::size_t runs, std::size_t handed_out) {
  CommitNote note{.owner = random()};
  std::int64_t last = watermark;
  for (std::size_t i = 0; i < runs; ++i) {
    const std::int64_t first = last + 1 + static_cast<std::int64_t>(random() % 5);
    last = first + 1 + static_cast<std::int64_t>(random() % 3);
    note.settled.push_back({first, last});
  }
  last = watermark;
  for (std::size_t i = 0; i < handed_out; ++i) {
    note.handed_out.push_back({last, 1 + static_cast<std::int64_t>(random() % 3)});
    last += 1 + static_cast<std::int64_t>(random() % 4);
  }
  return note;
}

TEST(CommitNote, IsReadAsItWasWritten) {
  std::mt19937_64 random(1);
  for (std::size_t size = 0; size < 300; ++size) {
    const auto watermark = static_cast<std::int64_t>(random() >> 2);
    const CommitNote note = random_note(random, watermark, size, size / 2);
    const NoteText text = write_note(note, watermark);
    EXPECT_TRUE(text.all_settled);
    EXPECT_TRUE(text.all_handed_out);
    EXPECT_LE(text.text.size(), kMostMetadata);
    EXPECT_EQ(read_note(text.text, watermark), note);
  }
}

TEST(CommitNote, AThousandRunsFindRoomInWhatABrokerTakes) {
  std::mt19937_64 random(2);
  const CommitNote note = random_note(random, 1'000'000'000'000, 1000, 0);
  EXPECT_TRUE(write_note(note, 1'000'000'000'000).all_settled);
}

TEST(CommitNote, WhatFindsNoRoomIsLeftOutAndSaid) {
  std::mt19937_64 random(3);
  const CommitNote note = random_note(random, 7, 3000, 3000);
  for (const std::size_t most : {128U, 1000U, 4096U}) {
    const NoteText text = write_note(note, 7, most);
    EXPECT_LE(text.text.size(), most);
    EXPECT_FALSE(text.all_settled);
    EXPECT_FALSE(text.all_handed_out);
    const auto read = read_note(text.text, 7);
    ASSERT_TRUE(read.has_value());
    ASSERT_LT(read->settled.size(), note.settled.size());
    EXPECT_TRUE(std::equal(read->settled.begin(), read->settled.end(), note.settled.begin()));
    EXPECT_TRUE(std::equal(read->handed_out.begin(), read->handed_out.end(), note.handed_out.begin()));
    EXPECT_FALSE(read->handed_out.empty()) << "a message that kills its process must be counted";
  }
}

TEST(CommitNote, WhatOthersWroteIsNone) {
  for (const char* text : {"", "1", "2AAAA", "hello", "1AAAAAAAAAA", "1AAAAAAAAAAAB", "1*"}) {
    EXPECT_FALSE(read_note(text, 0).has_value()) << text;
  }
}

TEST(CommitNote, ADamagedOneIsNoneOrOneInOrder) {
  std::mt19937_64 random(4);
  const std::string good = write_note(random_note(random, 50, 40, 40), 50).text;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = good;
    text[random() % text.size()] = static_cast<char>(random());
    if (i % 3 == 0) text.resize(random() % text.size());
    const auto note = read_note(text, 50);
    if (!note) continue;
    std::int64_t last = 50;
    for (const OffsetRange& run : note->settled) {
      ASSERT_LE(last, run.first);
      ASSERT_LT(run.first, run.end);
      last = run.end;
    }
  }
}

}  // namespace
}  // namespace lrpc::queue::kafka
