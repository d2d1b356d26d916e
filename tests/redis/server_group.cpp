// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "server_group.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "redis/cluster.hpp"

namespace lrpc::queue::redis {
namespace {

constexpr auto kGoodTime = std::chrono::seconds(30);
constexpr Timeouts kTimeouts{
    .dial = std::chrono::seconds(5), .read = std::chrono::seconds(10), .write = std::chrono::seconds(5)};

/// A sentinel that did not run for two seconds, on a busy machine, acts on nothing for 30 (its TILT mode).
constexpr std::chrono::seconds kFailoverTime{120};

void await(const std::string& what, const std::function<bool()>& condition, std::chrono::seconds time = kGoodTime) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("did not come about: " + what);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

/// One command on a connection of its own; error replies are errors.
Result<Reply> ask_at(const Endpoint& endpoint, const std::vector<std::string>& words) {
  const auto deadline = std::chrono::steady_clock::now() + kGoodTime;
  auto connection = Connection::open(endpoint, kTimeouts, deadline);
  if (!connection) return std::unexpected(connection.error());
  Pipeline command;
  command.begin(words.size());
  for (const std::string& word : words) command.arg(word);
  auto replies = (*connection)->call(command, deadline);
  if (!replies) return std::unexpected(replies.error());
  Reply& reply = replies->front();
  if (reply.is_error()) return std::unexpected(error_of(reply.text(), words.front(), endpoint.where()));
  return std::move(reply);
}

Endpoint endpoint_at(const std::string& address, const TlsConfig& tls) {
  auto endpoint = parse_address(address);
  if (!endpoint) throw std::runtime_error(endpoint.error().message);
  endpoint->tls = tls;
  return *endpoint;
}

TlsConfig config_of(const Certificates* tls) { return tls != nullptr ? tls->config() : TlsConfig{}; }

std::vector<std::string> options_of(const Certificates* tls) {
  return tls != nullptr ? tls->options() : std::vector<std::string>{};
}

Reply must_ask(const RedisServer& server, const TlsConfig& tls, const std::vector<std::string>& words) {
  auto reply = ask_at(endpoint_at(server.address(), tls), words);
  if (!reply) throw std::runtime_error(reply.error().message);
  return std::move(*reply);
}

/// Whether the text that a command gives has a line of it.
bool says(const RedisServer& server, const TlsConfig& tls, const std::vector<std::string>& words,
          const std::string& line) {
  return must_ask(server, tls, words).text().contains(line + "\r\n");
}

}  // namespace

SentinelTrio::SentinelTrio(std::size_t replicas, std::string sentinel_password, std::vector<std::string> launcher,
                           const Certificates* tls)
    : tls_(config_of(tls)),
      tls_options_(options_of(tls)),
      password_(std::move(sentinel_password)),
      launcher_(std::move(launcher)) {
  std::vector<std::string> quick{"--repl-diskless-sync-delay", "0"};
  quick.insert(quick.end(), tls_options_.begin(), tls_options_.end());
  servers_.push_back(std::make_unique<RedisServer>(quick, launcher_));
  for (std::size_t i = 0; i < replicas; ++i) {
    std::vector<std::string> options = quick;
    options.insert(options.end(), {"--replicaof", "127.0.0.1 " + std::to_string(server(0).port())});
    servers_.push_back(std::make_unique<RedisServer>(options, launcher_));
  }
  for (std::size_t i = 1; i < servers_.size(); ++i) {
    await("a replica in step", [&] { return says(server(i), tls_, {"INFO", "replication"}, "master_link_status:up"); });
  }
  for (int i = 0; i < 3; ++i) start_sentinel();
  await("sentinels that know all", [this] { return ready(); });
}

void SentinelTrio::start_sentinel() {
  auto sentinel = std::make_unique<Sentinel>();
  const int port = free_port();
  sentinel->address = "127.0.0.1:" + std::to_string(port);
  const std::string file = (sentinel->folder.path() / "sentinel.conf").string();
  const std::string master = name();
  std::ofstream out(file);
  out << (tls_.enabled ? "port 0\ntls-port " : "port ") << port << "\nbind 127.0.0.1\ndir "
      << sentinel->folder.path().string() << "\nsentinel monitor " << master << " 127.0.0.1 " << server(0).port()
      << " 2\nsentinel down-after-milliseconds " << master << " 1000\nsentinel failover-timeout " << master
      << " 3000\n";
  for (std::size_t i = 0; i + 1 < tls_options_.size(); i += 2) {
    out << tls_options_[i].substr(2) << " " << tls_options_[i + 1] << "\n";
  }
  if (!password_.empty()) out << "requirepass " << password_ << "\nsentinel sentinel-pass " << password_ << "\n";
  out.close();
  sentinel->process.start({server_program(), file, "--sentinel"}, sentinel->folder.path() / "sentinel.log", "+monitor");
  sentinels_.push_back(std::move(sentinel));
}

Result<Reply> SentinelTrio::ask_sentinel(const Sentinel& sentinel, const std::vector<std::string>& words) const {
  Endpoint endpoint = endpoint_at(sentinel.address, tls_);
  endpoint.password = password_;
  endpoint.db = Endpoint::kNoDatabase;
  return ask_at(endpoint, words);
}

bool SentinelTrio::ready() {
  return std::ranges::all_of(sentinels_, [this](const auto& sentinel) {
    const auto others = ask_sentinel(*sentinel, {"SENTINEL", "SENTINELS", name()});
    const auto replicas = ask_sentinel(*sentinel, {"SENTINEL", "REPLICAS", name()});
    // CKQUORUM also looks at whether the others were heard of lately.
    return others && others->size() + 1 == sentinels_.size() && replicas && replicas->size() + 1 == servers_.size() &&
           ask_sentinel(*sentinel, {"SENTINEL", "CKQUORUM", name()}).has_value();
  });
}

RedisConfig SentinelTrio::config() const {
  RedisConfig config = servers_.front()->config();
  config.addr.clear();
  config.tls = tls_;
  config.sentinel = {.master = name(), .addrs = {}, .password = password_};
  for (const auto& sentinel : sentinels_) config.sentinel.addrs.push_back(sentinel->address);
  return config;
}

std::size_t SentinelTrio::named_by(const Sentinel& sentinel) const {
  const auto reply = ask_sentinel(sentinel, {"SENTINEL", "get-master-addr-by-name", name()});
  const std::string port(reply && reply->size() == 2 ? (*reply)[1].text() : std::string_view());
  const auto found =
      std::ranges::find_if(servers_, [&](const auto& each) { return std::to_string(each->port()) == port; });
  return static_cast<std::size_t>(found - servers_.begin());
}

std::size_t SentinelTrio::await_master_other_than(std::size_t old) {
  std::size_t place = 0;
  await(
      "a new master",
      [&] {
        place = named_by(*sentinels_.front());
        return place != old && place < servers_.size() &&
               std::ranges::all_of(sentinels_, [&](const auto& each) { return named_by(*each) == place; });
      },
      kFailoverTime);
  return place;
}

std::size_t SentinelTrio::await_settled() {
  std::size_t master = 0;
  const auto in_step = [&](std::size_t place) {
    const auto info = ask_at(endpoint_at(server(place).address(), tls_), {"INFO", "replication"});
    const std::string port = "master_port:" + std::to_string(server(master).port()) + "\r\n";
    return info && info->text().contains(port) && info->text().contains("master_link_status:up\r\n");
  };
  const auto settled = [&] {
    master = named_by(*sentinels_.front());
    if (master >= servers_.size()) return false;
    for (const auto& each : sentinels_) {
      if (named_by(*each) != master) return false;
    }
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      if (i != master && !in_step(i)) return false;
    }
    return true;
  };
  await("a settled group", settled, 3 * kGoodTime);
  return master;
}

// A sentinel that has just seen one refuses another for twice failover-timeout; one that has not yet heard of a
// replica's state finds no good one.
void SentinelTrio::fail_over() {
  await("a failover on demand",
        [this] { return ask_sentinel(*sentinels_.front(), {"SENTINEL", "FAILOVER", name()}).has_value(); });
}

void SentinelTrio::name_master(const RedisServer& server) {
  for (const auto& each : sentinels_) {
    const bool ok =
        ask_sentinel(*each, {"SENTINEL", "REMOVE", name()}) &&
        ask_sentinel(*each, {"SENTINEL", "MONITOR", name(), "127.0.0.1", std::to_string(server.port()), "2"});
    if (!ok) throw std::runtime_error("a sentinel does not take another master");
  }
}

void SentinelTrio::kill_sentinel(std::size_t i) {
  sentinels_[i]->process.signal(9);
  sentinels_[i]->process.await_end();
}

RedisCluster::RedisCluster(std::size_t masters, const std::vector<std::string>& options,
                           std::vector<std::string> launcher, const Certificates* tls)
    : tls_(config_of(tls)), options_(options), launcher_(std::move(launcher)) {
  if (tls != nullptr) {
    for (const std::string& option : tls->options()) options_.push_back(option);
    options_.insert(options_.end(), {"--tls-cluster", "yes"});
  }
  for (std::size_t i = 0; i < masters; ++i) {
    add_node();
    ask(i, {"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)});
    ask(i, {"CLUSTER", "ADDSLOTSRANGE", std::to_string(kSlots * i / masters),
            std::to_string(kSlots * (i + 1) / masters - 1)});
    if (i > 0) ask(0, {"CLUSTER", "MEET", "127.0.0.1", std::to_string(node(i).port()), std::to_string(bus_ports_[i])});
  }
  for (std::size_t i = 0; i < masters; ++i) await("a cluster that agrees", [&] { return agreed(i); });
}

std::size_t RedisCluster::add_node() {
  const int bus_port = free_port();  // by default 10,000 more than the port: that may be taken, or beyond the range
  std::vector<std::string> options{
      "--cluster-enabled",          "yes", "--cluster-port", std::to_string(bus_port), "--cluster-node-timeout", "2000",
      "--repl-diskless-sync-delay", "0"};
  options.insert(options.end(), options_.begin(), options_.end());
  nodes_.push_back(std::make_unique<RedisServer>(options, launcher_));
  bus_ports_.push_back(bus_port);
  ids_.emplace_back(ask(nodes_.size() - 1, {"CLUSTER", "MYID"}).text());
  return nodes_.size() - 1;
}

bool RedisCluster::agreed(std::size_t node) {
  const std::string info(ask(node, {"CLUSTER", "INFO"}).text());
  return info.contains("cluster_state:ok\r\n") && info.contains("cluster_slots_ok:16384\r\n") &&
         info.contains("cluster_known_nodes:" + std::to_string(size()) + "\r\n");
}

RedisConfig RedisCluster::config() const {
  RedisConfig config = nodes_.front()->config();
  config.cluster = true;
  config.tls = tls_;
  return config;
}

Reply RedisCluster::ask(std::size_t node, const std::vector<std::string>& words) {
  return must_ask(*nodes_[node], tls_, words);
}

std::size_t RedisCluster::owner(std::uint16_t slot, std::size_t seen_by) {
  const Reply slots = ask(seen_by, {"CLUSTER", "SLOTS"});
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i][0].number() > slot || slots[i][1].number() < slot) continue;
    const auto id = std::ranges::find(ids_, slots[i][2][2].text());
    return static_cast<std::size_t>(id - ids_.begin());
  }
  return size();
}

std::string RedisCluster::key_at(std::size_t node, const std::string& prefix) {
  for (int i = 0;; ++i) {
    std::string key = prefix + std::to_string(i);
    if (owner(slot_of(key), node) == node) return key;  // it knows best
  }
}

void RedisCluster::begin_move(std::uint16_t slot, std::size_t from, std::size_t to) {
  ask(to, {"CLUSTER", "SETSLOT", std::to_string(slot), "IMPORTING", ids_[from]});
  ask(from, {"CLUSTER", "SETSLOT", std::to_string(slot), "MIGRATING", ids_[to]});
}

void RedisCluster::move_keys(std::uint16_t slot, std::size_t from, std::size_t to) {
  const Reply keys = ask(from, {"CLUSTER", "GETKEYSINSLOT", std::to_string(slot), "1000"});
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ask(from, {"MIGRATE", "127.0.0.1", std::to_string(node(to).port()), std::string(keys[i].text()), "0", "5000"});
  }
}

void RedisCluster::end_move(std::uint16_t slot, std::size_t from, std::size_t to) {
  for (const std::size_t each : {to, from}) ask(each, {"CLUSTER", "SETSLOT", std::to_string(slot), "NODE", ids_[to]});
}

void RedisCluster::move_slot(std::uint16_t slot, std::size_t from, std::size_t to) {
  begin_move(slot, from, to);
  move_keys(slot, from, to);
  end_move(slot, from, to);
}

std::size_t RedisCluster::add_replica(std::size_t master) {
  const std::size_t added = add_node();
  ask(0, {"CLUSTER", "MEET", "127.0.0.1", std::to_string(node(added).port()), std::to_string(bus_ports_[added])});
  for (std::size_t i = 0; i <= added; ++i) await("a cluster that agrees", [&] { return agreed(i); });
  ask(added, {"CLUSTER", "REPLICATE", ids_[master]});
  await("a replica in step", [&] { return says(node(added), tls_, {"INFO", "replication"}, "master_link_status:up"); });
  return added;
}

}  // namespace lrpc::queue::redis
