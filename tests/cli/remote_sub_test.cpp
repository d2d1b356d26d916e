// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <string>

#include "rig.hpp"

namespace lrpc::queue::test {
namespace {

std::string in_ms(std::chrono::milliseconds time) { return std::to_string(time.count()) + "ms"; }

TEST(RemoteSub, MakesTheChannelAndPrintsAsItArrives) {
  const Rig rig;
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

TEST(RemoteSub, MaxLeavesTheRestUncounted) {
  const Filled rig("1\n2\n3\n4\n5\n");
  EXPECT_EQ(rig.take("t", "c", 3), "1\n2\n3\n");
  EXPECT_EQ(rig.stats().at("ready"), 2);
  for (const auto& message : rig.json({"sub", "t", "c", "--max", "2"})) EXPECT_EQ(message.at("attempts"), 1);
  EXPECT_EQ(rig.stats().at("depth"), 0);
}

TEST(RemoteSub, MaxHoldsForCommandsToo) {
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

TEST(RemoteSub, IdleExitEndsItWhenNothingComes) {
  const Filled rig("1\n2\n");
  EXPECT_EQ(rig.out({"sub", "t", "c", "--idle-exit", in_ms(rig.settling())}), "1\n2\n");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(rig.out({"sub", "t", "c", "--idle-exit", "300ms", "--exec", "cat"}), "");
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(300));
}

TEST(RemoteSub, IdleExitWaitsForRunningCommands) {
  const Filled rig("1\n");
  const auto longer = rig.settling() + std::chrono::milliseconds(400);
  const std::string command = "sleep " + std::to_string(static_cast<double>(longer.count()) / 1000.0) + "; cat";
  EXPECT_EQ(rig.out({"sub", "t", "c", "--idle-exit", in_ms(rig.settling()), "--exec", command}), "1");
}

TEST(RemoteSub, ExitStatusDecides) {
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

TEST(RemoteSub, RetriesEndInTheDeadLetters) {
  const Filled rig("1\n2\n");
  const RunResult result =
      rig.run({"sub", "t", "c", "--exec", "exit 1", "--max-retries", "1", "--retry-delay", "10ms", "--idle-exit",
               in_ms(rig.settling() + std::chrono::milliseconds(400)), "-v", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(lines_of(result.err).back(), R"({"handled":0,"retried":2,"dead":2})") << result.err;
  const auto letters = rig.json({"dlq", "list", "t", "c"});
  ASSERT_EQ(letters.size(), 2U);
  EXPECT_EQ(letters[0].at("reason"), "max_retries");
  EXPECT_EQ(letters[0].at("attempts"), 2);
}

TEST(RemoteSub, HandlerTimeoutEndsACommandAndRetries) {
  const Filled rig("1\n");
  const RunResult result =
      rig.run({"sub", "t", "c", "--exec", "test $LRPC_MSG_ATTEMPTS = 2 || sleep 60; echo $LRPC_MSG_ATTEMPTS",
               "--handler-timeout", "200ms", "--retry-delay", "0", "--max", "2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "2\n");
}

TEST(RemoteSub, ASignalLetsRunningCommandsFinishAndLeavesTheRest) {
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

TEST(RemoteSub, ASecondSignalKillsWhatRuns) {
  const Filled rig("1\n");
  Process process(rig.words({"sub", "t", "c", "--exec", "trap '' INT TERM; echo begun; sleep 60 & wait"}));
  ASSERT_TRUE(process.wait_for_output("begun\n"));
  process.signal(SIGTERM);
  ASSERT_TRUE(process.wait_for_error("a second signal"));
  process.signal_until_end(SIGTERM);
  const RunResult result = process.wait();
  EXPECT_EQ(result.exit_code, 143) << result.err;
}

TEST(RemoteSub, BeforeMaxASignalIsTheExitCode) {
  const Filled rig("1\n");
  Process process(rig.words({"sub", "t", "c", "--max", "2"}));
  ASSERT_TRUE(process.wait_for_output("1\n"));
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait().exit_code, 143);
}

TEST(RemoteSub, CommandsThatOutlastCloseTimeoutAreKilled) {
  const Filled rig("1\n");
  Process process(rig.words({"sub", "t", "c", "--exec", "echo begun; exec sleep 60"}),
                  {.environment = {"LRPC_QUEUE_CLOSE_TIMEOUT=200ms"}});
  ASSERT_TRUE(process.wait_for_output("begun\n"));
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait().exit_code, 143);
  EXPECT_EQ(rig.stats().at("depth"), 1);
}

TEST(RemoteSub, ALostReaderEndsItAndTheMessageStays) {
  const Filled rig("1\n");
  Process process(rig.words({"sub", "t", "c"}), {.closed_output = true});
  ASSERT_TRUE(process.wait_for_error("standard output"));
  EXPECT_EQ(process.wait().exit_code, 1);
  EXPECT_EQ(rig.stats().at("depth"), 1);
}

TEST(RemoteSub, TheLeaseIsRenewedWhileNobodyReads) {
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
