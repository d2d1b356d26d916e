// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <random>
#include <vector>

#include "consumers.hpp"

namespace lrpc::queue::soak {
namespace {

using Random = std::minstd_rand;

class Publisher {
 public:
  Publisher(World& world, Line& line)
      : world_(world), line_(line), random_(static_cast<Random::result_type>(line.name.size())) {}

  /// One call, or a few in the background; how many messages that were.
  std::size_t publish_some() {
    const auto kind = random_() % 100;
    if (kind < 70) return publish_one();
    if (kind < 85 || line_.keyed) return publish_batch(2 + random_() % 10);
    return publish_in_background(1 + random_() % 5);
  }
  [[nodiscard]] bool full() const { return next_ + 20 > line_.accepted.room(); }
  void finish() {
    if (auto done = line_.topic->flush(std::chrono::seconds(30)); !done) world_.trouble.error("flush", done.error());
  }

 private:
  Load make() {
    if (world_.plan.leak > 0) {
      auto* const lost = new char[static_cast<std::size_t>(world_.plan.leak)];  // the option's purpose
      std::fill_n(lost, world_.plan.leak, 'x');
    }
    return {.number = next_++, .sent_us = now_us(), .filler = std::string(random_() % 400, 'x')};
  }

  [[nodiscard]] std::string key(std::uint64_t number) const {
    return line_.keyed ? "k" + std::to_string(key_of(number)) : "";
  }

  PubOptions options(std::uint64_t number) {
    PubOptions result{.key = key(number)};
    const Kind kind = kind_of(number, line_.keyed);
    if (kind == Kind::delayed) result.delay = Duration(50 + random_() % 2'000);
    if (kind == Kind::expiring) result.expires = Duration(1'000);
    return result;
  }

  void accept(std::uint64_t number) {
    line_.accepted.note(number);
    ++world_.counts.published;
  }

  std::size_t publish_one() {
    const Load load = make();
    const auto id = line_.topic->pub(load, options(load.number));
    if (id) {
      world_.publish_time.add(now_us() - load.sent_us);
      accept(load.number);
    } else {
      world_.trouble.error("pub", id.error());
    }
    return 1;
  }

  std::size_t publish_batch(std::size_t size) {
    std::vector<Message<Load>> messages;
    const std::uint64_t first = next_;
    const std::int64_t began = now_us();
    for (std::size_t i = 0; i < size; ++i) {
      Message<Load> message(make());
      message.set_key(key(message.body().number));
      if (kind_of(message.body().number, line_.keyed) == Kind::expiring) message.set_expires(Duration(1'000));
      messages.push_back(std::move(message));
    }
    const auto ids = line_.topic->pub_msg_batch(std::move(messages));
    if (ids) {
      world_.publish_time.add(now_us() - began);
      for (std::uint64_t number = first; number < next_; ++number) accept(number);
    } else {
      world_.trouble.error("pub_msg_batch", ids.error());
    }
    return size;
  }

  std::size_t publish_in_background(std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      Load load = make();
      const std::uint64_t number = load.number;
      const auto taken =
          line_.topic->pub_async(std::move(load), options(number), [this, number](Result<std::string> id) {
            if (id) {
              accept(number);
            } else {
              world_.trouble.error("pub_async", id.error());
            }
          });
      if (!taken) world_.trouble.error("pub_async", taken.error());
    }
    return size;
  }

  World& world_;
  Line& line_;
  Random random_;
  std::uint64_t next_ = 0;
};

}  // namespace

void publish(World& world, Line& line, double rate, const std::stop_token& stop) {
  Publisher publisher(world, line);
  const std::chrono::duration<double> of_one(1 / rate);
  auto due = SteadyClock::now();
  while (!stop.stop_requested() && !publisher.full()) {
    const std::size_t number = publisher.publish_some();
    due += std::chrono::duration_cast<SteadyClock::duration>(of_one * static_cast<double>(number));
    const auto now = SteadyClock::now();
    // What was missed for long is not made up for: that would be a burst.
    due = std::max(due, now - std::chrono::seconds(1));
    if (due > now && !rest(std::chrono::ceil<Duration>(due - now), stop)) break;
  }
  publisher.finish();
}

}  // namespace lrpc::queue::soak
