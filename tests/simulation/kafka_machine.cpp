// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka_machine.hpp"

#include <algorithm>
#include <cstring>

namespace lrpc::queue::simulation {

KafkaMachine::KafkaMachine(std::uint64_t seed, Journal& journal)
    : random_(seed), journal_(journal), world_(static_cast<int>(random_.between(1, 2))) {
  most_entries_ = random_.chance(50) ? 1'000'000 : static_cast<std::size_t>(random_.between(2, 8));
  most_kept_ = random_.chance(50) ? 1000 : static_cast<std::size_t>(random_.below(4));
  first_hand_overs_ = random_.between(1, 6);
  big_gaps_ = random_.chance(5);
  if (random_.chance(30)) world_.most_metadata = random_.chance(50) ? kafka::kLeastMetadata : 512;
  const auto count = random_.between(1, 3);
  for (std::int64_t i = 0; i < count; ++i) {
    consumers_.push_back(std::make_unique<C>(++last_name_, ++last_owner_, most_entries_, most_kept_));
  }
  say([&] {
    return std::to_string(world_.logs.size() / 2) + " partitions, " + std::to_string(count) + " consumers, index of " +
           std::to_string(most_entries_) + ", bodies of " + std::to_string(most_kept_) + ", metadata of " +
           std::to_string(world_.most_metadata);
  });
}

void KafkaMachine::step() {
  static const Choice<Step> steps{{&KafkaMachine::produce, 6},
                                  {&KafkaMachine::produce_retry, 2},
                                  {&KafkaMachine::pass_time, 5},
                                  {&KafkaMachine::retention, 1},
                                  {&KafkaMachine::cut_log, 1},
                                  {&KafkaMachine::crash, 1},
                                  {&KafkaMachine::expel, 1},
                                  {&KafkaMachine::start_rebalance, 2},
                                  {&KafkaMachine::revoke, 8},
                                  {&KafkaMachine::complete, 12},
                                  {&KafkaMachine::take_assignment, 16},
                                  {&KafkaMachine::learn_of_loss, 3},
                                  {&KafkaMachine::begin_commit, 3},
                                  {&KafkaMachine::commit_arrives, 10},
                                  {&KafkaMachine::commit_answered, 10},
                                  {&KafkaMachine::trim, 2},
                                  {&KafkaMachine::poll, 10},
                                  {&KafkaMachine::tend, 4},
                                  {&KafkaMachine::read_again, 6},
                                  {&KafkaMachine::begin_early, 4},
                                  {&KafkaMachine::begin_rewrite, 4},
                                  {&KafkaMachine::end_rewrite, 4},
                                  {&KafkaMachine::hand_out, 16},
                                  {&KafkaMachine::end_hand_out, 2},
                                  {&KafkaMachine::ack, 9},
                                  {&KafkaMachine::ack_every_other, 4},
                                  {&KafkaMachine::nack, 14},
                                  {&KafkaMachine::end_move, 12},
                                  {&KafkaMachine::touch, 4},
                                  {&KafkaMachine::keep, 4},
                                  {&KafkaMachine::give_back, 4},
                                  {&KafkaMachine::give_all_back, 1},
                                  {&KafkaMachine::drop_all, 1},
                                  {&KafkaMachine::look_for_id, 2}};
  steps.take_one(random_, [&](Step one) {
    // A crash puts another in its place.
    auto& consumer = random_.any_of(consumers_);
    if (!(this->*one)(*consumer)) return false;
    consumer->model.compare(consumer->shelf);
    check_equal(consumer->shelf.needs_commit(first_hand_overs_), consumer->model.needs_commit(first_hand_overs_),
                "D6: whether hand-overs must be committed");
    for (const auto& [key, partition] : consumer->model.partitions) {
      if (partition.suspended) continue;
      const KafkaWorld::Partition& log = world_.logs.at(key);
      std::int64_t open = 0;
      for (std::int64_t offset = log.low; offset < log.high(); ++offset) open += partition.is_settled(offset) ? 0 : 1;
      check_equal(consumer->shelf.unfinished(key, log.bounds()), open, "D19: what is unfinished of a partition");
    }
    return true;
  });
}

kafka::ReadRecord KafkaMachine::read(const LogRecord& record) const {
  Bytes body(C::kBody);
  std::memcpy(body.data(), &record.number, sizeof(record.number));
  kafka::ReadRecord read{
      .message = Envelope::make_encoded(std::move(body)), .attempts = record.attempts, .due_ms = record.due_ms};
  read.message->set_id("m" + std::to_string(record.message));
  return read;
}

int KafkaMachine::number_of(const Delivery& delivery) {
  int number = 0;
  std::memcpy(&number, delivery.message->encoded_body().data(), sizeof(number));
  return number;
}

// The world.

bool KafkaMachine::produce(C& /*c*/) {
  const PartitionKey key{.lane = Lane::topic,
                         .number = random_.below(static_cast<std::int32_t>(world_.logs.size() / 2))};
  if (world_.logs.at(key).stale) return false;
  const auto count = random_.between(1, random_.chance(10) ? 40 : 4);
  for (std::int64_t i = 0; i < count; ++i) {
    if (random_.chance(10)) world_.append(key, {.mark = true});
    LogRecord record{.message = world_.messages++};
    if (random_.chance(15)) record.due_ms = world_.wall_ms + random_.between(-50, 400);
    world_.append(key, record);
  }
  if (random_.chance(10)) world_.append(key, {.mark = true});
  say([&] {
    return "produce " + std::to_string(count) + ", the last to " + text_of({key, world_.logs.at(key).high() - 1});
  });
  return true;
}

// Requeued, by this consumer's queue or by a program that is no member; or what compaction does.
bool KafkaMachine::produce_retry(C& c) {
  const PartitionKey key{.lane = Lane::retry,
                         .number = random_.below(static_cast<std::int32_t>(world_.logs.size() / 2))};
  if (big_gaps_ && random_.chance(50)) {
    for (int i = 0; i < 600; ++i) world_.append(key, {.mark = true});
    say([&] { return "600 offsets of retry-" + std::to_string(key.number) + " are nothing"; });
    return true;
  }
  // Now and then with a hole after each: a note that finds no room.
  const bool holes = random_.chance(8);
  const auto count = holes ? 50 : random_.between(1, random_.chance(10) ? 40 : 3);
  for (std::int64_t i = 0; i < count; ++i) {
    LogRecord record{.message = world_.messages++};
    if (holes) world_.append(key, {.mark = true});
    if (holes || random_.chance(70)) record.due_ms = world_.wall_ms + random_.between(-50, 600);
    const std::int64_t offset = world_.append(key, record);
    if (random_.chance(30)) retry_written(c, key, offset, world_.at({key, offset}));
  }
  say([&] {
    return "requeue " + std::to_string(count) + ", the last to " + text_of({key, world_.logs.at(key).high() - 1});
  });
  return true;
}

bool KafkaMachine::pass_time(C& /*c*/) {
  const auto by = random_.between(1, random_.chance(20) ? 1000 : 100);
  world_.tick += by;
  world_.wall_ms += by;
  say([&] { return "time passes: " + std::to_string(by) + " ms, now " + std::to_string(world_.wall_ms); });
  return true;
}

bool KafkaMachine::retention(C& /*c*/) {
  auto& [key, log] = random_.any_of(world_.logs);
  if (log.low == log.high() || !random_.chance(40)) return false;
  log.low = random_.between(log.low + 1, std::min(log.high(), log.low + 20));
  say([&, where = Place{key, log.low}] { return "retention: " + text_of(where) + " is the first now"; });
  return true;
}

// The topic is made anew, or its log is cut off, in an election of a leader that had less.
bool KafkaMachine::cut_log(C& /*c*/) {
  const PartitionKey key{.lane = Lane::topic,
                         .number = random_.below(static_cast<std::int32_t>(world_.logs.size() / 2))};
  KafkaWorld::Partition& log = world_.logs.at(key);
  if (log.stale || log.low == log.high() || !random_.chance(40)) return false;
  const bool anew = random_.chance(50);
  const std::int64_t high = anew ? 0 : random_.between(log.low, log.high() - 1);
  // Nobody can tell a record that lies where another lay before: only what their readers see is cut off here.
  for (const auto& c : consumers_) {
    const auto it = c->model.partitions.find(key);
    if (it == c->model.partitions.end()) continue;
    const bool shows = anew || (log.stored && log.stored->first > high);
    if (it->second.suspended && it->second.end > high && !shows) return false;
    if (it->second.end <= high && static_cast<std::int64_t>(it->second.settled.size()) > high) return false;
  }
  if (!anew && log.stored && log.stored->first <= high) {
    const auto note = log.committed()->note;
    if (!note || (!note->settled.empty() && note->settled.back().end > high) ||
        (!note->handed_out.empty() && note->handed_out.back().offset >= high)) {
      return false;
    }
  }
  for (std::int64_t offset = high; offset < log.high(); ++offset) world_.end(world_.at({key, offset}), Fate::taken);
  log.records.resize(static_cast<std::size_t>(high));
  log.low = std::min(log.low, high);
  log.floor = 0;
  if (anew) {
    log.stored.reset();  // brokers forget the commits of a topic that is deleted
  }
  log.stale = log.stored && log.stored->first > high;
  say([&, where = Place{key, high}] {
    return std::string(anew ? "made anew: " : "cut off: ") + text_of(where) + " is the next now";
  });
  for (const auto& c : consumers_) {
    if (c->under && !c->under->accepted) c->under->accepted = false;
    if (c->model.owns(key) && (c->model.partitions.at(key).end > high || c->position.at(key) > high)) {
      relocate(*c, key);
      c->model.compare(c->shelf);
    }
  }
  return true;
}

bool KafkaMachine::crash(C& c) {
  if (!random_.chance(20)) return false;
  say([&] { return c.name + " crashes"; });
  if (c.under && !c.under->accepted && random_.chance(50)) at_broker(c, *c.under);
  for (const C::Move& move : c.moves) {
    if (move.dead || random_.chance(50)) continue;
    LogRecord copy{.message = move.record.message, .attempts = move.attempts, .due_ms = move.due_ms};
    world_.append({.lane = Lane::retry, .number = move.held.place.key.number}, copy);
  }
  c.model.crash();
  const auto it = std::ranges::find(consumers_, &c, [](const auto& one) { return one.get(); });
  it->reset();
  *it = std::make_unique<C>(++last_name_, ++last_owner_, most_entries_, most_kept_);
  world_.rebalancing = true;
  return true;
}

bool KafkaMachine::start_rebalance(C& /*c*/) {
  if (world_.rebalancing || !random_.chance(30)) return false;
  world_.rebalancing = true;
  say([] { return "the group assigns anew"; });
  return true;
}

// Does not answer in time: the group goes on without it, and it does not know.
bool KafkaMachine::expel(C& c) {
  if (!world_.rebalancing || c.phase != Phase::joined || consumers_.size() == 1 || !random_.chance(40)) return false;
  c.phase = Phase::lost;
  say([&] { return c.name + " is thrown out of the group and does not know"; });
  return true;
}

// The end.

void KafkaMachine::work_off(C& c) {
  const auto end_commits = [&] {
    while (commit_arrives(c) || commit_answered(c) || (c.handing && begin_commit(c))) {
    }
  };
  end_commits();
  while (end_move(c) || end_rewrite(c)) {
  }
  tend(c);
  while (read_again(c) || begin_early(c)) {
  }
  while (end_move(c)) {
  }
  for (std::size_t i = 0; i < 2 * c.mine.size(); ++i) poll(c);
  if (begin_rewrite(c)) end_rewrite(c);
  while (hand_out(c)) {
    end_commits();
    while (ack(c)) {
    }
  }
  begin_commit(c);
  end_commits();
  c.model.compare(c.shelf);
}

void KafkaMachine::finish() {
  faults_ = false;
  say([] { return "what is left is worked off"; });
  for (const auto& c : consumers_) {
    learn_of_loss(*c);
    while (end_move(*c) || end_rewrite(*c)) {
    }
  }
  world_.rebalancing = true;
  for (const auto& c : consumers_) revoke(*c);
  complete(*consumers_.front());
  for (const auto& c : consumers_) take_assignment(*c);
  const auto left = [&] {
    return std::ranges::any_of(world_.logs, [](const auto& entry) {
      return entry.second.committed().value_or(Shelf::Committed{}).offset != entry.second.high();
    });
  };
  // A lease that lasts long, many that are due late in an index with room for few: each round brings some nearer.
  for (int round = 0; left() && round < 2000; ++round) {
    world_.tick += 2000;
    world_.wall_ms += 2000;
    for (const auto& c : consumers_) {
      work_off(*c);
      if (round % 20 == 19) give_all_back(*c);  // of which nobody has a tag any more
    }
  }
  for (const auto& [key, log] : world_.logs) {
    for (std::int64_t offset = log.low; offset < log.high(); ++offset) {
      const LogRecord& record = world_.at({key, offset});
      check(!world_.is_open(record), [&, where = Place{key, offset}] {
        return "D1: message m" + std::to_string(record.message) + " at " + text_of(where) + " is lost";
      });
    }
    check(log.committed().value_or(Shelf::Committed{}).offset == log.high(), [&, where = Place{key, log.high()}] {
      return "all is settled, and the group's offset does not get to " + text_of(where);
    });
  }
}

Kind kafka_kind() {
  return {.name = "kafka",
          .make = [](std::uint64_t seed, Journal& journal) -> std::unique_ptr<Machine> {
            return std::make_unique<KafkaMachine>(seed, journal);
          },
          .coverage = {&shelf_coverage, &partition_coverage}};
}

}  // namespace lrpc::queue::simulation
