// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <regex>

#include "process.hpp"

namespace lrpc::queue::test {
namespace {

using nlohmann::json;

std::vector<json> json_lines(const std::string& path) {
  std::vector<json> result;
  for (const std::string& line : lines_of(read_file(path))) result.push_back(json::parse(line));
  return result;
}

std::string sorted(const std::string& text) {
  std::vector<std::string> lines = lines_of(text);
  std::ranges::sort(lines);
  std::string result;
  for (const std::string& line : lines) result += line + "\n";
  return result;
}

TEST(PipeExec, GivesTheBodyOnStdin) {
  const RunResult result = run({"pipe", "--exec", "printf '<'; cat; printf '>\\n'"}, "{\"a\" : 1.0}\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "<{\"a\" : 1.0}>\n");
  EXPECT_EQ(run({"pipe", "--exec", "printf '<'; cat; printf '>\\n'"}, "\"a\\tb\"\n").out, "<a\tb>\n");
  EXPECT_EQ(run({"pipe", "--exec", "printf '<'; cat; printf '>\\n'"}, "\n").out, "<>\n");
}

TEST(PipeExec, DescribesTheMessageInTheEnvironment) {
  const RunResult result =
      run({"pipe", "--exec",
           "echo \"$LRPC_MSG_ID|$LRPC_MSG_ATTEMPTS|$LRPC_MSG_TOPIC|$LRPC_MSG_CHANNEL|${LRPC_MSG_KEY-unset}|$KEPT\""},
          "a\n", {.environment = {"LRPC_MSG_ID=outer", "KEPT=yes"}});
  EXPECT_TRUE(std::regex_match(result.out, std::regex("[0-9A-HJKMNP-TV-Z]{26}\\|1\\|pipe\\|pipe\\|\\|yes\n")))
      << result.out;
}

TEST(PipeExec, RetriesUntilTheCommandSucceeds) {
  const RunResult result = run({"pipe", "--json", "--retry-delay", "1ms", "--exec",
                                "echo $LRPC_MSG_ATTEMPTS; test $LRPC_MSG_ATTEMPTS = 3 || exit 75"},
                               "a\n");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "1\n2\n3\n");
  const json summary = json::parse(result.err);
  EXPECT_EQ(summary.at("published"), 1);
  EXPECT_EQ(summary.at("handled"), 1);
  EXPECT_EQ(summary.at("retried"), 2);
  EXPECT_EQ(summary.at("dead"), 0);
  EXPECT_GT(summary.at("rate").get<double>(), 0);
  EXPECT_EQ(summary.size(), 5U);
}

TEST(PipeExec, WaitsForTheRetryDelay) {
  const auto begin = std::chrono::steady_clock::now();
  const RunResult result = run({"pipe", "--retry-delay", "300ms", "--max-retries", "1", "--exec", "exit 1"}, "a\n");
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(300));
  EXPECT_NE(result.err.find("published 1 handled 0 retried 1 dead 1"), std::string::npos) << result.err;
}

TEST(PipeExec, WritesDeadLettersWithTheirReason) {
  const TempFolder folder;
  const std::string file = folder.path("dead.jsonl");
  const RunResult result = run({"pipe", "--max-retries", "2", "--retry-delay", "1ms", "--dead-letters", file, "--exec",
                                "b=$(cat); case $b in good) exit 0;; bad) exit 65;; killed) kill -9 $$;; esac; exit 3"},
                               "good\nbad\nkilled\n{\"n\" : 1.50}\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("published 4 handled 1 retried 4 dead 3"), std::string::npos) << result.err;
  EXPECT_NE(read_file(file).find("\"body\":{\"n\" : 1.50},"), std::string::npos) << "the body's own bytes";

  const std::vector<json> dead = json_lines(file);
  ASSERT_EQ(dead.size(), 3U);
  const auto find = [&](const json& body) {
    return *std::ranges::find_if(dead, [&](const json& letter) { return letter.at("body") == body; });
  };
  const json bad = find("bad");
  EXPECT_EQ(bad.at("reason"), "rejected");
  EXPECT_EQ(bad.at("attempts"), 1);
  EXPECT_EQ(bad.at("error"), "exit status 65");
  EXPECT_EQ(bad.at("id").get<std::string>().size(), 26U);
  const std::regex instant("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z");
  EXPECT_TRUE(std::regex_match(bad.at("first_at").get<std::string>(), instant)) << bad;
  EXPECT_TRUE(std::regex_match(bad.at("last_at").get<std::string>(), instant)) << bad;
  EXPECT_LE(bad.at("first_at"), bad.at("last_at"));
  EXPECT_EQ(bad.size(), 7U);
  const json failed = find(json{{"n", 1.5}});
  EXPECT_EQ(failed.at("reason"), "max_retries");
  EXPECT_EQ(failed.at("attempts"), 3);
  EXPECT_EQ(failed.at("error"), "exit status 3");
  EXPECT_EQ(find("killed").at("error"), "ended by signal 9 (Killed)");
}

TEST(PipeExec, KeepsMoreDeadLettersThanAChannelDoes) {
  const TempFolder folder;
  const std::string file = folder.path("dead.jsonl");
  std::string input;
  for (int i = 0; i < 300; ++i) input += std::to_string(i) + "\n";
  const RunResult result =
      run({"pipe", "--max-retries", "0", "--dead-letters", file, "--exec", "exit 1", "--concurrency", "4"}, input,
          {.environment = {"LRPC_QUEUE_DEAD_LETTER_LIMIT=10", "LRPC_QUEUE_DEAD_LETTER=false"}});
  EXPECT_NE(result.err.find("published 300 handled 0 retried 0 dead 300"), std::string::npos) << result.err;
  std::string bodies;
  for (const json& letter : json_lines(file)) bodies += letter.at("body").dump() + "\n";
  EXPECT_EQ(sorted(bodies), sorted(input));
}

TEST(PipeExec, AppendsToTheDeadLettersOfEarlierRuns) {
  const TempFolder folder;
  const std::string file = folder.file("dead.jsonl", "{\"earlier\":true}\n");
  const RunResult result = run({"pipe", "--dead-letters", file, "--exec", "exit 65"}, "a\n");
  EXPECT_EQ(result.exit_code, 0);
  ASSERT_EQ(json_lines(file).size(), 2U);
  EXPECT_EQ(json_lines(file)[0].at("earlier"), true);
}

TEST(PipeExec, ADeadLetterThatCannotBeWrittenEndsTheRunAndIsShown) {
  const RunResult result =
      run({"pipe", "--dead-letters", "/dev/full", "--concurrency", "1", "--exec", "exit 65"}, "first\nsecond\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("/dev/full: No space left"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("\"body\":\"first\""), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("handled 0 retried 0 dead 0"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("read but not handled"), std::string::npos) << result.err;
}

TEST(PipeExec, ADeadLetterFileThatCannotBeOpenedIsAnErrorAtOnce) {
  const TempFolder folder;
  const RunResult result = run({"pipe", "--dead-letters", folder.path("no/such"), "--exec", "cat"}, "a\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("no/such"), std::string::npos) << result.err;
}

TEST(PipeExec, WithoutAFileDeadLettersAreCounted) {
  const RunResult result = run({"pipe", "--exec", "exit 65"}, "a\nb\n");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("published 2 handled 0 retried 0 dead 2"), std::string::npos) << result.err;
}

TEST(PipeExec, ACommandNeedNotReadItsStdin) {
  const std::string line = std::string(900'000, 'x') + "\n";
  const RunResult result = run({"pipe", "--exec", "true"}, line + line + line);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("handled 3 retried 0"), std::string::npos) << result.err;
  // One that closes it and goes on is waited for.
  EXPECT_EQ(run({"pipe", "--exec", "exec <&-; sleep 0.1; echo done"}, line).out, "done\n");
}

TEST(PipeExec, ALargeBodyPassesThroughACommandThatAnswersWhileItReads) {
  const std::string body(900'000, 'x');
  const RunResult result = run({"pipe", "--exec", "cat"}, body + "\n");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, body);
}

TEST(PipeExec, RunsAsManyCommandsAtOnceAsAsked) {
  const TempFolder folder;
  // Each waits for the other two: with fewer than three at once nothing would ever end.
  const std::string wait = "n=$(cat); d='" + folder.path("") + "'; : >$d/$n; " +
                           "until [ -e $d/1 ] && [ -e $d/2 ] && [ -e $d/3 ]; do sleep 0.01; done";
  const RunResult result = run({"pipe", "--concurrency", "3", "--exec", wait}, "1\n2\n3\n");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("handled 3"), std::string::npos) << result.err;
}

TEST(PipeExec, RunsNoMoreCommandsAtOnceThanAsked) {
  const TempFolder folder;
  // mkdir fails while another command holds the folder.
  const std::string hold =
      "mkdir '" + folder.path("lock") + "' || exit 65; sleep 0.02; rmdir '" + folder.path("lock") + "'";
  const RunResult result = run({"pipe", "--concurrency", "1", "--exec", hold}, "1\n2\n3\n4\n5\n");
  EXPECT_NE(result.err.find("handled 5 retried 0 dead 0"), std::string::npos) << result.err;
}

TEST(PipeExec, HandlerTimeoutEndsTheWholeProcessGroupAndCountsAsAFailure) {
  const TempFolder folder;
  const std::string dead = folder.path("dead");
  const std::string grandchild = folder.path("pid");
  const auto begin = std::chrono::steady_clock::now();
  const RunResult result = run({"pipe", "--handler-timeout", "200ms", "--max-retries", "0", "--dead-letters", dead,
                                "--exec", "sleep 60 & echo $! >'" + grandchild + "'; wait"},
                               "a\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
  EXPECT_EQ(result.exit_code, 0);
  ASSERT_EQ(json_lines(dead).size(), 1U);
  EXPECT_EQ(json_lines(dead)[0].at("error"), "still running after 200ms (handler_timeout)");
  const std::string stat = read_file("/proc/" + std::to_string(std::stoi(read_file(grandchild))) + "/stat");
  EXPECT_TRUE(stat.empty() || stat.find(") Z ") != std::string::npos) << "the grandchild lives on: " << stat;
}

TEST(PipeExec, HandlerTimeoutEndsACommandThatIgnoresSigterm) {
  const auto begin = std::chrono::steady_clock::now();
  const RunResult result = run({"pipe", "--handler-timeout", "100ms", "--max-retries", "0", "--exec",
                                "trap '' TERM; while :; do sleep 0.05; done"},
                               "a\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
  EXPECT_NE(result.err.find("dead 1"), std::string::npos) << result.err;
}

TEST(PipeExec, ALongCommandKeepsItsLease) {
  const RunResult result = run({"pipe", "--ack-timeout", "100ms", "--exec", "echo run; sleep 0.7"}, "a\n");
  EXPECT_EQ(result.out, "run\n") << "handed out again while its command ran";
  EXPECT_NE(result.err.find("handled 1 retried 0"), std::string::npos) << result.err;
}

TEST(PipeExec, AMessageTtlThatWasAskedForGivesUpWhatWaitedTooLong) {
  const TempFolder folder;
  const std::string dead = folder.path("dead");
  const RunResult result = run({"pipe", "--concurrency", "1", "--dead-letters", dead, "--exec", "cat; echo; sleep 2.5"},
                               "first\nsecond\n", {.environment = {"LRPC_QUEUE_MESSAGE_TTL=1s"}});
  EXPECT_EQ(result.out, "first\n");
  EXPECT_NE(result.err.find("published 2 handled 1 retried 0 dead 1"), std::string::npos) << result.err;
  ASSERT_EQ(json_lines(dead).size(), 1U);
  EXPECT_EQ(json_lines(dead)[0].at("reason"), "expired");
  EXPECT_EQ(json_lines(dead)[0].at("body"), "second");
}

TEST(PipeExec, VerboseTellsOfEachFailure) {
  const RunResult result = run({"pipe", "-v", "--max-retries", "1", "--retry-delay", "1ms", "--exec", "exit 7"}, "a\n");
  EXPECT_NE(result.err.find("attempt 1: exit status 7: will be retried"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("attempt 2: exit status 7: given up"), std::string::npos) << result.err;
}

TEST(PipeExec, SignalsAndPipesAreTheUsualOnesInACommand) {
  // SIGPIPE must end `yes`, and no signal may be blocked.
  const RunResult result = run({"pipe", "--exec", "yes | head -n 1; grep -E '^Sig(Blk|Ign)' /proc/self/status"}, "a\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 3U) << result.out;
  EXPECT_EQ(lines[0], "y");
  for (const std::string& line : {lines[1], lines[2]}) {
    constexpr unsigned long long usual_signals = 0x7FFF'FFFF;  // those above are the C library's own
    EXPECT_EQ(std::stoull(line.substr(line.find(':') + 1), nullptr, 16) & usual_signals, 0U) << line;
  }
}

}  // namespace
}  // namespace lrpc::queue::test
