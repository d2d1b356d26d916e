// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Runs the benchmark groups and prints the table of docs/performance.md. With any --benchmark_... option it is a plain
// google-benchmark program over the same cases.

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <lrpc/queue/version.hpp>

#include "plots.hpp"
#include "rig.hpp"
#include "runner.hpp"
#include "suite.hpp"
#include "table.hpp"

namespace lrpc::queue::bench {
namespace {

std::vector<Group> all_groups(const Scale& scale) {
  std::vector<Group> groups{single_thread_group(scale), ack_group(scale),     threads_group(scale),
                            fan_out_group(scale),       wake_up_group(scale), idle_group(scale),
                            backlog_group(scale),       memory_group(scale),  memory_curves_group(scale)};
#if LRPC_QUEUE_WITH_REDIS
  groups.push_back(redis_group(scale));
  groups.push_back(redis_curves_group(scale));
#endif
#if LRPC_QUEUE_WITH_KAFKA
  groups.push_back(kafka_publish_group(scale));
  groups.push_back(kafka_consume_group(scale));
  groups.push_back(kafka_curves_group(scale));
#endif
  return groups;
}

/// Runs of an isolated group: it measures memory and idle CPU, which hardly vary.
constexpr int kIsolatedRounds = 3;

int rounds_of(const Group& group, int rounds, const Scale& scale) {
  if (group.isolated) rounds = std::min(rounds, scale.quick ? 1 : kIsolatedRounds);
  if (group.most_rounds > 0) rounds = std::min(rounds, scale.quick ? 1 : group.most_rounds);
  return rounds;
}

struct Options {
  Scale scale{};
  int rounds = 0;
  std::vector<std::string> only{};
  std::string json_path{};
  std::string plots_folder{};
};

int run(const Options& options) {
  std::vector<Group> groups = all_groups(options.scale);
  for (const std::string& name : options.only) {
    if (std::ranges::find(groups, name, &Group::name) == groups.end()) {
      std::string known;
      for (const Group& group : groups) known += " " + group.name;
      fmt::print(stderr, "queue_bench: no group is named {}; there are:{}\n", name, known);
      return 2;
    }
  }
  if (!options.only.empty()) {
    std::erase_if(groups,
                  [&](const Group& g) { return std::ranges::find(options.only, g.name) == options.only.end(); });
  }
  register_cases(groups);

  const int rounds = options.rounds > 0 ? options.rounds : options.scale.quick ? 3 : 11;
  nlohmann::json report{
      {"version", version()},         {"compiler", __VERSION__}, {"cores", std::thread::hardware_concurrency()},
      {"quick", options.scale.quick}, {"rounds", rounds},        {"lines", nlohmann::json::array()}};
  fmt::print("{}", table_head());
  std::fflush(stdout);  // before the first fork, which would double what is buffered
  for (const Group& group : groups) {
    const Readings readings = measure(group, rounds_of(group, rounds, options.scale));
    for (const Line& line : group.lines) {
      const Row row = evaluate(line, readings);
      fmt::print("{}", table_row(row));
      report["lines"].push_back(to_report(row));
    }
    std::fflush(stdout);
    for (const Plot& plot : group.plots) {
      report["plots"].push_back(to_report(plot, readings));
      if (!options.plots_folder.empty()) write_plot(options.plots_folder, plot, report["plots"].back());
    }
    report["readings"].update(nlohmann::json(readings));
  }

  if (!options.json_path.empty()) {
    std::ofstream file(options.json_path);
    file << report.dump(2) << '\n';
    file.close();
    if (!file) die("cannot write " + options.json_path);
  }
  return 0;
}

bool is_google_benchmark_run(std::span<char*> arguments) {
  return std::ranges::any_of(arguments, [](std::string_view a) { return a.starts_with("--benchmark_"); });
}

int run_google_benchmark(int argc, char** argv) {
  register_cases(all_groups(Scale{}));
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const Bystander bystander;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace lrpc::queue::bench

int main(int argc, char** argv) {
  namespace bench = lrpc::queue::bench;
  if (bench::is_google_benchmark_run(std::span(argv, static_cast<std::size_t>(argc)))) {
    return bench::run_google_benchmark(argc, argv);
  }
  bench::Options options;
  CLI::App app("Measures lrpc-queue beside its references and prints a table with the targets.");
  app.add_flag("--quick", options.scale.quick, "A smoke run of about 20 seconds: small numbers, three rounds");
  app.add_option("--rounds", options.rounds, "Rounds of each case (default 11, or 3 with --quick)")
      ->check(CLI::PositiveNumber);
  app.add_option("--group", options.only, "Only this group (repeatable)");
  app.add_option("--json", options.json_path, "Write all figures to this file");
  app.add_option("--plots", options.plots_folder, "Write the data and the gnuplot program of each plot to this folder")
      ->check(CLI::ExistingDirectory);
  app.footer("With --benchmark_filter=REGEX and other --benchmark_... options it runs as a google-benchmark program.");
  CLI11_PARSE(app, argc, argv);
  return bench::run(options);
}
