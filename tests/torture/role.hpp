// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lrpc::queue::torture {

/// A process that publishes or consumes until SIGTERM, upon which it closes in good order.
struct Role {
  std::string kind{};  ///< "producer" or "consumer".
  std::string name{};  ///< One life of it; its ledger has this name.
  std::string channel{};
  std::uint64_t seed = 0;
  std::filesystem::path folder{};
  std::filesystem::path config{};  ///< As Config::load reads it.
  std::chrono::milliseconds lease{};
  std::filesystem::path clock{};  ///< The offset of its wall clock (OwnClock); empty: it has the machine's.

  [[nodiscard]] std::vector<std::string> words(const std::string& program) const;
};

/// What such a process runs; `words` without the program. Returns its exit code.
[[nodiscard]] int run_role(const std::vector<std::string>& words);

}  // namespace lrpc::queue::torture
