// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "redis/client.hpp"
#include "server.hpp"

namespace lrpc::queue::redis {

/// A master, its replicas and three sentinels that watch it. Everything throws std::runtime_error when it does not come
/// about in good time.
class SentinelTrio {
 public:
  /// Waits until the replicas are in step and the sentinels know each other and them.
  /// `launcher` as of RedisServer; with `tls` all of them talk TLS only.
  explicit SentinelTrio(std::size_t replicas = 1, std::string sentinel_password = "",
                        std::vector<std::string> launcher = {}, const Certificates* tls = nullptr);

  [[nodiscard]] RedisConfig config() const;
  [[nodiscard]] static const char* name() { return "lrpc-master"; }
  [[nodiscard]] const std::string& sentinel(std::size_t i) const { return sentinels_[i]->address; }
  /// The first is the master at first.
  [[nodiscard]] RedisServer& server(std::size_t i) { return *servers_[i]; }
  /// The place of the server that all sentinels name.
  [[nodiscard]] std::size_t await_master_other_than(std::size_t old);
  /// Waits until all sentinels name the same server and all others are replicas in step with it; returns its place.
  /// A server that comes back as a master needs some ten seconds to be made a replica.
  std::size_t await_settled();
  /// Has another server made master, while the present one lives.
  void fail_over();
  /// Tells the sentinels that another server is the master, unknown to all others.
  void name_master(const RedisServer& server);
  void kill_sentinel(std::size_t i);

 private:
  struct Sentinel {
    TemporaryFolder folder;
    std::string address;
    Process process;
  };
  void start_sentinel();
  Result<Reply> ask_sentinel(const Sentinel& sentinel, const std::vector<std::string>& words) const;
  [[nodiscard]] bool ready();
  /// The place of the server that a sentinel names; that of none when it does not answer.
  [[nodiscard]] std::size_t named_by(const Sentinel& sentinel) const;

  const TlsConfig tls_;
  const std::vector<std::string> tls_options_;
  std::string password_;
  std::vector<std::string> launcher_;
  std::vector<std::unique_ptr<RedisServer>> servers_;
  std::vector<std::unique_ptr<Sentinel>> sentinels_;
};

/// A cluster of masters that divide the slots among them. Errors as of SentinelTrio.
class RedisCluster {
 public:
  /// Waits until all nodes agree. `options` are every node's; with `tls` they talk TLS only.
  explicit RedisCluster(std::size_t masters = 3, const std::vector<std::string>& options = {},
                        std::vector<std::string> launcher = {}, const Certificates* tls = nullptr);

  /// By the first node as seed.
  [[nodiscard]] RedisConfig config() const;
  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  [[nodiscard]] RedisServer& node(std::size_t i) { return *nodes_[i]; }
  /// A command on one node; error replies are errors.
  Reply ask(std::size_t node, const std::vector<std::string>& words);
  /// The place of the node that is in charge of a slot, as node `seen_by` sees it.
  [[nodiscard]] std::size_t owner(std::uint16_t slot, std::size_t seen_by = 0);
  /// A key in the charge of a node: "<prefix><number>".
  [[nodiscard]] std::string key_at(std::size_t node, const std::string& prefix = "k");

  /// A slot begins to move to another node.
  void begin_move(std::uint16_t slot, std::size_t from, std::size_t to);
  /// The keys that are there go now.
  void move_keys(std::uint16_t slot, std::size_t from, std::size_t to);
  /// The slot has moved; only the two nodes are told, the others hear it from them.
  void end_move(std::uint16_t slot, std::size_t from, std::size_t to);
  void move_slot(std::uint16_t slot, std::size_t from, std::size_t to);
  /// Adds a replica of a master; returns its place.
  std::size_t add_replica(std::size_t master);

 private:
  std::size_t add_node();
  [[nodiscard]] bool agreed(std::size_t node);

  const TlsConfig tls_;
  std::vector<std::string> options_;
  std::vector<std::string> launcher_;
  std::vector<std::unique_ptr<RedisServer>> nodes_;
  std::vector<int> bus_ports_;
  std::vector<std::string> ids_;
};

}  // namespace lrpc::queue::redis
