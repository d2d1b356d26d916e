// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// A Redis server that answers anything to everything: every call ends with a result or an error.
#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "fuzz.hpp"
#include "redis/channel_store.hpp"
#include "redis/topic_store.hpp"

using namespace lrpc::queue;
using namespace lrpc::queue::redis;

namespace {

/// A server whose answers are the input.
class AnyServer final : public Route {
 public:
  explicit AnyServer(std::string_view bytes) {
    if (!bytes.empty() && !reader_.feed(bytes)) broken_ = true;
  }
  Result<std::vector<Reply>> call(const Pipeline& commands, SteadyTime /*deadline*/, Repeat /*repeat*/) override {
    std::vector<Reply> replies;
    while (replies.size() < commands.commands()) {
      auto reply = broken_ ? Result<std::optional<Reply>>(std::optional<Reply>()) : reader_.next();
      broken_ = broken_ || !reply;
      if (!reply) return std::unexpected(reply.error());
      if (!*reply) return fail(ErrorCode::unavailable, "no more answers");
      replies.push_back(std::move(**reply));
    }
    return replies;
  }
  Result<std::shared_ptr<Connection>> own_connection(SteadyTime /*deadline*/) override {
    return fail(ErrorCode::unavailable, "none");
  }
  [[nodiscard]] std::string where() const override { return "here"; }
  [[nodiscard]] Duration usual_time() const noexcept override { return std::chrono::seconds(1); }

 private:
  ReplyReader reader_;
  bool broken_ = false;
};

template <class T>
bool good(const Result<T>& result) {
  if (!result) fuzz::require(!result.error().message.empty(), "an error says what is wrong");
  return result.has_value();
}

void call_channel(ChannelStore& store, std::uint8_t which, SteadyTime until) {
  std::array<bool, 2> done{};
  const std::array handles{Handle{.entry_id = *EntryId::parse("5-1"), .deliveries = 1},
                           Handle{.entry_id = *EntryId::parse("6-0"), .deliveries = 2}};
  const auto look_at = [](const std::vector<Taken>& taken) {
    for (const Taken& one : taken) fuzz::require(static_cast<bool>(one.entry.message), "an entry has a message");
  };
  switch (which % 9) {
    case 0:
      if (const auto taken = store.read(10, until); good(taken)) look_at(*taken);
      break;
    case 1: {
      std::string cursor = "0-0";
      if (const auto look =
              store.look({.number = 1, .born = "b"}, 10, std::chrono::seconds(1), cursor, true, {}, until);
          good(look)) {
        look_at(look->taken);
      }
      break;
    }
    case 2:
      good(store.ack(handles, done, until));
      break;
    case 3: {
      const auto both = store.ack_and_read(handles, done, 10, until);
      good(both.acked);
      if (good(both.taken)) look_at(*both.taken);
      break;
    }
    case 4: {
      std::array outcomes{redis::Outcome{.handle = handles[0], .action = redis::Outcome::Action::retry, .counted = 1},
                          redis::Outcome{.handle = handles[1], .action = redis::Outcome::Action::keep}};
      good(store.settle(outcomes, until));
      break;
    }
    case 5:
      good(store.pending(10, until));
      break;
    case 6:
      if (const auto stats = store.stats(until); good(stats)) {
        fuzz::require(stats->ready >= 0 && stats->in_flight >= 0, "figures are not negative");
      }
      break;
    case 7:
      if (const auto page = store.dead_letters(10, "", until); good(page)) {
        for (const DeadRecord& letter : page->items) {
          fuzz::require(static_cast<bool>(letter.message), "a dead letter has a message");
        }
      }
      break;
    default:
      good(store.leave(until));
      break;
  }
}

void call_topic(TopicStore& store, std::uint8_t which, SteadyTime until) {
  switch (which % 5) {
    case 0: {
      Outgoing out{.message = Envelope::make_encoded(Bytes(10))};
      out.message->set_id("m");
      const std::array batch{out, out};
      good(store.publish(batch, {}, until));
      break;
    }
    case 1:
      good(store.open(until));
      break;
    case 2:
      good(store.open_channel("c", true, until));
      break;
    case 3:
      good(store.delete_channel("c", until));
      break;
    default:
      good(store.channels(until));
      break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  const auto server = std::make_shared<AnyServer>(fuzz::text_of(data + 2, size - 2));
  const Keys keys("lrpc:", "t", false);
  if (data[0] % 2 == 0) {
    ChannelStore store(server, keys, "c", "me");
    call_channel(store, data[1], until);
  } else {
    TopicStore store(server, "t", keys);
    call_topic(store, data[1], until);
  }
  return 0;
}
