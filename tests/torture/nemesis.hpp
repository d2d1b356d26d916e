// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "ledger.hpp"
#include "workload.hpp"

namespace lrpc::queue::torture {

/// Sleeps, but not past a stop.
void rest(std::chrono::milliseconds time, const std::stop_token& stop);

/// Does evil at random moments, from a seed, and writes down when.
class Nemesis {
 public:
  /// Carries a fault out from its beginning to its end; may fill in its target and how it reaches, and take back its
  /// name, by which it says that it could not be done now.
  using Action = std::function<void(Fault&)>;

  Nemesis(std::uint64_t seed, Ledger& ledger) : random_(seed), ledger_(ledger) {}

  /// `kind` tells what the fault may be blamed for. `weight`: how often, against the others.
  void add(Fault kind, int weight, Action action);
  /// Only these, if any.
  void restrict(const std::set<std::string>& names);
  /// Until the end, with pauses between the faults, now and then a long one.
  void run(std::chrono::steady_clock::time_point end, const std::stop_token& stop);

  [[nodiscard]] Random& random() noexcept { return random_; }
  [[nodiscard]] const std::map<std::string, int>& counts() const noexcept { return counts_; }

 private:
  struct Entry {
    Fault kind;
    int weight;
    Action action;
  };
  Random random_;
  Ledger& ledger_;
  std::vector<Entry> entries_;
  std::map<std::string, int> counts_;
};

/// What a round found.
struct Round {
  Verdict verdict{};
  std::map<std::string, int> faults{};
};

/// What a round is asked for.
struct RoundOptions {
  std::uint64_t seed = 0;
  std::chrono::milliseconds time{};  ///< Of the faults; healing and draining come on top.
  std::filesystem::path folder{};    ///< For its ledgers; exists.
  std::set<std::string> faults{};    ///< Only these, if any.
  std::string program{};             ///< This program, for rounds of processes.
};

[[nodiscard]] Round memory_round(const RoundOptions& options);
[[nodiscard]] Round redis_round(const RoundOptions& options);
[[nodiscard]] Round kafka_round(const RoundOptions& options);

}  // namespace lrpc::queue::torture
