// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "commands/commands.hpp"
#include "shared/remote.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kDoctorFooter =
    "Connects, prints the server's version and what of its settings endangers messages: one line each, \"ok: ...\",\n"
    "\"warning: ...\" or \"error: ...\", with advice. With --json one line "
    "{\"server\":...,\"findings\":[{\"level\":...,"
    "\"what\":...,\"advice\":...}]}.\n"
    "Exit code 0 without errors, 1 with one, 3 when the server cannot be reached. Changes nothing.\n\n"
    "Examples:\n"
    "  lrpc-queue doctor --redis localhost:6379\n"
    "  lrpc-queue doctor --brokers kafka1:9092,kafka2:9092 --json";

std::string as_text(const Diagnosis& diagnosis) {
  std::string text = fmt::format("server: {}\n", diagnosis.server);
  for (const auto& [level, what, advice] : diagnosis.findings) {
    text += fmt::format("{}: {}{}{}\n", to_string(level), what, advice.empty() ? "" : "; ", advice);
  }
  return text;
}

std::string as_json(const Diagnosis& diagnosis) {
  std::string findings;
  for (const auto& [level, what, advice] : diagnosis.findings) {
    findings += fmt::format("{}{{\"level\":\"{}\",\"what\":{},\"advice\":{}}}", findings.empty() ? "" : ",",
                            to_string(level), json_quoted(what), json_quoted(advice));
  }
  return fmt::format("{{\"server\":{},\"findings\":[{}]}}\n", json_quoted(diagnosis.server), findings);
}

Result<Diagnosis> look(Session& session) {
  const Result<Config> config = remote_config(session, "doctor");
  if (!config) return std::unexpected(config.error());
  Result<Queue> queue = Queue::open(*config);
  if (!queue) return std::unexpected(std::move(queue.error()));
  return queue->diagnose();
}

int doctor(Session& session) {
  const Result<Diagnosis> diagnosis = look(session);
  if (!diagnosis) {
    const int code = session.report(diagnosis.error());
    return diagnosis.error().code == ErrorCode::timeout ? kExitUnavailable : code;
  }
  const int printed = session.print(session.globals.json ? as_json(*diagnosis) : as_text(*diagnosis));
  const bool ill = std::ranges::any_of(diagnosis->findings,
                                       [](const Finding& finding) { return finding.level == Finding::Level::error; });
  return ill ? kExitError : printed;
}

}  // namespace

void add_doctor(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("doctor", "Look at the server for what endangers messages");
  remote_footer(*command, kDoctorFooter);
  command->callback([&session] { session.run = [&session] { return doctor(session); }; });
}

}  // namespace lrpc::queue::cli
