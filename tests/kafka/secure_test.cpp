// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Queues over encrypted lines and logins, from publish to dead letter, and what is said when they are refused.
#include "kafka/settings.hpp"
#include "queue_fixture.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::seconds;
using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kUser = "alice";
constexpr const char* kPassword = "hidden-word";

/// One broker with all the ways in.
Broker& secure_broker() {
  static Broker broker({.tls = true, .users = {{.name = kUser, .password = kPassword}}, .scram = true});
  return broker;
}

/// The configuration for a way in.
Config config_by(Listener listener, const std::string& mechanism = "PLAIN") {
  const Broker& broker = secure_broker();
  Config config = queue_config(broker.address(listener));
  KafkaConfig& fields = config.kafka_config;
  if (listener == Listener::tls || listener == Listener::sasl_tls) {
    fields.tls = {.enabled = true, .ca_file = broker.certificate("ca.crt")};
  }
  if (listener == Listener::sasl || listener == Listener::sasl_tls) {
    fields.sasl = {.mechanism = mechanism, .username = kUser, .password = kPassword};
  }
  return config;
}

/// Everything that a queue has connections for: the producer, questions, the group, the reader of dead letters.
void use_all(const Config& config) {
  Party party(config, {.max_retries = 1});
  good(party.topic.pub("done"));
  good(party.topic.pub("again"));
  auto message = good(party.channel.try_next(kPatience));
  EXPECT_EQ(message.body(), "done");
  good(party.channel.ack(message));
  message = good(party.channel.try_next(kPatience));
  good(party.channel.nack(message));
  message = good(party.channel.try_next(kPatience));
  EXPECT_EQ(message.body(), "again");
  EXPECT_EQ(message.attempts(), 2);
  good(party.channel.nack(message, {.reason = "no use"}));
  const auto letters = good(party.channel.dead_letters());
  ASSERT_EQ(letters.items.size(), 1U);
  EXPECT_EQ(letters.items[0].reason, "max_retries");
  EXPECT_EQ(good(party.channel.requeue_dead()), 1);
  message = good(party.channel.try_next(kPatience));
  EXPECT_EQ(message.attempts(), 1);
  good(party.channel.ack(message));
  EXPECT_EQ(good(party.channel.depth()), 0);
  good(party.queue.close());
}

/// What opening says.
Error refusal(const Config& config) {
  Error error = error_of_call(Queue::open(config));
  EXPECT_THAT(error.message, Not(HasSubstr(kPassword)));
  return error;
}

TEST(Secure, Tls) { use_all(config_by(Listener::tls)); }
TEST(Secure, SaslPlain) { use_all(config_by(Listener::sasl)); }
TEST(Secure, SaslPlainOverTls) { use_all(config_by(Listener::sasl_tls)); }

TEST(Secure, AClientsCertificateAndAnotherServersName) {
  Config config = config_by(Listener::tls);
  const Broker& broker = secure_broker();
  config.kafka_config.tls.cert_file = broker.certificate("server.crt");
  config.kafka_config.tls.key_file = broker.certificate("server.key");
  config.kafka_config.tls.server_name = "localhost";
  use_all(config);
}

TEST(Secure, AWrongAuthorityIsTold) {
  const support::Certificates strangers;
  for (const Listener listener : {Listener::tls, Listener::sasl_tls}) {
    Config config = config_by(listener);
    config.kafka_config.tls.ca_file = strangers.file("ca.crt");
    const Error error = refusal(config);
    EXPECT_EQ(error.code, ErrorCode::permission) << error.message;
    EXPECT_FALSE(error.retryable);
    EXPECT_THAT(error.message, HasSubstr("kafka_config.tls"));
    EXPECT_THAT(error.message, HasSubstr("certificate"));
  }
}

TEST(Secure, AWrongServersNameIsTold) {
  Config config = config_by(Listener::tls);
  config.kafka_config.tls.server_name = "kafka.example";
  for (int i = 0; i < 5; ++i) {  // librdkafka tries again meanwhile, and sums up what is alike
    const Error error = refusal(config);
    EXPECT_EQ(error.code, ErrorCode::permission) << error.message;
    EXPECT_THAT(error.message, HasSubstr("kafka.example"));
  }
}

TEST(Secure, AWrongPasswordIsTold) {
  for (const Listener listener : {Listener::sasl, Listener::sasl_tls}) {
    for (const char* const field : {"password", "username"}) {
      Config config = config_by(listener);
      (std::string_view(field) == "password" ? config.kafka_config.sasl.password : config.kafka_config.sasl.username) =
          "somebody-else";
      const Error error = refusal(config);
      EXPECT_EQ(error.code, ErrorCode::permission) << error.message;
      EXPECT_FALSE(error.retryable);
      EXPECT_THAT(error.message, HasSubstr("kafka_config.sasl"));
    }
  }
}

// What the broker hears is no handshake; which of them notices first is open.
TEST(Secure, TheWrongKindOfLineIsTold) {
  Config plain_to_tls = config_by(Listener::plaintext);
  plain_to_tls.kafka_config.brokers = {secure_broker().address(Listener::tls)};
  plain_to_tls.kafka_config.dial_timeout = seconds(3);
  const ErrorCode code = refusal(plain_to_tls).code;
  EXPECT_THAT(code, AnyOf(Eq(ErrorCode::permission), Eq(ErrorCode::unavailable), Eq(ErrorCode::timeout)));
  Config tls_to_plain = config_by(Listener::tls);
  tls_to_plain.kafka_config.brokers = {secure_broker().address()};
  tls_to_plain.kafka_config.dial_timeout = seconds(3);
  const Error error = refusal(tls_to_plain);
  EXPECT_THAT(error.code, AnyOf(Eq(ErrorCode::permission), Eq(ErrorCode::unavailable), Eq(ErrorCode::timeout)));
}

class Scram : public ::testing::TestWithParam<const char*> {};

TEST_P(Scram, LogsIn) {
  if (!scram_works()) {
    GTEST_SKIP() << "librdkafka " << rd_kafka_version_str()
                 << " cannot log in by SCRAM, 2.6.1 and newer can: scripts/test-newer-deps.sh runs this with one";
  }
  use_all(config_by(Listener::sasl, GetParam()));
  use_all(config_by(Listener::sasl_tls, GetParam()));
  Config wrong = config_by(Listener::sasl, GetParam());
  wrong.kafka_config.sasl.password = "somebody-else";
  EXPECT_EQ(refusal(wrong).code, ErrorCode::permission);
}

TEST_P(Scram, AnOldLibraryIsTold) {
  if (scram_works()) GTEST_SKIP() << "librdkafka " << rd_kafka_version_str() << " can log in by SCRAM";
  const Error error = refusal(config_by(Listener::sasl, GetParam()));
  EXPECT_EQ(error.code, ErrorCode::unsupported) << error.message;
  EXPECT_THAT(error.message, HasSubstr("2.6.1"));
  EXPECT_THAT(error.message, HasSubstr(rd_kafka_version_str()));
  EXPECT_THAT(error.message, HasSubstr(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(All, Scram, ::testing::Values("SCRAM-SHA-256", "SCRAM-SHA-512"), [](const auto& each) {
  return std::string(each.param).ends_with("256") ? "Sha256" : "Sha512";
});

}  // namespace
}  // namespace lrpc::queue::kafka::test
