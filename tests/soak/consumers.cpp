// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "consumers.hpp"

#include <vector>

namespace lrpc::queue::soak {
namespace {

/// Longer than a message of Kind::expiring lives.
constexpr Duration kTooLate{2'500};

void note_time(World& world, const Line& line, const Message<Load>& message) {
  // Others may come again with attempts() 1, or wait as they are to.
  const bool plain = kind_of(message.body().number, line.keyed) == Kind::plain;
  if (!line.keyed && plain && message.attempts() == 1) world.handle_time.add(now_us() - message.body().sent_us);
}

void done(World& world, Station& station, std::uint64_t number) {
  station.book.handled(number);
  ++world.counts.handled;
}

}  // namespace

Result<ProcessRsp> handle(World& world, Station& station, const Line& line, const Message<Load>& message) {
  note_time(world, line, message);
  const std::uint64_t number = message.body().number;
  const Doing doing = station.book.decide(number, message.attempts());
  if (number % 100 == 7) std::this_thread::sleep_for(Duration(number % 30));
  switch (doing) {
    case Doing::retry:
      return ProcessRsp{.retry = true, .reason = "once more"};
    case Doing::retry_same:
      return ProcessRsp{.retry = true, .skip_attempts = true};
    case Doing::fail:
      if (number % 2 == 0) throw std::runtime_error("cannot handle this");
      return fail(ErrorCode::backend, "cannot handle this");
    case Doing::retry_late:
      return ProcessRsp{.retry_after = kTooLate};
    case Doing::reject:
      return ProcessRsp{.dead_letter = true, .reason = "not wanted"};
    case Doing::ack:
      break;
  }
  done(world, station, number);
  return ProcessRsp{};
}

void pull(World& world, Station& station, const Line& line, Channel<Load>& channel, const std::stop_token& stop) {
  const auto failed = [&](const char* what, const Error& error) {
    if (error.code == ErrorCode::message_not_found) {
      ++world.counts.lost_leases;
    } else {
      world.trouble.error(what, error);
    }
  };
  while (!stop.stop_requested()) {
    const auto got = channel.next_batch(16, Duration(200));
    if (!got) {
      if (got.error().code == ErrorCode::no_message) continue;
      failed("next_batch", got.error());
      if (!rest(Duration(100), stop)) return;
      continue;
    }
    std::vector<Message<Load>> good;
    for (const Message<Load>& message : *got) {
      note_time(world, line, message);
      NackOptions nack{.reason = "cannot handle this"};
      switch (station.book.decide(message.body().number, message.attempts())) {
        case Doing::ack:
          good.push_back(message);
          continue;
        case Doing::retry:
        case Doing::fail:
          break;
        case Doing::retry_same:
          nack.skip_attempts = true;
          break;
        case Doing::retry_late:
          nack.delay = kTooLate;
          break;
        case Doing::reject:
          nack.dead_letter = true;
          break;
      }
      if (auto sent_back = channel.nack(message, nack); !sent_back) failed("nack", sent_back.error());
    }
    if (good.empty()) continue;
    const auto acked = channel.ack(good);
    if (!acked) failed("ack", acked.error());
    for (const Message<Load>& message : good) {
      const bool settled =
          acked || std::ranges::find(acked.error().accepted, message.id()) != acked.error().accepted.end();
      if (settled) done(world, station, message.body().number);
    }
  }
}

}  // namespace lrpc::queue::soak
