// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The fields of the manual's KafkaConfig as a queue uses them, each seen from outside: on the broker, in what it
// stores, and in its log of requests. Three brokers: config_fields_group_test.cpp. docs/configuration.md lists them.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "kafka/errors.hpp"
#include "queue_fixture.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using nlohmann::json;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

/// A broker for all of them that logs requests.
Broker& listening_broker() {
  static Broker broker({.log_requests = true});
  return broker;
}

/// An address of this machine where nobody listens.
std::string nobody() { return "127.0.0.1:" + std::to_string(support::free_port()); }

class ConfigFields : public ::testing::Test {
 protected:
  [[nodiscard]] KafkaConfig& fields() { return config_.kafka_config; }
  [[nodiscard]] RawAdmin admin() const { return RawAdmin(broker_.settings()); }
  /// Topics that begin with this test's prefix.
  [[nodiscard]] std::vector<std::string> topics() const {
    std::vector<std::string> names;
    for (const auto& [name, partitions] : admin().topics()) {
      if (name.starts_with(config_.kafka_config.topic_prefix)) names.push_back(name);
    }
    return names;
  }
  /// The "request" of those of a kind that contain `text`.
  [[nodiscard]] std::vector<json> requests(const std::string& kind, const std::string& text) const {
    std::vector<json> result;
    for (const std::string& each : broker_.requests(kind)) {
      if (each.contains('"' + text + '"')) result.push_back(json::parse(each).at("request"));
    }
    return result;
  }
  /// The same, when there is one.
  [[nodiscard]] std::vector<json> await_requests(const std::string& kind, const std::string& text) const {
    EXPECT_TRUE(eventually([&] { return !requests(kind, text).empty(); })) << kind;
    return requests(kind, text);
  }
  /// A message through the channel: its consumer is in its group then.
  static void use(Party& party) {
    good(party.topic.pub("x"));
    good(party.channel.ack(good(party.channel.try_next(kPatience))));
  }

  Broker& broker_ = listening_broker();
  Config config_ = queue_config(broker_.address());
};

TEST_F(ConfigFields, Brokers) {
  const std::string first = nobody();
  fields().brokers = {first, broker_.address()};
  Party party(config_);
  use(party);
  EXPECT_THAT(topics(), Contains(party.topic_name));
  fields().brokers = {first};
  const Error error = error_of_call(Queue::open(config_));
  EXPECT_EQ(error.code, ErrorCode::unavailable);
  EXPECT_THAT(error.message, HasSubstr(first));
}

TEST_F(ConfigFields, TopicPrefix) {
  const std::string prefix = unique_name("my.app") + "_";
  fields().topic_prefix = prefix;
  Party party(config_);
  use(party);
  EXPECT_THAT(topics(), ElementsAre(prefix + "orders", prefix + "orders-billing-dlq", prefix + "orders-billing-retry"));
  EXPECT_THAT(admin().groups(), Contains(prefix + "orders-billing"));
  fields().topic_prefix = unique_name("other") + "-";
  Queue neighbour = good(Queue::open(config_));
  EXPECT_THAT(good(neighbour.topics()), IsEmpty());
}

TEST_F(ConfigFields, Partition) {
  fields().partition = 3;
  Party party(config_);
  for (int i = 0; i < 30; ++i) good(party.topic.pub("x"));
  EXPECT_THAT(admin().partitions(party.topic_name), SizeIs(3));
  EXPECT_THAT(admin().partitions(party.group + "-retry"), SizeIs(3)) << "one for one";
  for (std::int32_t i = 0; i < 3; ++i) EXPECT_GT(admin().watermarks(party.topic_name, i).second, 0) << i;
}

TEST_F(ConfigFields, ReplicationFactor) {
  fields().replication_factor = 2;
  Queue queue = good(Queue::open(config_));
  const Error error = error_of_call(queue.topic<std::string>("orders"));
  EXPECT_THAT(error.message, HasSubstr("eplication factor")) << "the broker's own words; it is alone";
  EXPECT_THAT(topics(), IsEmpty());
}

TEST_F(ConfigFields, ConsumerGroupId) {
  fields().consumer_group_id = unique_name("team");
  Party party(config_);
  use(party);
  const std::string own = fields().consumer_group_id + "-orders-billing";
  EXPECT_THAT(admin().groups(), AllOf(Contains(own), Not(Contains(party.group))));
  EXPECT_THAT(admin().members(own), SizeIs(1));
  EXPECT_THAT(admin().partitions(own + "-retry"), SizeIs(1));
  EXPECT_THAT(topics(), ElementsAre(party.topic_name)) << "which is not the group's";
}

TEST_F(ConfigFields, AutoCreateTopics) {
  fields().auto_create_topics = false;
  Queue queue = good(Queue::open(config_));
  EXPECT_THAT(error_of_call(queue.topic<std::string>("orders")).message, HasSubstr("auto_create_topics"));
  const std::string name = fields().topic_prefix + "orders";
  admin().create_topic(name);
  auto topic = good(queue.topic<std::string>("orders"));
  good(topic.pub("x"));
  EXPECT_THAT(error_of_call(topic.get_or_add_channel("billing")).message, HasSubstr(name + "-billing-retry"));
  EXPECT_THAT(topics(), ElementsAre(name));
  fields().auto_create_topics = true;
  Party party(config_);
  EXPECT_THAT(topics(), SizeIs(3));
}

// How long the broker may wait for messages before it answers; librdkafka asks again twice a second at least.
TEST_F(ConfigFields, ReadBatchTimeout) {
  fields().read_batch_timeout = milliseconds(73);
  const std::string me = unique_name("me");  // a newer librdkafka names topics by numbers there
  fields().extra = {{"client.id", me}};
  Party party(config_);
  use(party);
  for (const json& fetch : await_requests("FETCH", me)) EXPECT_EQ(fetch.at("maxWaitMs"), 73);
}

TEST_F(ConfigFields, CustomBalancer) {
  fields().partition = 3;
  fields().custom_balancer = [](const Envelope& message, int partitions) {
    EXPECT_EQ(partitions, 3);
    EXPECT_EQ(message.headers().at("region"), "west");
    const auto body = message.encoded_body();  // as JSON
    return std::stoi(std::string(reinterpret_cast<const char*>(body.data()), body.size()).substr(1));
  };
  Party party(config_);
  const PubOptions options{.headers = {{"region", "west"}}};
  for (const char* body : {"2", "0", "2"}) good(party.topic.pub(body, options));
  const std::string id = good(party.topic.pub("1", {.key = "some key"}));
  // Nothing of a batch with a message that has no place is published.
  const Error beyond = error_of_call(party.topic.pub_batch({"1", "3"}, options));
  EXPECT_EQ(beyond.code, ErrorCode::invalid_argument);
  EXPECT_THAT(beyond.message, AllOf(HasSubstr("custom_balancer chose partition 3"), HasSubstr("0 to 2")));
  const Error thrown = error_of_call(party.topic.pub("nowhere", options));
  EXPECT_EQ(thrown.code, ErrorCode::invalid_argument);
  EXPECT_THAT(thrown.message, HasSubstr("custom_balancer threw: stoi"));

  std::vector<std::vector<std::string>> bodies(3);
  RawConsumer raw(broker_.settings());
  for (int partition = 0; partition < 3; ++partition) {
    for (const RawRecord& record : raw.read(party.topic_name, partition)) {
      if (record.header("id") != id) bodies.at(static_cast<std::size_t>(partition)).push_back(*record.value);
    }
  }
  EXPECT_THAT(bodies, ElementsAre(ElementsAre("\"0\""), IsEmpty(), ElementsAre("\"2\"", "\"2\"")));
}

TEST_F(ConfigFields, ABrokerThatOwesABatchForLongerThanReadBatchTimeoutLosesTheConnection) {
  Broker broker;
  Lines hasty;
  Lines patient;
  const auto party_with = [&](Duration patience, Lines& lines) {
    Config config = queue_config(broker.address());
    config.kafka_config.read_batch_timeout = patience;
    config.logger = lines.logger();
    auto party = std::make_unique<Party>(config);
    use(*party);
    return party;
  };
  const auto first = party_with(milliseconds(2'000), hasty);
  const auto second = party_with(milliseconds(60'000), patient);
  // Librdkafka 2.0.2 says so, newer ones only what comes next: a new connection that says nothing either.
  const auto given_up = [](const Lines& lines) {
    const bool closed = !lines.with("timed out: disconnect").empty() || !lines.with("ApiVersionRequest failed").empty();
    return closed && !lines.with("Timed out FetchRequest").empty();
  };
  EXPECT_FALSE(given_up(hasty));
  broker.pause();
  const bool gave_up = eventually([&] { return given_up(hasty); });
  const bool both = given_up(patient);
  broker.resume();
  EXPECT_TRUE(gave_up) << testing::PrintToString(hasty.with(""));
  EXPECT_FALSE(both);
  use(*first);
  use(*second);
}

TEST_F(ConfigFields, WriteTimeout) {
  fields().write_timeout = milliseconds(2'345);
  Party party(config_);
  use(party);
  for (const json& produce : await_requests("PRODUCE", party.topic_name)) EXPECT_EQ(produce.at("timeoutMs"), 2'345);
  broker_.pause();
  const auto result = party.topic.pub("y");  // or the test's own time-out ends it
  broker_.resume();
  const Error error = error_of_call(result);
  EXPECT_TRUE(error.code == ErrorCode::outcome_unknown || error.code == ErrorCode::unavailable ||
              error.code == ErrorCode::timeout)
      << error.message;
}

TEST_F(ConfigFields, RequiredAcks) {
  for (const int acks : {-1, 0, 1}) {
    fields().required_acks = acks;
    fields().topic_prefix = unique_name("acks") + "-";
    Queue queue = good(Queue::open(config_));
    auto topic = good(queue.topic<std::string>("orders"));
    good(topic.pub("x"));
    for (const json& produce : await_requests("PRODUCE", fields().topic_prefix + "orders")) {
      EXPECT_EQ(produce.at("acks"), acks);
    }
  }
}

TEST_F(ConfigFields, CompressionType) {
  int codec = 0;  // as a batch of records names it
  for (const Compression type :
       {Compression::none, Compression::gzip, Compression::snappy, Compression::lz4, Compression::zstd}) {
    fields().compression_type = type;
    fields().topic_prefix = unique_name("packed") + "-";
    Queue queue = good(Queue::open(config_));
    auto topic = good(queue.topic<std::string>("orders"));
    good(topic.pub(std::string(10'000, 'x')));
    std::ifstream file(broker_.data() / (fields().topic_prefix + "orders-0") / "00000000000000000000.log",
                       std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    constexpr std::size_t kAttributes = 22;  // their lower byte
    ASSERT_GT(bytes.size(), kAttributes);
    EXPECT_EQ(bytes[kAttributes] & 7, codec++) << to_string(type);
    EXPECT_EQ(bytes.size() > 10'000, type == Compression::none) << to_string(type);
  }
}

TEST_F(ConfigFields, SessionTimeoutAndRebalanceTimeout) {
  fields().session_timeout = milliseconds(7'100);
  fields().rebalance_timeout = milliseconds(9'200);
  Party party(config_);
  use(party);
  for (const json& join : await_requests("JOIN_GROUP", party.group)) {
    EXPECT_EQ(join.at("sessionTimeoutMs"), 7'100);
    EXPECT_EQ(join.at("rebalanceTimeoutMs"), 9'200);
  }
}

TEST_F(ConfigFields, CommitInterval) {
  const auto committed = [&](const Party& party) {
    const auto found = admin().committed(party.group, party.topic_name, 0);
    return found ? found->offset : -1;
  };
  fields().commit_interval = hours(1);
  Party rare(config_);
  use(rare);
  // Another that began later has committed, and this one has not.
  config_.kafka_config.topic_prefix = unique_name("often") + "-";
  fields().commit_interval = milliseconds(50);
  Party often(config_);
  use(often);
  EXPECT_TRUE(eventually([&] { return committed(often) == 1; }));
  EXPECT_EQ(committed(rare), 0) << "where the channel began";
  good(rare.queue.close());
  EXPECT_EQ(committed(rare), 1) << "on close";
}

TEST_F(ConfigFields, HeartbeatInterval) {
  fields().heartbeat_interval = seconds(20);
  Party rare(config_);
  use(rare);
  config_.kafka_config.topic_prefix = unique_name("often") + "-";
  fields().heartbeat_interval = milliseconds(100);
  Party often(config_);
  use(often);
  EXPECT_TRUE(eventually([&] { return requests("HEARTBEAT", often.group).size() >= 20; }));
  EXPECT_LE(requests("HEARTBEAT", rare.group).size(), 2U);
}

// A question that fails with what may pass: a new topic's fame spreads from broker to broker.
TEST_F(ConfigFields, MaxAttempts) {
  for (const int attempts : {1, 3}) {
    const std::string missing = unique_name("missing");
    fields().max_attempts = attempts;
    EXPECT_TRUE(is_missing_topic(error_of_call(admin_for(fields())->topic_config(missing, soon()))));
    EXPECT_THAT(await_requests("DESCRIBE_CONFIGS", missing), SizeIs(attempts));
  }
}

TEST_F(ConfigFields, DialTimeout) {
  fields().dial_timeout = milliseconds(300);
  fields().write_timeout = hours(1);
  broker_.pause();                           // the kernel still accepts connections for it
  const auto result = Queue::open(config_);  // or the test's own time-out ends it
  broker_.resume();
  const Error error = error_of_call(result);
  EXPECT_TRUE(error.code == ErrorCode::timeout || error.code == ErrorCode::unavailable) << error.message;
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
