// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "runner.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <benchmark/benchmark.h>
#include <nlohmann/json.hpp>

#include "rig.hpp"

namespace lrpc::queue::bench {
namespace {

/// Keeps the counters of the run just made.
class Collector final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& report) override {
    for (const Run& run : report) {
      for (const auto& [name, counter] : run.counters) reading_[name] = counter.value;
    }
  }
  [[nodiscard]] Reading take() { return std::exchange(reading_, {}); }

 private:
  Reading reading_;
};

Reading run_once(const Case& one) {
  Collector collector;
  if (benchmark::RunSpecifiedBenchmarks(&collector, "^" + one.name + "/iterations") != 1) {
    die("no single case is named " + one.name);
  }
  return collector.take();
}

Readings run_rounds(std::span<const Case> cases, int rounds) {
  const Bystander bystander;
  Readings readings;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < cases.size(); ++i) {
      const Case& one = cases[round % 2 == 0 ? i : cases.size() - 1 - i];
      readings[one.name].push_back(run_once(one));
    }
  }
  return readings;
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n <= 0) die("cannot write to the parent process");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n < 0) die("cannot read from the child process");
    if (n == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

/// run_rounds in a child process.
Readings run_in_child(std::span<const Case> cases, int rounds) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) die("cannot make a pipe");
  const pid_t child = fork();
  if (child < 0) die("cannot fork");
  if (child == 0) {
    close(ends[0]);
    write_all(ends[1], nlohmann::json(run_rounds(cases, rounds)).dump());
    // Fixtures kept for all rounds are left to the system, but what was asked to be taken away.
    std::quick_exit(0);
  }
  close(ends[1]);
  const std::string text = read_all(ends[0]);
  close(ends[0]);
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    die("the process that measured " + cases.front().name + " and what follows failed");
  }
  return nlohmann::json::parse(text).get<Readings>();
}

}  // namespace

void register_cases(const std::vector<Group>& groups) {
  for (const Group& group : groups) {
    for (const Case& one : group.cases) {
      benchmark::RegisterBenchmark(one.name.c_str(),
                                   [run = one.run](benchmark::State& state) {
                                     for (auto _ : state) {
                                       for (const auto& [name, value] : run()) state.counters[name] = value;
                                     }
                                   })
          ->Iterations(1)
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
    }
  }
}

Readings measure(const Group& group, int rounds) {
  if (!group.isolated) return run_in_child(group.cases, rounds);
  Readings readings;
  for (int round = 0; round < rounds; ++round) {
    for (const Case& one : group.cases) {
      for (auto& [name, list] : run_in_child(std::span(&one, 1), 1)) {
        readings[name].insert(readings[name].end(), list.begin(), list.end());
      }
    }
  }
  return readings;
}

}  // namespace lrpc::queue::bench
