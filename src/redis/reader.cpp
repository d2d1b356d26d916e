// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/reader.hpp"

#include <algorithm>
#include <utility>

namespace lrpc::queue::redis {
namespace {

/// The server ends a wait by itself, at its next tick (a tenth of a second); only when it does not, or somebody is in a
/// hurry, we do.
constexpr Duration kHurry{20};
constexpr Duration kGrace{150};
/// A wait is renewed after this time, so that a consumer shows that it lives, and that its connection does.
constexpr Duration kLongestWait = std::chrono::seconds(5);

}  // namespace

Result<void> Reader::connect(Route& route, SteadyTime deadline) {
  auto connection = route.own_connection(deadline);
  if (!connection) return std::unexpected(std::move(connection.error()));
  Pipeline command;
  command.add({"CLIENT", "ID"});
  auto replies = (*connection)->call(command, after(route.usual_time()));
  if (!replies) return std::unexpected(std::move(replies.error()));
  const Reply& reply = replies->front();
  if (reply.is_error()) return std::unexpected(error_of(reply.text(), "CLIENT ID", route.where()));
  client_id_ = reply.number().value_or(0);
  connection_ = std::move(*connection);
  return {};
}

// Ends the wait for the reply of `call`. Our word may overtake the command that it is to end, as they travel on two
// connections: then it is said again.
void Reader::unblock(Route& route, Connection::Call& call) {
  const SteadyTime deadline = after(route.usual_time());
  for (Duration pause(1); std::chrono::steady_clock::now() < deadline; pause = std::min(pause * 2, Duration(50))) {
    Pipeline command;
    command.begin(3).arg("CLIENT").arg("UNBLOCK").arg(client_id_);
    const auto replies = route.call(command, deadline, Repeat::safe);
    // Where it fails, the line ends the wait.
    const bool told = replies && replies->front().number() == 1;
    if (connection_->await(call, told || !replies ? deadline : after(pause), -1)) return;
  }
}

Result<std::vector<Taken>> Reader::wait(const ChannelStore& store, std::size_t most, SteadyTime deadline,
                                        const Waker& waker, SteadyTime roughly) {
  Route& route = *store.route();
  if (connection_ == nullptr || !connection_->usable()) {
    if (auto ok = connect(route, deadline); !ok) {
      // A wait too short to connect in is one in vain: the server was there a moment ago.
      if (std::chrono::steady_clock::now() >= deadline) return std::vector<Taken>();
      return std::unexpected(std::move(ok.error()));
    }
  }
  const auto now = std::chrono::steady_clock::now();
  const SteadyTime end = std::min(deadline, roughly);
  // Rounded up: the server waits for whole milliseconds, and for ever with 0.
  Duration time = kLongestWait;
  if (end <= now) {
    time = Duration(1);  // the difference may have no value
  } else if (end <= now + kLongestWait) {
    time = std::chrono::ceil<Duration>(end - now);
  }
  SteadyTime patience = now + time + kGrace;
  if (deadline < patience) patience = std::max(deadline, now + time) + kHurry;
  Connection::Call call;
  connection_->post(call, store.read_command(most, time));
  if (!connection_->await(call, patience, waker.fd())) {
    unblock(route, call);
    if (!call.done()) {
      // The call must not outlive this function.
      connection_->abort();
      connection_->await(call, SteadyTime::max(), -1);
    }
  }
  if (call.error) {
    connection_.reset();
    return std::unexpected(std::move(*call.error));
  }
  const Reply& reply = call.replies.front();
  if (reply.is_error() && !reply.text().starts_with("NOGROUP")) {
    // A failover, perhaps: not this server's any more.
    connection_.reset();
    // The stream went away meanwhile, or the server became a replica; the next look finds out.
    if (reply.text().starts_with("UNBLOCKED")) return std::vector<Taken>();
  }
  return store.read_result(reply);
}

}  // namespace lrpc::queue::redis
