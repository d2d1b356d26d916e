// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "broker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <signal.h>

#include <functional>
#include <stdexcept>

namespace lrpc::queue::kafka::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

std::vector<RawRecord> hundred() {
  std::vector<RawRecord> records;
  for (int i = 0; i < 100; ++i) records.push_back({.key = std::to_string(i), .value = "body " + std::to_string(i)});
  return records;
}

rd_kafka_resp_err_t error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const RawError& error) {
    return error.code;
  }
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

TEST(Broker, KeepsWhatIsProduced) {
  const Settings settings = shared_broker().settings();
  const std::string topic = unique_name("kept");
  RawAdmin admin(settings);
  admin.create_topic(topic, 3);
  RawProducer(settings).produce(topic, hundred());
  std::vector<std::string> values;
  for (const RawRecord& record : RawConsumer(settings).read_all(topic)) values.push_back(record.value.value_or("none"));
  std::vector<std::string> expected;
  for (const RawRecord& record : hundred()) expected.push_back(*record.value);
  EXPECT_THAT(values, ::testing::UnorderedElementsAreArray(expected));
}

TEST(Broker, KeepsEveryPartOfARecord) {
  const Settings settings = shared_broker().settings();
  const std::string topic = unique_name("parts");
  RawAdmin(settings).create_topic(topic, 2);
  const RawRecord sent = RawProducer(settings).produce(
      topic, {.key = "k", .headers = {{"id", "1"}, {"id", "2"}, {"empty", ""}}, .timestamp_ms = 1234, .partition = 1});
  EXPECT_EQ(sent.offset, 0);
  const auto found = RawConsumer(settings).read(topic, 1);
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].key, "k");
  EXPECT_EQ(found[0].value, std::nullopt);
  EXPECT_THAT(found[0].headers, ElementsAre(Pair("id", "1"), Pair("id", "2"), Pair("empty", "")));
  EXPECT_EQ(found[0].header("id"), "1");
  EXPECT_EQ(found[0].header("other"), std::nullopt);
  EXPECT_EQ(found[0].timestamp_ms, 1234);
}

TEST(Broker, TopicsComeAndGo) {
  const Settings settings = shared_broker().settings();
  const std::string topic = unique_name("short-lived");
  RawAdmin admin(settings);
  EXPECT_THAT(admin.partitions(topic), IsEmpty());
  admin.create_topic(topic, 4, {{"retention.ms", "-1"}});
  EXPECT_THAT(admin.topics(), Contains(Pair(topic, SizeIs(4))));
  EXPECT_THAT(admin.config(topic), Contains(Pair("retention.ms", "-1")));
  admin.delete_topic(topic);
  EXPECT_THAT(admin.topics(), Not(Contains(Key(topic))));
  EXPECT_EQ(error_of([&] { admin.delete_topic(topic); }), RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
  EXPECT_EQ(error_of([&] { RawProducer(settings).produce(topic, RawRecord{.value = "lost"}); }),
            RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
}

TEST(Broker, RecordsAreDeletedBelowAnOffset) {
  const Settings settings = shared_broker().settings();
  const std::string topic = unique_name("trimmed");
  RawAdmin admin(settings);
  admin.create_topic(topic);
  RawProducer(settings).produce(topic, hundred());
  admin.delete_records(topic, 0, 60);
  EXPECT_THAT(admin.watermarks(topic, 0), Pair(60, 100));
  EXPECT_THAT(RawConsumer(settings).read(topic, 0, 60), SizeIs(40));
}

TEST(Broker, GroupsCommitOffsetsWithMetadata) {
  const Settings settings = shared_broker().settings();
  const std::string topic = unique_name("committed");
  const std::string group = unique_name("group");
  RawAdmin admin(settings);
  admin.create_topic(topic);
  EXPECT_EQ(admin.committed(group, topic, 0), std::nullopt);
  admin.commit(group, topic, 0, {.offset = 7, .metadata = "seven"});
  EXPECT_EQ(admin.committed(group, topic, 0), (RawOffset{.offset = 7, .metadata = "seven"}));
  EXPECT_THAT(admin.groups(), Contains(group));
  admin.delete_group(group);
  EXPECT_THAT(admin.groups(), Not(Contains(group)));
}

TEST(Broker, GroupsShareTheWork) {
  const std::string topic = unique_name("shared");
  const std::string group = unique_name("group");
  const Settings settings = shared_broker().settings();
  RawAdmin admin(settings);
  admin.create_topic(topic, 2);
  Settings mine = settings;
  mine.insert({{"group.id", group}, {"client.id", "mine"}});
  RawConsumer consumer(mine);
  consumer.subscribe({topic});
  RawProducer(settings).produce(topic, RawRecord{.value = "body", .partition = 1});
  const auto record = consumer.next();
  ASSERT_TRUE(record);
  EXPECT_EQ(record->value, "body");
  EXPECT_THAT(consumer.assignment(), ElementsAre(Pair(topic, 0), Pair(topic, 1)));
  const auto members = admin.members(group);
  ASSERT_THAT(members, SizeIs(1));
  EXPECT_EQ(members[0].client_id, "mine");
  EXPECT_THAT(members[0].assignment, SizeIs(2));
  consumer.commit();
  EXPECT_EQ(admin.committed(group, topic, 1), (RawOffset{.offset = 1}));
}

TEST(Broker, KeepsItsDataOverKillAndStop) {
  Broker broker;
  RawAdmin admin(broker.settings());
  admin.create_topic("kept");
  RawProducer producer(broker.settings());
  producer.produce("kept", hundred());
  broker.kill();
  EXPECT_EQ(broker.pid(), -1);
  broker.start();
  EXPECT_THAT(RawConsumer(broker.settings()).read("kept", 0), SizeIs(100));
  producer.produce("kept", hundred());  // the same client goes on
  broker.stop();
  EXPECT_TRUE(broker.log().contains("shut down completed"));
  broker.start();
  EXPECT_THAT(RawConsumer(broker.settings()).read("kept", 0), SizeIs(200));
}

TEST(Broker, PausedItIsSilent) {
  Broker& broker = shared_broker();
  const RawAdmin admin(broker.settings());
  EXPECT_THAT(admin.brokers(), ElementsAre(1));
  broker.pause();
  EXPECT_NE(error_of([&] { (void)admin.brokers(std::chrono::milliseconds(200)); }), RD_KAFKA_RESP_ERR_NO_ERROR);
  broker.resume();
  EXPECT_THAT(admin.brokers(), ElementsAre(1));
}

TEST(Broker, EndsWithATestThatIsKilled) {
  const support::TemporaryFolder folder;
  const auto log = folder.path() / "log";
  support::Process program;
  // With its folder in ours, as it cannot remove it.
  program.start({"/usr/bin/env", "TMPDIR=" + folder.path().string(), LRPC_QUEUE_WITH_KAFKA_BROKER, "/bin/sh", "-c",
                 "echo $LRPC_QUEUE_KAFKA_CONFIG_BROKERS; sleep 10"},
                log, "\n");
  const std::string said = support::contents(log);
  const RawAdmin admin({{"bootstrap.servers", said.substr(0, said.find('\n'))}});
  EXPECT_THAT(admin.brokers(), ElementsAre(1));
  program.signal(SIGKILL);
  program.await_end();
  const auto serves = [&] {
    return error_of([&] { (void)admin.brokers(std::chrono::milliseconds(100)); }) == RD_KAFKA_RESP_ERR_NO_ERROR;
  };
  EXPECT_TRUE(eventually([&] { return !serves(); }));
}

TEST(Broker, PropertiesAreTheTests) {
  const Broker broker({.properties = {{"num.partitions", "7"}, {"auto.create.topics.enable", "true"}}});
  RawProducer(broker.settings()).produce("created", RawRecord{.value = "body"});
  EXPECT_THAT(RawAdmin(broker.settings()).partitions("created"), SizeIs(7));
}

TEST(Broker, ThatCannotStartSaysWhy) {
  try {
    const Broker broker({.properties = {{"num.io.threads", "many"}}});
    FAIL() << "it started";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("Invalid value many for configuration num.io.threads"));
  }
}

TEST(Broker, EncryptsAndChecksPasswords) {
  const Broker broker({.tls = true, .users = {{.name = "alice", .password = "secret"}}});
  for (const Listener listener : {Listener::tls, Listener::sasl, Listener::sasl_tls}) {
    SCOPED_TRACE(static_cast<int>(listener));
    EXPECT_THAT(RawAdmin(broker.settings(listener)).brokers(), ElementsAre(1));
  }
  for (const Listener listener : {Listener::sasl, Listener::sasl_tls}) {
    Settings wrong = broker.settings(listener);
    wrong["sasl.password"] = "guess";
    EXPECT_EQ(error_of([&] { (void)RawAdmin(wrong).brokers(std::chrono::seconds(3)); }),
              RD_KAFKA_RESP_ERR__AUTHENTICATION);
  }
  Settings stranger = broker.settings(Listener::tls);
  stranger.erase("ssl.ca.location");  // the system's authorities do not know it
  EXPECT_NE(error_of([&] { (void)RawAdmin(stranger).brokers(std::chrono::seconds(1)); }), RD_KAFKA_RESP_ERR_NO_ERROR);
}

/// librdkafka before 2.6.1 repeats the nonce wrongly, and Kafka 4 no longer bears it.
constexpr int kScramCorrected = 0x020601ff;

TEST(Broker, KnowsUsersByScram) {
  const Broker broker({.users = {{.name = "alice", .password = "secret"}}, .scram = true});
  EXPECT_THAT(RawAdmin(broker.settings(Listener::sasl)).brokers(), ElementsAre(1));
  for (const char* mechanism : {"SCRAM-SHA-256", "SCRAM-SHA-512"}) {
    Settings settings = broker.settings(Listener::sasl);
    settings["sasl.mechanism"] = mechanism;
    EXPECT_EQ(error_of([&] { (void)RawAdmin(settings).brokers(); }),
              rd_kafka_version() < kScramCorrected ? RD_KAFKA_RESP_ERR__AUTHENTICATION : RD_KAFKA_RESP_ERR_NO_ERROR);
  }
}

TEST(Broker, DemandsAClientsCertificate) {
  const Broker broker({.properties = {{"ssl.client.auth", "required"}}, .tls = true});
  Settings settings = broker.settings(Listener::tls);
  EXPECT_NE(error_of([&] { (void)RawAdmin(settings).brokers(std::chrono::seconds(1)); }), RD_KAFKA_RESP_ERR_NO_ERROR);
  settings["ssl.certificate.location"] = broker.certificate("server.crt");
  settings["ssl.key.location"] = broker.certificate("server.key");
  EXPECT_THAT(RawAdmin(settings).brokers(), ElementsAre(1));
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
