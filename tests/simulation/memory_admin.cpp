// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What is done with a channel of the memory back end as a whole.
#include <algorithm>

#include "memory_machine.hpp"

namespace lrpc::queue::simulation {

bool MemoryMachine::stats(Open& o) {
  const BackendStats is = must(o.channel->stats(), "stats");
  ChannelModel& m = model(o);
  m.run_timers(clock_->now().tick_ms);
  check_equal(is.ready, m.ready(), "ready");
  check_equal(is.in_flight, m.count(Stand::in_flight), "in flight");
  check_equal(is.delayed, m.count(Stand::delayed), "delayed");
  check_equal(is.dead, static_cast<std::int64_t>(m.dead.size()), "dead");
  check_equal(is.dropped, m.dropped - o.dropped_before, "dropped");
  return true;
}

bool MemoryMachine::drop_all(Open& o) {
  const auto count = must(o.channel->drop_all(), "drop_all");
  say([&] { return o.name + " drops all, " + std::to_string(count); });
  check_equal(count, model(o).drop_all(), "how many are dropped");
  return true;
}

bool MemoryMachine::dead_letters(Open& o) {
  const ChannelModel& m = model(o);
  std::string cursor;
  auto expected = m.dead.begin();
  for (;;) {
    const DeadPage page =
        must(o.channel->dead_letters(static_cast<std::size_t>(random_.between(1, 3)), cursor), "dead letters");
    for (const DeadRecord& record : page.items) {
      check(expected != m.dead.end(), "D18: a dead letter too many");
      check_equal(record.message->body_as<Counted>()->number, expected->entry.number, "D18: which dead letter");
      check(record.reason == expected->reason && record.error == expected->error, "D18: why it was given up");
      check_equal(record.attempts, expected->attempts, "D18: attempts of a dead letter");
      check_equal(record.first_at_ms, expected->entry.enqueued_at_ms, "D18: its first time");
      check_equal(record.last_at_ms, expected->last_at_ms, "D18: its last time");
      ++expected;
    }
    cursor = page.cursor;
    if (cursor.empty()) break;
  }
  check(expected == m.dead.end(), "D18: a dead letter is missing");
  return true;
}

bool MemoryMachine::requeue(Open& o) {
  ChannelModel& m = model(o);
  if (m.dead.empty()) return false;
  const bool all = random_.chance(50);
  std::vector<std::string> ids;
  std::vector<int> numbers;
  if (!all) {
    numbers = {random_.any_of(m.dead).entry.number, random_.below(messages_)};
    for (const int number : numbers) ids.push_back(name_of(number));
  }
  const Duration ttl(random_.chance(50) ? 0 : 2500);
  const auto count = must(o.channel->requeue_dead(ids, all, ttl), "requeue");
  say([&] { return o.name + " requeues " + std::to_string(count); });
  check_equal(count, m.requeue(numbers, all, clock_->now().wall_ms, ttl), "D18: how many are requeued");
  return true;
}

bool MemoryMachine::purge(Open& o) {
  check_equal(must(o.channel->purge_dead(), "purge"), model(o).purge(), "D18: how many are purged");
  return true;
}

bool MemoryMachine::switch_receiving(Open& o) {
  o.receiving = !o.receiving;
  o.channel->set_receiving(o.receiving);
  say([&] { return o.name + (o.receiving ? " receives again" : " receives no more"); });
  return true;
}

bool MemoryMachine::reopen(Open& o) {
  if (!random_.chance(40)) return false;
  const std::shared_ptr<BackendChannel> old = o.channel;
  must(old->close(), "close");
  model(o).give_back_all();
  say([&] { return o.name + " is closed"; });
  open(o);
  const auto late = old->drop_all();
  check(!late && late.error().code == ErrorCode::channel_closed, "D20: a closed channel goes on");
  return true;
}

bool MemoryMachine::delete_channel(Open& o) {
  if (!random_.chance(30)) return false;
  for (const Held& held : o.held) foreign_.push_back(held.tag);
  must(topic_->delete_channel(o.name), "delete_channel");
  model(o).clear();
  models_.erase(o.name);
  say([&] { return o.name + " is deleted"; });
  const auto late = o.channel->stats();
  check(!late && late.error().code == ErrorCode::channel_not_found, "D20: a deleted channel goes on");
  o = Open{.name = o.name};
  return true;
}

bool MemoryMachine::open_another(Open& /*o*/) {
  if (open_.size() == 3) return false;
  open_.push_back(std::make_unique<Open>(Open{.name = std::string(1, static_cast<char>('a' + open_.size()))}));
  open(*open_.back());
  return true;
}

}  // namespace lrpc::queue::simulation
