// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "rig.hpp"

namespace lrpc::queue::test {
namespace {

TEST(RemoteTail, PrintsWhatIsKeptAndTakesNothing) {
  const Rig rig;
  static_cast<void>(rig.out({"channels", "t", "--add", "c"}));
  const auto ids = lines_of(rig.out({"pub", "t", "{\"a\" : 1}", "text", "--key", "k"}));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(rig.out({"tail", "t", "c", "--from-start", "--max", "2"}), "{\"a\" : 1}\ntext\n");
  }
  const auto messages = rig.json({"tail", "t", "--from-start", "--idle-exit", "300ms"});
  ASSERT_EQ(messages.size(), 2U) << "the only channel need not be named";
  EXPECT_EQ(messages[1].at("id"), ids[1]);
  EXPECT_EQ(messages[1].at("body"), "text");
  EXPECT_EQ(messages[1].at("key"), "k");
  EXPECT_EQ(messages[1].at("attempts"), 0);
  EXPECT_EQ(rig.out({"channels", "t"}), "c\n");
  EXPECT_EQ(rig.json({"stats", "t", "c"}).at(0).at("ready"), 2);
  EXPECT_EQ(rig.json({"sub", "t", "c", "--max", "1"}).at(0).at("attempts"), 1);
}

TEST(RemoteTail, FollowsFromNowOn) {
  const Rig rig;
  static_cast<void>(rig.out({"channels", "t", "--add", "c"}));
  static_cast<void>(rig.out({"pub", "t", "old"}));
  Process process(rig.words({"tail", "t", "c"}));
  for (int i = 0; i < 200 && process.output().empty(); ++i) {  // nothing tells when it has begun
    static_cast<void>(rig.out({"pub", "t", "new" + std::to_string(i)}));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  static_cast<void>(rig.out({"pub", "t", "last"}));
  EXPECT_TRUE(process.wait_for_output("last\n"));
  EXPECT_EQ(process.output().find("old"), std::string::npos);
  process.signal(SIGINT);
  EXPECT_EQ(process.wait().exit_code, 130);
}

TEST(RemoteTail, EndsWhenNobodyReads) {
  const Rig rig;
  static_cast<void>(rig.out({"channels", "t", "--add", "c"}));
  Process process(rig.words({"tail", "t", "c"}), {.closed_output = true});
  EXPECT_TRUE(process.wait_for_error("standard output"));
  EXPECT_EQ(process.wait().exit_code, 1);
}

}  // namespace
}  // namespace lrpc::queue::test
