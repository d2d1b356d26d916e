// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/listener.hpp"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "engine/context.hpp"

namespace lrpc::queue::redis {
namespace {

/// Often enough for leases of a few hundred milliseconds; only while somebody has such work.
constexpr Duration kTick{100};
constexpr Duration kFirstReconnectPause{50};
constexpr Duration kLastReconnectPause = std::chrono::seconds(5);

}  // namespace

void Listener::add(const std::string& name, const std::shared_ptr<Ears>& ears) {
  const std::lock_guard lock(mutex_);
  if (!ring_.contains(name)) changes_.add({"SUBSCRIBE", name});
  ring_.emplace(name, ears);
  if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  waker_.wake();
}

void Listener::remove(const std::string& name, const Ears* ears) {
  const std::lock_guard lock(mutex_);
  const auto [begin, end] = ring_.equal_range(name);
  for (auto it = begin; it != end;) {
    const auto one = it->second.lock();
    it = one == nullptr || one.get() == ears ? ring_.erase(it) : std::next(it);
  }
  if (ring_.contains(name)) return;
  changes_.add({"UNSUBSCRIBE", name});
  waker_.wake();
}

void Listener::stop() {
  std::jthread thread;
  {
    const std::lock_guard lock(mutex_);
    thread = std::move(thread_);
  }
  thread.request_stop();
  waker_.wake();
  if (thread.joinable()) thread.join();
  waker_.close();
}

bool Listener::connect(Connection::Call& call) {
  const auto nodes = router_->nodes();
  for (const auto& node : nodes) {
    auto line = node->own_connection(after(node->usual_time()));
    if (!line) continue;
    line_ = std::move(*line);
    Pipeline commands;
    // A name that nobody publishes to, so that there is a subscription to ask for signs of life.
    commands.begin(2).arg("SUBSCRIBE").arg(router_->config().key_prefix);
    {
      const std::lock_guard lock(mutex_);
      changes_.clear();
      for (auto it = ring_.begin(); it != ring_.end(); it = ring_.upper_bound(it->first)) {
        commands.add({"SUBSCRIBE", it->first});
      }
    }
    line_->post(call, commands);
    return true;
  }
  return false;
}

void Listener::run(const std::stop_token& stop) {
  const Waker& waker = waker_;
  Duration pause = kFirstReconnectPause;
  Connection::Call call{.endless = true};
  SteadyTime heard{};
  bool asked = false;
  const auto rest = [&] {
    const Duration jittered(
        static_cast<std::int64_t>(static_cast<double>(pause.count()) * (0.5 + detail::random_unit())));
    pause = std::min(pause * 2, kLastReconnectPause);
    pollfd entry{.fd = waker.fd(), .events = POLLIN, .revents = 0};
    ::poll(&entry, 1, static_cast<int>(jittered.count()));
  };
  while (!stop.stop_requested()) {
    waker.clear();
    if (line_ == nullptr) {
      call.error.reset();
      call.replies.clear();
      if (!connect(call)) {
        rest();
        continue;
      }
      heard = std::chrono::steady_clock::now();
      asked = false;
      tell("");  // what was said meanwhile is not known
    }
    Pipeline changes;
    {
      const std::lock_guard lock(mutex_);
      std::swap(changes, changes_);
    }
    if (changes.commands() > 0) line_->send(changes);
    const SteadyTime quiet = heard + (asked ? 2 * silence_ : silence_);
    const SteadyTime until = anybody_wants_tick() ? std::min(quiet, after(kTick)) : quiet;
    if (line_->await(call, until, waker.fd())) {
      if (call.error) {
        line_.reset();
        rest();
        continue;
      }
      pause = kFirstReconnectPause;
      heard = std::chrono::steady_clock::now();
      asked = false;
      hear(call);
    } else if (std::chrono::steady_clock::now() >= quiet) {
      if (asked) {
        line_.reset();  // dead, though nobody has closed it
        rest();
        continue;
      }
      asked = true;
      Pipeline ping;
      ping.add({"PING"});
      line_->send(ping);
    }
    tick();
  }
  line_.reset();
}

void Listener::hear(Connection::Call& call) {
  for (const Reply& reply : std::exchange(call.replies, {})) {
    if (reply.size() == 3 && reply[0].text() == "message") tell(reply[1].text());
  }
}

std::vector<std::shared_ptr<Ears>> Listener::find(std::string_view name) {
  std::vector<std::shared_ptr<Ears>> found;
  const std::lock_guard lock(mutex_);
  for (auto it = name.empty() ? ring_.begin() : ring_.lower_bound(name);
       it != ring_.end() && (name.empty() || it->first == name); ++it) {
    if (auto ears = it->second.lock()) found.push_back(std::move(ears));
  }
  return found;
}

void Listener::tell(std::string_view name) {
  for (const auto& ears : find(name)) ears->heard();
}

bool Listener::anybody_wants_tick() {
  return std::ranges::any_of(find(""), [](const auto& ears) { return ears->wants_tick(); });
}

void Listener::tick() {
  for (const auto& ears : find("")) {
    if (ears->wants_tick()) ears->tick();
  }
}

}  // namespace lrpc::queue::redis
