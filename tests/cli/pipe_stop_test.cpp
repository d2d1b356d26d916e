// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "process.hpp"

namespace lrpc::queue::test {
namespace {

bool alive(const std::string& pid) {
  const std::string stat = read_file("/proc/" + pid + "/stat");
  return !stat.empty() && stat.find(") Z ") == std::string::npos;
}

/// Waits for the end of a process that was killed.
bool ends(const std::string& pid) {
  for (int i = 0; i < 500 && alive(pid); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return !alive(pid);
}

TEST(PipeStop, ASignalStopsReadingAndLetsRunningCommandsFinish) {
  const TempFolder folder;
  for (const auto& [number, exit_code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}, std::pair{SIGHUP, 129}}) {
    const std::string go = folder.path("go" + std::to_string(number));
    Process process({"pipe", "--concurrency", "1", "--exec",
                     "echo begun; until [ -e '" + go + "' ]; do sleep 0.01; done; echo ended"});
    process.write("1\n2\n3\n");
    ASSERT_TRUE(process.wait_for_output("begun\n"));
    process.signal(number);
    ASSERT_TRUE(process.wait_for_error("stopping, 1 running"));
    static_cast<void>(folder.file("go" + std::to_string(number), ""));
    // Its stdin stays open: the end of the input is not what it waits for.
    ASSERT_TRUE(process.wait_for_error("published "));
    const RunResult result = process.wait();
    EXPECT_EQ(result.exit_code, exit_code);
    EXPECT_EQ(result.out, "begun\nended\n");
    EXPECT_NE(result.err.find(" handled 1 retried 0 dead 0"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("read but not handled"), std::string::npos) << result.err;
  }
}

TEST(PipeStop, ASecondSignalKillsWhatRuns) {
  Process process({"pipe", "--exec", "trap '' INT TERM; sleep 60 & echo pid $! end; wait"});
  process.write("1\n");
  ASSERT_TRUE(process.wait_for_output(" end\n"));
  const std::string pid = process.output().substr(4, process.output().find(" end") - 4);
  ASSERT_TRUE(alive(pid));
  process.signal(SIGTERM);
  ASSERT_TRUE(process.wait_for_error("a second signal"));
  const auto begin = std::chrono::steady_clock::now();
  process.signal_until_end(SIGTERM);
  // Its stdout ends only when the command has ended too.
  const RunResult result = process.wait();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_EQ(result.exit_code, 143);
  EXPECT_TRUE(ends(pid));
  EXPECT_NE(result.err.find("published 1 handled 0 retried 0 dead 0"), std::string::npos) << result.err;
}

// As timeout(1) says it: to the program, and to its process group.
TEST(PipeStop, SignalsAtOneMomentAreOne) {
  const TempFolder folder;
  const std::string go = folder.path("go");
  Process process({"pipe", "--exec", "echo begun; until [ -e '" + go + "' ]; do sleep 0.01; done; echo ended"});
  process.write("1\n");
  ASSERT_TRUE(process.wait_for_output("begun\n"));
  process.signal(SIGSTOP);  // so that it meets both at once
  process.signal(SIGINT);
  process.signal(SIGTERM);
  process.signal(SIGCONT);
  ASSERT_TRUE(process.wait_for_error("stopping, 1 running"));
  static_cast<void>(folder.file("go", ""));
  const RunResult result = process.wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_EQ(result.out, "begun\nended\n");
}

TEST(PipeStop, CommandsThatOutlastCloseTimeoutAreKilledAndNotCounted) {
  const TempFolder folder;
  Process process(
      {"pipe", "--max-retries", "0", "--dead-letters", folder.path("dead"), "--exec", "echo begun; exec sleep 60"},
      {.environment = {"LRPC_QUEUE_CLOSE_TIMEOUT=200ms"}});
  process.write("1\n");
  ASSERT_TRUE(process.wait_for_output("begun\n"));
  const auto begin = std::chrono::steady_clock::now();
  process.signal(SIGINT);
  const RunResult result = process.wait();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_EQ(read_file(folder.path("dead")), "");
  EXPECT_NE(result.err.find("1 read but not handled"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("handled 0 retried 0 dead 0"), std::string::npos) << result.err;
}

TEST(PipeStop, ASignalWhileWaitingForInputOrForARetryEndsIt) {
  Process idle({"pipe"});
  idle.write("1\n");
  ASSERT_TRUE(idle.wait_for_output("1\n"));
  idle.signal(SIGINT);
  EXPECT_TRUE(idle.wait_for_error("published 1 handled 1"));
  EXPECT_EQ(idle.wait().exit_code, 130);

  Process retry({"pipe", "--exec", "echo tried; exit 1", "--retry-delay", "1h"});
  retry.write("1\n");
  ASSERT_TRUE(retry.wait_for_output("tried\n"));
  retry.close_input();
  retry.signal(SIGTERM);
  const RunResult result = retry.wait();
  EXPECT_EQ(result.exit_code, 143);
  EXPECT_NE(result.err.find("1 read but not handled"), std::string::npos) << result.err;
}

TEST(PipeStop, AnIgnoredSignalStaysIgnored) {
  Process process({"pipe"}, {.ignored_signals = {SIGHUP, SIGINT}});
  process.write("1\n");
  ASSERT_TRUE(process.wait_for_output("1\n"));
  process.signal(SIGHUP);
  process.signal(SIGINT);
  process.write("2\n");
  EXPECT_TRUE(process.wait_for_output("2\n"));
  EXPECT_EQ(process.wait().exit_code, 0);
}

TEST(PipeStop, ALostReaderOfStdoutEndsItWithoutWaitingForInput) {
  const Start lost{.closed_output = true};
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"pipe"}, std::vector<std::string>{"pipe", "--exec", "cat", "--max-retries", "0"}}) {
    Process process(arguments, lost);
    process.write("1\n");
    // Its stdin is still open.
    EXPECT_TRUE(process.wait_for_error("published "));
    const RunResult result = process.wait();
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_NE(result.err.find("standard output"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(" dead 0"), std::string::npos) << "not the body's fault: " << result.err;
  }
}

TEST(PipeStop, ProgressIsShownOnATerminalOnly) {
  const std::string slow = "sleep 0.6";
  Process process({"pipe", "--exec", slow}, {.terminal = true});
  process.write("1\n");
  EXPECT_TRUE(process.wait_for_error("\rpublished 1 handled 0 retried 0 dead 0 (0.0 msg/s), 1 running"));
  const RunResult shown = process.wait();
  EXPECT_EQ(shown.exit_code, 0);
  EXPECT_NE(shown.err.find("published 1 handled 1 retried 0 dead 0"), std::string::npos) << shown.err;
  const RunResult hidden = run({"pipe", "--exec", slow}, "1\n");
  EXPECT_EQ(lines_of(hidden.err).size(), 1U) << hidden.err;
  EXPECT_EQ(hidden.err.find('\r'), std::string::npos);
}

}  // namespace
}  // namespace lrpc::queue::test
