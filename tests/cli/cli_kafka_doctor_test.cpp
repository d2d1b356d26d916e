// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// doctor at brokers that endanger messages. What it thinks of old releases: judgement_test.cpp in tests/kafka.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "broker.hpp"
#include "rig.hpp"

namespace lrpc::queue::test {
namespace {

using kafka::test::Broker;
using kafka::test::Listener;
using kafka::test::RawAdmin;
using testing::HasSubstr;
using testing::Not;

/// What `doctor --json` found.
struct Visit {
  explicit Visit(const std::string& brokers, std::vector<std::string> environment = {})
      : result(run({"doctor", "--json", "--brokers", brokers}, {}, {.environment = std::move(environment)})) {
    if (!result.out.empty()) diagnosis = nlohmann::json::parse(result.out);
  }
  /// The level of the finding that contains both texts; empty when there is none.
  [[nodiscard]] std::string level(const std::string& one, const std::string& other = {}) const {
    if (!diagnosis.contains("findings")) return {};
    for (const auto& finding : diagnosis.at("findings")) {
      const auto what = finding.at("what").get<std::string>();
      if (what.contains(one) && what.contains(other)) return finding.at("level").get<std::string>();
    }
    return {};
  }
  [[nodiscard]] bool has_errors() const {
    return std::ranges::any_of(diagnosis.at("findings"), [](const auto& each) { return each.at("level") == "error"; });
  }

  RunResult result;
  nlohmann::json diagnosis;
};

TEST(KafkaDoctor, ASoundBrokerHasNoErrors) {
  const std::string address = kafka::test::shared_broker().address();
  const Visit visit(address, {"LRPC_QUEUE_KAFKA_CONFIG_TOPIC_PREFIX=" + kafka::test::unique_name("sound")});
  EXPECT_EQ(visit.result.exit_code, 0) << visit.result.out << visit.result.err;
  EXPECT_EQ(visit.diagnosis.at("server"), "Kafka 4.0 or newer at " + address);
  EXPECT_FALSE(visit.has_errors()) << visit.result.out;
  EXPECT_EQ(visit.level("replication_factor is 1"), "warning");
  EXPECT_EQ(visit.level("librdkafka " + std::string(rd_kafka_version_str())), "ok");
  for (const char* const fine :
       {"offset.metadata.max.bytes 4096", "offsets.retention.minutes is 10080", "session_timeout 30000 ms",
        "auto.create.topics.enable false", "max_body_size (1048576)"}) {
    EXPECT_EQ(visit.level(fine, "broker 1 (" + address + ")"), "ok") << fine << visit.result.out;
  }
  const RunResult text = run({"doctor", "--brokers", address});
  EXPECT_THAT(text.out, testing::StartsWith("server: Kafka "));
  EXPECT_THAT(text.out, HasSubstr("\nwarning: replication_factor is 1"));
}

TEST(KafkaDoctor, SettingsOfBrokersAndTopicsThatEndangerMessages) {
  const Broker broker({.properties = {{"offset.metadata.max.bytes", "100"},
                                      {"offsets.retention.minutes", "90"},
                                      {"min.insync.replicas", "2"},
                                      {"group.min.session.timeout.ms", "40000"},
                                      {"auto.create.topics.enable", "true"},
                                      {"socket.request.max.bytes", "200000"}}});
  RawAdmin admin(broker.settings());
  admin.create_topic("lrpc-queue-lossy", 1,
                     {{"cleanup.policy", "compact,delete"},
                      {"retention.ms", "60000"},
                      {"retention.bytes", "4096"},
                      {"max.message.bytes", "5000"},
                      {"unclean.leader.election.enable", "true"}});
  admin.create_topic("lrpc-queue-a-b-dlq", 1, {{"retention.ms", "60000"}});
  admin.create_topic("another", 1, {{"cleanup.policy", "compact"}});
  const Visit visit(broker.address());
  EXPECT_EQ(visit.result.exit_code, 1) << visit.result.out;
  for (const char* const what : {"offset.metadata.max.bytes is 100:", "group.min.session.timeout.ms is 40000",
                                 "socket.request.max.bytes is 200000"}) {
    EXPECT_EQ(visit.level(what, "broker 1"), "error") << what << visit.result.out;
  }
  for (const char* const what :
       {"channel without consumers for 1h30m is forgotten", "auto.create.topics.enable is true",
        "min.insync.replicas is 2, new topics get 1 copy"}) {
    EXPECT_EQ(visit.level(what, "broker 1"), "warning") << what << visit.result.out;
  }
  EXPECT_EQ(visit.level("cleanup.policy is compact", "lrpc-queue-lossy"), "error");
  for (const char* const what : {"one copy", "min.insync.replicas is 2, and there are 1 copy",
                                 "retention.ms takes messages after 1m", "retention.bytes takes messages over 4096",
                                 "max.message.bytes is 5000", "unclean.leader.election.enable is true"}) {
    EXPECT_EQ(visit.level(what, "lrpc-queue-lossy"), "warning") << what << visit.result.out;
  }
  EXPECT_EQ(visit.level("retries and dead letters go by retention.ms", "lrpc-queue-a-b-dlq"), "error");
  EXPECT_EQ(visit.level("another"), "") << "not of this prefix";
}

TEST(KafkaDoctor, SettingsOfTheQueueThatEndangerMessages) {
  const std::string address = kafka::test::shared_broker().address();
  const Visit visit(address,
                    {"LRPC_QUEUE_KAFKA_CONFIG_REQUIRED_ACKS=0", "LRPC_QUEUE_KAFKA_CONFIG_REPLICATION_FACTOR=3",
                     "LRPC_QUEUE_KAFKA_CONFIG_START_OFFSET=latest", "LRPC_QUEUE_KAFKA_CONFIG_SESSION_TIMEOUT=1h",
                     "LRPC_QUEUE_KAFKA_CONFIG_HEARTBEAT_INTERVAL=40m"});
  EXPECT_EQ(visit.result.exit_code, 1) << visit.result.err;
  EXPECT_EQ(visit.level("required_acks is 0"), "warning");
  EXPECT_EQ(visit.level("replication_factor is 3, and there are 1 brokers"), "error");
  EXPECT_EQ(visit.level("with start_offset latest"), "warning");
  EXPECT_EQ(visit.level("group.max.session.timeout.ms is 1800000"), "error");
  EXPECT_EQ(visit.level("heartbeat_interval 40m leaves no room"), "warning");
}

TEST(KafkaDoctor, AnEntranceThatIsDown) {
  const std::string address = kafka::test::shared_broker().address();
  const std::string down = nobody().back();
  const Visit visit(address + "," + down);
  EXPECT_EQ(visit.result.exit_code, 0) << visit.result.err;
  EXPECT_EQ(visit.level("no way in by " + down, "refused"), "warning") << visit.result.out;
  EXPECT_EQ(visit.level("no way in by " + address), "");
}

TEST(KafkaDoctor, ABrokerWhoseAddressIsNotReached) {
  const std::string elsewhere = nobody().back();
  const Broker broker({.properties = {{"advertised.listeners", "PLAINTEXT://" + elsewhere}}});
  const Visit visit(broker.address());
  EXPECT_EQ(visit.result.exit_code, 1) << visit.result.err;
  EXPECT_EQ(visit.level("broker 1 (" + elsewhere + "): does not answer"), "error") << visit.result.out;
  EXPECT_THAT(visit.result.out, HasSubstr("advertised.listeners"));
}

TEST(KafkaDoctor, WrongCredentialsAndAUserWhoMayNotSeeTheSettings) {
  const Broker broker(
      {.properties = {{"authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"},
                      {"super.users", "User:ANONYMOUS"}},
       .users = {{.name = "alice", .password = "secret"}}});
  const auto login = [](const std::string& password) {
    return std::vector<std::string>{"LRPC_QUEUE_KAFKA_CONFIG_SASL_MECHANISM=PLAIN",
                                    "LRPC_QUEUE_KAFKA_CONFIG_SASL_USERNAME=alice",
                                    "LRPC_QUEUE_KAFKA_CONFIG_SASL_PASSWORD=" + password};
  };
  const Visit refused(broker.address(Listener::sasl), login("guessed"));
  EXPECT_EQ(refused.result.exit_code, 1);
  EXPECT_EQ(refused.result.out, "");
  EXPECT_THAT(refused.result.err, HasSubstr("kafka_config.sasl"));
  EXPECT_THAT(refused.result.err, Not(HasSubstr("guessed")));
  const Visit poor(broker.address(Listener::sasl), login("secret"));
  EXPECT_EQ(poor.result.exit_code, 0) << poor.result.err;
  EXPECT_EQ(poor.level("may not read its settings", "broker 1"), "warning") << poor.result.out;
  EXPECT_EQ(poor.level("PLAIN without tls"), "warning");
}

}  // namespace
}  // namespace lrpc::queue::test
