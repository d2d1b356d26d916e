// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands/commands.hpp"
#include "shared/raw_body.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kCheckConfigFooter =
    "Checks every key, type and range, of all back ends, without the environment.\n"
    "Prints \"FILE: ok\", or what is wrong on standard error and exits with 2.\n"
    "With --json one line {\"file\":...,\"ok\":true} or {\"file\":...,\"ok\":false,\"error\":...}.\n\n"
    "Examples:\n"
    "  lrpc-queue config check queue.yaml\n"
    "  lrpc-queue config check --json queue.toml";

int check(const std::string& file, Session& session) {
  if (const std::string_view option = given_queue_option(session.globals); !option.empty()) {
    return session.report({.code = ErrorCode::invalid_argument,
                           .message = fmt::format("{} has no effect on config check: it checks FILE alone", option)});
  }
  Result<void> valid;
  if (const Result<Config> config = Config::load(file); !config) {
    valid = std::unexpected(config.error());
  } else {
    valid = validate(*config);
    if (!valid) valid.error().message = fmt::format("{}: {}", file, valid.error().message);
  }
  Result<void> written;
  if (session.globals.json) {
    written = write_output(valid ? fmt::format("{{\"file\":{},\"ok\":true}}\n", json_quoted(file))
                                 : fmt::format("{{\"file\":{},\"ok\":false,\"error\":{}}}\n", json_quoted(file),
                                               json_quoted(valid.error().message)));
  } else if (valid) {
    written = write_output(fmt::format("{}: ok\n", file));
  }
  if (!valid) return session.report(valid.error());
  return written ? kExitOk : session.report(written.error());
}

}  // namespace

void add_config(CLI::App& app, Session& session) {
  CLI::App* config = app.add_subcommand("config", "Work with configuration files");
  config->require_subcommand(1);
  config->footer("Examples:\n  lrpc-queue config check queue.yaml");

  auto file = std::make_shared<std::string>();
  CLI::App* command = config->add_subcommand("check", "Check a configuration file");
  command->footer(kCheckConfigFooter);
  command->add_option("FILE", *file, "A .json, .yaml, .yml or .toml file")->required()->type_name("");
  command->callback([file, &session] { session.run = [file, &session] { return check(*file, session); }; });
}

}  // namespace lrpc::queue::cli
