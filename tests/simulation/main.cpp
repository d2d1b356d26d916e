// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "machine.hpp"

/// Runs machines over many seeds. Exit code 1 when a promise was broken or a transition was not as expected, 2 for
/// wrong usage.
namespace lrpc::queue::simulation {
namespace {

constexpr const char* kUsage =
    "usage: simulation [--machine NAME,...] [--seeds N] [--first-seed S] [--steps N] [--coverage] [--any-coverage]\n"
    "       simulation --machine NAME --seed S [--steps N] [--trace]\n"
    "Machines: kafka, memory, engine, redis; all unless named. What goes wrong is told with its seed, which repeats\n"
    "it. --coverage prints the transitions that happened; that all expected ones do is asked of a run of 1,000 seeds\n"
    "and more, unless --any-coverage is given.\n";

/// Too short a run need not see everything.
constexpr std::uint64_t kEnoughSeeds = 1000;

struct Options {
  std::vector<Kind> kinds{kafka_kind(), memory_kind(), engine_kind(), redis_kind()};
  std::uint64_t first_seed = 1;
  std::uint64_t seeds = 1000;
  int steps = 200;
  bool coverage = false;
  bool any_coverage = false;
  bool trace = false;
};

Options parse(const std::vector<std::string>& words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& name = words[i];
    if (name == "--trace" || name == "--coverage" || name == "--any-coverage") {
      (name == "--trace" ? options.trace : name == "--coverage" ? options.coverage : options.any_coverage) = true;
      continue;
    }
    if (i + 1 == words.size()) throw std::invalid_argument(name + "?");
    const std::string& value = words[++i];
    const auto number = [&] {
      std::uint64_t result = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
      if (error != std::errc() || end != value.data() + value.size()) throw std::invalid_argument(name + " " + value);
      return result;
    };
    if (name == "--machine") {
      const std::string wanted = "," + value + ",";
      std::erase_if(options.kinds, [&](const Kind& kind) {
        return wanted.find("," + std::string(kind.name) + ",") == std::string::npos;
      });
      if (options.kinds.empty()) throw std::invalid_argument("--machine " + value);
    } else if (name == "--seeds") {
      options.seeds = number();
    } else if (name == "--first-seed") {
      options.first_seed = number();
    } else if (name == "--steps") {
      options.steps = static_cast<int>(number());
    } else if (name == "--seed") {
      options.first_seed = number();
      options.seeds = 1;
    } else {
      throw std::invalid_argument(name + "?");
    }
  }
  return options;
}

struct Failure {
  int step = 0;
  std::string what{};
};

std::optional<Failure> run_seed(const Kind& kind, std::uint64_t seed, int steps, Journal& journal) {
  int step = 0;
  try {
    const std::unique_ptr<Machine> machine = kind.make(seed, journal);
    for (step = 1; step <= steps; ++step) {
      journal.set_step(step);
      machine->step();
    }
    journal.set_step(step);
    machine->finish();
  } catch (const std::exception& error) {
    return Failure{.step = step, .what = error.what()};
  }
  return std::nullopt;
}

/// A failure is told by a second run of its seed, which must go the same way.
void tell(const Kind& kind, std::uint64_t seed, int steps, const Failure& failure) {
  Journal journal(Journal::Mode::last);
  const auto again = run_seed(kind, seed, steps, journal);
  for (const std::string& line : journal.lines()) std::printf("  %s\n", line.c_str());
  std::printf("BROKEN: machine %s, seed %llu, step %d of %d%s: %s\n", std::string(kind.name).c_str(),
              static_cast<unsigned long long>(seed), failure.step, steps,
              failure.step > steps ? " (what is left is worked off)" : "", failure.what.c_str());
  if (!again || again->step != failure.step || again->what != failure.what) {
    std::printf("NOT DETERMINISTIC: the same seed went another way: %s\n",
                again ? again->what.c_str() : "all was well");
  }
  std::printf("Again: simulation --machine %s --seed %llu --steps %d --trace\n", std::string(kind.name).c_str(),
              static_cast<unsigned long long>(seed), steps);
}

int run(const Options& options) {
  int status = 0;
  for (const Kind& kind : options.kinds) {
    bool broken = false;
    for (std::uint64_t i = 0; i < options.seeds && !broken; ++i) {
      const std::uint64_t seed = options.first_seed + i;
      Journal journal(options.trace ? Journal::Mode::print : Journal::Mode::off);
      const auto failure = run_seed(kind, seed, options.steps, journal);
      if (!failure) continue;
      broken = true;
      tell(kind, seed, options.steps, *failure);
    }
    if (!broken) {
      std::printf("%s: %llu seeds of %d steps from seed %llu on: all promises kept\n", std::string(kind.name).c_str(),
                  static_cast<unsigned long long>(options.seeds), options.steps,
                  static_cast<unsigned long long>(options.first_seed));
    }
    const bool covers = !broken && options.seeds >= kEnoughSeeds && !options.any_coverage;
    for (const Coverage* coverage : kind.coverage) {
      if (options.coverage) std::printf("\n%s\n", coverage->table().c_str());
      if (!covers) continue;
      for (const std::string& fault : coverage->faults()) {
        std::printf("COVERAGE: %s\n", fault.c_str());
        broken = true;
      }
    }
    if (broken) status = 1;
  }
  return status;
}

}  // namespace
}  // namespace lrpc::queue::simulation

int main(int argc, char** argv) try {
  namespace simulation = lrpc::queue::simulation;
  return simulation::run(simulation::parse({argv + 1, argv + argc}));
} catch (const std::invalid_argument& error) {
  std::fprintf(stderr, "simulation: %s\n%s", error.what(), lrpc::queue::simulation::kUsage);
  return 2;
}
