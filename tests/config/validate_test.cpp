// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <random>
#include <regex>
#include <string>
#include <string_view>
#include <utility>

#include <lrpc/queue/config.hpp>

namespace lrpc::queue {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

template <class C>
void expect_valid(const std::function<void(C&)>& change) {
  C config;
  change(config);
  const Result<void> result = validate(config);
  EXPECT_TRUE(result) << result.error().message;
}

template <class C>
void expect_invalid(const std::function<void(C&)>& change, std::string_view text) {
  C config;
  change(config);
  const Result<void> result = validate(config);
  ASSERT_FALSE(result) << text;
  EXPECT_EQ(result.error().code, ErrorCode::invalid_config);
  EXPECT_FALSE(result.error().retryable);
  EXPECT_THAT(result.error().message, AllOf(HasSubstr("config: "), HasSubstr(text)));
}

TEST(Validate, DefaultsAreValid) {
  EXPECT_TRUE(validate(Config{}));
  EXPECT_TRUE(validate(TopicConfig{}));
  EXPECT_TRUE(validate(ChannelConfig{}));
  for (const StorageType type : {StorageType::memory, StorageType::redis, StorageType::kafka}) {
    EXPECT_TRUE(validate_for_open(Config{.storage_type = type}));
  }
}

/// The fields that queue, topic and channel share have the same bounds in all three.
template <class C>
void check_shared_fields() {
  expect_valid<C>([](C& c) { c.max_retries = -1; });
  expect_invalid<C>([](C& c) { c.max_retries = -2; }, "max_retries: found -2, allowed: an integer from -1");
  expect_invalid<C>([](C& c) { c.max_retries = std::numeric_limits<int>::min(); }, "max_retries");
  expect_valid<C>([](C& c) { c.retry_delay = 0ms; });
  expect_invalid<C>([](C& c) { c.retry_delay = -1ms; }, "retry_delay: found -1ms, allowed: a duration of 0s or more");
  expect_valid<C>([](C& c) { c.retry_delay = Duration::max(); });  // means the longest that is ever used
  expect_invalid<C>([](C& c) { c.retry_delay = Duration::min(); }, "retry_delay");
  expect_valid<C>([](C& c) { c.message_ttl = 0ms; });
  expect_invalid<C>([](C& c) { c.message_ttl = -1ms; }, "message_ttl");
  expect_valid<C>([](C& c) { c.max_in_flight = 1; });
  expect_invalid<C>([](C& c) { c.max_in_flight = 0; }, "max_in_flight: found 0, allowed: an integer from 1");
  expect_invalid<C>([](C& c) { c.max_in_flight = -1; }, "max_in_flight");
  expect_valid<C>([](C& c) { c.ack_timeout = 1ms; });
  expect_invalid<C>([](C& c) { c.ack_timeout = 0ms; }, "ack_timeout: found 0s, allowed: a duration of 1ms or more");
  expect_valid<C>([](C& c) { c.backoff = Backoff{.multiplier = 1e9, .max_delay = 0ms}; });
  expect_invalid<C>([](C& c) { c.backoff = Backoff{.multiplier = 0.999}; }, "backoff.multiplier: found 0.999");
  expect_invalid<C>([](C& c) { c.backoff = Backoff{.multiplier = std::numeric_limits<double>::infinity()}; },
                    "backoff.multiplier: found inf");
  expect_invalid<C>([](C& c) { c.backoff = Backoff{.multiplier = std::numeric_limits<double>::quiet_NaN()}; },
                    "backoff.multiplier: found nan");
  expect_invalid<C>([](C& c) { c.backoff = Backoff{.max_delay = -1s}; }, "backoff.max_delay");
  expect_invalid<C>([](C& c) { c.handler_timeout = -1ms; }, "handler_timeout");
  expect_valid<C>([](C& c) { c.close_timeout = 0ms; });
  expect_invalid<C>([](C& c) { c.close_timeout = -1ms; }, "close_timeout");
  expect_valid<C>([](C& c) { c.dead_letter_limit = 0; });
  expect_invalid<C>([](C& c) { c.dead_letter_limit = -1; }, "dead_letter_limit");
}

TEST(Validate, SharedFields) {
  check_shared_fields<ChannelConfig>();
  check_shared_fields<TopicConfig>();
  check_shared_fields<Config>();
}

template <class C>
void check_topic_fields() {
  expect_valid<C>([](C& c) { c.max_body_size = 0; });
  expect_valid<C>([](C& c) { c.max_body_size = std::numeric_limits<std::int64_t>::max(); });
  expect_invalid<C>([](C& c) { c.max_body_size = -1; }, "max_body_size");
  expect_invalid<C>([](C& c) { c.max_msg_size = -1; }, "max_msg_size");
  expect_invalid<C>([](C& c) { c.max_pending_publishes = -1; }, "max_pending_publishes");
  expect_invalid<C>([](C& c) { c.overflow = static_cast<Overflow>(2); },
                    "overflow: found the unknown enumerator 2, allowed: one of reject, drop_oldest");
  expect_invalid<C>([](C& c) { c.overflow = static_cast<Overflow>(-1); }, "overflow");
}

TEST(Validate, TopicFields) {
  check_topic_fields<TopicConfig>();
  check_topic_fields<Config>();
}

TEST(Validate, Redis) {
  using Change = std::function<void(RedisConfig&)>;
  const auto valid = [](const Change& change) { expect_valid<Config>([&](Config& c) { change(c.redis_config); }); };
  const auto invalid = [](const Change& change, std::string_view text) {
    expect_invalid<Config>([&](Config& c) { change(c.redis_config); }, "redis_config." + std::string(text));
  };
  invalid([](RedisConfig& c) { c.db = -1; }, "db: found -1, allowed: an integer from 0");
  invalid([](RedisConfig& c) { c.pool_size = 0; }, "pool_size");
  valid([](RedisConfig& c) { c.min_idle_conns = 0; });
  invalid([](RedisConfig& c) { c.min_idle_conns = -1; }, "min_idle_conns");
  invalid([](RedisConfig& c) { c.max_retries = -2; }, "max_retries");
  invalid([](RedisConfig& c) { c.dial_timeout = -1ms; }, "dial_timeout");
  invalid([](RedisConfig& c) { c.read_timeout = -1ms; }, "read_timeout");
  invalid([](RedisConfig& c) { c.write_timeout = -1ms; }, "write_timeout");
  invalid([](RedisConfig& c) { c.pool_timeout = -1ms; }, "pool_timeout");
  invalid([](RedisConfig& c) { c.addr = ""; }, "addr");
  valid([](RedisConfig& c) {
    c.addr = "";
    c.url = "redis://cache";
  });
  valid([](RedisConfig& c) { c.url = "rediss://u:p@cache:6380/1"; });
  invalid([](RedisConfig& c) { c.url = "cache:6379"; }, "url");
  invalid([](RedisConfig& c) { c.sentinel.master = "m"; }, "sentinel: found master without addrs");
  invalid([](RedisConfig& c) { c.sentinel.addrs = {"a:1"}; }, "sentinel: found addrs without master");
  valid([](RedisConfig& c) { c.sentinel = {.master = "m", .addrs = {"a:1"}}; });
  invalid([](RedisConfig& c) { c.sentinel = {.master = "m", .addrs = {"a:1", ""}}; }, "sentinel.addrs");
  invalid([](RedisConfig& c) { c.tls.cert_file = "c"; }, "tls: found cert_file without key_file");
  invalid([](RedisConfig& c) { c.tls.key_file = "k"; }, "tls: found key_file without cert_file");
}

TEST(Validate, Kafka) {
  using Change = std::function<void(KafkaConfig&)>;
  const auto valid = [](const Change& change) { expect_valid<Config>([&](Config& c) { change(c.kafka_config); }); };
  const auto invalid = [](const Change& change, std::string_view text) {
    expect_invalid<Config>([&](Config& c) { change(c.kafka_config); }, "kafka_config." + std::string(text));
  };
  invalid([](KafkaConfig& c) { c.brokers.clear(); }, "brokers: found an empty list");
  invalid([](KafkaConfig& c) { c.brokers.emplace_back(); }, "brokers: found a list with an empty string");
  invalid([](KafkaConfig& c) { c.partition = 0; }, "partition");
  invalid([](KafkaConfig& c) { c.replication_factor = 0; }, "replication_factor");
  invalid([](KafkaConfig& c) { c.max_attempts = 0; }, "max_attempts");
  for (const int acks : {-1, 0, 1}) valid([&](KafkaConfig& c) { c.required_acks = acks; });
  for (const int acks : {-2, 2}) invalid([&](KafkaConfig& c) { c.required_acks = acks; }, "required_acks");
  invalid([](KafkaConfig& c) { c.read_batch_timeout = -1ms; }, "read_batch_timeout");
  invalid([](KafkaConfig& c) { c.write_timeout = -1ms; }, "write_timeout");
  invalid([](KafkaConfig& c) { c.session_timeout = -1ms; }, "session_timeout");
  invalid([](KafkaConfig& c) { c.rebalance_timeout = -1ms; }, "rebalance_timeout");
  invalid([](KafkaConfig& c) { c.commit_interval = -1ms; }, "commit_interval");
  invalid([](KafkaConfig& c) { c.heartbeat_interval = -1ms; }, "heartbeat_interval");
  invalid([](KafkaConfig& c) { c.dial_timeout = -1ms; }, "dial_timeout");
  invalid([](KafkaConfig& c) { c.heartbeat_interval = 30s; },
          "heartbeat_interval: found 30s, allowed: less than session_timeout, which is 30s");
  valid([](KafkaConfig& c) { c.heartbeat_interval = 30s - 1ms; });
  invalid([](KafkaConfig& c) { c.sasl.mechanism = "GSSAPI"; },
          "sasl.mechanism: found \"GSSAPI\", allowed: one of PLAIN");
  invalid([](KafkaConfig& c) { c.sasl.username = "u"; }, "sasl: found a username or password without mechanism");
  valid([](KafkaConfig& c) { c.sasl = {.mechanism = "PLAIN", .username = "u", .password = "p"}; });
  invalid([](KafkaConfig& c) { c.compression_type = static_cast<Compression>(9); }, "compression_type");
  invalid([](KafkaConfig& c) { c.balancer = static_cast<Balancer>(9); }, "balancer");
  invalid([](KafkaConfig& c) { c.start_offset = static_cast<StartOffset>(9); }, "start_offset");
  invalid([](KafkaConfig& c) { c.isolation_level = static_cast<IsolationLevel>(9); }, "isolation_level");
  invalid([](KafkaConfig& c) { c.tls.cert_file = "c"; }, "tls");
}

TEST(Validate, SecretsAreNeverShown) {
  Config config;
  config.redis_config.url = "http://:hunter2@cache";
  config.redis_config.password = "hunter2";
  EXPECT_THAT(validate(config).error().message, Not(HasSubstr("hunter2")));
}

TEST(ValidateForOpen, ChecksOnlyTheChosenBackEnd) {
  Config config;
  config.redis_config.db = -1;
  config.kafka_config.partition = 0;
  EXPECT_FALSE(validate(config));
  EXPECT_TRUE(validate_for_open(config));
  config.storage_type = StorageType::redis;
  EXPECT_THAT(validate_for_open(config).error().message, HasSubstr("redis_config.db"));
  config.storage_type = StorageType::kafka;
  EXPECT_THAT(validate_for_open(config).error().message, HasSubstr("kafka_config.partition"));
  config.storage_type = static_cast<StorageType>(3);
  EXPECT_THAT(validate_for_open(config).error().message, HasSubstr("storage_type"));
  EXPECT_THAT(validate_for_open(Config{.max_retries = -2}).error().message, HasSubstr("max_retries"));
  EXPECT_THAT(validate_for_open(Config{.backoff = Backoff{.multiplier = 0}}).error().message, HasSubstr("backoff"));
}

TEST(EnumNames, AreTheKeys) {
  EXPECT_EQ(to_string(StorageType::memory), "memory");
  EXPECT_EQ(to_string(StorageType::redis), "redis");
  EXPECT_EQ(to_string(StorageType::kafka), "kafka");
  EXPECT_EQ(to_string(Overflow::reject), "reject");
  EXPECT_EQ(to_string(Overflow::drop_oldest), "drop_oldest");
  EXPECT_EQ(to_string(Compression::none), "none");
  EXPECT_EQ(to_string(Compression::gzip), "gzip");
  EXPECT_EQ(to_string(Compression::snappy), "snappy");
  EXPECT_EQ(to_string(Compression::lz4), "lz4");
  EXPECT_EQ(to_string(Compression::zstd), "zstd");
  EXPECT_EQ(to_string(Balancer::least_bytes), "least_bytes");
  EXPECT_EQ(to_string(Balancer::hash), "hash");
  EXPECT_EQ(to_string(Balancer::round_robin), "round_robin");
  EXPECT_EQ(to_string(StartOffset::earliest), "earliest");
  EXPECT_EQ(to_string(StartOffset::latest), "latest");
  EXPECT_EQ(to_string(IsolationLevel::read_uncommitted), "read_uncommitted");
  EXPECT_EQ(to_string(IsolationLevel::read_committed), "read_committed");
  EXPECT_EQ(to_string(static_cast<StorageType>(99)), "unknown");
  EXPECT_EQ(to_string(static_cast<Overflow>(-1)), "unknown");
}

TEST(ValidateName, TellsWhatIsWrong) {
  const auto text = [](std::string_view name) {
    const Result<void> result = validate_name("topic", name);
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
    return result ? std::string() : result.error().message;
  };
  EXPECT_EQ(text(""), "topic name \"\" is empty");
  EXPECT_THAT(text(std::string(201, 'a')), HasSubstr("longer than 200"));
  EXPECT_THAT(text("a b"), HasSubstr("may contain only"));
  EXPECT_THAT(text("a\nb"), HasSubstr(R"("a\x0ab")"));
  EXPECT_THAT(text(".a"), HasSubstr("must begin and end"));
  EXPECT_THAT(text("a-"), HasSubstr("must begin and end"));
  EXPECT_THAT(validate_name("channel", "/").error().message, HasSubstr("channel name"));
  EXPECT_TRUE(validate_name("topic", "a"));
  EXPECT_TRUE(validate_name("topic", "_"));
  EXPECT_TRUE(validate_name("topic", std::string(200, 'a')));
}

TEST(ValidateName, AgreesWithThePattern) {
  const std::regex pattern("[A-Za-z0-9_]([A-Za-z0-9._-]{0,198}[A-Za-z0-9_])?");
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    for (const std::string& name :
         {std::string(1, c), std::string{c, 'a'}, std::string{'a', c}, std::string{'a', c, 'a'}}) {
      EXPECT_EQ(validate_name("topic", name).has_value(), std::regex_match(name, pattern)) << byte;
    }
  }
  std::mt19937 random(1);
  const std::string_view alphabet = "aZ09_.-/ ";
  for (int i = 0; i < 20'000; ++i) {
    std::string name;
    for (auto left = random() % (i % 100 == 0 ? 210 : 8); left > 0; --left) {
      name += alphabet[random() % (i % 2 == 0 ? 7 : alphabet.size())];
    }
    ASSERT_EQ(validate_name("topic", name).has_value(), std::regex_match(name, pattern)) << name;
  }
}

}  // namespace
}  // namespace lrpc::queue
