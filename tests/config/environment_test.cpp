// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <lrpc/queue/config.hpp>

#include "settings.hpp"
#include "support.hpp"

namespace lrpc::queue::config_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string variable_of(std::string_view path) {
  std::string result = "LRPC_QUEUE_";
  for (const char c : path) result += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return result;
}

/// The error text for one variable; fails the test unless it is an `invalid_config` that names it.
std::string env_error(const std::string& name, const std::string& value) {
  const Environment environment{{name, value}};
  const Result<Config> result = Config::from_env();
  if (result) {
    ADD_FAILURE() << "accepted: " << name << "=" << value;
    return {};
  }
  EXPECT_EQ(result.error().code, ErrorCode::invalid_config);
  EXPECT_THAT(result.error().message, HasSubstr(name));
  return result.error().message;
}

TEST(Environment, NothingSetIsTheBase) {
  const Environment environment{};
  const Result<Config> config = Config::from_env();
  ASSERT_TRUE(config);
  EXPECT_EQ(dump(*config), dump(Config{}));
  const Result<Config> laid = Config::from_env(Config{.max_retries = 2, .backoff = Backoff{.multiplier = 3}});
  ASSERT_TRUE(laid);
  EXPECT_EQ(laid->max_retries, 2);
  EXPECT_EQ(laid->backoff->multiplier, 3);
}

TEST(Environment, EverySettingHasItsOwnVariable) {
  std::set<std::string> names;
  for (const Setting& setting : settings()) {
    EXPECT_TRUE(names.insert(variable_of(setting.path)).second) << setting.path;
    const Environment environment{{variable_of(setting.path), setting.environment}};
    const Result<Config> config = Config::from_env();
    ASSERT_TRUE(config) << config.error().message;
    std::string pointer = "/" + setting.path;
    for (char& c : pointer) c = c == '.' ? '/' : c;
    EXPECT_EQ(dump(*config).at(nlohmann::json::json_pointer(pointer)), nlohmann::json::parse(setting.expected))
        << setting.path;
  }
}

TEST(Environment, LaysOverABase) {
  const Environment environment{{"LRPC_QUEUE_MAX_RETRIES", "9"},
                                {"LRPC_QUEUE_BACKOFF_JITTER", "true"},
                                {"LRPC_QUEUE_REDIS_CONFIG_TLS_ENABLED", "1"}};
  Config base{.max_retries = 2, .retry_delay = Duration(7), .backoff = Backoff{.multiplier = 3}};
  base.redis_config.tls.ca_file = "ca.pem";
  const Result<Config> config = Config::from_env(base);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->max_retries, 9);
  EXPECT_EQ(config->retry_delay, Duration(7));
  EXPECT_EQ(config->backoff->multiplier, 3);
  EXPECT_TRUE(config->backoff->jitter);
  EXPECT_TRUE(config->redis_config.tls.enabled);
  EXPECT_EQ(config->redis_config.tls.ca_file, "ca.pem");
}

TEST(Environment, KeepsWhatOnlyCodeCanSet) {
  const Environment environment{{"LRPC_QUEUE_MAX_RETRIES", "9"}};
  Config base;
  base.backend_factory = [](const BackendContext&) -> Result<std::shared_ptr<Backend>> { return nullptr; };
  const Result<Config> config = Config::from_env(base);
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->backend_factory);
}

TEST(Environment, WrongValuesNameVariableKeyFoundAndAllowed) {
  const auto expect = [](const std::string& path, const std::string& value, const std::string& allowed) {
    EXPECT_THAT(env_error(variable_of(path), value),
                HasSubstr(variable_of(path) + ": " + path + ": found \"" + value + "\", allowed: " + allowed));
  };
  for (const char* text :
       {"", "5x", " 5", "5 ", "+5", "5.0", "-2", "0x5", "2147483648", "99999999999999999999", "true"}) {
    expect("max_retries", text, "an integer from -1 to 2147483647");
  }
  for (const char* text : {"", "yes", "TRUE", "2", "on", "true "}) expect("limit_next", text, "true, false, 1 or 0");
  for (const char* text : {"", "-1", "-1s", "30 s", "1e999", "inf", "nan", "infinity", "30sec"}) {
    expect("retry_delay", text, "a duration of 0s or more");
  }
  for (const char* text : {"", "0.9", "inf", "nan", "2x", "0x2"}) {
    expect("backoff.multiplier", text, "a finite number of at least 1");
  }
  for (const char* text : {"", "REDIS", "mem"}) expect("storage_type", text, "one of memory, redis, kafka");
  for (const char* text : {"", ",", "a,", ",a", "a,,b", " "}) {
    expect("kafka_config.brokers", text, "strings separated by commas, none of them empty, at least one");
  }
  for (const char* text : {"", "a", "=b", "a=1,a=2", "a=1,", ","}) {
    EXPECT_THAT(env_error("LRPC_QUEUE_KAFKA_CONFIG_EXTRA", text),
                HasSubstr("kafka_config.extra: found another text, allowed: key=value pairs"));
  }
}

TEST(Environment, EmptyTextIsAnEmptyString) {
  const Environment environment{{"LRPC_QUEUE_REDIS_CONFIG_PASSWORD", ""},
                                {"LRPC_QUEUE_KAFKA_CONFIG_TOPIC_PREFIX", ""},
                                {"LRPC_QUEUE_KAFKA_CONFIG_EXTRA", "a="}};
  const Result<Config> config = Config::from_env();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->kafka_config.topic_prefix, "");
  EXPECT_EQ(config->kafka_config.extra.at("a"), "");
}

TEST(Environment, UnknownVariablesAreErrors) {
  EXPECT_THAT(env_error("LRPC_QUEUE_MAX_RETRY", "1"), HasSubstr("mean LRPC_QUEUE_MAX_RETRIES?"));
  EXPECT_THAT(env_error("LRPC_QUEUE_REDIS_CONFIG_ADR", "1"), HasSubstr("mean LRPC_QUEUE_REDIS_CONFIG_ADDR?"));
  EXPECT_THAT(env_error("LRPC_QUEUE_REDIS_ADDR", "1"), HasSubstr("mean LRPC_QUEUE_REDIS_CONFIG_ADDR?"));
  EXPECT_THAT(env_error("LRPC_QUEUE_KAFKA_SASL_USERNAME", "1"),
              HasSubstr("mean LRPC_QUEUE_KAFKA_CONFIG_SASL_USERNAME?"));
  EXPECT_THAT(env_error("LRPC_QUEUE_ZZZZZZZZZZZZ", "hunter2"),
              AllOf(Not(HasSubstr("mean")), Not(HasSubstr("hunter2"))));
  for (const char* name : {"LRPC_QUEUE_", "LRPC_QUEUE_BACKOFF", "LRPC_QUEUE_REDIS_CONFIG", "LRPC_QUEUE_max_retries",
                           "LRPC_QUEUE_REDIS_CLIENT", "LRPC_QUEUE_CLOCK", "LRPC_QUEUE_MAX_RETRIES_"}) {
    env_error(name, "1");
  }
  const Environment environment{};
  ::setenv("LRPC_QUEUEX", "1", 1);
  EXPECT_TRUE(Config::from_env());
  ::unsetenv("LRPC_QUEUEX");
}

TEST(Environment, PasswordsAreNeverShown) {
  for (const char* name : {"LRPC_QUEUE_REDIS_CONFIG_URL", "LRPC_QUEUE_KAFKA_CONFIG_EXTRA"}) {
    EXPECT_THAT(env_error(name, "http://:hunter2@cache"), Not(HasSubstr("hunter2")));
  }
}

TEST(Environment, StrangeBytesAreShownEscaped) {
  EXPECT_THAT(env_error("LRPC_QUEUE_STORAGE_TYPE", "\xFF\x1B"), HasSubstr(R"("\xff\x1b")"));
}

}  // namespace
}  // namespace lrpc::queue::config_test
