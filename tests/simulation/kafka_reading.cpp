// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What a consumer reads, and what its mover does.
#include <algorithm>
#include <memory>

#include "kafka_machine.hpp"

namespace lrpc::queue::simulation {

void KafkaMachine::relocate(C& c, PartitionKey key) {
  const KafkaWorld::Partition& log = world_.logs.at(key);
  const Shelf::Start is = c.shelf.relocate(key, log.bounds());
  say([&] {
    return c.name + " reads on from " + text_of({key, is.offset}) + ", " + std::to_string(is.lost) + " lost" +
           (is.anew ? ", anew" : "");
  });
  compare_start(is, c.model.relocate(key, log.bounds()));
  if (is.anew) world_.logs.at(key).read_anew();
  c.position[key] = is.offset;
}

bool KafkaMachine::poll(C& c) {
  if ((c.phase != Phase::joined && c.phase != Phase::lost) || c.mine.empty()) return false;
  const PartitionKey key = random_.any_of(c.mine);
  const bool full = c.shelf.index_is_full();
  c.shelf.set_unread(full);
  c.model.set_unread(full);
  if (key.lane == Lane::retry && full) return true;
  const KafkaWorld::Partition& log = world_.logs.at(key);
  std::int64_t& at = c.position.at(key);
  if (at < log.low || at > log.high()) {
    relocate(c, key);
    return true;
  }
  const std::int64_t most = at + random_.between(1, random_.chance(20) ? 100 : 6);
  const std::int64_t from = at;
  for (; at < std::min(log.high(), most) && !c.shelf.index_is_full(); ++at) {
    const LogRecord& record = world_.at({key, at});
    if (record.mark) continue;
    c.shelf.ingest({key, at}, read(record), world_.wall_ms);
    c.model.ingest({key, at}, record, world_.wall_ms);
  }
  std::int64_t skipped = 0;
  if (at == log.high()) {
    skipped = c.shelf.skip_to(key, at);
    check_equal(skipped, c.model.skip_to(key, at), "marks at the end of a log");
  }
  say([&] {
    return c.name + " reads " + text_of({key, from}) + " to " + std::to_string(at) + ", skips " +
           std::to_string(skipped);
  });
  return true;
}

// Leases that have ended, and what is due.
bool KafkaMachine::tend(C& c) {
  c.shelf.expire(world_.tick);
  c.model.expire(world_.tick);
  const std::vector<Place> places = c.shelf.mature(world_.wall_ms);
  check(places == c.model.mature(world_.wall_ms), "what is due and to be read again");
  c.to_read.insert(c.to_read.end(), places.begin(), places.end());
  say([&] { return c.name + " looks for what is due; " + std::to_string(places.size()) + " to be read again"; });
  return true;
}

bool KafkaMachine::read_again(C& c) {
  if (c.to_read.empty()) return false;
  const std::size_t at = random_.below(c.to_read.size());
  const Place place = c.to_read[at];
  c.to_read.erase(c.to_read.begin() + static_cast<std::ptrdiff_t>(at));
  const ShelfModel::Item* const item = c.model.find(place);
  const bool away = item != nullptr && item->at == At::away;
  check_equal(c.shelf.is_away(place), away, "whether a place is to be read again");
  const KafkaWorld::Partition& log = world_.logs.at(place.key);
  const bool gone = place.offset < log.low || place.offset >= log.high();
  say([&] { return c.name + " reads " + text_of(place) + " again: " + (gone ? "gone" : "there"); });
  if (gone) {
    if (away) world_.end(item->record, Fate::taken);
    c.shelf.gone(place);
  } else {
    c.shelf.refill(place, read(world_.at(place)));
  }
  c.model.came_back(place, gone);
  return true;
}

void KafkaMachine::retry_written(C& c, PartitionKey key, std::int64_t offset, const LogRecord& record) {
  c.shelf.foresee({key, offset}, read(record), world_.wall_ms);
  c.model.foresee({key, offset}, record, world_.wall_ms);
}

bool KafkaMachine::begin_early(C& c) {
  const auto most = static_cast<std::size_t>(random_.between(1, 4));
  const std::vector<Shelf::Moving> moves = c.shelf.begin_early(most);
  const std::vector<Place> expected = c.model.begin_early(most);
  check_equal(moves.size(), expected.size(), "early ones to be moved");
  for (std::size_t i = 0; i < moves.size(); ++i) {
    check(moves[i].from == expected[i], "D17: which early one is moved");
    const ShelfModel::Item& item = *c.model.find(expected[i]);
    const auto& deliveries = c.model.partitions.at(expected[i].key).deliveries;
    const auto it = deliveries.find(expected[i].offset);
    const std::int64_t attempts = item.record.attempts + (it == deliveries.end() ? 0 : it->second);
    check_equal(moves[i].attempts, attempts, "D6: attempts of an early one");
    check_equal(moves[i].due_ms, *item.record.due_ms, "D17: when an early one is due");
    say([&] { return c.name + " begins to copy the early " + text_of(expected[i]); });
    c.moves.push_back({.held = {.tag = moves[i].tag, .place = expected[i], .hand_over = item.hand_over},
                       .record = item.record,
                       .attempts = moves[i].attempts,
                       .due_ms = moves[i].due_ms,
                       .early = true});
  }
  return !moves.empty();
}

bool KafkaMachine::begin_rewrite(C& c) {
  if (!c.rewriting.empty()) return false;
  const bool full = c.shelf.index_is_full();
  c.shelf.set_unread(full);
  c.model.set_unread(full);
  const auto most = static_cast<std::size_t>(random_.between(1, 4));
  std::vector<kafka::RetryIndex::Waiting> taken = c.shelf.begin_rewrite(most);
  const std::vector<Place> expected = c.model.begin_rewrite(most);
  check_equal(taken.size(), expected.size(), "how many are written anew");
  std::ranges::sort(taken, {}, &kafka::RetryIndex::Waiting::place);
  for (std::size_t i = 0; i < taken.size(); ++i) {
    check(taken[i].place == expected[i], "which are written anew");
    const ShelfModel::Item& item = *c.model.find(expected[i]);
    check_equal(taken[i].record != nullptr, item.kept, "whether a body is kept");
    const auto& deliveries = c.model.partitions.at(expected[i].key).deliveries;
    const auto it = deliveries.find(expected[i].offset);
    check_equal(taken[i].deliveries, it == deliveries.end() ? 0 : it->second, "D6: deliveries of one written anew");
    say([&] { return c.name + " begins to write anew " + text_of(expected[i]); });
  }
  c.rewriting = std::move(taken);
  return !c.rewriting.empty();
}

bool KafkaMachine::end_rewrite(C& c) {
  if (c.rewriting.empty()) return false;
  std::vector<kafka::RetryIndex::Waiting> written;
  std::vector<kafka::RetryIndex::Waiting> left;
  std::vector<std::pair<std::int32_t, std::int64_t>> copies;
  for (kafka::RetryIndex::Waiting& waiting : c.rewriting) {
    const Place place = waiting.place;
    const KafkaWorld::Partition& log = world_.logs.at(place.key);
    ShelfModel::Item* const item = c.model.find(place);
    const bool here = item != nullptr && item->at == At::away;
    if (!waiting.record && place.offset < log.low) {
      if (here) world_.end(item->record, Fate::taken);
      written.push_back(std::move(waiting));
      continue;
    }
    const LogRecord record = world_.at(place);
    if (!waiting.record) {
      waiting.record = std::make_unique<kafka::ReadRecord>(read(record));
      if (here) item->kept = true;
    }
    if (fails(25)) {
      left.push_back(std::move(waiting));
      continue;
    }
    const LogRecord copy{
        .message = record.message, .attempts = record.attempts + waiting.deliveries, .due_ms = record.due_ms};
    copies.emplace_back(place.key.number, world_.append(place.key, copy));
    if (here) world_.end(item->record, Fate::copied);
    written.push_back(std::move(waiting));
  }
  c.rewriting.clear();
  for (const auto& [partition, offset] : copies) {
    const std::int64_t known = fails(10) ? -1 : offset;
    c.shelf.rewritten(partition, known);
    c.model.rewritten(partition, known);
  }
  say([&] {
    return c.name + " has written anew " + std::to_string(written.size()) + ", not " + std::to_string(left.size());
  });
  for (const auto& waiting : written) c.model.end_rewrite(waiting.place, true);
  for (const auto& waiting : left) c.model.end_rewrite(waiting.place, false);
  c.shelf.end_rewrite(std::move(written), true);
  c.shelf.end_rewrite(std::move(left), false);
  return true;
}

}  // namespace lrpc::queue::simulation
