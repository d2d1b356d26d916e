// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/admin.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "client_fixture.hpp"
#include "kafka/errors.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

template <class T>
Error error_of(const Result<T>& result) {
  EXPECT_FALSE(result.has_value());
  return result ? Error{} : result.error();
}

/// One for most tests.
Admin& admin() {
  static const std::unique_ptr<Admin> shared = admin_for(shared_config());
  return *shared;
}

TEST(Admin, Connects) {
  good(admin().connect(soon()));
  EXPECT_THAT(good(admin().brokers(soon())), Contains(shared_broker().address()));
}

TEST(Admin, NobodyThereIsToldAtOnce) {
  const auto alone = admin_for(config_for("127.0.0.1:9"));
  Error error;
  EXPECT_LT(took([&] { error = error_of(alone->connect(in(seconds(10)))); }), seconds(3));
  EXPECT_EQ(error.code, ErrorCode::unavailable);
  EXPECT_TRUE(error.retryable);
  EXPECT_THAT(error.message, HasSubstr("refused"));
}

TEST(Admin, NoAnswerIsToldInTime) {
  // Nobody has this address (RFC 5737).
  const auto alone = admin_for(config_for("192.0.2.1:9092"));
  Error error;
  EXPECT_LT(took([&] { error = error_of(alone->connect(in(milliseconds(700)))); }), milliseconds(1'500));
  EXPECT_TRUE(error.code == ErrorCode::unavailable || error.code == ErrorCode::timeout) << error.message;
  EXPECT_TRUE(error.retryable);
}

TEST(Admin, ANameThatIsNone) {
  const auto alone = admin_for(config_for("no-such-host.invalid:9092"));
  const Error error = error_of(alone->connect(in(seconds(5))));
  EXPECT_EQ(error.code, ErrorCode::unavailable) << error.message;
}

TEST(Admin, ConnectsAfterTheBrokerCameBack) {
  Broker broker;
  const auto own = admin_for(config_for(broker.address()));
  good(own->connect(soon()));
  broker.stop();
  EXPECT_TRUE(error_of(own->topics(in(seconds(3)))).retryable);
  broker.start();
  EXPECT_TRUE(eventually([&] { return own->topics(in(seconds(3))).has_value(); }));
}

TEST(Admin, WrongPasswordsAndCertificatesArePermission) {
  Broker broker({.tls = true, .users = {{.name = "ada", .password = "right-one"}}});
  KafkaConfig config = config_for(broker.address(Listener::sasl_tls));
  config.sasl = {.mechanism = "PLAIN", .username = "ada", .password = "wrong-one"};
  config.tls = {.enabled = true, .ca_file = broker.certificate("ca.crt")};
  Error error;
  EXPECT_LT(took([&] { error = error_of(admin_for(config)->connect(in(seconds(10)))); }), seconds(5));
  EXPECT_EQ(error.code, ErrorCode::permission) << error.message;
  EXPECT_FALSE(error.retryable);
  EXPECT_THAT(error.message, HasSubstr("kafka_config.sasl"));
  EXPECT_THAT(error.message, Not(HasSubstr("wrong-one")));

  config.sasl.password = "right-one";
  good(admin_for(config)->connect(soon()));

  config.tls.ca_file.clear();
  EXPECT_LT(took([&] { error = error_of(admin_for(config)->connect(in(seconds(10)))); }), seconds(5));
  EXPECT_EQ(error.code, ErrorCode::permission) << error.message;
  EXPECT_THAT(error.message, HasSubstr("kafka_config.tls"));
  config.tls.verify = false;
  good(admin_for(config)->connect(soon()));

  config.tls = {.enabled = true, .ca_file = broker.certificate("ca.crt"), .server_name = "kafka.example"};
  error = error_of(admin_for(config)->connect(in(seconds(10))));
  EXPECT_EQ(error.code, ErrorCode::permission) << error.message;
  EXPECT_THAT(error.message, HasSubstr("kafka.example"));
  config.tls.server_name = "localhost";
  good(admin_for(config)->connect(soon()));
}

TEST(Admin, TopicsComeAndGo) {
  const std::string name = unique_name("admin");
  EXPECT_TRUE(is_missing_topic(error_of(admin().partition_count(name, soon()))));
  const std::vector<TopicSpec> specs{{.name = name, .partitions = 3, .config = {{"retention.ms", "-1"}}}};
  good(admin().create_topics(specs, soon()));
  good(admin().create_topics(specs, soon()));  // is there already
  // The controller has it; the broker that is asked may hear of it a moment later.
  EXPECT_TRUE(eventually([&] { return admin().partition_count(name, soon()).has_value(); }));
  EXPECT_EQ(good(admin().partition_count(name, soon())), 3);
  EXPECT_THAT(good(admin().topics(soon())), Contains(name));
  EXPECT_EQ(good(admin().topic_config(name, soon())).at("retention.ms"), "-1");
  good(admin().delete_topics(std::vector{name}, soon()));
  good(admin().delete_topics(std::vector{name}, soon()));  // is gone already
  EXPECT_TRUE(eventually([&] {
    admin().forget(name);  // one that goes may be seen for a moment
    return !admin().partition_count(name, soon());
  }));
  EXPECT_THAT(good(admin().topics(soon())), Not(Contains(name)));
}

TEST(Admin, ATopicThatCannotBe) {
  const std::vector<TopicSpec> names{{.name = "no/name"}};
  EXPECT_THAT(error_of(admin().create_topics(names, soon())).message, HasSubstr("no/name"));
  const std::vector<TopicSpec> replicas{{.name = unique_name("wide"), .replication_factor = 7}};
  EXPECT_THAT(error_of(admin().create_topics(replicas, soon())).message, HasSubstr("eplication"));
  const std::vector<TopicSpec> settings{{.name = unique_name("odd"), .config = {{"no.such.setting", "1"}}}};
  EXPECT_THAT(error_of(admin().create_topics(settings, soon())).message, HasSubstr("no.such.setting"));
}

TEST(Admin, PartitionCountsAreRemembered) {
  const std::string name = new_topic(2);
  EXPECT_EQ(good(admin().partition_count(name, soon())), 2);
  RawAdmin(shared_broker().settings()).delete_topic(name);
  EXPECT_EQ(good(admin().partition_count(name, soon())), 2);
  admin().forget(name);
  EXPECT_TRUE(is_missing_topic(error_of(admin().partition_count(name, soon()))));
}

TEST(Admin, SettingsOfTheBroker) {
  const auto settings = good(admin().broker_config(1, soon()));
  for (const char* const name : {"offsets.retention.minutes", "message.max.bytes", "offset.metadata.max.bytes"}) {
    EXPECT_TRUE(settings.contains(name)) << name;
  }
}

TEST(Admin, OffsetsThatPartitionsHold) {
  const std::string name = new_topic(3);
  const auto producer = producer_for(shared_config());
  const std::vector<Record> records{
      {.topic = name, .partition = 1}, {.topic = name, .partition = 1}, {.topic = name, .partition = 2}};
  for (const Produced& each : produce(*producer, records)) EXPECT_FALSE(each.error);
  const std::vector<TopicPartition> partitions{{name, 1}, {name, 0}, {name, 2}};
  const auto marks = [&] {
    std::vector<std::pair<std::int64_t, std::int64_t>> found;
    for (const Watermarks& each : good(admin().watermarks(partitions, soon()))) found.emplace_back(each.low, each.high);
    return found;
  };
  using ::testing::Pair;
  EXPECT_THAT(marks(), ::testing::ElementsAre(Pair(0, 2), Pair(0, 0), Pair(0, 1)));
  good(admin().delete_records(std::vector<OffsetCommit>{{.partition = partitions[0], .offset = 1}}, soon()));
  EXPECT_THAT(marks(), ::testing::ElementsAre(Pair(1, 2), Pair(0, 0), Pair(0, 1)));
  EXPECT_THAT(good(admin().watermarks({}, soon())), IsEmpty());
}

TEST(Admin, OffsetsOfWhatIsNotThere) {
  const std::vector<TopicPartition> missing{{unique_name("missing"), 0}};
  EXPECT_TRUE(is_missing_topic(error_of(admin().watermarks(missing, soon()))));
  EXPECT_FALSE(admin().delete_records(std::vector<OffsetCommit>{{.partition = missing[0], .offset = 1}}, soon()));
}

TEST(Admin, GroupsRememberOffsetsAndMetadata) {
  const std::string topic = new_topic(2);
  const std::string group = unique_name("group");
  const std::vector<TopicPartition> partitions{{topic, 0}, {topic, 1}};
  for (const Committed& each : good(admin().committed(group, partitions, soon()))) EXPECT_EQ(each.offset, -1);
  EXPECT_THAT(good(admin().committed(group, soon())), IsEmpty());

  const std::string metadata = R"({"attempts":[3,1]})";
  good(admin().commit(group, std::vector<OffsetCommit>{{.partition = partitions[1], .offset = 5, .metadata = metadata}},
                      soon()));
  const auto found = good(admin().committed(group, partitions, soon()));
  EXPECT_EQ(found[0].offset, -1);
  EXPECT_EQ(found[1].offset, 5);
  EXPECT_EQ(found[1].metadata, metadata);
  const auto all = good(admin().committed(group, soon()));
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all.begin()->first, partitions[1]);

  EXPECT_THAT(good(admin().list_groups(soon())), Contains(group));
  EXPECT_THAT(good(admin().group_members(group, soon())), IsEmpty());
  good(admin().delete_group(group, soon()));
  EXPECT_THAT(good(admin().list_groups(soon())), Not(Contains(group)));
  good(admin().delete_group(group, soon()));
}

TEST(Admin, MembersOfAGroup) {
  const std::string topic = new_topic(2);
  const std::string group = unique_name("group");
  EXPECT_THAT(good(admin().group_members(group, soon())), IsEmpty());
  Settings settings = shared_broker().settings();
  settings["group.id"] = group;
  settings["client.id"] = "test";
  RawConsumer consumer(settings);
  consumer.subscribe({topic});
  ASSERT_TRUE(eventually([&] {
    consumer.next(milliseconds(10));
    return consumer.assignment().size() == 2;
  }));
  const auto members = good(admin().group_members(group, soon()));
  ASSERT_THAT(members, SizeIs(1));
  EXPECT_EQ(members[0].client_id, "test");
  EXPECT_THAT(members[0].partitions,
              ::testing::UnorderedElementsAre(TopicPartition{topic, 0}, TopicPartition{topic, 1}));
  // A group with members commits for itself.
  EXPECT_FALSE(
      admin().commit(group, std::vector<OffsetCommit>{{.partition = {topic, 0}, .offset = 1}}, in(seconds(5))));
  EXPECT_FALSE(admin().delete_group(group, in(seconds(5))));
}

TEST(Admin, EmptyListsAreNoRequests) {
  good(admin().create_topics({}, soon()));
  good(admin().delete_topics({}, soon()));
  good(admin().delete_records({}, soon()));
  good(admin().commit("group", {}, soon()));
  EXPECT_THAT(good(admin().committed("group", {}, soon())), IsEmpty());
}

TEST(Admin, ManyThreadsAtOnce) {
  const std::string topic = new_topic(2);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(admin().partition_count(topic, soon()).value_or(0), 2);
        EXPECT_TRUE(admin().watermarks(std::vector<TopicPartition>{{topic, 0}, {topic, 1}}, soon()));
        admin().forget(topic);
      }
    });
  }
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
