// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// A document's block of C++ is part of a compiled example: the comment before it names file and part, as in
// <!-- examples/manual/usage.cpp retry -->. Its configurations load; those after <!-- defaults --> name the defaults.
// Other JSON stands after <!-- data -->.
#include "markdown.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <lrpc/queue/config.hpp>

#include "support.hpp"

namespace lrpc::queue::documents_test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const fs::path kSource = LRPC_QUEUE_SOURCE;

/// README.md and its like, from the project's folder.
std::vector<fs::path> documents() {
  std::vector<fs::path> files;
  for (const char* folder : {"", "docs", "examples", "tests/kafka"}) {
    for (const auto& entry : fs::directory_iterator(kSource / folder)) {
      if (entry.path().extension() == ".md") files.push_back(entry.path());
    }
  }
  return files;
}

/// What a failure is about.
std::string place(const fs::path& document, const Block& block) {
  return document.lexically_relative(kSource).string() + ":" + std::to_string(block.line);
}

/// The named parts of the examples: "FILE PART" and the text.
std::map<std::string, std::string> shown_parts() {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(kSource / "examples")) {
    if (entry.path().extension() != ".cpp" && entry.path().extension() != ".hpp") continue;
    const std::string name = entry.path().lexically_relative(kSource).string();
    for (const auto& [part, text] : parts_of(read_text(entry.path()))) all[name + " " + part] = text;
  }
  return all;
}

/// Calls `check(document, block)` for each block of one of these languages; returns how many there are.
template <class Check>
int for_each_block(const std::set<std::string>& languages, Check check) {
  int count = 0;
  for (const fs::path& document : documents()) {
    for (const Block& block : blocks_of(read_text(document))) {
      if (!languages.contains(block.language)) continue;
      SCOPED_TRACE(place(document, block));
      check(document, block);
      ++count;
    }
  }
  return count;
}

TEST(Documents, EveryBlockOfCppIsPartOfACompiledExample) {
  const auto parts = shown_parts();
  const int count = for_each_block({"cpp", "c++"}, [&](const fs::path&, const Block& block) {
    const auto part = parts.find(block.comment);
    if (part == parts.end()) {
      ADD_FAILURE() << "the line before must name file and part of an example; it says: " << block.comment;
    } else {
      EXPECT_EQ(block.text, part->second);
    }
  });
  EXPECT_GE(count, 25);
}

TEST(Documents, EveryPartOfAnExampleIsShown) {
  std::set<std::string> shown;
  for_each_block({"cpp"}, [&](const fs::path&, const Block& block) { shown.insert(block.comment); });
  for (const auto& [name, text] : shown_parts()) EXPECT_TRUE(shown.contains(name)) << name;
}

TEST(Documents, EveryConfigurationLoads) {
  const Result<Config> complete = Config::load((kSource / "examples/config/complete.yaml").string());
  ASSERT_TRUE(complete) << complete.error().message;
  const json defaults = config_test::dump(*complete);
  std::set<std::string> languages;
  int of_defaults = 0;
  for_each_block({"yaml", "toml", "json"}, [&](const fs::path&, const Block& block) {
    if (block.comment == "data") {
      EXPECT_TRUE(json::accept(block.text));
      return;
    }
    const Result<Config> config = config_test::load_text("shown." + block.language, block.text);
    ASSERT_TRUE(config) << config.error().message;
    const Result<void> valid = validate(*config);
    EXPECT_TRUE(valid) << valid.error().message;
    languages.insert(block.language);
    if (block.comment == "defaults") {
      json merged = defaults;
      merged.merge_patch(config_test::dump(*config));
      EXPECT_EQ(merged, defaults);
      ++of_defaults;
    } else {
      EXPECT_NE(config_test::dump(*config), config_test::dump(Config{})) << "says nothing";
    }
  });
  EXPECT_EQ(languages, (std::set<std::string>{"yaml", "toml", "json"}));
  EXPECT_GE(of_defaults, 3);
}

// What the blocks of defaults leave out nobody would compare. These are the manual's own settings.
constexpr auto kSettings = std::to_array<std::string_view>({
    "storage_type",
    "max_retries",
    "retry_delay",
    "message_ttl",
    "max_body_size",
    "max_msg_size",
    "max_in_flight",
    "ack_timeout",
    "redis_config.addr",
    "redis_config.password",
    "redis_config.db",
    "redis_config.key_prefix",
    "redis_config.pool_size",
    "redis_config.min_idle_conns",
    "redis_config.max_retries",
    "redis_config.dial_timeout",
    "redis_config.read_timeout",
    "redis_config.write_timeout",
    "redis_config.pool_timeout",
    "kafka_config.brokers",
    "kafka_config.topic_prefix",
    "kafka_config.partition",
    "kafka_config.replication_factor",
    "kafka_config.consumer_group_id",
    "kafka_config.auto_create_topics",
    "kafka_config.read_batch_timeout",
    "kafka_config.write_timeout",
    "kafka_config.required_acks",
    "kafka_config.compression_type",
    "kafka_config.session_timeout",
    "kafka_config.rebalance_timeout",
    "kafka_config.commit_interval",
    "kafka_config.heartbeat_interval",
    "kafka_config.max_attempts",
    "kafka_config.dial_timeout",
});

TEST(Documents, TheManualShowsTheDefaultOfEverySettingOfItsOwn) {
  // As text: a loaded configuration has a value also for what a block does not name.
  std::set<std::string, std::less<>> shown;
  for (const Block& block : blocks_of(read_text(kSource / "docs/manual.zh.md"))) {
    if (block.comment != "defaults") continue;
    std::string section;
    for (const std::string& text : lines_of(block.text)) {
      std::smatch line;
      if (std::regex_match(text, line, std::regex(R"((\w+):)"))) section = line[1].str() + ".";
      if (std::regex_match(text, line, std::regex(R"((  )?(\w+): .*)"))) {
        shown.insert((line[1].matched ? section : "") + line[2].str());
      }
    }
  }
  for (const std::string_view path : kSettings) EXPECT_TRUE(shown.contains(path)) << path;
}

TEST(Documents, TheReferenceNamesEverySetting) {
  const std::string reference = read_text(kSource / "docs/configuration.md");
  for (const std::string& path : config_test::all_paths()) {
    const std::string key = path.substr(path.rfind('.') + 1);
    EXPECT_THAT(reference, testing::ContainsRegex("[`{ ]" + key + "[`},]")) << path;
  }
}

TEST(Documents, LinksLeadToFiles) {
  int count = 0;
  for (const fs::path& document : documents()) {
    for (const std::string& link : links_of(read_text(document))) {
      EXPECT_TRUE(fs::exists(document.parent_path() / link)) << document << " " << link;
      ++count;
    }
  }
  EXPECT_GE(count, 50);
}

// What the tests above rely on.
TEST(Markdown, PartsOfOneNameAreOne) {
  const auto parts = parts_of(
      "// [begin a]\nint x;\n\n// [end a]\nleft out\n  // [begin a]\n  if (x)\n    y();\n  // [end a]\n"
      "// [begin b]\n// [end b]\n");
  EXPECT_EQ(parts, (std::map<std::string, std::string>{{"a", "int x;\n\n\nif (x)\n  y();\n"}, {"b", ""}}));
  EXPECT_THROW(static_cast<void>(parts_of("// [begin a]\n// [begin b]\n// [end b]\n// [end a]\n")), std::runtime_error);
  EXPECT_THROW(static_cast<void>(parts_of("// [begin a]\n")), std::runtime_error);
}

TEST(Markdown, ABlockHasTheCommentBeforeIt) {
  const auto blocks = blocks_of("<!-- x y -->\n```cpp\nint a;\n```\ntext\n```sh\n```\n");
  ASSERT_EQ(blocks.size(), 2U);
  EXPECT_EQ(blocks[0].comment, "x y");
  EXPECT_EQ(blocks[0].text, "int a;\n");
  EXPECT_EQ(blocks[0].line, 2U);
  EXPECT_EQ(blocks[1].comment, "");
  EXPECT_EQ(blocks[1].language, "sh");
  EXPECT_THROW(static_cast<void>(blocks_of("```cpp\nint a;\n")), std::runtime_error);
}

TEST(Markdown, LinksThatLieInTheProject) {
  EXPECT_EQ(links_of("[a](b.md#c) [d](https://e/f) [g](#h) [i](j/) `[k](l)`\n```cpp\n[m](n)\n```\n"),
            (std::vector<std::string>{"b.md", "j/"}));
}

}  // namespace
}  // namespace lrpc::queue::documents_test
