// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What is different on Kafka, and brokers that go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "broker.hpp"
#include "rig.hpp"

namespace lrpc::queue::test {
namespace {

using testing::HasSubstr;

TEST(KafkaTail, ReadsTheTopicWhateverItsChannels) {
  const Rig rig;
  static_cast<void>(rig.out({"channels", "t", "--add", "c", "--add", "d"}));
  static_cast<void>(rig.out({"pub", "t", "1", "2"}));
  EXPECT_EQ(rig.take("t", "c", 2), "1\n2\n");
  EXPECT_EQ(rig.out({"tail", "t", "--from-start", "--max", "2"}), "1\n2\n");
  EXPECT_EQ(rig.out({"tail", "t", "c", "--from-start", "--max", "2"}), "1\n2\n");
  const RunResult missing = rig.run({"tail", "t", "e", "--max", "1"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("channel e"));
  EXPECT_EQ(rig.out({"channels", "t"}), "c\nd\n") << "it joins no group";
}

TEST(KafkaAdmin, D20_DrainAndRmAreRefusedWhileAnotherConsumes) {
  const Rig rig;
  static_cast<void>(rig.out({"pub", "t", "1"}));
  Process consumer(rig.words({"sub", "t", "c"}));
  ASSERT_TRUE(consumer.wait_for_output("1\n"));
  for (const char* const command : {"drain", "rm"}) {
    const RunResult result = rig.run({command, "t", "c", "--yes"});
    EXPECT_EQ(result.exit_code, 1) << command;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("lrpc-queue")) << "the other's client id";
    EXPECT_THAT(result.err, HasSubstr("127.0.0.1"));
  }
  consumer.signal(SIGTERM);
  EXPECT_EQ(consumer.wait().exit_code, 0);
  EXPECT_EQ(rig.out({"rm", "t", "c", "--yes"}), "removed c\n");
  EXPECT_EQ(rig.out({"channels", "t"}), "");
}

TEST(KafkaAdmin, D23_NamesOfRetryAndDeadLetterTopicsAreRefused) {
  const Rig rig;
  for (const char* const name : {"t-retry", "t-dlq"}) {
    const RunResult result = rig.run({"pub", name, "x"});
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(name));
  }
  EXPECT_EQ(rig.out({"topics"}), "");
}

TEST(KafkaAdmin, AChannelsOwnTopicsAreNotListed) {
  const Rig rig;
  static_cast<void>(rig.out({"channels", "t", "--add", "c"}));
  static_cast<void>(rig.out({"pub", "t", "1", "2"}));
  static_cast<void>(rig.out({"sub", "t", "c", "--exec", "exit 65", "--max", "2"}));
  EXPECT_EQ(rig.out({"topics"}), "t\n");
}

TEST(KafkaAdmin, ATopicThatIsNotThereIsSaidAndNotMade) {
  const Rig rig;
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{{"stats", "t"},
                                                                                       {"channels", "t"},
                                                                                       {"tail", "t", "--max", "1"},
                                                                                       {"depth", "t", "c"},
                                                                                       {"dlq", "list", "t", "c"},
                                                                                       {"drain", "t", "c", "--yes"},
                                                                                       {"rm", "t", "c", "--yes"}}) {
    const RunResult result = rig.run(command);
    EXPECT_EQ(result.exit_code, 1) << command.front();
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("there is no topic t;")) << command.front();
  }
  EXPECT_EQ(rig.out({"topics"}), "");
}

TEST(KafkaPub, D16_MaxMsgSizeIsRefused) {
  const Rig rig;
  const RunResult result = rig.run({"pub", "t", "x"}, {}, {.environment = {"LRPC_QUEUE_MAX_MSG_SIZE=2"}});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("max_msg_size"));
  EXPECT_EQ(rig.out({"topics"}), "");
}

TEST(KafkaPub, WithoutAutoCreateTopicsAMissingOneIsAnError) {
  const Rig rig;
  const RunResult result =
      rig.run({"pub", "t", "x"}, {}, {.environment = {"LRPC_QUEUE_KAFKA_CONFIG_AUTO_CREATE_TOPICS=false"}});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("does not exist"));
  EXPECT_EQ(rig.out({"topics"}), "");
}

/// Commands at a broker that the test may end.
class KafkaLoss : public testing::Test {
 protected:
  [[nodiscard]] std::vector<std::string> words(std::vector<std::string> command) const {
    command.insert(command.begin(), {"--brokers", broker_.address()});
    return command;
  }
  [[nodiscard]] RunResult command(const std::vector<std::string>& line) const { return run(words(line)); }

  kafka::test::Broker broker_;
};

TEST_F(KafkaLoss, D22_PubNamesTheLineThatItCouldNotPublish) {
  Process process(words({"pub", "t"}), {.environment = {"LRPC_QUEUE_KAFKA_CONFIG_WRITE_TIMEOUT=3s"}});
  process.write("1\n");
  ASSERT_TRUE(process.wait_for_output("\n"));
  broker_.kill();
  process.write("2\n");
  const RunResult lost = process.wait();
  EXPECT_THAT(lost.err, HasSubstr("standard input:2: "));
  // It may have gone out on the dying connection.
  const bool unknown = lost.err.find("standard input:2: perhaps not published") != std::string::npos;
  EXPECT_EQ(lost.exit_code, unknown ? 1 : 3) << lost.err;
  EXPECT_EQ(lines_of(lost.out).size(), 1U);
}

TEST_F(KafkaLoss, D22_SubGoesOnWhenTheBrokerComesBack) {
  Process process(words({"sub", "t", "c"}));
  ASSERT_EQ(command({"pub", "t", "before"}).exit_code, 0);
  ASSERT_TRUE(process.wait_for_output("before\n"));
  broker_.kill();
  broker_.start();
  ASSERT_EQ(command({"pub", "t", "after"}).exit_code, 0);
  EXPECT_TRUE(process.wait_for_output("after\n"));
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait().exit_code, 0);
  EXPECT_EQ(command({"depth", "t", "c"}).out, "0\n");
}

TEST_F(KafkaLoss, D22_TailSaysSoAndGoesOn) {
  ASSERT_EQ(command({"pub", "t", "old"}).exit_code, 0);
  Process process(words({"tail", "t", "--from-start"}));
  ASSERT_TRUE(process.wait_for_output("old\n"));
  broker_.kill();
  ASSERT_TRUE(process.wait_for_error("trying again"));
  broker_.start();
  ASSERT_EQ(command({"pub", "t", "new"}).exit_code, 0);
  EXPECT_TRUE(process.wait_for_output("new\n"));
  process.signal(SIGINT);
  EXPECT_EQ(process.wait().out, "old\nnew\n");
}

}  // namespace
}  // namespace lrpc::queue::test
