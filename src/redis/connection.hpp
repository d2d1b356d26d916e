// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "redis/command.hpp"
#include "redis/endpoint.hpp"
#include "redis/reply.hpp"
#include "redis/socket.hpp"

namespace lrpc::queue::redis {

/// How long the parts of a call may take.
struct Timeouts {
  Duration dial{};
  Duration read{};   ///< Without a byte from the server while replies are due: the connection is given up.
  Duration write{};  ///< Without the server taking what is sent.
};

/// The deadline of the first of `parties` who share the time until `deadline`.
[[nodiscard]] SteadyTime share_of(SteadyTime deadline, std::size_t parties);

/// One logged-in connection that many threads share. There is no thread behind it: a caller writes its commands itself,
/// at once when nobody else is writing, else it leaves them to who is, so that the commands of concurrent callers go
/// out in one piece; one of those that wait for replies reads for all of them. A lone caller pays for nothing.
/// Thread-safe.
class Connection {
 public:
  /// Connects, logs in and selects the database. Errors as of Socket::connect; `permission` when the login fails,
  /// `unavailable` while the server loads.
  static Result<std::shared_ptr<Connection>> open(const Endpoint& endpoint, const Timeouts& timeouts,
                                                  SteadyTime deadline);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() = default;

  /// Sends the commands and waits for all of their replies. Error replies are replies. `unavailable` when the commands
  /// were surely not sent, `outcome_unknown` when they may have been, `timeout` likewise at the deadline (the
  /// connection goes on, what comes late is dropped).
  Result<std::vector<Reply>> call(const Pipeline& commands, SteadyTime deadline);

  /// One call under way. Its owner leaves it where it is until it is done or the connection has gone.
  struct Call {
    std::size_t wanted = 0;
    std::vector<Reply> replies{};
    bool endless = false;  // what a subscription is: replies come and come
    bool sent = false;     // at least a part
    std::optional<Error> error{};
    std::condition_variable changed{};
    [[nodiscard]] bool done() const noexcept {
      return error.has_value() || (endless ? !replies.empty() : replies.size() == wanted);
    }
  };
  /// The halves of a call, for blocking commands and subscriptions, on a connection that nobody shares: the server may
  /// take as long as it likes, and who waits may leave and come back.
  void post(Call& call, const Pipeline& commands);
  /// Whether the call is done, at the deadline or when `wake` can be read (as of Socket::read) at the latest.
  bool await(Call& call, SteadyTime deadline, int wake);
  /// Sends commands whose replies go to an endless call before them.
  void send(const Pipeline& commands);

  /// Ends all calls by closing the connection.
  void abort() noexcept;
  /// Whether it rests and the server has closed it meanwhile: a call on it would have an unknown outcome.
  [[nodiscard]] bool dropped();
  /// False once the connection is lost.
  [[nodiscard]] bool usable() const;
  /// Calls that wait for their replies now.
  [[nodiscard]] std::size_t load() const;
  [[nodiscard]] const std::string& where() const noexcept { return where_; }

 private:
  /// A call's place in the order of the replies; `call` is null when its caller has gone.
  struct Place {
    Call* call;
    std::size_t missing;
  };

  Connection(std::unique_ptr<Socket> socket, const Timeouts& timeouts, std::string where)
      : socket_(std::move(socket)), timeouts_(timeouts), where_(std::move(where)) {}

  Result<void> log_in(const Endpoint& endpoint, SteadyTime deadline);
  void send(std::unique_lock<std::mutex>& lock, std::string_view bytes);
  void enqueue(std::unique_lock<std::mutex>& lock, Call& call, const Pipeline& commands);
  bool receive(std::unique_lock<std::mutex>& lock, SteadyTime deadline, bool patient, int wake);
  void take_in(std::string_view bytes);
  void pass_on_reading();
  void fail_all(const Error& why);

  const std::unique_ptr<Socket> socket_;
  const Timeouts timeouts_;
  const std::string where_;
  mutable std::mutex mutex_;  // guards all below; not held while bytes go over the line
  std::string outbox_;        // of calls at the end of `places_`
  std::size_t outbox_calls_ = 0;
  std::deque<Place> places_;
  ReplyReader reader_;  // of who is reading
  bool writing_ = false;
  bool reading_ = false;
  SteadyTime heard_{};  // when the server last said something, or was first owed
  std::optional<Error> broken_{};
};

}  // namespace lrpc::queue::redis
