// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "redis/client.hpp"
#include "redis/router.hpp"

namespace lrpc::queue::redis {

/// The parts into which a cluster divides its keys (https://redis.io/docs/reference/cluster-spec/).
inline constexpr std::size_t kSlots = 16'384;

/// The slot of a key: of its hash tag, if it has one.
[[nodiscard]] std::uint16_t slot_of(std::string_view key) noexcept;

/// Who is in charge of each slot, as one node saw it.
struct SlotMap {
  std::vector<std::shared_ptr<Client>> masters{};
  std::array<std::uint16_t, kSlots> owners{};  ///< Places in `masters` from 1 on; 0 = nobody.

  [[nodiscard]] std::shared_ptr<Client> master_of(std::uint16_t slot) const {
    return owners[slot] == 0 ? nullptr : masters[owners[slot] - 1U];
  }
};

/// The connections to a Redis Cluster: those to each master are a `Client` of their own, made as it is needed, so that
/// pool_size counts per master. Thread-safe; has no thread of its own.
class ClusterClient final : public Router, public std::enable_shared_from_this<ClusterClient> {
 public:
  using Map = std::shared_ptr<const SlotMap>;

  /// Asks the servers of `addr` (several are separated by commas) in turn who is in charge of what, within
  /// dial_timeout.
  static Result<std::shared_ptr<ClusterClient>> open(const RedisConfig& config);

  std::shared_ptr<Route> route(std::string_view key) override;
  std::vector<std::shared_ptr<Route>> nodes() override;
  [[nodiscard]] const RedisConfig& config() const noexcept override { return config_; }
  [[nodiscard]] bool cluster() const noexcept override { return true; }
  void close() override;

  // For the routes.

  /// The last map read.
  [[nodiscard]] Map map() const;
  /// As `map`; when the last one is in doubt a new one, should that be had.
  Map trusted_map(SteadyTime deadline);
  /// A call by this map failed: the next one shall not go by it.
  void doubt(const Map& map);
  /// Reads a newer map than `stale` unless there is one, from `first` if that is set, else from who answers. Several
  /// callers are served by one reading.
  Result<void> refresh(const Map& stale, const std::shared_ptr<Client>& first, SteadyTime deadline);
  /// The connections to a node.
  std::shared_ptr<Client> node(const Endpoint& endpoint);
  [[nodiscard]] Duration usual_time() const noexcept { return seeds_.front()->usual_time(); }

 private:
  ClusterClient(RedisConfig config, std::vector<Endpoint> seeds);
  Result<Map> ask_around(const std::shared_ptr<Client>& first, SteadyTime deadline);
  Result<Map> ask(Client& node, SteadyTime deadline);
  Result<Map> read(const Reply& slots, const Endpoint& asked);
  [[nodiscard]] std::vector<std::shared_ptr<Client>> candidates(const std::shared_ptr<Client>& first) const;

  const RedisConfig config_;
  std::vector<std::shared_ptr<Client>> seeds_;  // constant after the constructor
  mutable std::mutex mutex_;                    // guards all below; not held while asking
  std::condition_variable refreshed_;
  std::map<std::string, std::shared_ptr<Client>> nodes_{};  // by address
  Map map_;                                                 // never null
  bool refreshing_ = false;
  bool doubtful_ = false;
  bool closed_ = false;
  std::optional<Error> failure_{};  // of the last reading
};

}  // namespace lrpc::queue::redis
