// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "rig.hpp"

namespace lrpc::queue::test {
namespace {

TEST(RemoteAdmin, TopicsAndChannelsAreListedSorted) {
  const Rig rig;
  EXPECT_EQ(rig.out({"topics"}), "");
  EXPECT_EQ(rig.json({"topics"}).at(0), nlohmann::json::parse(R"({"topics":[]})"));
  EXPECT_EQ(rig.out({"channels", "b", "--add", "z", "--add", "y"}), "y\nz\n");
  EXPECT_EQ(rig.out({"channels", "b", "--add", "y"}), "y\nz\n") << "one that is there stays";
  static_cast<void>(rig.out({"pub", "a", "x"}));
  EXPECT_EQ(rig.out({"topics"}), "a\nb\n");
  EXPECT_EQ(rig.out({"channels", "a"}), "");
  EXPECT_EQ(rig.json({"channels", "b"}).at(0), nlohmann::json::parse(R"({"topic":"b","channels":["y","z"]})"));
}

TEST(RemoteAdmin, StatsAndDepthCountWithoutMakingAChannel) {
  const Rig rig;
  static_cast<void>(rig.out({"channels", "t", "--add", "one", "--add", "two"}));
  static_cast<void>(rig.out({"pub", "t", "1", "2", "3"}));
  EXPECT_EQ(rig.take("t", "two", 1), "1\n");
  const auto all = rig.json({"stats", "t"});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0], nlohmann::json::parse(R"({"topic":"t","channel":"one","ready":3,"in_flight":0,"delayed":0,"dead":0,
                                              "depth":3})"));
  EXPECT_EQ(all[1].at("depth"), 2);
  EXPECT_EQ(rig.json({"stats", "t", "two"}), (std::vector<nlohmann::json>{all[1]}));
  const auto table = lines_of(rig.out({"stats", "t"}));
  ASSERT_EQ(table.size(), 3U);
  EXPECT_TRUE(table[0].starts_with("channel ")) << table[0];
  EXPECT_TRUE(table[2].starts_with("two ")) << table[2];
  EXPECT_EQ(rig.out({"depth", "t", "one"}), "3\n");
  EXPECT_EQ(rig.json({"depth", "t", "one"}).at(0), nlohmann::json::parse(R"({"topic":"t","channel":"one","depth":3})"));
  for (const char* const command : {"stats", "depth"}) {
    const RunResult result = rig.run({command, "t", "three"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("three"), std::string::npos) << result.err;
  }
  EXPECT_EQ(rig.out({"channels", "t"}), "one\ntwo\n");
}

/// A channel with three dead letters.
struct Dead : Rig {
  Dead() {
    static_cast<void>(out({"channels", "t", "--add", "c"}));
    ids = lines_of(out({"pub", "t", "{\"a\" : 1}", "two\twords", "3"}));
    static_cast<void>(out({"sub", "t", "c", "--exec", "exit 65", "--concurrency", "1", "--max", "3"}));
  }
  std::vector<std::string> ids;
};

TEST(RemoteAdmin, DeadLettersAreListed) {
  const Dead rig;
  const auto letters = rig.json({"dlq", "list", "t", "c"});
  ASSERT_EQ(letters.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(letters[i].at("id"), rig.ids[i]);
  EXPECT_EQ(letters[0].at("body"), nlohmann::json::parse("{\"a\":1}"));
  EXPECT_EQ(letters[1].at("body"), "two\twords");
  EXPECT_EQ(letters[0].at("reason"), "rejected");
  EXPECT_EQ(letters[0].at("error"), "exit status 65");
  EXPECT_EQ(letters[0].at("attempts"), 1);
  EXPECT_EQ(letters[0].size(), 7U);
  const auto lines = lines_of(rig.out({"dlq", "list", "t", "c"}));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_TRUE(lines[0].starts_with(rig.ids[0] + "\t")) << lines[0];
  EXPECT_TRUE(lines[0].ends_with("\trejected\t1\texit status 65\t{\"a\" : 1}")) << lines[0];
  EXPECT_TRUE(lines[1].ends_with("\t\"two\\twords\"")) << lines[1];
  EXPECT_EQ(lines_of(rig.out({"dlq", "list", "t", "c", "--limit", "2"})).size(), 2U);
  const auto one = rig.json({"dlq", "list", "t", "c", rig.ids[1]});
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].at("id"), rig.ids[1]);
}

TEST(RemoteAdmin, DeadLettersAreListedPageByPage) {
  const Rig rig;
  static_cast<void>(rig.out({"channels", "t", "--add", "c"}));
  std::string lines;
  for (int i = 0; i < 250; ++i) lines += std::to_string(i) + "\n";
  static_cast<void>(rig.out({"pub", "t", "--batch", "1000"}, lines));
  static_cast<void>(rig.out({"sub", "t", "c", "--exec", "exit 65", "--max", "250"}));
  EXPECT_EQ(rig.json({"dlq", "list", "t", "c"}).size(), 250U);
  EXPECT_EQ(rig.json({"dlq", "list", "t", "c", "--limit", "120"}).size(), 120U);
}

TEST(RemoteAdmin, DeadLettersAreRequeuedAndPurged) {
  const Dead rig;
  EXPECT_EQ(rig.out({"dlq", "requeue", "t", "c", rig.ids[2]}), "requeued 1\n");
  EXPECT_EQ(rig.json({"sub", "t", "c", "--max", "1"}).at(0).at("attempts"), 1);
  const RunResult missing = rig.run({"dlq", "requeue", "t", "c", rig.ids[0], "nothing"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_EQ(missing.out, "requeued 1\n");
  EXPECT_NE(missing.err.find("1 of 2"), std::string::npos) << missing.err;
  EXPECT_EQ(rig.json({"dlq", "purge", "t", "c"}).at(0),
            nlohmann::json::parse(R"({"topic":"t","channel":"c","purged":1})"));
  EXPECT_EQ(rig.out({"dlq", "purge", "t", "c"}), "purged 0\n");
  EXPECT_EQ(rig.out({"dlq", "list", "t", "c"}), "");
  EXPECT_EQ(rig.take("t", "c", 1), "{\"a\" : 1}\n");
}

TEST(RemoteAdmin, RequeueWithoutIdsTakesAll) {
  const Dead rig;
  EXPECT_EQ(rig.json({"dlq", "requeue", "t", "c"}).at(0),
            nlohmann::json::parse(R"({"topic":"t","channel":"c","requeued":3})"));
  EXPECT_EQ(rig.out({"depth", "t", "c"}), "3\n");
}

TEST(RemoteAdmin, DrainAndRmWithYesDoNotAsk) {
  const Rig rig;
  static_cast<void>(rig.out({"channels", "t", "--add", "c", "--add", "d"}));
  static_cast<void>(rig.out({"pub", "t", "1", "2"}));
  static_cast<void>(rig.out({"pub", "t", "3", "--delay", "1h"}));
  EXPECT_EQ(rig.out({"drain", "t", "c", "--yes"}), "dropped 3\n");
  EXPECT_EQ(rig.json({"drain", "t", "c", "-y"}).at(0),
            nlohmann::json::parse(R"({"topic":"t","channel":"c","dropped":0})"));
  EXPECT_EQ(rig.out({"depth", "t", "d"}), "3\n");
  EXPECT_EQ(rig.out({"rm", "t", "c", "--yes"}), "removed c\n");
  EXPECT_EQ(rig.json({"rm", "t", "d", "--yes"}).at(0),
            nlohmann::json::parse(R"({"topic":"t","channel":"d","removed":true})"));
  EXPECT_EQ(rig.out({"channels", "t"}), "");
  EXPECT_EQ(rig.run({"rm", "t", "c", "--yes"}).exit_code, 1);
  EXPECT_EQ(rig.run({"drain", "t", "c", "--yes"}).exit_code, 1);
}

TEST(RemoteAdmin, DrainAndRmAskOnATerminal) {
  const Rig rig;
  static_cast<void>(rig.out({"channels", "t", "--add", "c"}));
  static_cast<void>(rig.out({"pub", "t", "1", "2"}));
  for (const char* const command : {"drain", "rm"}) {
    Process refused(rig.words({command, "t", "c"}), {.terminal_input = true});
    ASSERT_TRUE(refused.wait_for_error("[y/N] "));
    refused.write("\n");
    const RunResult no = refused.wait();
    EXPECT_EQ(no.exit_code, 1);
    EXPECT_EQ(no.out, "");
    EXPECT_NE(no.err.find("nothing was removed"), std::string::npos) << no.err;
    EXPECT_EQ(rig.out({"depth", "t", "c"}), "2\n");
  }
  Process agreed(rig.words({"drain", "t", "c"}), {.terminal_input = true});
  ASSERT_TRUE(agreed.wait_for_error("Remove the 2 ready and 0 delayed messages of channel c of topic t? [y/N] "));
  agreed.write("y\n");
  EXPECT_TRUE(agreed.wait_for_output("dropped 2\n"));  // to hang up earlier would take the answer back
  EXPECT_EQ(agreed.wait().exit_code, 0);
  Process removed(rig.words({"rm", "t", "c"}), {.terminal_input = true});
  ASSERT_TRUE(removed.wait_for_error("[y/N] "));
  removed.write("yes\n");
  EXPECT_TRUE(removed.wait_for_output("removed c\n"));
  EXPECT_EQ(removed.wait().exit_code, 0);
  EXPECT_EQ(rig.out({"channels", "t"}), "");
}

TEST(RemoteAdmin, AnUnreachableServerGives3) {
  const std::vector<std::vector<std::string>> commands{{"sub", "t", "c"},
                                                       {"tail", "t", "c"},
                                                       {"topics"},
                                                       {"channels", "t"},
                                                       {"stats", "t"},
                                                       {"depth", "t", "c"},
                                                       {"dlq", "list", "t", "c"},
                                                       {"drain", "t", "c", "--yes"},
                                                       {"rm", "t", "c", "--yes"},
                                                       {"doctor"}};
  for (std::vector<std::string> words : commands) {
    const auto options = nobody();
    words.insert(words.begin(), options.begin(), options.end());
    const RunResult result = run(words);
    EXPECT_EQ(result.exit_code, 3) << testing::PrintToString(words) << result.err;
    EXPECT_EQ(result.out, "");
  }
}

}  // namespace
}  // namespace lrpc::queue::test
