// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "rig.hpp"

namespace lrpc::queue::test {
namespace {

constexpr std::size_t kIdLength = 26;

TEST(RemotePub, BodiesArriveByteForByteAndIdsArePrinted) {
  const Rig rig;
  EXPECT_EQ(rig.out({"channels", "t", "--add", "c"}), "c\n");
  const auto ids = lines_of(rig.out({"pub", "t", "--", "{\"a\" :1.0}", "plain", "\"x\\ty\"", "", "-5", "--text"}));
  ASSERT_EQ(ids.size(), 6U);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 6U);
  for (const std::string& id : ids) EXPECT_EQ(id.size(), kIdLength) << id;
  EXPECT_EQ(rig.take("t", "c", 6), "{\"a\" :1.0}\nplain\nx\ty\n\n-5\n--text\n");
}

TEST(RemotePub, LinesOfStdinAndTextAndJson) {
  const Rig rig;
  EXPECT_EQ(rig.out({"channels", "t", "--add", "c"}), "c\n");
  const auto ids = rig.json({"pub", "t", "--text"}, "{\"a\":1}\nb\n\nlast");
  ASSERT_EQ(ids.size(), 4U);
  for (const auto& id : ids) {
    EXPECT_EQ(id.size(), 1U);
    EXPECT_EQ(id.at("id").get<std::string>().size(), kIdLength);
  }
  const auto messages = rig.json({"sub", "t", "c", "--max", "4"});
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0].at("body"), "{\"a\":1}");
  EXPECT_EQ(messages[2].at("body"), "");
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(messages[i].at("id"), ids[i].at("id"));
}

TEST(RemotePub, EachLineIsPublishedAsItArrives) {
  const Rig rig;
  for (const char* const batch : {"1", "100"}) {
    Process process(rig.words({"pub", "t", "--batch", batch}));
    process.write("1\n2");
    ASSERT_TRUE(process.wait_for_output("\n"));
    EXPECT_EQ(lines_of(process.output()).size(), 1U) << "half a line is none yet";
    process.write("2\n");
    const std::string first = process.output();
    while (lines_of(process.output()).size() < 2) ASSERT_TRUE(process.wait_for_output("\n"));
    EXPECT_EQ(process.wait().exit_code, 0);
  }
  EXPECT_EQ(rig.out({"channels", "t", "--add", "c"}), "c\n");
  EXPECT_EQ(rig.take("t", "c", 4), "1\n22\n1\n22\n");
}

TEST(RemotePub, BatchesKeepTheOrder) {
  const Rig rig;
  EXPECT_EQ(rig.out({"channels", "t", "--add", "c"}), "c\n");
  std::string lines;
  for (int i = 0; i < 5'000; ++i) lines += std::to_string(i) + "\n";
  EXPECT_EQ(lines_of(rig.out({"pub", "t", "--batch", "300"}, lines)).size(), 5'000U);
  EXPECT_EQ(rig.take("t", "c", 5'000), lines);
}

TEST(RemotePub, KeyHeadersDelayAndTtl) {
  const Rig rig;
  EXPECT_EQ(rig.out({"channels", "t", "--add", "c"}), "c\n");
  static_cast<void>(rig.out({"pub", "t", "--header", "a=1=2", "--header", "b=", "now", "--key", "k", "--ttl", "0"}));
  const auto messages = rig.json({"sub", "t", "c", "--max", "1"});
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(messages[0].at("headers"), (nlohmann::json{{"a", "1=2"}, {"b", ""}}));
  EXPECT_EQ(messages[0].at("key"), "k");
  EXPECT_EQ(messages[0].at("attempts"), 1);
  EXPECT_GT(messages[0].at("timestamp").get<std::int64_t>(), 1'700'000'000);
  EXPECT_EQ(messages[0].size(), 6U);
  static_cast<void>(rig.out({"pub", "t", "later", "--delay", "1h"}));
  const auto waiting = rig.json({"stats", "t", "c"})[0];
  EXPECT_EQ(waiting.at("depth"), 1);
  if (rig.parts_delayed()) {
    EXPECT_EQ(waiting.at("delayed"), 1);
  }
  static_cast<void>(rig.out({"pub", "t", "soon", "--delay", "300ms"}));
  EXPECT_EQ(rig.take("t", "c", 1), "soon\n");
}

TEST(RemotePub, ABadLineIsPassedOverAndNamed) {
  const Rig rig;
  EXPECT_EQ(rig.out({"channels", "t", "--add", "c"}), "c\n");
  const Start small{.environment = {"LRPC_QUEUE_MAX_BODY_SIZE=8"}};
  // The quotes of text count.
  const RunResult result = rig.run({"pub", "t", "--batch", "10"}, "1\n\xff\n123456789\nabcdefg\nabcdef\n", small);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(lines_of(result.out).size(), 2U);
  for (const char* const said : {"standard input:2: not published", "standard input:3: not published: 9 bytes",
                                 "standard input:4: not published: 9 bytes", "max_body_size 8"}) {
    EXPECT_NE(result.err.find(said), std::string::npos) << said << result.err;
  }
  EXPECT_EQ(lines_of(result.err).size(), 3U) << result.err;
  EXPECT_EQ(rig.take("t", "c", 2), "1\nabcdef\n");
}

TEST(RemotePub, ASignalOrALostReaderEndsIt) {
  const Rig rig;
  Process process(rig.words({"pub", "t"}));
  process.write("1\n");
  ASSERT_TRUE(process.wait_for_output("\n"));
  process.signal(SIGTERM);
  EXPECT_FALSE(process.wait_for_output("never")) << "it ends while its stdin is open";
  EXPECT_EQ(process.wait().exit_code, 143);

  Process unread(rig.words({"pub", "t"}), {.closed_output = true});
  ASSERT_TRUE(unread.wait_for_error("standard output"));  // its stdin is still open
  EXPECT_EQ(unread.wait().exit_code, 1);
}

}  // namespace
}  // namespace lrpc::queue::test
