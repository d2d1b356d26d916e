// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The man page and the completion know every command and option of --help.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>

#include "process.hpp"

namespace lrpc::queue::test {
namespace {

using Words = std::vector<std::string>;

/// What --help of a command names.
struct Help {
  std::set<std::string> commands;
  std::set<std::string> options;
};

Help help_of(Words command) {
  command.emplace_back("--help");
  Help help;
  bool in_commands = false;
  for (const std::string& line : lines_of(run(command).out)) {
    if (!line.starts_with(' ')) in_commands = line == "Subcommands:";
    std::smatch match;
    if (in_commands && std::regex_search(line, match, std::regex("^  ([a-z]+) "))) help.commands.insert(match[1]);
    if (std::regex_search(line, match, std::regex("^  (?:-[a-z],)?(--[a-z-]+)"))) help.options.insert(match[1]);
  }
  return help;
}

/// The commands, those of one level below included, with what their --help names.
std::vector<std::pair<Words, Help>> all_commands() {
  std::vector<std::pair<Words, Help>> all{{{}, help_of({})}};
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Words above = all[i].first;
    const std::set<std::string> names = all[i].second.commands;
    for (const std::string& name : names) {
      Words words = above;
      words.push_back(name);
      all.emplace_back(words, help_of(words));
    }
  }
  return all;
}

std::string joined(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

/// The page as plain text.
std::string man_page() {
  std::string text = read_file(LRPC_QUEUE_MAN_PAGE);
  text = std::regex_replace(text, std::regex(R"(\\f[A-Z])"), "");
  return std::regex_replace(text, std::regex(R"(\\-)"), "-");
}

TEST(ManPage, HasASectionForEveryCommandWithItsOptions) {
  const std::string page = man_page();
  const auto all = all_commands();
  ASSERT_GE(all.size(), 19U);
  for (const auto& [words, help] : all) {
    // Global options stand at the top; a command's in its section, which the next .SS or .SH ends.
    const std::string heading = words.empty() ? ".SH GLOBAL OPTIONS\n" : ".SS " + joined(words) + "\n";
    const std::size_t begin = page.find(heading);
    if (help.commands.empty() || words.empty()) {
      ASSERT_NE(begin, std::string::npos) << heading;
    } else {
      continue;  // its subcommands have sections of their own
    }
    const std::string section = page.substr(begin, page.find("\n.S", begin + heading.size()) - begin);
    for (const std::string& option : help.options) {
      if (option == "--help") continue;
      EXPECT_NE(section.find(option), std::string::npos) << joined(words) << " " << option;
    }
  }
}

TEST(ManPage, NamesNothingThatIsNotThere) {
  std::set<std::string> known{"--help"};
  for (const auto& [words, help] : all_commands()) known.insert(help.options.begin(), help.options.end());
  const std::string page = man_page();
  const std::regex option("--[a-z][a-z-]*");
  for (auto it = std::sregex_iterator(page.begin(), page.end(), option); it != std::sregex_iterator(); ++it) {
    EXPECT_TRUE(known.contains(it->str())) << it->str();
  }
}

/// What the completion offers for a command line whose last word is being typed.
std::set<std::string> completions(const Words& words) {
  std::string line = "source " LRPC_QUEUE_BASH_COMPLETION "; COMP_WORDS=(lrpc-queue";
  for (const std::string& word : words) line += " '" + word + "'";
  line += "); COMP_CWORD=" + std::to_string(words.size()) + "; _lrpc_queue; printf '%s\\n' \"${COMPREPLY[@]}\"";
  const TempFolder folder;
  const std::string command =
      "bash --norc -c \"$(cat '" + folder.file("script", line) + "')\" > '" + folder.path("out") + "' 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0) << line << read_file(folder.path("out"));
  const auto lines = lines_of(read_file(folder.path("out")));
  return {lines.begin(), lines.end()};
}

TEST(BashCompletion, OffersEveryCommandAndOption) {
  const Help global = help_of({});
  for (const auto& [words, help] : all_commands()) {
    Words typed = words;
    typed.emplace_back("");
    const auto commands = completions(typed);
    for (const std::string& name : help.commands) EXPECT_TRUE(commands.contains(name)) << joined(words) << " " << name;
    typed.back() = "-";
    const auto options = completions(typed);
    for (const std::string& option : help.options) {
      EXPECT_TRUE(options.contains(option)) << joined(words) << " " << option;
    }
    for (const std::string& option : options) {
      EXPECT_TRUE(help.options.contains(option) || global.options.contains(option)) << joined(words) << " " << option;
    }
  }
}

TEST(BashCompletion, KnowsThePlaceOfAWord) {
  EXPECT_EQ(completions({"p"}), (std::set<std::string>{"pipe", "pub"}));
  EXPECT_EQ(completions({"--storage", "r"}), std::set<std::string>{"redis"});
  EXPECT_EQ(completions({"--redis", "localhost:1", "dlq", "pu"}), std::set<std::string>{"purge"});
  EXPECT_EQ(completions({"sub", "topic", "channel", "--idle"}), std::set<std::string>{"--idle-exit"});
  EXPECT_EQ(completions({"--prefix", "sub", "to"}), std::set<std::string>{"topics"}) << "sub is a value here";
}

}  // namespace
}  // namespace lrpc::queue::test
