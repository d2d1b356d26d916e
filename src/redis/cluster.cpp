// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/cluster.hpp"

#include <algorithm>
#include <utility>

#include "engine/context.hpp"
#include "redis/cluster_route.hpp"

namespace lrpc::queue::redis {
namespace {

/// CRC16/XMODEM: polynomial 0x1021, from 0 on.
std::uint16_t crc16(std::string_view text) noexcept {
  unsigned crc = 0;
  for (const char c : text) {
    crc ^= static_cast<unsigned>(static_cast<unsigned char>(c)) << 8U;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000U) != 0 ? (crc << 1U) ^ 0x1021U : crc << 1U;
  }
  return static_cast<std::uint16_t>(crc);
}

std::unexpected<Error> wrong(std::string_view what) {
  return fail(ErrorCode::invalid_config, "redis_config." + std::string(what));
}

Result<void> check(const RedisConfig& config, const Endpoint& seed) {
  if (!config.sentinel.master.empty()) return wrong("cluster: is set together with sentinel; a server has only one");
  if (seed.db != 0) return wrong("db: a cluster has only database 0");
  if (!seed.unix_path.empty()) return wrong("addr: a cluster needs host:port");
  const auto brace = config.key_prefix.find('{');
  if (brace != std::string::npos && config.key_prefix.substr(brace, 2) == "{}") {
    return wrong("key_prefix: with '{}' in it the keys of a topic would not share a slot");
  }
  return {};
}

Result<std::vector<Endpoint>> seeds_of(const RedisConfig& config) {
  std::vector<Endpoint> seeds;
  std::string_view rest = config.url.empty() ? std::string_view(config.addr) : std::string_view();
  do {
    RedisConfig one = config;
    const auto comma = rest.find(',');
    std::string_view address = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    while (address.starts_with(' ')) address.remove_prefix(1);
    while (address.ends_with(' ')) address.remove_suffix(1);
    one.addr = address;
    Result<Endpoint> seed = endpoint_of(one);
    if (!seed) return std::unexpected(std::move(seed.error()));
    if (auto ok = check(config, *seed); !ok) return std::unexpected(std::move(ok.error()));
    seeds.push_back(std::move(*seed));
  } while (!rest.empty());
  return seeds;
}

}  // namespace

std::uint16_t slot_of(std::string_view key) noexcept {
  if (const auto open = key.find('{'); open != std::string_view::npos) {
    const auto close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  return crc16(key) % kSlots;
}

Result<std::shared_ptr<Router>> connect_client(const RedisConfig& config) {
  if (config.cluster) return ClusterClient::open(config);
  return Client::open(config);
}

ClusterClient::ClusterClient(RedisConfig config, std::vector<Endpoint> seeds)
    : config_(std::move(config)), map_(std::make_shared<SlotMap>()) {
  for (Endpoint& seed : seeds) seeds_.push_back(Client::to(config_, std::move(seed)));
}

Result<std::shared_ptr<ClusterClient>> ClusterClient::open(const RedisConfig& config) {
  Result<std::vector<Endpoint>> seeds = seeds_of(config);
  if (!seeds) return std::unexpected(std::move(seeds.error()));
  std::shared_ptr<ClusterClient> client(new ClusterClient(config, std::move(*seeds)));
  if (auto ok = client->refresh(client->map(), nullptr, SteadyTime::max()); !ok) {
    return std::unexpected(std::move(ok.error()));
  }
  return client;
}

std::shared_ptr<Route> ClusterClient::route(std::string_view key) {
  return std::make_shared<ClusterRoute>(shared_from_this(), key);
}

std::vector<std::shared_ptr<Route>> ClusterClient::nodes() {
  // Whom an old map names is better than nobody.
  static_cast<void>(refresh(map(), nullptr, SteadyTime::max()));
  const Map now = map();
  return {now->masters.begin(), now->masters.end()};
}

ClusterClient::Map ClusterClient::map() const {
  const std::lock_guard lock(mutex_);
  return map_;
}

ClusterClient::Map ClusterClient::trusted_map(SteadyTime deadline) {
  Map known;
  {
    const std::lock_guard lock(mutex_);
    if (!doubtful_) return map_;
    known = map_;
  }
  static_cast<void>(refresh(known, nullptr, deadline));
  return map();
}

void ClusterClient::doubt(const Map& map) {
  const std::lock_guard lock(mutex_);
  if (map == map_) doubtful_ = true;
}

std::shared_ptr<Client> ClusterClient::node(const Endpoint& endpoint) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Client>& node = nodes_[endpoint.where()];
  if (!node) {
    node = Client::to(config_, endpoint);
    if (closed_) node->close();
  }
  return node;
}

void ClusterClient::close() {
  std::vector<std::shared_ptr<Client>> all = seeds_;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (const auto& [address, node] : nodes_) all.push_back(node);
  }
  for (const auto& each : all) each->close();
}

Result<void> ClusterClient::refresh(const Map& stale, const std::shared_ptr<Client>& first, SteadyTime deadline) {
  deadline = std::min(deadline, after(seeds_.front()->config().dial_timeout));
  std::unique_lock lock(mutex_);
  if (refreshing_) {
    if (!refreshed_.wait_until(lock, deadline, [this] { return !refreshing_; })) {
      return fail(ErrorCode::timeout, "no node of the Redis cluster told in time who is in charge of what", true);
    }
    if (map_ == stale && failure_) return std::unexpected(*failure_);
  }
  if (map_ != stale) return {};
  refreshing_ = true;
  lock.unlock();
  Result<Map> read = ask_around(first, deadline);
  lock.lock();
  refreshing_ = false;
  refreshed_.notify_all();
  failure_.reset();
  if (!read) {
    failure_ = read.error();
    return std::unexpected(std::move(read.error()));
  }
  map_ = std::move(*read);
  doubtful_ = false;
  std::erase_if(nodes_, [this](const auto& each) {
    return std::ranges::find(map_->masters, each.second) == map_->masters.end();
  });
  return {};
}

// `first`, then the masters known, beginning anywhere, then the seeds.
std::vector<std::shared_ptr<Client>> ClusterClient::candidates(const std::shared_ptr<Client>& first) const {
  std::vector<std::shared_ptr<Client>> all;
  const auto add = [&all](const std::shared_ptr<Client>& node) {
    const auto same = [&node](const auto& each) { return each->where() == node->where(); };
    if (node && std::ranges::none_of(all, same)) all.push_back(node);
  };
  add(first);
  const Map known = map();
  const std::size_t count = known->masters.size();
  const auto begin = static_cast<std::size_t>(detail::random_unit() * static_cast<double>(count));
  for (std::size_t i = 0; i < count; ++i) add(known->masters[(begin + i) % count]);
  for (const auto& seed : seeds_) add(seed);
  return all;
}

// One after the other, each for no longer than its share of the time.
Result<ClusterClient::Map> ClusterClient::ask_around(const std::shared_ptr<Client>& first, SteadyTime deadline) {
  const std::vector<std::shared_ptr<Client>> candidates = this->candidates(first);
  std::size_t left = candidates.size();
  std::optional<Error> last;
  std::string answers;
  for (const auto& candidate : candidates) {
    Result<Map> map = ask(*candidate, share_of(deadline, left--));
    if (map) return map;
    answers += (answers.empty() ? "" : "; ") + map.error().message;
    last = std::move(map.error());
  }
  last->message = "no node of the Redis cluster tells who is in charge of what: " + answers;
  return std::unexpected(std::move(*last));
}

Result<ClusterClient::Map> ClusterClient::ask(Client& node, SteadyTime deadline) {
  Pipeline command;
  command.add({"CLUSTER", "SLOTS"});
  Result<std::vector<Reply>> replies = node.call_once(command, deadline);
  if (!replies) {
    Error& error = replies.error();
    // Nothing was changed by it.
    if (error.code == ErrorCode::outcome_unknown || error.code == ErrorCode::timeout) {
      error.code = ErrorCode::unavailable;
    }
    return std::unexpected(std::move(error));
  }
  const Reply& slots = replies->front();
  if (!slots.is_error()) return read(slots, node.endpoint());
  Error error = error_of(slots.text(), "CLUSTER SLOTS", node.where());
  if (error.code == ErrorCode::backend) {
    error.code = ErrorCode::invalid_config;
    error.message += " (redis_config.cluster is set; is the server one of a cluster?)";
  }
  return std::unexpected(std::move(error));
}

// Ranges of slots, each [first, last, [host, port, ...] of the master, replicas...].
Result<ClusterClient::Map> ClusterClient::read(const Reply& slots, const Endpoint& asked) {
  auto map = std::make_shared<SlotMap>();
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const Reply range = slots[i];
    if (range.size() < 3 || range[2].size() < 2) return unexpected_reply("CLUSTER SLOTS");
    const auto first = static_cast<std::size_t>(range[0].number().value_or(kSlots));
    const auto last = static_cast<std::size_t>(range[1].number().value_or(kSlots));
    const auto port = range[2][1].number();
    if (first > last || last >= kSlots || !port) return unexpected_reply("CLUSTER SLOTS");
    std::string host(range[2][0].text());
    if (host == "?") continue;  // a node whose name is not yet known
    if (host.empty()) host = asked.host;
    const std::shared_ptr<Client> master = node(asked.at(std::move(host), std::to_string(*port)));
    auto place = std::ranges::find(map->masters, master);
    if (place == map->masters.end()) place = map->masters.insert(place, master);
    const auto owner = static_cast<std::uint16_t>(place - map->masters.begin() + 1);
    for (std::size_t slot = first; slot <= last; ++slot) map->owners[slot] = owner;
  }
  if (!map->masters.empty()) return map;
  return fail(ErrorCode::unavailable, "CLUSTER SLOTS at " + asked.where() + ": nobody is in charge of any slot", true);
}

}  // namespace lrpc::queue::redis
