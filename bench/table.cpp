// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "table.hpp"

#include <string>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

std::string_view suffix(Unit unit) {
  switch (unit) {
    case Unit::nanoseconds:
      return "ns";
    case Unit::microseconds:
      return "µs";
    case Unit::million_per_second:
      return "M msg/s";
    case Unit::percent:
      return "%";
    case Unit::bytes:
      return "B";
    case Unit::mebibytes:
      return "MiB";
  }
  return "";
}

std::string print(double value, Unit unit) {
  const int digits = unit == Unit::million_per_second ? 2 : unit == Unit::percent ? 3 : 1;
  return fmt::format("{:.{}f} {}", value, digits, suffix(unit));
}

std::string print(const Target& target, Unit unit) {
  const char* const sign = target.at_least ? "≥" : "≤";
  if (target.factor == 0) return fmt::format("{} {:.3g} {}", sign, target.offset, suffix(unit));
  if (target.offset == 0) return fmt::format("{} {:.3g}x", sign, target.factor);
  return fmt::format("{} {:.3g}x + {:.3g} {}", sign, target.factor, target.offset, suffix(unit));
}

}  // namespace

double median_of(const Readings& readings, const Figure& figure) {
  std::vector<double> values;
  for (const Reading& reading : readings.at(figure.name)) values.push_back(reading.at(figure.field));
  return median(std::move(values));
}

Row evaluate(const Line& line, const Readings& readings) {
  Row row{.line = line, .measured = median_of(readings, line.measured)};
  if (line.reference) {
    row.reference = median_of(readings, *line.reference);
    if (*row.reference != 0) row.ratio = row.measured / *row.reference;
  }
  if (line.target) {
    const double limit = line.target->factor * row.reference.value_or(0) + line.target->offset;
    row.met = line.target->at_least ? row.measured >= limit : row.measured <= limit;
  }
  return row;
}

std::string table_head() {
  return "| line | measured | reference | ratio | target | met |\n|---|--:|--:|--:|--:|:-:|\n";
}

std::string table_row(const Row& row) {
  const Unit unit = row.line.unit;
  return fmt::format(
      "| {} | {} | {} | {} | {} | {} |\n", row.line.title, print(row.measured, unit),
      row.reference ? print(*row.reference, unit) : "", row.ratio ? fmt::format("{:.2f}", *row.ratio) : "",
      row.line.target ? print(*row.line.target, unit) : "", row.met ? (*row.met ? "yes" : "**no**") : "");
}

nlohmann::json to_report(const Row& row) {
  nlohmann::json report{{"line", row.line.title},
                        {"unit", suffix(row.line.unit)},
                        {"case", row.line.measured.name},
                        {"field", row.line.measured.field},
                        {"measured", row.measured}};
  if (row.line.reference) {
    report["reference_case"] = row.line.reference->name;
    report["reference"] = *row.reference;
  }
  if (row.ratio) report["ratio"] = *row.ratio;
  if (row.line.target) {
    report["target"] = print(*row.line.target, row.line.unit);
    report["met"] = *row.met;
  }
  return report;
}

}  // namespace lrpc::queue::bench
