// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <csignal>
#include <exception>
#include <string>
#include <vector>

#include "commands/app.hpp"

namespace {

using lrpc::queue::cli::Session;

/// As far as the arguments named it.
std::string command_of(const CLI::App& app) {
  std::string name = app.get_name();
  const auto named = app.get_subcommands();  // those that were parsed
  return named.empty() ? name : fmt::format("{} {}", name, command_of(*named.front()));
}

int run(int argc, char** argv) {
  Session session;
  CLI::App app("Message queues from the command line.", "lrpc-queue");
  lrpc::queue::cli::build_app(app, session);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return session.print(app.help());
  } catch (const CLI::CallForVersion& version) {
    return session.print(fmt::format("{}\n", version.what()));
  } catch (const CLI::ParseError& error) {
    // A mistyped command is also a missing one; only its name helps.
    const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
    const bool mistyped = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !unknown.empty();
    const char* const kind = mistyped && unknown.front().starts_with('-') ? "option" : "command";
    session.console.error(mistyped ? fmt::format("unknown {} \"{}\"", kind, unknown.front()) : error.what());
    session.console.line(fmt::format("Run {} --help for more.", command_of(app)));
    return lrpc::queue::cli::kExitUsage;
  }
  return session.run();
}

}  // namespace

int main(int argc, char** argv) {
  lrpc::queue::cli::open_standard_streams();
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));  // a lost reader is an error of the write, reported as such
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    static_cast<void>(lrpc::queue::cli::write_all(2, fmt::format("lrpc-queue: {}\n", error.what()), "standard error"));
    return lrpc::queue::cli::kExitError;
  }
}
