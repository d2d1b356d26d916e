// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include <lrpc/queue/config.hpp>

#include "support.hpp"

namespace lrpc::queue::config_test {
namespace {

using testing::HasSubstr;

std::string repeat(std::string_view text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const char* text :
       {"{", "}", "{]", R"({"max_retries": })", R"({"max_retries": 1,})", "{max_retries: 1}", "{} {}", "{} x", "{}}",
        "// comment\n{}", R"({"max_retries": 01})", R"({"max_retries": NaN})", R"({"max_retries": 0x10})",
        R"({'max_retries': 1})", R"({"max_retries" 1})", "nul"}) {
    EXPECT_THAT(load_error("x.json", text), HasSubstr("x.json:1:")) << text;
  }
  EXPECT_THAT(load_error("x.json", "{\n  \"max_retries\": 1\n  \"overflow\": 1}"), HasSubstr("x.json:3:"));
}

TEST(Json, RefusesDuplicateKeys) {
  EXPECT_THAT(load_error("x.json", R"({"max_retries": 1, "max_retries": 1})"),
              HasSubstr("\"max_retries\" is given twice"));
  EXPECT_THAT(load_error("x.json", R"({"redis_config": {"db": 1, "d\u0062": 1}})"), HasSubstr("\"db\" is given twice"));
}

TEST(Json, DeepNestingIsAnError) {
  for (const std::size_t depth : {33UL, 1000UL, 200'000UL}) {
    EXPECT_THAT(load_error("x.json", repeat("[", depth)), HasSubstr("nested deeper"));
    EXPECT_THAT(load_error("x.json", repeat("{\"a\":", depth)), HasSubstr("nested deeper"));
  }
}

TEST(AllFormats, RefuseInvalidUtf8AndControlCharacters) {
  for (const char* name : {"x.json", "x.yaml", "x.toml"}) {
    for (const char* bytes : {"\xFF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                              "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\x80", "\xE2\x82", "\xC3"}) {
      EXPECT_THAT(load_error(name, "\n " + std::string(bytes)), HasSubstr(":2:2: invalid UTF-8"));
    }
    for (const char c : {'\0', '\x01', '\x04', '\x1b', '\x7f'}) {
      EXPECT_THAT(load_error(name, std::string("\n") + c), HasSubstr(":2:1: control character"));
    }
  }
}

TEST(AllFormats, KeepUnicodeText) {
  const std::string text = "\xE9\x98\x9F\xE5\x88\x97:\xF0\x9F\x90\x87";
  for (const auto& [name, file] : std::vector<std::pair<std::string, std::string>>{
           {"x.json", R"({"redis_config": {"key_prefix": ")" + text + R"("}})"},
           {"x.yaml", "redis_config: {key_prefix: \"" + text + "\"}"},
           {"x.toml", "redis_config.key_prefix = '" + text + "'"}}) {
    const Result<Config> config = load_text(name, file);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->redis_config.key_prefix, text);
  }
}

TEST(Yaml, ResolvesPlainScalarsByTheCoreSchema) {
  const auto accepted = [](std::string_view text) {
    const Result<Config> config = load_text("x.yaml", text);
    EXPECT_TRUE(config) << text << ": " << config.error().message;
    return config.value_or(Config{});
  };
  EXPECT_EQ(accepted("max_retries: 010").max_retries, 10);
  EXPECT_EQ(accepted("max_retries: +7").max_retries, 7);
  EXPECT_EQ(accepted("max_retries: 0x1F").max_retries, 31);
  EXPECT_EQ(accepted("max_retries: 0o17").max_retries, 15);
  EXPECT_EQ(accepted("limit_next: True").limit_next, true);
  EXPECT_EQ(accepted("limit_next: FALSE").limit_next, false);
  EXPECT_EQ(accepted("max_retries: ~").max_retries, std::nullopt);
  EXPECT_EQ(accepted("max_retries:\nlimit_next: true").max_retries, std::nullopt);
  EXPECT_EQ(accepted("retry_delay: 1.5").retry_delay, Duration(1500));
  EXPECT_EQ(accepted("retry_delay: .5").retry_delay, Duration(500));
  EXPECT_EQ(accepted("retry_delay: 1e1").retry_delay, Duration(10'000));
  EXPECT_EQ(accepted("retry_delay: 30s").retry_delay, Duration(30'000));
  EXPECT_EQ(accepted("redis_config: {key_prefix: !!str 5}").redis_config.key_prefix, "5");
  EXPECT_EQ(accepted("redis_config: {key_prefix: 'true'}").redis_config.key_prefix, "true");
  EXPECT_EQ(accepted("redis_config:\n  key_prefix: >-\n    a\n    b\n").redis_config.key_prefix, "a b");
  EXPECT_EQ(accepted("kafka_config:\n  brokers:\n  - a:1\n  - b:2\n").kafka_config.brokers.size(), 2U);
}

TEST(Yaml, QuotedAndOddScalarsAreOfTheWrongType) {
  for (const char* text : {"max_retries: '5'",
                           "max_retries: \"5\"",
                           "max_retries: 5.0",
                           "max_retries: 1_000",
                           "max_retries: +-5",
                           "max_retries: --5",
                           "max_retries: 0x",
                           "max_retries: 5x",
                           "max_retries: .inf",
                           "max_retries: !!str 5",
                           "max_retries: 99999999999999999999",
                           "limit_next: yes",
                           "limit_next: on",
                           "limit_next: 'true'",
                           "limit_next: 1",
                           "retry_delay: .inf",
                           "retry_delay: .nan",
                           "retry_delay: 1e999",
                           "retry_delay: inf",
                           "backoff: {multiplier: .nan}",
                           "backoff: {multiplier: -.inf}",
                           "backoff: {multiplier: .inf}",
                           "redis_config: {key_prefix: 5}",
                           "redis_config: {key_prefix: true}",
                           "redis_config: {key_prefix: }",
                           "redis_config:",
                           "redis_config: ~"}) {
    EXPECT_THAT(load_error("x.yaml", text), HasSubstr("allowed:")) << text;
  }
}

TEST(Yaml, RefusesWhatAConfigurationDoesNotNeed) {
  for (const char* text : {"max_retries: 1\nmax_retries: 2",
                           "{[a, b]: 1}",
                           "? {a: b}\n: 1",
                           "? [a]\n: 1",
                           "~: 1",
                           "? \n: 1",
                           "a: &x 1\nb: *x",
                           "a: *unknown",
                           "&a [*a]",
                           "max_retries: !!int '5'",
                           "max_retries: !custom 5",
                           "redis_config: !!set {a}",
                           "--- {}\n--- {}",
                           "a: b: c",
                           "a: [1",
                           "\ta: 1",
                           "a: 'x",
                           "a: \"\\q\"",
                           "{a: 1}}",
                           "%YAML 9.9\n--- {}",
                           "%YAML 1.2\n%YAML 1.2\n--- {}",
                           "- a\nb: c",
                           "a\nb: c\n",
                           "- - -"}) {
    load_error("x.yaml", text);
  }
  EXPECT_THAT(load_error("x.yaml", "max_retries: 1\nmax_retries: 2"), HasSubstr("x.yaml:2:1: the key \"max_retries\""));
}

TEST(Yaml, BombsAreErrorsSoon) {
  EXPECT_THAT(load_error("x.yaml", "a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]"), HasSubstr("aliases"));
  for (const char* text :
       {"[", "{", "- ", "? ", "a: {", "[{", "- [", "? - ", "{? ", "!a ", "&a ", "'", "\"", "|\n ", "[[["}) {
    load_error("x.yaml", repeat(text, 100'000));
  }
  std::string stairs;
  for (std::size_t i = 0; i < 1000; ++i) stairs += std::string(i, ' ') + "a:\n";
  EXPECT_THAT(load_error("x.yaml", stairs), HasSubstr("nested deeper"));
}

TEST(Toml, RefusesWhatIsNotToml) {
  for (const char* text : {"max_retries",
                           "max_retries =",
                           "max_retries = 1 2",
                           "= 1",
                           "[redis_config",
                           "[]",
                           "max_retries = 010",
                           "max_retries = 1\nmax_retries = 1",
                           "[redis_config]\n[redis_config]",
                           "a = 'x",
                           "a = \"\\q\"",
                           "a = {b = 1",
                           "a = [1",
                           "a = {\nb = 1}",
                           "max_retries = 0x",
                           "retry_delay = 1.",
                           "redis_config = {}\nredis_config.db = 1",
                           "[[redis_config]]",
                           "a.b.c",
                           "max_retries = 99999999999999999999"}) {
    load_error("x.toml", text);
  }
  EXPECT_THAT(load_error("x.toml", "max_retries = 1\nmax_retries = 1"), HasSubstr("x.toml:2:"));
  EXPECT_THAT(load_error("x.toml", "max_retries = 1\nmax_retries = 1"), HasSubstr("given twice"));
}

TEST(Toml, DatesAndTimesAreOfTheWrongType) {
  for (const char* date : {"2026-01-01", "07:32:00", "2026-01-01T07:32:00", "2026-01-01T07:32:00Z"}) {
    for (const char* key : {"max_retries", "retry_delay", "limit_next", "storage_type", "backoff", "redis_config.addr",
                            "redis_config.password", "kafka_config.brokers", "kafka_config.extra"}) {
      EXPECT_THAT(load_error("x.toml", std::string(key) + " = " + date),
                  HasSubstr(std::string(key) + ": found a date or time"));
    }
  }
}

TEST(Toml, NumbersAndTables) {
  const Result<Config> config = load_text("x.toml", R"(
    max_msg_size = 0x7FFF_FFFF_FFFF_FFFF
    retry_delay = 2.5
    backoff = {multiplier = 2}
    kafka_config.extra."linger.ms" = """
5"""
  )");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->max_msg_size, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(config->retry_delay, Duration(2500));
  EXPECT_EQ(config->backoff->multiplier, 2.0);
  EXPECT_EQ(config->kafka_config.extra.at("linger.ms"), "5");
  for (const char* text : {"retry_delay = inf", "retry_delay = -inf", "retry_delay = nan", "backoff.multiplier = nan",
                           "backoff.multiplier = +inf", "max_retries = 5.0", "max_retries = '5'"}) {
    EXPECT_THAT(load_error("x.toml", text), HasSubstr("allowed:")) << text;
  }
}

TEST(Toml, DeepNestingIsAnError) {
  for (const char* text : {"a.", "[a.", "[[a.", "'a'.", "a = [", "a = {a=", "a={a.a="}) {
    load_error("x.toml", repeat(text, 100'000));
  }
  EXPECT_THAT(load_error("x.toml", repeat("a.", 1001) + "a = 1"), HasSubstr("more than 1000 dots"));
  // Dots hidden behind a string whose end is easily misread.
  EXPECT_THAT(load_error("x.toml", R"(x = {b = """y"""", )" + repeat("a.", 100'000) + "a = 1}"), HasSubstr("dots"));
  EXPECT_THAT(load_error("x.toml", "x = {b = '''y''''', " + repeat("a.", 100'000) + "a = 1}"), HasSubstr("dots"));
  EXPECT_THAT(load_error("x.toml", R"(x = {b = "\\", c = '\', d = "", )" + repeat("a.", 100'000) + "a = 1}"),
              HasSubstr("dots"));
  // In comments and strings they are no keys.
  const std::string dots(100'000, '.');
  EXPECT_TRUE(load_text("x.toml", "# " + dots + "\nredis_config.key_prefix = '" + dots +
                                      "'\n[redis_config.tls]\nca_file = \"" + dots + "\\\"\"\ncert_file = \"\"\"\n" +
                                      dots + "\"\"\"\n"));
}

}  // namespace
}  // namespace lrpc::queue::config_test
