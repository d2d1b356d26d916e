// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The arguments of the command line: each list chooses a command or is refused. Nothing is run.
#include <string>
#include <vector>

#include "commands/app.hpp"
#include "fuzz.hpp"

using namespace lrpc::queue;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Words apart by zero bytes, as the system has them.
  std::vector<std::string> words;
  std::string_view rest = fuzz::text_of(data, size);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    words.emplace(words.begin(), rest.substr(0, end));  // CLI11 takes them in reverse
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  cli::Session session;
  CLI::App app;
  cli::build_app(app, session);
  try {
    app.parse(words);
    fuzz::require(session.run != nullptr, "a command was chosen");
  } catch (const CLI::ParseError&) {  // usage, help and version
  }
  return 0;
}
