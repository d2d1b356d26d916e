// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/cluster_route.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <span>
#include <thread>

namespace lrpc::queue::redis {
namespace {

/// Redirections that a call follows beyond max_retries: a slot seldom moves twice in a row.
constexpr int kRedirects = 4;

/// What an error reply says about where a command belongs.
struct Direction {
  enum class Kind : std::uint8_t {
    none,   // the reply is the answer
    moved,  // to another node, for good
    ask,    // to another node, this once
    later   // to nobody now
  };
  Kind kind = Kind::none;
  std::optional<Endpoint> target{};  // of moved and ask; empty = not known by name yet

  friend bool operator==(const Direction& a, const Direction& b) {
    return a.kind == b.kind && a.target.has_value() == b.target.has_value() &&
           (!a.target || a.target->where() == b.target->where());
  }
};

using Kind = Direction::Kind;

Kind kind_of(const Reply& reply) noexcept {
  if (!reply.is_error()) return Kind::none;
  const std::string_view text = reply.text();
  if (text.starts_with("MOVED ")) return Kind::moved;
  if (text.starts_with("ASK ")) return Kind::ask;
  if (text.starts_with("TRYAGAIN ") || text.starts_with("CLUSTERDOWN ") || is_refusal(reply)) return Kind::later;
  return Kind::none;
}

/// "MOVED slot host:port", with no host where it is that of the node `asked`.
Direction direction_of(const Reply& reply, const Endpoint& asked) {
  Direction direction{.kind = kind_of(reply)};
  if (direction.kind != Kind::moved && direction.kind != Kind::ask) return direction;
  const std::string_view address = reply.text().substr(reply.text().rfind(' ') + 1);
  const auto colon = address.rfind(':');
  if (colon == std::string_view::npos || address.substr(0, colon) == "?") return direction;
  const std::string_view host = address.substr(0, colon);
  direction.target = asked.at(std::string(host.empty() ? asked.host : host), std::string(address.substr(colon + 1)));
  return direction;
}

/// Takes the number that follows the sign at the front of `bytes`, and the line with it.
std::size_t take_number(std::string_view& bytes) {
  std::size_t value = 0;
  const auto end = std::from_chars(bytes.data() + 1, bytes.data() + bytes.size(), value).ptr;
  bytes.remove_prefix(static_cast<std::size_t>(end - bytes.data()) + 2);
  return value;
}

/// Some of the commands, each with ASKING before it where that is wanted.
Pipeline select(const Pipeline& all, std::span<const std::size_t> wanted, bool asking) {
  Pipeline some;
  std::string_view bytes = all.bytes();
  for (std::size_t i = 0; i < all.commands(); ++i) {
    const bool take = std::ranges::binary_search(wanted, i);
    const std::size_t arguments = take_number(bytes);
    if (take && asking) some.add({"ASKING"});
    if (take) some.begin(arguments);
    for (std::size_t k = 0; k < arguments; ++k) {
      const std::size_t size = take_number(bytes);
      if (take) some.arg(bytes.substr(0, size));
      bytes.remove_prefix(size + 2);
    }
  }
  return some;
}

/// One call, until each of its commands has found who carries it out.
class Errand {
 public:
  Errand(ClusterClient& cluster, std::uint16_t slot, const Pipeline& commands, SteadyTime deadline, Repeat repeat)
      : cluster_(cluster), slot_(slot), commands_(commands), deadline_(deadline), repeat_(repeat) {}

  Result<std::vector<Reply>> run();

 private:
  Result<std::vector<Reply>> send();
  void settle(std::vector<Reply> replies);
  bool follow();
  bool go(const Direction& direction);
  bool again(bool refresh);
  void start_over();
  [[nodiscard]] bool pause(int tries) const;
  [[nodiscard]] std::unexpected<Error> failed(Error error) const;

  ClusterClient& cluster_;
  const std::uint16_t slot_;
  const Pipeline& commands_;
  const SteadyTime deadline_;
  const Repeat repeat_;
  ClusterClient::Map map_{};
  std::shared_ptr<Client> node_{};   // who is asked next
  bool asking_ = false;              // with ASKING
  std::vector<Reply> replies_{};     // the last of each command; empty before the first
  std::vector<std::size_t> open_{};  // the commands without an answer, ascending
  std::vector<std::size_t> sent_{};  // those of them that go next
  int redirects_ = 0;
  int tries_ = 0;
};

Result<std::vector<Reply>> Errand::run() {
  map_ = cluster_.trusted_map(deadline_);
  node_ = map_->master_of(slot_);
  for (;;) {
    Result<std::vector<Reply>> replies = send();
    if (!replies) {
      if (!may_repeat(replies.error(), repeat_) || !again(true)) return failed(std::move(replies.error()));
      continue;
    }
    const auto answered = [](const Reply& reply) { return kind_of(reply) == Kind::none; };
    if (replies_.empty() && std::ranges::all_of(*replies, answered)) return replies;
    settle(std::move(*replies));
    if (open_.empty() || !follow()) return std::move(replies_);
  }
}

Result<std::vector<Reply>> Errand::send() {
  if (!node_) {
    return fail(ErrorCode::unavailable, "no server of the Redis cluster holds slot " + std::to_string(slot_), true);
  }
  if (replies_.empty()) return node_->call_once(commands_, deadline_);
  Result<std::vector<Reply>> replies = node_->call_once(select(commands_, sent_, asking_), deadline_);
  if (!replies || !asking_) return replies;
  std::vector<Reply> own;  // those to ASKING left out
  for (std::size_t i = 1; i < replies->size(); i += 2) own.push_back(std::move((*replies)[i]));
  return own;
}

void Errand::settle(std::vector<Reply> replies) {
  if (replies_.empty()) {
    replies_.resize(commands_.commands());
    open_.resize(commands_.commands());
    std::iota(open_.begin(), open_.end(), std::size_t{0});
    sent_ = open_;
  }
  for (std::size_t i = 0; i < sent_.size(); ++i) replies_[sent_[i]] = std::move(replies[i]);
  std::erase_if(open_, [this](std::size_t i) { return kind_of(replies_[i]) == Kind::none; });
}

// Where the first open command belongs; false when that has been followed often enough.
bool Errand::follow() {
  const Reply& first = replies_[open_.front()];
  const Direction direction = direction_of(first, node_->endpoint());
  if (direction.kind == Kind::later) return again(!first.text().starts_with("TRYAGAIN"));
  return go(direction);
}

bool Errand::go(const Direction& direction) {
  if (++redirects_ > cluster_.config().max_retries + kRedirects) return false;
  // The first is followed at once; more of them say that the cluster is not yet of one mind.
  if (redirects_ > 1 && !pause(redirects_ - 1)) return false;
  const Endpoint asked = node_->endpoint();
  const std::shared_ptr<Client> target = direction.target ? cluster_.node(*direction.target) : nullptr;
  if (direction.kind == Kind::moved || !target) {
    static_cast<void>(cluster_.refresh(map_, target, deadline_));
    start_over();
    if (target) node_ = target;
    return true;
  }
  node_ = target;
  asking_ = true;
  sent_.clear();
  for (const std::size_t i : open_) {
    if (direction_of(replies_[i], asked) == direction) sent_.push_back(i);
  }
  return true;
}

// Another try, after a pause, by a newer map; false when there were enough.
bool Errand::again(bool refresh) {
  ++tries_;
  if (tries_ > cluster_.config().max_retries || !pause(tries_)) return false;
  if (refresh) static_cast<void>(cluster_.refresh(map_, nullptr, deadline_));
  start_over();
  return true;
}

void Errand::start_over() {
  map_ = cluster_.map();
  node_ = map_->master_of(slot_);
  asking_ = false;
  sent_ = open_;
}

bool Errand::pause(int tries) const {
  const SteadyTime next = after(pause_before(tries));
  if (next >= deadline_) return false;
  std::this_thread::sleep_until(next);
  return true;
}

std::unexpected<Error> Errand::failed(Error error) const {
  cluster_.doubt(map_);
  // Some of it may be done: who repeats the whole must know.
  if (open_.size() < replies_.size() && repeat_ == Repeat::no) error.code = ErrorCode::outcome_unknown;
  return std::unexpected(std::move(error));
}

}  // namespace

Result<std::vector<Reply>> ClusterRoute::call(const Pipeline& commands, SteadyTime deadline, Repeat repeat) {
  return Errand(*cluster_, slot_, commands, deadline, repeat).run();
}

Result<std::shared_ptr<Connection>> ClusterRoute::own_connection(SteadyTime deadline) {
  ClusterClient::Map map = cluster_->trusted_map(deadline);
  for (int tries = 1;; ++tries) {
    std::shared_ptr<Client> hint;
    auto connection = connect_once(*map, deadline, hint);
    if (connection) return connection;
    const ErrorCode code = connection.error().code;
    // At first at once; but the nodes may need a moment to agree on who has the slot.
    const bool at_once = hint && tries == 1;
    const SteadyTime next = std::chrono::steady_clock::now() + (at_once ? Duration(0) : pause_before(tries));
    cluster_->doubt(map);
    if ((code != ErrorCode::unavailable && code != ErrorCode::timeout) || next >= deadline) return connection;
    if (tries > cluster_->config().max_retries + (hint ? kRedirects : 0)) return connection;
    std::this_thread::sleep_until(next);
    static_cast<void>(cluster_->refresh(map, hint, deadline));
    map = cluster_->map();
  }
}

// A blocking command does not tell where the slot is before it has waited, so another one is asked first.
Result<std::shared_ptr<Connection>> ClusterRoute::connect_once(const SlotMap& map, SteadyTime deadline,
                                                               std::shared_ptr<Client>& hint) {
  const std::shared_ptr<Client> node = map.master_of(slot_);
  if (!node) {
    return fail(ErrorCode::unavailable, "no server of the Redis cluster holds slot " + std::to_string(slot_), true);
  }
  auto connection = node->own_connection(deadline);
  if (!connection) return connection;
  Pipeline command;
  command.add({"EXISTS", key_});
  Result<std::vector<Reply>> replies = (*connection)->call(command, deadline);
  if (!replies) {
    // Nothing was changed by it.
    if (replies.error().code == ErrorCode::outcome_unknown) replies.error().code = ErrorCode::unavailable;
    return std::unexpected(std::move(replies.error()));
  }
  const Direction direction = direction_of(replies->front(), node->endpoint());
  if (direction.kind == Kind::none || direction.kind == Kind::ask) return connection;
  if (direction.target) hint = cluster_->node(*direction.target);
  return std::unexpected(error_of(replies->front().text(), "EXISTS", node->where()));
}

std::string ClusterRoute::where() const {
  const std::shared_ptr<Client> node = cluster_->map()->master_of(slot_);
  return node ? node->where() : "the cluster (slot " + std::to_string(slot_) + ")";
}

}  // namespace lrpc::queue::redis
