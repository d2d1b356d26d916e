// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lrpc/queue.hpp>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace lrpc::queue {
namespace {

TEST(MessageIdTest, TextIsTheSpecificationsExample) {
  // The specification's example, whose time part is 1469918176385 ms.
  const auto id = MessageId::parse("01ARYZ6S41TSV4RRFFQ69G5FAV");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->unix_ms(), 1469918176385);
  EXPECT_EQ(id->to_string(), "01ARYZ6S41TSV4RRFFQ69G5FAV");
}

TEST(MessageIdTest, EveryBitSurvivesTheText) {
  for (unsigned bit = 0; bit < 128; ++bit) {
    const MessageId id = bit < 64 ? MessageId{.high = 0, .low = std::uint64_t{1} << bit}
                                  : MessageId{.high = std::uint64_t{1} << (bit - 64), .low = 0};
    EXPECT_EQ(MessageId::parse(id.to_string()), id) << bit;
  }
}

TEST(MessageIdTest, RefusesWhatItWouldNotPrint) {
  for (const char* text :
       {"", "01ARYZ6S41TSV4RRFFQ69G5FA", "01ARYZ6S41TSV4RRFFQ69G5FAVX", "81ARYZ6S41TSV4RRFFQ69G5FAV",
        "01aryz6s41tsv4rrffq69g5fav", "01ARYZ6S41TSV4RRFFQ69G5FAU", "01ARYZ6S41TSV4RRFFQ69G5FA\xff"}) {
    EXPECT_FALSE(MessageId::parse(text)) << text;
  }
}

TEST(MessageIdTest, IncreasesWithinAThreadWhateverTheClockDoes) {
  MessageId last{};
  for (const std::int64_t ms : {1000, 1000, 1000, 2000, 500, 1999, 2000, 2001}) {
    const MessageId id = MessageId::generate(std::int64_t{4'000'000'000'000} + ms);
    EXPECT_GT(id, last);
    last = id;
  }
  EXPECT_EQ(last.unix_ms(), 4'000'000'002'001);
}

TEST(MessageIdTest, DiffersBetweenThreads) {
  std::mutex mutex;
  std::set<MessageId> all;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        std::vector<MessageId> mine;
        for (int i = 0; i < 5000; ++i) mine.push_back(MessageId::generate(4'100'000'000'000));
        const std::lock_guard lock(mutex);
        all.insert(mine.begin(), mine.end());
      });
    }
  }
  EXPECT_EQ(all.size(), 40'000U);
}

TEST(MessageIdTest, DiffersAfterFork) {
  static_cast<void>(MessageId::generate(4'200'000'000'000));
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const MessageId id = MessageId::generate(4'200'000'000'000);
    _exit(write(pipe_ends[1], &id, sizeof id) == static_cast<ssize_t>(sizeof id) ? 0 : 1);
  }
  const MessageId mine = MessageId::generate(4'200'000'000'000);
  MessageId theirs{};
  ASSERT_EQ(read(pipe_ends[0], &theirs, sizeof theirs), static_cast<ssize_t>(sizeof theirs));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_NE(mine, theirs);
  // Not just the next one of the same sequence.
  EXPECT_NE(mine.low + 1, theirs.low);
  EXPECT_NE(mine.low, theirs.low + 1);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

}  // namespace
}  // namespace lrpc::queue
