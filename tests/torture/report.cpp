// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <cstdint>
#include <utility>

namespace lrpc::queue::torture {
namespace {

std::string row(const std::string& name, std::int64_t value) {
  std::string line = "| " + name;
  line.resize(std::max<std::size_t>(line.size(), 42), ' ');
  std::string number = std::to_string(value);
  number.insert(0, number.size() < 10 ? 10 - number.size() : 0, ' ');
  return line + " | " + number + " |\n";
}

std::string head(const std::string& name, const std::string& value) {
  std::string line = "| " + name;
  line.resize(42, ' ');
  return line + " | " + std::string(10 - value.size(), ' ') + value + " |\n|" + std::string(42, '-') + "|" +
         std::string(11, '-') + ":|\n";
}

}  // namespace

std::string in_short(const Verdict& v) {
  return "accepted " + std::to_string(v.accepted) + ", unknown " + std::to_string(v.unknown) + ", deliveries " +
         std::to_string(v.deliveries) + ", dead " + std::to_string(v.dead) + ", duplicated " +
         std::to_string(v.duplicated) + ", lost " + std::to_string(v.lost) + ", unexplained " +
         std::to_string(v.unexplained) + ", findings " + std::to_string(v.broken);
}

std::string findings_of(const Verdict& verdict) {
  std::string text;
  for (const Finding& finding : verdict.findings) text += finding.check + ": " + finding.text + "\n";
  return text;
}

std::string table_of(const std::map<std::string, int>& faults, const Verdict& v, int rounds) {
  std::string text = head("fault", "count");
  std::int64_t all = 0;
  for (const auto& [name, count] : faults) {
    text += row(name, count);
    all += count;
  }
  text += row("all faults", all) + "\n" + head("figure", "count");
  for (const auto& [name, value] : {std::pair("rounds", std::int64_t{rounds}),
                                    {"messages published", v.attempted},
                                    {"accepted", v.accepted},
                                    {"refused", v.refused},
                                    {"outcome unknown", v.unknown},
                                    {"... of these arrived", v.recovered},
                                    {"deliveries", v.deliveries},
                                    {"copies handled", v.handled},
                                    {"copies dead-lettered", v.dead},
                                    {"copies expired", v.expired},
                                    {"sent back by consumers", v.asked_again},
                                    {"settlements answered with an error", v.failed_settlements},
                                    {"duplicated, by a fault", v.duplicated},
                                    {"... as its settlement had failed", v.not_settled},
                                    {"duplicated, unexplained", v.unexplained},
                                    {"lost", v.lost},
                                    {"lost, as the server's settings allow", v.lost_allowed},
                                    {"unexpected", v.unexpected},
                                    {"broken promises in all", v.broken}}) {
    text += row(name, value);
  }
  return text;
}

}  // namespace lrpc::queue::torture
