// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "bench/bench_shapes.hpp"
#include "commands/commands.hpp"
#include "shared/raw_body.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kBenchFooter =
    "Options of the queue (--config, --storage, ...) and --json: see lrpc-queue --help.\n\n"
    "Each shape publishes --messages bodies of --size bytes, and receives and acks every one. Rates count deliveries:\n"
    "with --channels 16 a message is delivered 16 times.\n"
    "With --json one line "
    "{\"storage\":...,\"size\":...,\"results\":[{\"shape\":...,\"messages\":...,\"deliveries\":...,\n"
    "\"seconds\":...,\"rate\":...,\"ns\":...}]}.\n\n"
    "Examples:\n"
    "  lrpc-queue bench\n"
    "  lrpc-queue bench --messages 1000000 --size 1024 --shape one-to-one,subscribe\n"
    "  lrpc-queue bench --producers 8 --consumers 2 --shape many-to-many --json";

struct BenchOptions {
  BenchLoad load{};
  std::vector<std::string> shapes{};
};

struct Row {
  const BenchShape* shape = nullptr;
  BenchResult result{};

  [[nodiscard]] double rate() const { return static_cast<double>(result.deliveries) / result.seconds; }
  [[nodiscard]] double ns() const { return 1e9 / rate(); }
};

std::string as_table(const std::vector<Row>& rows, const BenchLoad& load) {
  std::string text = fmt::format("{:<13} {:<33} {:>11} {:>9} {:>12} {:>9}\n", "shape", "", "deliveries", "seconds",
                                 "deliveries/s", "ns each");
  for (const Row& row : rows) {
    text += fmt::format("{:<13} {:<33} {:>11} {:>9.3f} {:>12.0f} {:>9.0f}\n", row.shape->name,
                        row.shape->describe(load), row.result.deliveries, row.result.seconds, row.rate(), row.ns());
  }
  return text;
}

std::string as_json(const std::vector<Row>& rows, const BenchLoad& load, StorageType storage) {
  std::string results;
  for (const Row& row : rows) {
    results +=
        fmt::format(R"({}{{"shape":{},"messages":{},"deliveries":{},"seconds":{:.6f},"rate":{:.1f},"ns":{:.1f}}})",
                    results.empty() ? "" : ",", json_quoted(row.shape->name), row.result.messages,
                    row.result.deliveries, row.result.seconds, row.rate(), row.ns());
  }
  return fmt::format(R"({{"storage":{},"size":{},"results":[{}]}})", json_quoted(to_string(storage)), load.size,
                     results) +
         "\n";
}

int run_bench(const BenchOptions& options, Session& session) {
  const Result<Config> config = load_config(session.globals, session.console);
  if (!config) return session.report(config.error());
  std::vector<Row> rows;
  for (const BenchShape& shape : bench_shapes()) {
    if (!options.shapes.empty() && std::ranges::find(options.shapes, shape.name) == options.shapes.end()) continue;
    session.console.progress(fmt::format("{}: {} ...", shape.name, shape.describe(options.load)));
    const Result<BenchResult> result = shape.run(*config, options.load);
    session.console.progress("");
    if (!result) return session.report(result.error());
    rows.push_back({.shape = &shape, .result = *result});
  }
  const auto written = write_output(session.globals.json ? as_json(rows, options.load, config->storage_type)
                                                         : as_table(rows, options.load));
  return written ? kExitOk : session.report(written.error());
}

}  // namespace

void add_bench(CLI::App& app, Session& session) {
  auto options = std::make_shared<BenchOptions>();
  BenchLoad& load = options->load;
  CLI::App* command = app.add_subcommand("bench", "Measure the queue in several shapes of use");
  command->footer(kBenchFooter);
  constexpr std::int64_t most = 1'000'000'000;
  constexpr int most_handles = 1'000;
  command->add_option("--messages", load.messages, "Messages of each shape")
      ->check(CLI::Range(std::int64_t{1}, most))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--size", load.size, "Bytes of a body")
      ->check(CLI::Range(std::int64_t{0}, most))
      ->type_name("BYTES")
      ->capture_default_str();
  command->add_option("--producers", load.producers, "Publishing threads of many-to-many")
      ->check(CLI::Range(1, most_handles))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--consumers", load.consumers, "Consuming threads of many-to-many")
      ->check(CLI::Range(1, most_handles))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--channels", load.channels, "Channels of fan-out")
      ->check(CLI::Range(1, most_handles))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--batch", load.batch, "Messages of a batch")
      ->check(CLI::Range(std::int64_t{1}, most))
      ->type_name("N")
      ->capture_default_str();
  std::vector<std::string> names;
  for (const BenchShape& shape : bench_shapes()) names.emplace_back(shape.name);
  command->add_option("--shape", options->shapes, fmt::format("Only these of: {}", fmt::join(names, ", ")))
      ->delimiter(',')
      ->check(CLI::IsMember(names))
      ->allow_extra_args(false)
      ->type_name("LIST");
  command->callback(
      [options, &session] { session.run = [options, &session] { return run_bench(*options, session); }; });
}

}  // namespace lrpc::queue::cli
