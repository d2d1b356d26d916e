// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <lrpc/queue/config.hpp>

#include "config/bind.hpp"
#include "config/document.hpp"
#include "support.hpp"

/// Thousands of corrupted files, the same in every run: whatever a file holds, loading it gives a configuration or
/// `invalid_config`, and nothing else happens.

namespace lrpc::queue::config_test {
namespace {

/// Characters and words that mean something to one of the formats.
constexpr std::array<std::string_view, 64> kTokens{"{",          "}",
                                                   "[",          "]",
                                                   ":",          ",",
                                                   "\"",         "'",
                                                   "\"\"\"",     "'''",
                                                   "#",          "\n",
                                                   "\r\n",       "\t",
                                                   " ",          "  ",
                                                   "=",          ".",
                                                   "-",          "- ",
                                                   "? ",         "& ",
                                                   "*a",         "&a ",
                                                   "!",          "!!str ",
                                                   "!!x",        "|",
                                                   ">",          "%",
                                                   "---\n",      "...\n",
                                                   "<<: ",       "\\",
                                                   "\\u",        "\\x4",
                                                   "\\ud8",      "null",
                                                   "~",          "true",
                                                   "yes",        "0",
                                                   "-1",         "1e999",
                                                   "0x",         "nan",
                                                   "inf",        ".inf",
                                                   "1_0",        "5",
                                                   "1979-05-27", "07:32",
                                                   "30s",        "-5s",
                                                   "\xFF",       "\xC3",
                                                   "\xE2\x82",   "\xEF\xBB\xBF",
                                                   "\x04",       "\x7f",
                                                   "[[",         "]]",
                                                   "{}",         "@"};

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class Corruption {
 public:
  explicit Corruption(unsigned seed) : random_(seed) {}

  /// `text` after one to four random changes.
  std::string apply(std::string text) {
    for (std::size_t left = below(4) + 1; left > 0; --left) change(text);
    return text;
  }

 private:
  std::size_t below(std::size_t bound) { return random_() % bound; }
  std::size_t place(const std::string& text) { return below(text.size() + 1); }

  void change(std::string& text) {
    const std::size_t at = place(text);
    switch (below(8)) {
      case 0:  // a byte
        if (at < text.size()) text[at] = static_cast<char>(below(256));
        break;
      case 1:  // a bit
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 2:
        text.erase(at, below(20));
        break;
      case 3:
        text.insert(at, kTokens[below(kTokens.size())]);
        break;
      case 4:  // another token in place of a part
        text.replace(at, std::min(below(8), text.size() - at), kTokens[below(kTokens.size())]);
        break;
      case 5:  // a part twice
        text.insert(place(text), text.substr(at, below(200)));
        break;
      case 6:
        text.resize(at);
        break;
      default: {  // many of one token
        std::string run;
        for (std::size_t left = below(200); left > 0; --left) run += kTokens[below(kTokens.size())];
        const std::string_view token = kTokens[below(kTokens.size())];
        for (std::size_t left = below(200); left > 0; --left) run += token;
        text.insert(at, run);
      }
    }
  }

  std::mt19937 random_;
};

/// What `Config::load` does after reading the file.
Result<void> load_corrupted(config_impl::Format format, std::string_view text, Config& config) {
  const Result<nlohmann::json> tree = config_impl::parse_document(format, text, "corrupted");
  if (!tree) return std::unexpected(tree.error());
  return config_impl::bind_section({config_impl::Origin::file, "corrupted"}, "", *tree, config);
}

class Robustness : public testing::TestWithParam<std::string> {};

TEST_P(Robustness, CorruptedFilesAreInvalidConfigAtWorst) {
  const std::string path = CONFIG_EXAMPLES "/" + GetParam();
  const std::string original = read(path);
  ASSERT_FALSE(original.empty());
  const config_impl::Format format = *config_impl::format_of(path);
  Corruption corruption(20'250'101);
  int accepted = 0;
  int refused = 0;
  for (int i = 0; i < 3'000; ++i) {
    const std::string text = corruption.apply(original);
    Config config;
    Result<void> result;
    ASSERT_NO_THROW(result = load_corrupted(format, text, config)) << text;
    if (result) {
      ++accepted;
      // Of what was accepted each value is in its range: only rules between fields may be broken.
      const Result<void> valid = validate(config);
      if (!valid) {
        ASSERT_THAT(
            valid.error().message,
            testing::AnyOf(testing::HasSubstr("both or neither"), testing::HasSubstr("without mechanism"),
                           testing::HasSubstr("less than session_timeout"), testing::HasSubstr("redis_config.addr")))
            << text;
      }
    } else {
      ++refused;
      ASSERT_EQ(result.error().code, ErrorCode::invalid_config) << text;
      ASSERT_TRUE(result.error().message.starts_with("corrupted:")) << result.error().message;
      ASSERT_LT(result.error().message.size(), 1000U) << result.error().message;
      ASSERT_FALSE(config_impl::find_invalid_utf8(result.error().message)) << result.error().message;
    }
  }
  // Otherwise the corruption is too weak or too strong to test anything.
  EXPECT_GT(accepted, 30);
  EXPECT_GT(refused, 500);
}

INSTANTIATE_TEST_SUITE_P(Samples, Robustness,
                         testing::Values("complete.json", "complete.yaml", "complete.toml", "kafka.json", "memory.yaml",
                                         "redis.toml"),
                         [](const auto& sample) {
                           std::string name = sample.param;
                           for (char& c : name) c = c == '.' ? '_' : c;
                           return name;
                         });

TEST(RobustLoading, CorruptedSamplesThroughTheFileSystem) {
  const Folder folder;
  for (const std::string name : {"memory.yaml", "redis.toml", "kafka.json"}) {
    const std::string original = read(CONFIG_EXAMPLES "/" + name);
    Corruption corruption(7);
    for (int i = 0; i < 100; ++i) {
      const Result<Config> result = Config::load(folder.write(name, corruption.apply(original)));
      ASSERT_TRUE(result || result.error().code == ErrorCode::invalid_config);
    }
  }
}

TEST(RobustLoading, RandomEnvironmentTextIsInvalidConfigAtWorst) {
  std::mt19937 random(3);
  const std::vector<std::string> paths = all_paths();
  for (int i = 0; i < 3'000; ++i) {
    std::string name = "LRPC_QUEUE_";
    for (const char c : paths[random() % paths.size()]) {
      name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    std::string text;
    for (auto left = random() % 4; left > 0; --left) text += kTokens[random() % kTokens.size()];
    const Environment environment{{name, text}};
    const Result<Config> result = Config::from_env();
    if (!result) {
      ASSERT_EQ(result.error().code, ErrorCode::invalid_config);
      ASSERT_THAT(result.error().message, testing::HasSubstr(name));
    }
  }
}

}  // namespace
}  // namespace lrpc::queue::config_test
