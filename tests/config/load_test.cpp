// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <lrpc/queue/config.hpp>

#include "settings.hpp"
#include "support.hpp"

namespace lrpc::queue::config_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// {"a": {"b": value}} for "a.b".
json at_path(const std::string& path, const json& value) {
  std::string pointer = "/" + path;
  for (char& c : pointer) c = c == '.' ? '/' : c;
  json result = json::object();
  result[json::json_pointer(pointer)] = value;
  return result;
}

/// A JSON value as TOML writes it.
std::string to_toml(const json& value) {
  if (!value.is_object()) return value.dump();
  std::string result;
  for (const auto& [key, item] : value.items()) {
    result += (result.empty() ? "" : ", ") + json(key).dump() + " = " + to_toml(item);
  }
  return "{" + result + "}";
}

TEST(Load, TableOfSettingsIsComplete) {
  std::vector<std::string> paths;
  for (const Setting& setting : settings()) paths.push_back(setting.path);
  EXPECT_THAT(paths, testing::UnorderedElementsAreArray(all_paths()));
}

TEST(Load, EverySettingInEveryFormatAndNothingElseChanges) {
  for (const Setting& setting : settings()) {
    const json value = json::parse(setting.json);
    const json tree = at_path(setting.path, value);
    json expected = dump(Config{});
    if (setting.path.starts_with("backoff."))
      expected["backoff"] = {{"multiplier", 1.0}, {"max_delay", 3'600'000}, {"jitter", false}};
    expected.merge_patch(at_path(setting.path, json::parse(setting.expected)));

    // Flow style is YAML as well; block style is in the samples.
    for (const auto& [name, text] :
         {std::pair<std::string, std::string>{"x.json", tree.dump()},
          {"x.yaml", tree.dump(1)},
          {"x.yml", setting.path.find('.') == std::string::npos ? setting.path + ": " + setting.json : tree.dump()},
          {"x.toml", setting.path + " = " + to_toml(value)}}) {
      const Result<Config> config = load_text(name, text);
      ASSERT_TRUE(config) << name << ": " << config.error().message;
      EXPECT_EQ(dump(*config), expected) << name << ": " << text;
    }
  }
}

TEST(Load, EmptyFileIsTheDefaults) {
  for (const char* name : {"x.json", "x.yaml", "x.yml", "x.toml", "x.JSON"}) {
    for (const char* text : {"", " \n\t\r\n", "\xEF\xBB\xBF", "\xEF\xBB\xBF\n"}) {
      const Result<Config> config = load_text(name, text);
      ASSERT_TRUE(config) << name << ": " << config.error().message;
      EXPECT_EQ(dump(*config), dump(Config{}));
    }
  }
  EXPECT_TRUE(load_text("x.json", "{}"));
  EXPECT_TRUE(load_text("x.yaml", "# nothing\n---\n"));
  EXPECT_TRUE(load_text("x.toml", "# nothing\n"));
}

TEST(Load, DoesNotReadTheEnvironment) {
  const Environment environment{{"LRPC_QUEUE_MAX_RETRIES", "9"}, {"LRPC_QUEUE_NONSENSE", "1"}};
  const Result<Config> config = load_text("x.json", "{}");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->max_retries, std::nullopt);
}

TEST(Load, FilesThatCannotBeRead) {
  const Folder folder;
  const auto error = [](const std::string& path) {
    const Result<Config> result = Config::load(path);
    EXPECT_FALSE(result) << path;
    return result ? Error{} : result.error();
  };
  const auto expect = [&](const std::string& path, std::string_view text) {
    const Error found = error(path);
    EXPECT_EQ(found.code, ErrorCode::invalid_config);
    EXPECT_THAT(found.message, AllOf(HasSubstr(path), HasSubstr(text)));
  };
  expect(folder.path("missing.json"), "No such file");
  EXPECT_EQ(error(folder.path("missing.json")).native_code, ENOENT);
  std::filesystem::create_directory(folder.path("folder.yaml"));
  expect(folder.path("folder.yaml"), "Is a directory");
  expect(folder.write("x.ini", "a=1"), ".json, .yaml, .yml, .toml");
  expect(folder.write("noextension", "{}"), "unknown extension");
  expect(folder.write(".json", "{}"), "unknown extension");
  expect(folder.write("file", "") + "/x.json", "Not a directory");
  ASSERT_EQ(::mkfifo(folder.path("pipe.json").c_str(), 0600), 0);
  expect(folder.path("pipe.json"), "not a regular file");
  std::filesystem::create_symlink(folder.path("loop.json"), folder.path("loop.json"));
  expect(folder.path("loop.json"), "symbolic links");
  EXPECT_THAT(error("").message, HasSubstr("empty"));
  EXPECT_THAT(error(folder.write("x.json", "{}") + std::string("\0.json", 6)).message, HasSubstr("zero byte"));
}

TEST(Load, SizeIsLimited) {
  const Folder folder;
  constexpr std::size_t kLimit = std::size_t{1} << 20;
  EXPECT_TRUE(Config::load(folder.write("a.json", std::string(kLimit, ' '))));
  const Result<Config> result = Config::load(folder.write("b.json", std::string(kLimit + 1, ' ')));
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("larger than 1048576 bytes"));
}

TEST(Load, UnknownKeysSuggestTheNearest) {
  EXPECT_THAT(load_error("x.yaml", "max_retry: 1"), AllOf(HasSubstr("max_retry"), HasSubstr("mean max_retries?")));
  EXPECT_THAT(load_error("x.json", R"({"maxInFlight": 1})"), HasSubstr("mean max_in_flight?"));
  EXPECT_THAT(load_error("x.toml", "ack-timeout = 1"), HasSubstr("mean ack_timeout?"));
  EXPECT_THAT(load_error("x.toml", "[redis_config]\nadrr = ''"), HasSubstr("mean redis_config.addr?"));
  EXPECT_THAT(load_error("x.yaml", "redis_config: {tls: {enable: true}}"), HasSubstr("mean redis_config.tls.enabled?"));
  EXPECT_THAT(load_error("x.yaml", "brokers: [a]"), HasSubstr("mean kafka_config.brokers?"));
  EXPECT_THAT(load_error("x.yaml", "redis_config: {storage_type: redis}"), HasSubstr("mean storage_type?"));
  EXPECT_THAT(load_error("x.yaml", "zzzzzzzzzz: 1"), AllOf(Not(HasSubstr("mean")), HasSubstr("max_retries")));
  EXPECT_THAT(load_error("x.json", R"({"": 1})"), HasSubstr("unknown key"));
  for (const char* only_in_code : {"redis_client", "backend_factory", "interceptors", "observer", "logger", "clock"}) {
    EXPECT_THAT(load_error("x.json", json{{only_in_code, 1}}.dump()), HasSubstr("unknown key"));
  }
}

TEST(Load, WrongTypesNameKeyFoundAndAllowed) {
  const auto expect = [](std::string_view text, std::string_view key, std::string_view found,
                         std::string_view allowed) {
    EXPECT_THAT(load_error("x.json", text),
                HasSubstr(std::string(key) + ": found " + std::string(found) + ", allowed: " + std::string(allowed)));
  };
  expect(R"({"max_retries": "5"})", "max_retries", R"("5")", "an integer from -1 to 2147483647");
  expect(R"({"max_retries": 5.0})", "max_retries", "5", "an integer");
  expect(R"({"max_retries": true})", "max_retries", "true", "an integer");
  expect(R"({"max_retries": 2147483648})", "max_retries", "2147483648", "an integer");
  expect(R"({"max_msg_size": 18446744073709551615})", "max_msg_size", "18446744073709551615", "an integer from 0");
  expect(R"({"max_msg_size": 99999999999999999999})", "max_msg_size", "1e+20", "an integer");
  expect(R"({"limit_next": 1})", "limit_next", "1", "true or false");
  expect(R"({"limit_next": "true"})", "limit_next", R"("true")", "true or false");
  expect(R"({"retry_delay": "5"})", "retry_delay", R"("5")", "a duration of 0s or more");
  expect(R"({"retry_delay": -5})", "retry_delay", "-5", "a duration");
  expect(R"({"retry_delay": true})", "retry_delay", "true", "a duration");
  expect(R"({"ack_timeout": 0})", "ack_timeout", "0", "a duration of 1ms or more");
  expect(R"({"storage_type": "Redis"})", "storage_type", R"("Redis")", "one of memory, redis, kafka");
  expect(R"({"storage_type": 1})", "storage_type", "1", "one of");
  expect(R"({"storage_type": null})", "storage_type", "null", "one of");
  expect(R"({"overflow": "drop-oldest"})", "overflow", R"("drop-oldest")", "one of reject, drop_oldest");
  expect(R"({"backoff": 2})", "backoff", "a number", "a table with the keys multiplier, max_delay, jitter");
  expect(R"({"backoff": {"multiplier": 0.5}})", "backoff.multiplier", "0.5", "a finite number of at least 1");
  expect(R"({"redis_config": []})", "redis_config", "a list", "a table with the keys addr,");
  expect(R"({"redis_config": {"addr": 6379}})", "redis_config.addr", "6379", "a string");
  expect(R"({"redis_config": {"addr": null}})", "redis_config.addr", "null", "a string");
  expect(R"({"redis_config": {"tls": {"verify": {}}}})", "redis_config.tls.verify", "a table", "true or false");
  expect(R"({"kafka_config": {"brokers": "a:1"}})", "kafka_config.brokers", R"("a:1")", "a list of strings");
  expect(R"({"kafka_config": {"brokers": []}})", "kafka_config.brokers", "a list", "a list of strings");
  expect(R"({"kafka_config": {"brokers": [1]}})", "kafka_config.brokers", "a list", "a list of strings");
  expect(R"({"kafka_config": {"brokers": [""]}})", "kafka_config.brokers", "a list", "a list of strings");
  expect(R"({"kafka_config": {"required_acks": 2}})", "kafka_config.required_acks", "2", "an integer from -1 to 1");
  expect(R"({"kafka_config": {"extra": {"a": 1}}})", "kafka_config.extra", "a table", "a table of strings");
  expect(R"({"kafka_config": {"sasl": {"mechanism": "plain"}}})", "kafka_config.sasl.mechanism", R"("plain")",
         "one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512");
  for (const char* text : {"[]", "5", R"("text")", "null", "true"}) {
    EXPECT_THAT(load_error("x.json", text), HasSubstr("top level: found")) << text;
  }
}

TEST(Load, NullIsUnsetForWhatCanBeUnset) {
  const Result<Config> config =
      load_text("x.json", R"({"max_retries": null, "retry_delay": null, "backoff": null, "overflow": null})");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(dump(*config), dump(Config{}));
}

TEST(Load, PasswordsAreNeverShown) {
  // "hunter2" in every place where a slip of the pen may put it.
  for (const auto& [name, text] : std::vector<std::pair<std::string, std::string>>{
           {"x.json", R"({"redis_config": {"password": "hunter2})"},
           {"x.json", R"({"redis_config": {"password": hunter2}})"},
           {"x.json", R"({"redis_config": {"password": "hunter2", "password": "hunter2"}})"},
           {"x.json", R"({"redis_config": {"password": "\hunter2"}})"},
           {"x.json", R"({"redis_config": {"password": ["hunter2"]}})"},
           {"x.json", R"({"redis_config": "redis://:hunter2@cache"})"},
           {"x.json", R"({"redis_config": {"url": "http://:hunter2@cache"}})"},
           {"x.json", R"({"kafka_config": {"extra": {"sasl.password": ["hunter2"]}}})"},
           {"x.json", R"({"kafka_config": {"extra": "hunter2"}})"},
           {"x.json", R"("hunter2")"},
           {"x.json", R"({"redis_config": {"password": 1hunter2}})"},
           {"x.yaml", "redis_config: {password:hunter2}"},
           {"x.yaml", "redis_config: {password: *hunter2}"},
           {"x.yaml", "redis_config: {password: !hunter2 x}"},
           {"x.yaml", "redis_config: {password: 'hunter2"},
           {"x.yaml", "redis_config:\n  password: \"\\hunter2\"\n"},
           {"x.yaml", "redis_config:\n  password: @hunter2\n"},
           {"x.yaml", "%TAG hunter2\n---\n"},
           {"x.toml", "redis_config.password = hunter2"},
           {"x.toml", "redis_config.password = 'hunter2"},
           {"x.toml", "redis_config.password = \"\\hunter2\""},
           {"x.toml", "redis_config.password = 'a'\nredis_config.password = 'hunter2'"},
           {"x.toml", "redis_config.password hunter2"}}) {
    EXPECT_THAT(load_error(name, text), Not(HasSubstr("unter2"))) << text;
  }
  // A number is as secret as a string.
  EXPECT_THAT(load_error("x.yaml", "redis_config: {password: 271828}"),
              AllOf(Not(HasSubstr("271828")), HasSubstr("redis_config.password: found a number, allowed: a string")));
  EXPECT_THAT(load_error("x.toml", "redis_config.password = 271828182845904523536"), Not(HasSubstr("271828")));
  EXPECT_THAT(load_error("x.json", R"({"redis_config": {"password": 271828e99999}})"),
              AllOf(Not(HasSubstr("271828")), HasSubstr("too large")));
}

TEST(Load, StrangeTextIsShownEscaped) {
  const std::string error = load_error("x.json", R"({"storage_type": "\u0007\u001b[31m"})");
  EXPECT_THAT(error, AllOf(HasSubstr(R"(\x07\x1b[31m)"), Not(HasSubstr("\x1b"))));
  const std::string long_text = load_error("x.json", R"({"storage_type": ")" + std::string(100'000, 'x') + "\"}");
  EXPECT_LT(long_text.size(), 300U);
}

TEST(Load, RulesBetweenFieldsWaitForOpen) {
  // The environment may set the other half.
  const Result<Config> config = load_text("x.yaml", "redis_config: {sentinel: {master: m}}");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_FALSE(validate(*config));
  const Environment environment{{"LRPC_QUEUE_REDIS_CONFIG_SENTINEL_ADDRS", "a:1"}};
  const Result<Config> both = Config::from_env(*config);
  ASSERT_TRUE(both);
  EXPECT_TRUE(validate(*both));
}

TEST(Load, SamplesWithEverySettingHaveTheDefaults) {
  const Result<Config> yaml = Config::load(CONFIG_EXAMPLES "/complete.yaml");
  ASSERT_TRUE(yaml) << yaml.error().message;
  const json sample = dump(*yaml);
  for (const std::string& path : all_paths()) {
    std::string pointer = "/" + path;
    for (char& c : pointer) c = c == '.' ? '/' : c;
    EXPECT_TRUE(sample.contains(json::json_pointer(pointer))) << path;
  }
  // Unset means the default, so that both dumps agree in what the defaults name.
  json merged = sample;
  merged.merge_patch(dump(Config{}));
  EXPECT_EQ(merged, sample);
  for (const char* name : {"/complete.json", "/complete.toml"}) {
    const Result<Config> other = Config::load(CONFIG_EXAMPLES + std::string(name));
    ASSERT_TRUE(other) << other.error().message;
    EXPECT_EQ(dump(*other), sample) << name;
  }
}

TEST(Load, SamplesAreValid) {
  const auto load = [](const std::string& name) {
    Result<Config> config = Config::load(CONFIG_EXAMPLES "/" + name);
    EXPECT_TRUE(config) << config.error().message;
    const Result<void> valid = config ? validate(*config) : Result<void>();
    EXPECT_TRUE(valid) << valid.error().message;
    return config.value_or(Config{});
  };
  EXPECT_EQ(load("memory.yaml").backoff->multiplier, 2.0);
  EXPECT_EQ(load("redis.toml").redis_config.sentinel.addrs.size(), 3U);
  Config kafka = Config::load(CONFIG_EXAMPLES "/kafka.json").value_or(Config{});
  EXPECT_EQ(kafka.kafka_config.extra.at("linger.ms"), "5");
}

}  // namespace
}  // namespace lrpc::queue::config_test
