// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "nemesis.hpp"
#include "report.hpp"
#include "role.hpp"

/// Runs rounds of torture and checks each. Exit code 1 when a promise was broken, 2 for anything else that went wrong.
namespace lrpc::queue::torture {
namespace {

using std::chrono::steady_clock;

constexpr const char* kUsage =
    "usage: torture --backend memory|redis|kafka [--minutes N | --seconds N | --rounds N] [--seed S]\n"
    "               [--round-seconds N] [--faults NAME,NAME...] [--folder DIR] [--keep]\n"
    "Round i has the seed S + i: `--seed <its seed> --rounds 1` repeats it. Ledgers of a round in which a promise was\n"
    "broken are kept in DIR, with --keep all are.\n";

struct Options {
  std::string backend{};
  std::chrono::milliseconds time{std::chrono::minutes(1)};
  int rounds = 0;  ///< 0 = as many as fit.
  std::uint64_t seed = std::random_device{}();
  std::chrono::milliseconds round_time{std::chrono::seconds(40)};
  std::set<std::string> faults{};
  std::filesystem::path folder = "torture-ledgers";
  bool keep = false;
};

std::set<std::string> names_in(const std::string& list) {
  std::set<std::string> names;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    names.insert(list.substr(at, comma - at));
    at = comma + 1;
  }
  return names;
}

Options parse(const std::vector<std::string>& words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& name = words[i];
    if (name == "--keep") {
      options.keep = true;
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
    if (name == "--backend") {
      options.backend = value;
    } else if (name == "--minutes") {
      options.time = std::chrono::minutes(number());
    } else if (name == "--seconds") {
      options.time = std::chrono::seconds(number());
    } else if (name == "--rounds") {
      options.rounds = static_cast<int>(number());
    } else if (name == "--seed") {
      options.seed = number();
    } else if (name == "--round-seconds") {
      options.round_time = std::chrono::seconds(number());
    } else if (name == "--faults") {
      options.faults = names_in(value);
    } else if (name == "--folder") {
      options.folder = value;
    } else {
      throw std::invalid_argument(name + "?");
    }
  }
  return options;
}

int run(const Options& options, const std::string& program) {
  std::map<std::string, Round (*)(const RoundOptions&)> kinds{{"memory", memory_round}, {"redis", redis_round}};
#ifdef LRPC_QUEUE_TORTURE_KAFKA
  kinds.emplace("kafka", kafka_round);
#endif
  const auto kind = kinds.find(options.backend);
  if (kind == kinds.end()) throw std::invalid_argument("--backend " + options.backend);
  const auto begin = steady_clock::now();
  Verdict all;
  std::map<std::string, int> faults;
  int rounds = 0;
  std::string failed;  // what ended the run, if it was no broken promise: what the rounds before found counts
  const auto more = [&] {
    return options.rounds > 0 ? rounds < options.rounds : steady_clock::now() - begin < options.time;
  };
  for (; all.ok() && more(); ++rounds) {
    const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(rounds);
    const auto folder = options.folder / (options.backend + "-" + std::to_string(seed));
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(options.time - (steady_clock::now() - begin));
    const auto time = options.rounds > 0 ? options.round_time : std::min(options.round_time, left);
    Round round;
    try {
      round =
          kind->second({.seed = seed, .time = time, .folder = folder, .faults = options.faults, .program = program});
    } catch (const std::exception& error) {
      failed = "seed " + std::to_string(seed) + ": " + error.what();
      break;
    }
    int count = 0;
    for (const auto& [name, number] : round.faults) {
      faults[name] += number;
      count += number;
    }
    all.add(round.verdict);
    const auto took = std::chrono::duration_cast<std::chrono::seconds>(steady_clock::now() - begin).count();
    std::printf("%4lld s  seed %llu: %d faults, %s\n", static_cast<long long>(took),
                static_cast<unsigned long long>(seed), count, in_short(round.verdict).c_str());
    if (round.verdict.ok()) {
      if (!options.keep) std::filesystem::remove_all(folder);
    } else {
      std::printf("\n%s\nBroken after %lld s. Ledgers: %s\nAgain: --backend %s --seed %llu --rounds 1\n",
                  findings_of(round.verdict).c_str(), static_cast<long long>(took), folder.c_str(),
                  options.backend.c_str(), static_cast<unsigned long long>(seed));
    }
    std::fflush(stdout);
  }
  std::printf("\n%s\nseed %llu, %s\n", table_of(faults, all, rounds).c_str(),
              static_cast<unsigned long long>(options.seed),
              !all.ok()         ? "PROMISES BROKEN"
              : !failed.empty() ? "ended early"
                                : "all promises kept");
  if (!failed.empty()) throw std::runtime_error(failed);
  return all.ok() ? 0 : 1;
}

}  // namespace
}  // namespace lrpc::queue::torture

int main(int argc, char** argv) try {
  namespace torture = lrpc::queue::torture;
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && (words[0] == "producer" || words[0] == "consumer")) return torture::run_role(words);
  return torture::run(torture::parse(words), argv[0]);
} catch (const std::invalid_argument& error) {
  std::fprintf(stderr, "torture: %s\n%s", error.what(), lrpc::queue::torture::kUsage);
  return 2;
} catch (const std::exception& error) {
  std::fprintf(stderr, "torture: %s\n", error.what());
  return 2;
}
