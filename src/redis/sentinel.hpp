// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <lrpc/queue/config.hpp>

#include "redis/connection.hpp"
#include "redis/endpoint.hpp"

namespace lrpc::queue::redis {

/// The sentinels that know which server is the master (https://redis.io/docs/reference/sentinel-clients/). Thread-safe.
class Sentinels {
 public:
  /// `login` says how servers are reached and logged in to; its host does not matter. `invalid_config` for an address
  /// that is none. Connects to nobody.
  static Result<std::unique_ptr<Sentinels>> of(const SentinelConfig& config, const Endpoint& login);

  /// A new connection to whom the sentinels name, who also says that it is a master. Every connection asks: a server
  /// that comes back after a failover still believes to be the master for a while. When no sentinel answers, the last
  /// master known is taken. `invalid_config` when all sentinels answer and none knows the name, else `unavailable`
  /// (`permission` when all refuse the login).
  Result<std::shared_ptr<Connection>> connect(Timeouts timeouts, SteadyTime deadline);
  /// Whether a sentinel names another master than the last one known. After a failover on demand the old master lives
  /// on for some ten seconds as if it were one, and what it takes is lost. Asks at most once a second, for one of those
  /// who call this, and briefly: no answer counts as no.
  bool moved(Timeouts timeouts);
  /// Holds no connection until the next look.
  void rest();
  /// The last master known, for messages.
  [[nodiscard]] std::string where() const;

 private:
  Sentinels(std::string master, Endpoint login, std::vector<Endpoint> sentinels)
      : master_(std::move(master)), login_(std::move(login)), sentinels_(std::move(sentinels)) {}

  Result<Endpoint> find(const Timeouts& timeouts, SteadyTime deadline);
  Result<std::optional<Endpoint>> ask(const Endpoint& sentinel, const Timeouts& timeouts, SteadyTime deadline) const;
  Result<std::optional<Endpoint>> ask(Connection& sentinel, SteadyTime deadline) const;
  Result<std::shared_ptr<Connection>> connect_to(const Endpoint& master, const Timeouts& timeouts,
                                                 SteadyTime deadline) const;
  [[nodiscard]] std::vector<Endpoint> sentinels() const;
  void prefer(const Endpoint& sentinel);
  void distrust_first();

  const std::string master_;
  const Endpoint login_;
  mutable std::mutex mutex_;         // guards all below; not held while asking
  std::vector<Endpoint> sentinels_;  // who answered last comes first
  std::optional<Endpoint> known_{};
  std::shared_ptr<Connection> watch_{};  // to a sentinel; null while somebody asks it
  SteadyTime next_look_{};
};

}  // namespace lrpc::queue::redis
