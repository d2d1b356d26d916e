// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "process.hpp"

namespace lrpc::queue::test {
namespace {

std::string numbers(int count) {
  std::string text;
  for (int i = 1; i <= count; ++i) text += std::to_string(i) + "\n";
  return text;
}

TEST(PipeInput, PrintsEveryBodyInOrder) {
  const RunResult result = run({"pipe"}, numbers(20'000));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, numbers(20'000));
  EXPECT_NE(result.err.find("published 20000 handled 20000 retried 0 dead 0 ("), std::string::npos) << result.err;
  EXPECT_NE(result.err.find(" msg/s)"), std::string::npos) << result.err;
}

TEST(PipeInput, KeepsJsonByteForByteAndShowsStringsAsText) {
  const std::string input =
      "{\"b\" : 1.0,\"a\":[1e2, -0 ],\"a\":null}\n"
      "  [ 1 ,2]\t\n"
      "\"a \\u00e9 \\\"quoted\\\" string\"\n"
      "plain text, not {json\n"
      "\n"
      "12345678901234567890123\n"
      "true\n";
  const RunResult result = run({"pipe"}, input);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out,
            "{\"b\" : 1.0,\"a\":[1e2, -0 ],\"a\":null}\n"
            "  [ 1 ,2]\t\n"
            "a \xC3\xA9 \"quoted\" string\n"
            "plain text, not {json\n"
            "\n"
            "12345678901234567890123\n"
            "true\n");
  EXPECT_NE(result.err.find("published 7 handled 7"), std::string::npos) << result.err;
}

TEST(PipeInput, TextTakesEveryLineAsAString) {
  const TempFolder folder;
  const RunResult result =
      run({"pipe", "--text", "--exec", "exit 65", "--dead-letters", folder.path("dead")}, "\"quoted\"\n");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(nlohmann::json::parse(read_file(folder.path("dead"))).at("body"), "\"quoted\"");
  EXPECT_EQ(run({"pipe", "--text"}, "\"quoted\"\n{\"a\":1}\n").out, "\"quoted\"\n{\"a\":1}\n");
}

TEST(PipeInput, TheLastLineNeedsNoNewlineAndNoInputIsNoBody) {
  EXPECT_EQ(run({"pipe"}, "a\nb").out, "a\nb\n");
  const RunResult empty = run({"pipe"}, "");
  EXPECT_EQ(empty.exit_code, 0);
  EXPECT_EQ(empty.out, "");
  EXPECT_NE(empty.err.find("published 0 handled 0 retried 0 dead 0"), std::string::npos) << empty.err;
}

TEST(PipeInput, ReadsFilesAndStdinInTheGivenOrder) {
  const TempFolder folder;
  const RunResult result =
      run({"pipe", folder.file("1", "a\nb"), "-", folder.file("empty", ""), folder.file("2", "e\n")}, "c\nd\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "a\nb\nc\nd\ne\n");
}

TEST(PipeInput, ReadsANamedPipeThatIsOpenedLater) {
  const TempFolder folder;
  const std::string fifo = folder.path("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  Process process({"pipe", "-", fifo});
  process.write("first\n");
  ASSERT_TRUE(process.wait_for_output("first\n"));
  std::jthread writer([&] { EXPECT_EQ(::system(("echo second >'" + fifo + "'").c_str()), 0); });
  EXPECT_EQ(process.wait().out, "first\nsecond\n");
}

TEST(PipeInput, AFileThatCannotBeReadIsAnErrorBeforeAnythingIsDone) {
  const TempFolder folder;
  const std::string good = folder.file("good", "a\n");
  for (const std::string& bad : {folder.path("missing"), folder.path("")}) {
    const RunResult result = run({"pipe", good, bad});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find(bad), std::string::npos) << result.err;
  }
}

TEST(PipeInput, PrintsABodyAsSoonAsItArrives) {
  Process process({"pipe"});
  process.write("one\n");
  EXPECT_TRUE(process.wait_for_output("one\n"));
  process.write("two\n");
  EXPECT_TRUE(process.wait_for_output("two\n"));
  EXPECT_EQ(process.wait().exit_code, 0);
}

TEST(PipeInput, ALineThatCannotBePublishedIsNamedAndTheOthersAreHandled) {
  const std::string too_long(2'000'000, 'x');
  const std::string just_too_long(1 << 20, 'x');  // with its quotes
  const RunResult result = run({"pipe"}, "a\n" + too_long + "\nb\n\xFF\xFE\nc\n" + just_too_long + "\n" + too_long);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "a\nb\nc\n");
  EXPECT_NE(result.err.find("standard input:2: not published: 2000000 bytes"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("standard input:4: not published: neither JSON nor UTF-8"), std::string::npos);
  EXPECT_NE(result.err.find("standard input:6: not published"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("standard input:7: not published"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("max_body_size"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("published 3 handled 3 retried 0 dead 0"), std::string::npos) << result.err;
}

TEST(PipeInput, ABodyOfTheLargestSizeIsHandled) {
  const std::string body(static_cast<std::size_t>((1 << 20) - 2), 'x');
  const RunResult result = run({"pipe", "--exec", "wc -c"}, body + "\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(std::stoul(result.out), body.size());
}

TEST(PipeInput, AFullQueueMakesTheReaderWait) {
  const Start small{.environment = {"LRPC_QUEUE_MAX_MSG_SIZE=3"}};
  const RunResult printed = run({"pipe"}, numbers(500), small);
  EXPECT_EQ(printed.exit_code, 0) << printed.err;
  EXPECT_EQ(printed.out, numbers(500));
  const RunResult result = run({"pipe", "--exec", "echo $(cat)", "--concurrency", "8"}, numbers(100), small);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto lines = lines_of(result.out);
  EXPECT_EQ(std::set<std::string>(lines.begin(), lines.end()).size(), 100U);
}

TEST(PipeInput, AQueueWithoutAnyRoomIsAnErrorAndNotAWait) {
  const RunResult result = run({"pipe"}, "a\n", {.environment = {"LRPC_QUEUE_MAX_MSG_SIZE=0"}});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("max_msg_size"), std::string::npos) << result.err;
}

/// Writes `chunk` again and again until the process has taken no more for a while, then ends the process; returns its
/// summary. `at_most` chunks are written to a process that never stops reading.
nlohmann::json summary_of_a_stalled_reader(Process& process, const std::string& chunk, int at_most) {
  std::atomic<int> written = 0;
  std::jthread feeder([&] {
    while (written < at_most && process.write(chunk)) ++written;
  });
  for (int before = -1; before != written || written == 0;) {
    before = written;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  process.signal(SIGINT);
  EXPECT_TRUE(process.wait_for_error("a second signal"));
  process.signal_until_end(SIGINT);
  feeder.join();
  const RunResult result = process.wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_LT(written, at_most);
  return nlohmann::json::parse(lines_of(result.err).back());
}

TEST(PipeInput, AnEndlessInputIsReadOnlyAsFarAsThereIsRoom) {
  Process process({"pipe", "--json", "--exec", "exec sleep 60", "--concurrency", "2"});
  EXPECT_EQ(summary_of_a_stalled_reader(process, numbers(1'000), 1'000).at("published"), 10'000);
}

TEST(PipeInput, LargeBodiesAreBoundedByTheirBytes) {
  Process process({"pipe", "--json", "--exec", "exec sleep 60", "--concurrency", "1"});
  const std::string line = std::string(1'000'000, 'x') + "\n";
  EXPECT_EQ(summary_of_a_stalled_reader(process, line, 200).at("published"), (64 << 20) / 1'000'002);
}

TEST(PipeInput, DropOldestIsRefusedBecauseItLosesBodies) {
  const RunResult result = run({"pipe"}, "a\n", {.environment = {"LRPC_QUEUE_OVERFLOW=drop_oldest"}});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("drop_oldest"), std::string::npos) << result.err;
}

TEST(PipeInput, WorksOnASerialisingQueueToo) {
  const Start serialise{.environment = {"LRPC_QUEUE_MEMORY_CONFIG_SERIALIZE=true"}};
  const RunResult result = run({"pipe"}, "{\"a\" :1.0}\ntext\n", serialise);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "{\"a\" :1.0}\ntext\n");
}

}  // namespace
}  // namespace lrpc::queue::test
