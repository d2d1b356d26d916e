// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "markdown.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <stdexcept>

namespace lrpc::queue::documents_test {
namespace {

/// The lines as text, each as much further left as the leftmost one can go.
std::string dedented(const std::vector<std::string>& lines) {
  std::size_t common = std::string::npos;
  for (const std::string& line : lines) common = std::min(common, line.find_first_not_of(' '));
  std::string text;
  for (const std::string& line : lines) text += (line.empty() ? line : line.substr(common)) + '\n';
  return text;
}

}  // namespace

std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<Block> blocks_of(const std::string& markdown) {
  static const std::regex comment("<!-- (.*) -->");
  std::vector<Block> blocks;
  const std::vector<std::string> lines = lines_of(markdown);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].starts_with("```")) continue;
    Block block{.language = lines[i].substr(3), .line = i + 1};
    std::smatch match;
    if (i > 0 && std::regex_match(lines[i - 1], match, comment)) block.comment = match[1];
    for (++i; i < lines.size() && lines[i] != "```"; ++i) block.text += lines[i] + '\n';
    if (i == lines.size()) throw std::runtime_error("line " + std::to_string(block.line) + ": the block has no end");
    blocks.push_back(std::move(block));
  }
  return blocks;
}

std::vector<std::string> links_of(const std::string& markdown) {
  static const std::regex code("`[^`]*`");
  static const std::regex link(R"(\]\(([^)#]+)(#[^)]*)?\))");
  std::vector<std::string> links;
  bool in_block = false;
  for (std::string line : lines_of(markdown)) {
    if (line.starts_with("```")) in_block = !in_block;
    if (in_block) continue;
    line = std::regex_replace(line, code, "");
    for (std::sregex_iterator at(line.begin(), line.end(), link), end; at != end; ++at) {
      if (!(*at)[1].str().contains("://")) links.push_back((*at)[1]);
    }
  }
  return links;
}

std::map<std::string, std::string> parts_of(const std::string& source) {
  static const std::regex mark(R"( *// \[(begin|end) (\w+)\])");
  std::map<std::string, std::string> parts;
  std::string open;
  std::vector<std::string> lines;
  for (const std::string& line : lines_of(source)) {
    std::smatch match;
    if (!std::regex_match(line, match, mark)) {
      if (!open.empty()) lines.push_back(line);
    } else if (match[1] == "begin" && open.empty()) {
      open = match[2];
    } else if (match[1] == "end" && open == match[2]) {
      std::string& part = parts[open];
      part += (part.empty() ? "" : "\n") + dedented(lines);
      lines.clear();
      open.clear();
    } else {
      throw std::runtime_error("parts must not overlap: " + line);
    }
  }
  if (!open.empty()) throw std::runtime_error("the part " + open + " has no end");
  return parts;
}

}  // namespace lrpc::queue::documents_test
