// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "redis_rig.hpp"

namespace lrpc::queue::test {
namespace {

TEST(RedisPub, ARefusedPublishEndsItAndNamesTheLine) {
  const RedisRig rig;
  EXPECT_EQ(rig.out({"channels", "t", "--add", "c"}), "c\n");
  const Start small{.environment = {"LRPC_QUEUE_MAX_MSG_SIZE=2"}};
  const RunResult result = rig.run({"pub", "t"}, "1\n2\n3\n4\n", small);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(lines_of(result.out).size(), 2U);
  EXPECT_NE(result.err.find("standard input:3: not published"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("max_msg_size"), std::string::npos) << result.err;
}

TEST(RedisPub, AnUnreachableServerGives3) {
  const std::string nobody = "127.0.0.1:" + std::to_string(redis::free_port());
  const RunResult result = run({"pub", "t", "x", "--redis", nobody});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find(nobody), std::string::npos) << result.err;

  RedisRig rig;
  Process process(rig.words({"pub", "t"}));
  process.write("1\n");
  ASSERT_TRUE(process.wait_for_output("\n"));
  rig.server.kill();
  process.write("2\n");
  const RunResult lost = process.wait();
  // The dying connection may have taken it.
  const bool unknown = lost.err.find("standard input:2: perhaps not published") != std::string::npos;
  EXPECT_EQ(lost.exit_code, unknown ? 1 : 3) << lost.err;
  EXPECT_NE(lost.err.find("standard input:2: "), std::string::npos) << lost.err;
}

TEST(RedisPub, AUrlAndAPrefixAreUsed) {
  const RedisRig rig;
  const std::string url = "redis://" + rig.server.address() + "/3";
  EXPECT_EQ(run({"pub", "t", "x", "--redis", url, "--prefix", "mine:"}).exit_code, 0);
  EXPECT_EQ(run({"topics", "--redis", url, "--prefix", "mine:"}).out, "t\n");
  EXPECT_EQ(run({"topics", "--redis", url}).out, "");
  EXPECT_EQ(rig.out({"topics", "--prefix", "mine:"}), "") << "another database";
  const TempFolder folder;
  const std::string file = folder.file("q.yaml", "storage_type: redis\nredis_config:\n  addr: nowhere:1\n  db: 3\n");
  EXPECT_EQ(run({"topics", "--config", file, "--redis", rig.server.address(), "--prefix", "mine:"}).out, "t\n");
}

TEST(RedisSub, ADeletedChannelEndsIt) {
  const RedisRig rig;
  EXPECT_EQ(rig.out({"channels", "t", "--add", "c"}), "c\n");
  static_cast<void>(rig.out({"pub", "t", "1"}));
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--exec", "cat; echo"}}) {
    std::vector<std::string> words = rig.words({"sub", "t", "c"});
    words.insert(words.end(), more.begin(), more.end());
    Process process(words);
    if (!more.empty()) {
      while (rig.out({"channels", "t"}) != "c\n") {
      }
      static_cast<void>(rig.out({"pub", "t", "1"}));
    }
    ASSERT_TRUE(process.wait_for_output("1\n"));
    EXPECT_EQ(rig.out({"rm", "t", "c", "--yes"}), "removed c\n");
    ASSERT_TRUE(process.wait_for_error("was deleted"));
    EXPECT_EQ(process.wait().exit_code, 1);
  }
}

TEST(RedisSub, GoesOnWhenTheServerComesBack) {
  RedisRig rig;
  Process process(rig.words({"sub", "t", "c"}));
  while (rig.out({"channels", "t"}) != "c\n") {
  }
  rig.server.kill();
  rig.server.start();
  // What was in memory is gone with the server; the channel is rebuilt by its consumer.
  while (rig.out({"channels", "t"}) != "c\n") std::this_thread::sleep_for(std::chrono::milliseconds(50));
  static_cast<void>(rig.out({"pub", "t", "after"}));
  EXPECT_TRUE(process.wait_for_output("after\n"));
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait().exit_code, 0);
}

}  // namespace
}  // namespace lrpc::queue::test
