// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "base/mutex.hpp"
#include "redis/command.hpp"

namespace lrpc::queue::redis {

/// Messages as publish_script takes them.
struct Parcel {
  Arguments messages{};
  std::size_t count = 0;
  std::size_t bytes = 0;  ///< Of their bodies.
  bool plain = true;      ///< None is delayed or has further fields: in the short form.

  /// Those of another of the same form.
  Parcel& append(const Parcel& more) {
    messages.append(more.messages);
    count += more.count;
    bytes += more.bytes;
    return *this;
  }
};

/// How many messages were dropped to make room, by channel ("" = the backlog).
using Dropped = std::map<std::string, std::int64_t, std::less<>>;

/// Gathers the publishes of many callers. A few are under way at a time; who comes meanwhile waits, and the next that
/// goes takes those who wait along, in one step on the server. A lone caller never waits. Thread-safe; owns no thread.
///
/// A step stores all or nothing, so the publishes in it share its outcome, but for one that may be another's fault
/// (no room, too large): then each goes alone.
class Gathering {
 public:
  /// Stores a parcel as one step until a deadline. `queue_full` and `invalid_argument` mean that nothing was stored.
  using Send = std::function<Result<Dropped>(const Parcel&, SteadyTime)>;

  /// Sends a parcel, perhaps with those of others by their `send`, which does the same. Errors as of Send; `timeout`
  /// when the deadline came before anything was sent.
  Result<Dropped> publish(const Parcel& parcel, SteadyTime deadline, const Send& send);

 private:
  struct Waiting;
  Result<Dropped> wait(Waiting& me, const Send& send);
  Result<Dropped> lead(const Parcel& own, SteadyTime deadline, const Send& send);
  void take_along(const Parcel& own, Parcel& all, std::vector<Waiting*>& group, SteadyTime deadline);
  void pass_on();

  detail::Mutex mutex_;  // guards all below; not held while sending
  std::size_t under_way_ = 0;
  std::deque<Waiting*> waiting_;
};

}  // namespace lrpc::queue::redis
