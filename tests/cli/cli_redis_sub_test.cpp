// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <csignal>

#include "redis_rig.hpp"

namespace lrpc::queue::test {
namespace {

/// A rig with messages in channel c of topic t.
struct Filled : RedisRig {
  explicit Filled(std::string_view lines) {
    EXPECT_EQ(out({"channels", "t", "--add", "c"}), "c\n");
    static_cast<void>(out({"pub", "t", "--batch", "100"}, lines));
  }
  [[nodiscard]] nlohmann::json stats() const { return json({"stats", "t", "c"}).at(0); }
};

TEST(RedisSub, MakesTheChannelAndPrintsAsItArrives) {
  const RedisRig rig;
  Process process(rig.words({"sub", "t", "c"}));
  while (rig.out({"channels", "t"}) != "c\n") {
  }
  static_cast<void>(rig.out({"pub", "t", "1"}));
  ASSERT_TRUE(process.wait_for_output("1\n"));
  static_cast<void>(rig.out({"pub", "t", "two"}));
  ASSERT_TRUE(process.wait_for_output("two\n"));
  process.signal(SIGTERM);
  const RunResult result = process.wait();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  // The second message is printed before it counts as handled.
  EXPECT_TRUE(result.err.empty() || result.err.starts_with("lrpc-queue: stopping, 1 running")) << result.err;
  EXPECT_EQ(rig.out({"depth", "t", "c"}), "0\n");
}

TEST(RedisSub, MaxLeavesTheRestUncounted) {
  const Filled rig("1\n2\n3\n4\n5\n");
  EXPECT_EQ(rig.take("t", "c", 3), "1\n2\n3\n");
  EXPECT_EQ(rig.stats().at("ready"), 2);
  for (const auto& message : rig.json({"sub", "t", "c", "--max", "2"})) EXPECT_EQ(message.at("attempts"), 1);
  EXPECT_EQ(rig.stats().at("depth"), 0);
}

TEST(RedisSub, MaxHoldsForCommandsToo) {
  std::string lines;
  for (int i = 0; i < 40; ++i) lines += std::to_string(i) + "\n";
  const Filled rig(lines);
  for (const char* const max : {"1", "7", "15"}) {
    const std::string printed = rig.out({"sub", "t", "c", "--max", max, "--exec", "echo $(cat)"});
    EXPECT_EQ(std::to_string(lines_of(printed).size()), max);
  }
  EXPECT_EQ(rig.stats().at("depth"), 17);
  EXPECT_EQ(rig.stats().at("in_flight"), 0);
}

TEST(RedisSub, IdleExitEndsItWhenNothingComes) {
  const Filled rig("1\n2\n");
  EXPECT_EQ(rig.out({"sub", "t", "c", "--idle-exit", "300ms"}), "1\n2\n");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(rig.out({"sub", "t", "c", "--idle-exit", "300ms", "--exec", "cat"}), "");
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(300));
}

TEST(RedisSub, IdleExitWaitsForRunningCommands) {
  const Filled rig("1\n");
  EXPECT_EQ(rig.out({"sub", "t", "c", "--idle-exit", "100ms", "--exec", "sleep 0.5; cat"}), "1");
}

TEST(RedisSub, ExitStatusDecides) {
  const Filled rig("\"done\"\n\"dead\"\n\"again\"\n\"temp\"\n");
  const std::string script =
      "case $(cat):$LRPC_MSG_ATTEMPTS in dead:1) exit 65;; again:1) exit 3;; temp:1) exit 75;; esac; "
      "echo $LRPC_MSG_TOPIC $LRPC_MSG_CHANNEL $LRPC_MSG_ATTEMPTS";
  const RunResult result =
      rig.run({"sub", "t", "c", "--exec", script, "--retry-delay", "10ms", "--max", "6", "--concurrency", "1", "-v"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "t c 1\nt c 2\nt c 2\n");
  EXPECT_EQ(lines_of(result.err).back(), "handled 3 retried 2 dead 1") << result.err;
  EXPECT_NE(result.err.find("attempt 1: exit status 3"), std::string::npos) << result.err;
  EXPECT_EQ(rig.stats().at("dead"), 1);
  EXPECT_EQ(rig.stats().at("depth"), 0);
}

TEST(RedisSub, RetriesEndInTheDeadLetters) {
  const Filled rig("1\n2\n");
  const RunResult result = rig.run({"sub", "t", "c", "--exec", "exit 1", "--max-retries", "1", "--retry-delay", "10ms",
                                    "--idle-exit", "500ms", "-v", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(lines_of(result.err).back(), R"({"handled":0,"retried":2,"dead":2})") << result.err;
  const auto letters = rig.json({"dlq", "list", "t", "c"});
  ASSERT_EQ(letters.size(), 2U);
  EXPECT_EQ(letters[0].at("reason"), "max_retries");
  EXPECT_EQ(letters[0].at("attempts"), 2);
}

TEST(RedisSub, HandlerTimeoutEndsACommandAndRetries) {
  const Filled rig("1\n");
  const RunResult result =
      rig.run({"sub", "t", "c", "--exec", "test $LRPC_MSG_ATTEMPTS = 2 || sleep 60; echo $LRPC_MSG_ATTEMPTS",
               "--handler-timeout", "200ms", "--retry-delay", "0", "--max", "2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "2\n");
}

TEST(RedisSub, ASignalLetsRunningCommandsFinishAndLeavesTheRest) {
  const TempFolder folder;
  const Filled rig("1\n2\n3\n");
  const std::string go = folder.path("go");
  Process process(rig.words({"sub", "t", "c", "--concurrency", "1", "--exec",
                             "echo begun; until [ -e '" + go + "' ]; do sleep 0.01; done; echo ended"}));
  ASSERT_TRUE(process.wait_for_output("begun\n"));
  process.signal(SIGINT);
  ASSERT_TRUE(process.wait_for_error("stopping, 1 running"));
  static_cast<void>(folder.file("go", ""));
  const RunResult result = process.wait();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "begun\nended\n");
  EXPECT_EQ(rig.stats().at("ready"), 2);
  for (const auto& message : rig.json({"sub", "t", "c", "--max", "2"})) EXPECT_EQ(message.at("attempts"), 1);
}

TEST(RedisSub, ASecondSignalKillsWhatRuns) {
  const Filled rig("1\n");
  Process process(rig.words({"sub", "t", "c", "--exec", "trap '' INT TERM; echo begun; sleep 60 & wait"}));
  ASSERT_TRUE(process.wait_for_output("begun\n"));
  process.signal(SIGTERM);
  ASSERT_TRUE(process.wait_for_error("a second signal"));
  process.signal(SIGTERM);
  const RunResult result = process.wait();
  EXPECT_EQ(result.exit_code, 143) << result.err;
}

TEST(RedisSub, BeforeMaxASignalIsTheExitCode) {
  const Filled rig("1\n");
  Process process(rig.words({"sub", "t", "c", "--max", "2"}));
  ASSERT_TRUE(process.wait_for_output("1\n"));
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait().exit_code, 143);
}

TEST(RedisSub, CommandsThatOutlastCloseTimeoutAreKilled) {
  const Filled rig("1\n");
  Process process(rig.words({"sub", "t", "c", "--exec", "echo begun; exec sleep 60"}),
                  {.environment = {"LRPC_QUEUE_CLOSE_TIMEOUT=200ms"}});
  ASSERT_TRUE(process.wait_for_output("begun\n"));
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait().exit_code, 143);
  EXPECT_EQ(rig.stats().at("depth"), 1);
}

TEST(RedisSub, ADeletedChannelEndsIt) {
  const Filled rig("1\n");
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

TEST(RedisSub, ALostReaderEndsItAndTheMessageStays) {
  const Filled rig("1\n");
  Process process(rig.words({"sub", "t", "c"}), {.closed_output = true});
  ASSERT_TRUE(process.wait_for_error("standard output"));
  EXPECT_EQ(process.wait().exit_code, 1);
  EXPECT_EQ(rig.stats().at("depth"), 1);
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

TEST(RedisSub, TheLeaseIsRenewedWhileNobodyReads) {
  // The output is larger than a pipe holds, and read only after several leases.
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += std::string(10'000, 'x') + std::to_string(i) + "\n";
  const Filled rig(lines);
  const TempFolder folder;
  std::string command = "'" LRPC_QUEUE_CLI "'";
  for (const std::string& word : rig.words({"sub", "t", "c", "--max", "100", "--ack-timeout", "300ms", "-v"})) {
    command += " '" + word + "'";
  }
  const std::string out = folder.path("out");
  const std::string err = folder.path("err");
  ASSERT_EQ(std::system((command + " 2>'" + err + "' | { sleep 2; cat >'" + out + "'; }").c_str()), 0);
  EXPECT_EQ(read_file(out), lines);
  EXPECT_EQ(read_file(err), "handled 100 retried 0 dead 0\n");
  EXPECT_EQ(rig.stats().at("depth"), 0);
}

}  // namespace
}  // namespace lrpc::queue::test
