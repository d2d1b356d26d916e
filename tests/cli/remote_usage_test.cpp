// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What the commands that need a server refuse before they look for one.
#include <gtest/gtest.h>

#include "process.hpp"

namespace lrpc::queue::test {
namespace {

using Words = std::vector<std::string>;

const std::vector<Words> kCommands{{"pub", "t", "body"},
                                   {"pub", "t"},
                                   {"sub", "t", "c"},
                                   {"sub", "t", "c", "--exec", "true"},
                                   {"tail", "t"},
                                   {"tail", "t", "c"},
                                   {"topics"},
                                   {"channels", "t"},
                                   {"channels", "t", "--add", "c"},
                                   {"stats", "t"},
                                   {"stats", "t", "c"},
                                   {"depth", "t", "c"},
                                   {"dlq", "list", "t", "c"},
                                   {"dlq", "requeue", "t", "c"},
                                   {"dlq", "purge", "t", "c"},
                                   {"drain", "t", "c", "--yes"},
                                   {"rm", "t", "c", "--yes"},
                                   {"doctor"}};

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(RemoteUsage, OnMemoryTheyMakeNoSenseAndSaySo) {
  for (const Words& command : kCommands) {
    for (const Words& words : {command, with(command, {"--storage", "memory", "--json"})}) {
      const RunResult result = run(words, "line\n");
      EXPECT_EQ(result.exit_code, 2) << testing::PrintToString(words) << result.err;
      EXPECT_TRUE(result.err.starts_with("lrpc-queue: " + command[0])) << result.err;
      EXPECT_NE(result.err.find("--redis"), std::string::npos) << result.err;
      EXPECT_NE(result.err.find("--storage"), std::string::npos) << result.err;
      EXPECT_EQ(lines_of(result.err).size(), 1U) << result.err;
      EXPECT_EQ(result.out, "");
    }
  }
}

TEST(RemoteUsage, WrongUseExitsWith2BeforeAnyServerIsAsked) {
  struct Case {
    Words words;
    std::string said;
  };
  const std::vector<Case> cases{
      {{"pub"}, "TOPIC"},
      {{"pub", "a b", "x"}, "a b"},
      {{"pub", "t", "x", "--batch", "0"}, "--batch"},
      {{"pub", "t", "x", "--delay", "soon"}, "soon"},
      {{"pub", "t", "x", "--ttl", "-1s"}, "-1s"},
      {{"pub", "t", "x", "--header", "name"}, "NAME=VALUE"},
      {{"pub", "t", "x", "--header", "=value"}, "NAME=VALUE"},
      {{"sub", "t"}, "CHANNEL"},
      {{"sub", "t", "-c-"}, "-c-"},
      {{"sub", "t", "c", "--max", "0"}, "--max"},
      {{"sub", "t", "c", "--idle-exit", "never"}, "never"},
      {{"sub", "t", "c", "--concurrency", "2"}, "--exec"},
      {{"sub", "t", "c", "--handler-timeout", "2s"}, "--exec"},
      {{"sub", "t", "c", "--ack-timeout", "0"}, "ack_timeout"},
      {{"tail"}, "TOPIC"},
      {{"tail", "t", "c", "--max", "0"}, "--max"},
      {{"channels"}, "TOPIC"},
      {{"channels", "t", "--add", "a:b"}, "a:b"},
      {{"stats"}, "TOPIC"},
      {{"stats", "t", "a:b"}, "a:b"},
      {{"depth", "t"}, "CHANNEL"},
      {{"dlq"}, "subcommand is required"},
      {{"dlq", "eat", "t", "c"}, "\"eat\""},
      {{"dlq", "list", "t"}, "CHANNEL"},
      {{"dlq", "list", "t", "c", "--limit", "0"}, "--limit"},
      {{"dlq", "purge", "t", "c", "id"}, "id"},
      {{"drain", "t"}, "CHANNEL"},
      {{"drain", "t", "c"}, "--yes"},
      {{"rm", "t", "c"}, "--yes"},
      {{"topics", "--brokers", "localhost:1"}, "--brokers"},
      {{"topics", "--storage", "memory"}, "--redis"},
  };
  for (const Case& c : cases) {
    const RunResult result = run(with(c.words, {"--redis", "127.0.0.1:1"}));
    EXPECT_EQ(result.exit_code, 2) << testing::PrintToString(c.words) << result.err;
    EXPECT_TRUE(result.err.starts_with("lrpc-queue: ")) << result.err;
    EXPECT_NE(result.err.find(c.said), std::string::npos) << testing::PrintToString(c.words) << result.err;
    EXPECT_EQ(result.out, "") << testing::PrintToString(c.words);
  }
}

}  // namespace
}  // namespace lrpc::queue::test
