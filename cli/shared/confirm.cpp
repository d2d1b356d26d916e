// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/confirm.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <stop_token>

#include "shared/line_reader.hpp"

namespace lrpc::queue::cli {

void add_yes(CLI::App& command, bool& yes) { command.add_flag("-y,--yes", yes, "Do not ask"); }

Result<void> may_ask(bool yes, std::string_view command) {
  if (yes || ::isatty(STDIN_FILENO) == 1) return {};
  return fail(ErrorCode::invalid_argument,
              fmt::format("{} asks before it removes anything, and standard input is no terminal: add --yes", command));
}

Result<void> confirm(bool yes, std::string_view question, Console& console) {
  if (yes) return {};
  console.prompt(fmt::format("{} [y/N] ", question));
  constexpr std::size_t kLongestAnswer = 100;
  LineReader reader({}, kLongestAnswer, std::stop_token{});
  const Result<LineReader::Line> answer = reader.next();
  if (!answer) return std::unexpected(answer.error());
  if (answer->text == "y" || answer->text == "Y" || answer->text == "yes") return {};
  return fail(ErrorCode::cancelled, "nothing was removed");
}

}  // namespace lrpc::queue::cli
