// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>

namespace lrpc::queue::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

enum class Kind { producer, consumer, admin };

class Settings {
 public:
  Result<ConfPtr> make(Kind kind, const KafkaConfig& config) {
    switch (kind) {
      case Kind::producer:
        return producer_conf(config, events_);
      case Kind::consumer:
        return consumer_conf(config, "group", events_);
      case Kind::admin:
        return admin_conf(config, events_);
    }
    return {};
  }
  /// What librdkafka was told.
  std::string get(Kind kind, const KafkaConfig& config, const char* name) {
    auto conf = make(kind, config);
    if (!conf) return "error: " + conf.error().message;
    std::array<char, 512> value{};
    std::size_t size = value.size();
    if (rd_kafka_conf_get(conf->get(), name, value.data(), &size) != RD_KAFKA_CONF_OK) return "unknown";
    return value.data();
  }
  Error error(Kind kind, const KafkaConfig& config) {
    auto conf = make(kind, config);
    EXPECT_FALSE(conf.has_value());
    return conf ? Error{} : conf.error();
  }
  /// librdkafka also takes the settings together.
  std::string client(Kind kind, const KafkaConfig& config) {
    auto conf = make(kind, config);
    if (!conf) return conf.error().message;
    auto client = make_client(kind == Kind::producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, std::move(*conf));
    return client ? "" : client.error().message;
  }

 private:
  ClientEvents events_{[](LogLevel, std::string_view) {}};
};

struct FieldCase {
  const char* name;
  std::function<void(KafkaConfig&)> change;
  Kind kind;
  const char* property;
  const char* expected;
};

class SettingsField : public ::testing::TestWithParam<FieldCase> {};

TEST_P(SettingsField, BecomesAProperty) {
  KafkaConfig config;
  GetParam().change(config);
  EXPECT_EQ(Settings().get(GetParam().kind, config, GetParam().property), GetParam().expected);
  EXPECT_EQ(Settings().client(GetParam().kind, config), "");
}

// By default a second: 0.35 M messages a second instead of 0.9 with librdkafka 2.15.1, where a topic is read from its
// start.
TEST(SettingsOfConsumers, AFullClientLooksAgainSoonWhereLibrdkafkaCanBeTold) {
  constexpr int kFirstThatKnows = 0x02020000;
  EXPECT_EQ(Settings().get(Kind::consumer, KafkaConfig{}, "fetch.queue.backoff.ms"),
            rd_kafka_version() >= kFirstThatKnows ? "20" : "unknown");
}

void nothing(KafkaConfig& /*config*/) {}

INSTANTIATE_TEST_SUITE_P(
    All, SettingsField,
    ::testing::Values(
        FieldCase{"brokers", [](auto& c) { c.brokers = {"a:1", "b:2"}; }, Kind::admin, "bootstrap.servers", "a:1,b:2"},
        FieldCase{"group", nothing, Kind::consumer, "group.id", "group"},
        FieldCase{"write", nothing, Kind::producer, "message.timeout.ms", "8500"},
        FieldCase{"short_write", [](auto& c) { c.write_timeout = milliseconds(1); }, Kind::producer,
                  "message.timeout.ms", "1"},
        FieldCase{"write_request", [](auto& c) { c.write_timeout = seconds(7); }, Kind::producer, "request.timeout.ms",
                  "7000"},
        FieldCase{"acks_all", nothing, Kind::producer, "request.required.acks", "-1"},
        FieldCase{"acks_all_idempotent", nothing, Kind::producer, "enable.idempotence", "true"},
        FieldCase{"acks_leader", [](auto& c) { c.required_acks = 1; }, Kind::producer, "request.required.acks", "1"},
        FieldCase{"acks_leader_plain", [](auto& c) { c.required_acks = 1; }, Kind::producer, "enable.idempotence",
                  "false"},
        FieldCase{"acks_leader_once", [](auto& c) { c.required_acks = 1; }, Kind::producer, "message.send.max.retries",
                  "0"},
        FieldCase{"acks_none", [](auto& c) { c.required_acks = 0; }, Kind::producer, "request.required.acks", "0"},
        FieldCase{"compression", [](auto& c) { c.compression_type = Compression::zstd; }, Kind::producer,
                  "compression.codec", "zstd"},
        FieldCase{"dial", [](auto& c) { c.dial_timeout = seconds(4); }, Kind::producer,
                  "socket.connection.setup.timeout.ms", "4000"},
        FieldCase{"no_linger", nothing, Kind::producer, "linger.ms", "0"},
        FieldCase{"no_creation", nothing, Kind::producer, "allow.auto.create.topics", "false"},
        FieldCase{"session", [](auto& c) { c.session_timeout = seconds(6); }, Kind::consumer, "session.timeout.ms",
                  "6000"},
        FieldCase{"heartbeat", [](auto& c) { c.heartbeat_interval = seconds(2); }, Kind::consumer,
                  "heartbeat.interval.ms", "2000"},
        FieldCase{"rebalance", nothing, Kind::consumer, "max.poll.interval.ms", "60000"},
        FieldCase{"rebalance_below_session", [](auto& c) { c.rebalance_timeout = seconds(5); }, Kind::consumer,
                  "max.poll.interval.ms", "30000"},
        FieldCase{"read_batch", nothing, Kind::consumer, "socket.timeout.ms", "10000"},
        FieldCase{"short_read_batch", [](auto& c) { c.read_batch_timeout = milliseconds(100); }, Kind::consumer,
                  "fetch.wait.max.ms", "100"},
        FieldCase{"instance", [](auto& c) { c.instance_id = "one"; }, Kind::consumer, "group.instance.id", "one"},
        FieldCase{"isolation", [](auto& c) { c.isolation_level = IsolationLevel::read_uncommitted; }, Kind::consumer,
                  "isolation.level", "read_uncommitted"},
        FieldCase{"isolation_admin", nothing, Kind::admin, "isolation.level", "read_committed"},
        FieldCase{"assignor", nothing, Kind::consumer, "partition.assignment.strategy", "range"},
        FieldCase{"commit", nothing, Kind::consumer, "enable.auto.commit", "false"},
        FieldCase{"store", nothing, Kind::consumer, "enable.auto.offset.store", "false"},
        FieldCase{"reset", nothing, Kind::consumer, "auto.offset.reset", "error"},
        FieldCase{"plaintext", nothing, Kind::admin, "security.protocol", "plaintext"},
        FieldCase{"tls", [](auto& c) { c.tls.enabled = true; }, Kind::admin, "security.protocol", "ssl"},
        FieldCase{"tls_name", [](auto& c) { c.tls.enabled = true; }, Kind::admin,
                  "ssl.endpoint.identification.algorithm", "https"},
        FieldCase{"tls_unverified",
                  [](auto& c) {
                    c.tls.enabled = true;
                    c.tls.verify = false;
                  },
                  Kind::admin, "enable.ssl.certificate.verification", "false"},
        FieldCase{"tls_other_name",
                  [](auto& c) {
                    c.tls.enabled = true;
                    c.tls.server_name = "kafka.example";
                  },
                  Kind::admin, "ssl.endpoint.identification.algorithm", "none"},
        FieldCase{"sasl",
                  [](auto& c) {
                    c.sasl = {.mechanism = "PLAIN", .username = "ada", .password = "secret"};
                  },
                  Kind::admin, "security.protocol", "sasl_plaintext"},
        FieldCase{"sasl_user",
                  [](auto& c) {
                    c.sasl = {.mechanism = "PLAIN", .username = "ada", .password = "secret"};
                  },
                  Kind::admin, "sasl.username", "ada"},
        FieldCase{"sasl_tls",
                  [](auto& c) {
                    c.sasl = {.mechanism = "PLAIN", .username = "ada", .password = "secret"};
                    c.tls.enabled = true;
                  },
                  Kind::admin, "security.protocol", "sasl_ssl"},
        FieldCase{"extra", [](auto& c) { c.extra = {{"client.rack", "r1"}}; }, Kind::consumer, "client.rack", "r1"},
        FieldCase{"extra_wins", [](auto& c) { c.extra = {{"linger.ms", "3"}}; }, Kind::producer, "linger.ms", "3"},
        FieldCase{"extra_login", [](auto& c) { c.extra = {{"sasl.username", "ada"}}; }, Kind::producer,
                  "sasl.username", "ada"}),
    [](const auto& each) { return each.param.name; });

TEST(Settings, AFileThatIsNotThereIsToldWithItsField) {
  KafkaConfig config;
  config.tls = {.enabled = true, .ca_file = "/nowhere/ca.pem"};
  EXPECT_THAT(Settings().client(Kind::admin, config), HasSubstr("ssl.ca.location"));
}

class SettingsRefused : public ::testing::TestWithParam<const char*> {};

TEST_P(SettingsRefused, NamesTheKeyAndHidesTheValue) {
  KafkaConfig config;
  config.extra = {{GetParam(), "hidden"}};
  for (const Kind kind : {Kind::producer, Kind::consumer, Kind::admin}) {
    const Error error = Settings().error(kind, config);
    EXPECT_EQ(error.code, ErrorCode::invalid_config);
    EXPECT_THAT(error.message, HasSubstr(std::string("kafka_config.extra.") + GetParam()));
    EXPECT_THAT(error.message, Not(HasSubstr("hidden")));
  }
}

INSTANTIATE_TEST_SUITE_P(All, SettingsRefused,
                         ::testing::Values("no.such.property", "bootstrap.servers", "metadata.broker.list", "group.id",
                                           "enable.auto.commit", "enable.auto.offset.store",
                                           "partition.assignment.strategy", "auto.offset.reset", "isolation.level",
                                           "enable.idempotence", "acks", "delivery.timeout.ms", "message.timeout.ms",
                                           "transactional.id", "group.protocol", "delivery.report.only.error",
                                           // not properties of text, or not such values
                                           "dr_msg_cb", "opaque", "log.queue", "linger.ms", "debug"));

TEST(Settings, TheFieldToUseInsteadIsNamed) {
  KafkaConfig config;
  config.extra = {{"bootstrap.servers", "x:1"}};
  EXPECT_THAT(Settings().error(Kind::admin, config).message, HasSubstr("use kafka_config.brokers"));
  config.extra = {{"sasl.password", "hidden"}};
  config.sasl = {.mechanism = "PLAIN", .username = "ada", .password = "secret"};
  EXPECT_THAT(Settings().error(Kind::admin, config).message, HasSubstr("use kafka_config.sasl.password"));
}

TEST(Settings, ScramNeedsALibrdkafkaThatCanDoIt) {
  KafkaConfig config;
  config.sasl = {.mechanism = "SCRAM-SHA-256", .username = "ada", .password = "hidden"};
  auto conf = Settings().make(Kind::producer, config);
  if (rd_kafka_version() >= 0x020601ff) {
    EXPECT_TRUE(conf.has_value());
  } else {
    ASSERT_FALSE(conf.has_value());
    EXPECT_EQ(conf.error().code, ErrorCode::unsupported);
    EXPECT_THAT(conf.error().message, HasSubstr("2.6.1"));
    EXPECT_THAT(conf.error().message, Not(HasSubstr("hidden")));
  }
}

TEST(Settings, ReportsComeInTimeForTheCaller) {
  KafkaConfig config;
  for (const auto timeout : {milliseconds(0), milliseconds(1), milliseconds(100), milliseconds(4'000),
                             milliseconds(10'000), std::chrono::duration_cast<milliseconds>(std::chrono::hours(1))}) {
    config.write_timeout = timeout;
    EXPECT_GE(message_timeout(config), milliseconds(1));
    EXPECT_LE(message_timeout(config), std::max(timeout, milliseconds(1)));
  }
}

}  // namespace
}  // namespace lrpc::queue::kafka
