// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace lrpc::queue::documents_test {

/// A fenced block of a document.
struct Block {
  std::string language{};
  std::string text{};
  std::string comment{};  ///< What an HTML comment in the line before says; readers do not see it.
  std::size_t line = 0;   ///< Of its opening fence.
};

[[nodiscard]] std::string read_text(const std::filesystem::path& file);
[[nodiscard]] std::vector<std::string> lines_of(const std::string& text);
[[nodiscard]] std::vector<Block> blocks_of(const std::string& markdown);
/// The targets of its links that lie in the project, without what follows a '#'.
[[nodiscard]] std::vector<std::string> links_of(const std::string& markdown);

/// The named parts of a source file, each between "// [begin NAME]" and "// [end NAME]", without common indentation.
/// Parts of one name are one, an empty line between them.
[[nodiscard]] std::map<std::string, std::string> parts_of(const std::string& source);

}  // namespace lrpc::queue::documents_test
