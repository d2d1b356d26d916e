// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lrpc::queue {

/// One thing that was looked at on a server, for people.
struct Finding {
  enum class Level : std::uint8_t {
    ok,       ///< As it should be.
    warning,  ///< Keeps the promises for now, or all but one that a crash may break.
    error     ///< Messages are or will be lost or refused.
  };
  Level level = Level::ok;
  std::string what{};    ///< What was found: "appendonly is no: a crash of the server loses messages".
  std::string advice{};  ///< What to do about it; empty when there is nothing to do.
};

/// What `Queue::diagnose` found out about the server behind a queue.
struct Diagnosis {
  std::string server{};  ///< Product, version and address: "Redis 7.0.15 at localhost:6379". No password.
  std::vector<Finding> findings{};
};

/// "ok", "warning" or "error".
[[nodiscard]] std::string_view to_string(Finding::Level level) noexcept;

}  // namespace lrpc::queue
