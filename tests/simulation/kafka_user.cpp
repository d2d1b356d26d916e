// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What a consumer's user does with deliveries, as the channel passes it on.
#include <algorithm>
#include <array>

#include "kafka_machine.hpp"

namespace lrpc::queue::simulation {

bool KafkaMachine::hand_out(C& c) {
  if (c.handing) return false;
  const auto most = static_cast<std::size_t>(random_.between(1, random_.chance(10) ? 60 : 5));
  const std::int64_t until = random_.chance(30) ? Shelf::kForever : world_.tick + random_.between(50, 400);
  std::vector<Delivery> out(most);
  out.resize(c.shelf.hand_out(out, until));
  const std::vector<Place> expected = c.model.hand_out(most, until);
  check_equal(out.size(), expected.size(), "how many are handed out");
  if (out.empty()) return false;
  C::Handing handing;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const Place place = expected[i];
    ShelfModel::Item& item = *c.model.find(place);
    const LogRecord& record = item.record;
    say([&] { return c.name + " hands out " + text_of(place) + ", attempt " + std::to_string(out[i].attempts); });
    check(out[i].message->id() == "m" + std::to_string(record.message) && number_of(out[i]) == record.number, [&] {
      return "D5: handed out is " + out[i].message->id() + ", the next was m" + std::to_string(record.message);
    });
    const std::int64_t attempts = record.attempts + c.model.partitions.at(place.key).deliveries.at(place.offset);
    check_equal(out[i].attempts, attempts, "D6: attempts");
    check_equal(out[i].tag.attempts, attempts, "D6: attempts of the tag");
    check_equal(out[i].lease_expired, item.lease_expired, "D7: whether its lease had run out");
    check(!record.due_ms || *record.due_ms <= world_.wall_ms, "D8, D17: handed out before it was due");
    const KafkaWorld::Partition& log = world_.logs.at(place.key);
    if (is_current(c) && log.stored && !log.stale) {
      const auto note = kafka::read_note(log.stored->second, log.stored->first);
      const bool settled =
          place.offset < log.stored->first ||
          std::ranges::any_of(
              note->settled,
              [&](const OffsetRange& run) { return run.first <= place.offset && place.offset < run.end; });
      check(!settled, "D1: settled and committed, and handed out again by who owns the partition");
      for (const auto& other : consumers_) {
        ShelfModel::Item* const there = other.get() == &c ? nullptr : other->model.find(place);
        check(there == nullptr || there->at != At::out || !other->model.owns(place.key) || !is_current(*other),
              "in two hands at once, and both own the partition");
      }
    }
    handing.was_expired.push_back(std::exchange(item.lease_expired, false));
    handing.held.push_back({.tag = out[i].tag, .place = place, .hand_over = item.hand_over});
    c.tags[item.hand_over] = out[i].tag;
  }
  handing.deliveries = std::move(out);
  const bool commits = c.model.needs_commit(first_hand_overs_);
  check_equal(c.shelf.needs_commit(first_hand_overs_), commits, "D6: whether hand-overs must be committed");
  c.handing = std::move(handing);
  if (!commits) release(c);
  return true;
}

// A commit that the consumer waits for did not come to an end in time, or its wait was ended.
bool KafkaMachine::end_hand_out(C& c) {
  if (!c.handing || !fails(30)) return false;
  say([&] { return c.name + " waits no longer for a commit, and takes back what it was to hand out"; });
  for (std::size_t i = c.handing->held.size(); i-- > 0;) {
    take_back(c, c.handing->deliveries[i], c.handing->held[i], c.handing->was_expired[i]);
  }
  c.handing.reset();
  return true;
}

void KafkaMachine::take_back(C& c, const Delivery& delivery, const C::Held& held, bool was_expired) {
  c.shelf.take_back({&delivery, 1});
  ShelfModel::Item* const item = c.model.in_flight(held.place, held.hand_over);
  if (item == nullptr) return;
  item->lease_expired = was_expired;
  c.model.give_back(held.place, false, ShelfEvent::take_back);
}

// Its user sees them now: all whose partition is still there.
void KafkaMachine::release(C& c) {
  const C::Handing handing = std::move(*c.handing);
  c.handing.reset();
  for (std::size_t i = 0; i < handing.held.size(); ++i) {
    const C::Held& held = handing.held[i];
    ShelfModel::Item* const item = c.model.in_flight(held.place, held.hand_over);
    const bool ours = item != nullptr && c.model.owns(held.place.key);
    check_equal(c.shelf.is_ours(held.tag), ours, "whether a delivery is still ours");
    if (!ours) {
      take_back(c, handing.deliveries[i], held, handing.was_expired[i]);
      continue;
    }
    const KafkaWorld::Partition& log = world_.logs.at(held.place.key);
    if (handing.asked && is_current(c) && log.stored && !log.stale && held.place.offset >= log.low) {
      const auto note = kafka::read_note(log.stored->second, log.stored->first);
      const std::int64_t deliveries = c.model.partitions.at(held.place.key).deliveries.at(held.place.offset);
      const bool told = std::ranges::any_of(note->handed_out, [&](const CommitNote::HandedOut& one) {
        return one.offset == held.place.offset && one.deliveries >= deliveries;
      });
      const CommitNote known = c.model.partitions.at(held.place.key).note(c.owner);
      check(told || note->handed_out.size() < known.handed_out.size(),
            "D6: a user sees one of the first deliveries, and the broker does not know");
    }
    c.held.push_back(held);
  }
}

bool KafkaMachine::ack(C& c) {
  if (c.held.empty()) return false;
  const std::size_t at = random_.below(c.held.size());
  const C::Held held = c.held[at];
  if (!fails(10)) c.held.erase(c.held.begin() + static_cast<std::ptrdiff_t>(at));  // else it acks once more
  ShelfModel::Item* const item = c.model.in_flight(held.place, held.hand_over);
  say([&] { return c.name + " acks " + text_of(held.place) + (item != nullptr ? "" : ", in vain"); });
  check(c.shelf.find(held.tag) != nullptr ? item != nullptr : item == nullptr, "D10: whether a delivery is found");
  check_equal(c.shelf.settle(held.tag), item != nullptr, "D10: whether an ack is taken");
  if (item != nullptr) {
    world_.end(item->record, Fate::acked);
    c.model.settle(held.place, ShelfEvent::settle);
  }
  return true;
}

// Many small holes: notes that find no room.
bool KafkaMachine::ack_every_other(C& c) {
  if (c.held.size() < 4) return false;
  say([&] { return c.name + " acks every other of " + std::to_string(c.held.size()); });
  std::vector<C::Held> left;
  for (std::size_t i = 0; i < c.held.size(); ++i) {
    ShelfModel::Item* const item = c.model.in_flight(c.held[i].place, c.held[i].hand_over);
    if (c.held[i].place.offset % 2 == 0) {
      left.push_back(c.held[i]);
      continue;
    }
    check_equal(c.shelf.settle(c.held[i].tag), item != nullptr, "D10: whether an ack is taken");
    if (item == nullptr) continue;
    world_.end(item->record, Fate::acked);
    c.model.settle(c.held[i].place, ShelfEvent::settle);
  }
  c.held = std::move(left);
  return true;
}

bool KafkaMachine::nack(C& c) {
  if (c.held.empty()) return false;
  const std::size_t at = random_.below(c.held.size());
  const C::Held held = c.held[at];
  c.held.erase(c.held.begin() + static_cast<std::ptrdiff_t>(at));
  ShelfModel::Item* const item = c.model.in_flight(held.place, held.hand_over);
  const auto move = c.shelf.begin_move(held.tag);
  check_equal(move.has_value(), item != nullptr, "D10: whether a nack is taken");
  say([&] { return c.name + " nacks " + text_of(held.place) + (item != nullptr ? "" : ", in vain"); });
  if (item == nullptr) return true;
  check(move->from == held.place, "where a nacked message lies");
  const std::int64_t attempts =
      item->record.attempts + c.model.partitions.at(held.place.key).deliveries.at(held.place.offset);
  check_equal(move->attempts, attempts, "D6: attempts of a nacked message");
  c.moves.push_back({.held = held,
                     .record = item->record,
                     .attempts = attempts - (random_.chance(15) ? 1 : 0),
                     .due_ms = world_.wall_ms + (random_.chance(30) ? 0 : random_.between(1, 500)),
                     .dead = random_.chance(15)});
  c.model.begin_move(held.place);
  return true;
}

bool KafkaMachine::end_move(C& c) {
  if (c.moves.empty()) return false;
  const std::size_t at = random_.below(c.moves.size());
  const C::Move move = c.moves[at];
  c.moves.erase(c.moves.begin() + static_cast<std::ptrdiff_t>(at));
  const bool written = !fails(25);
  const bool told = written && !fails(10);
  const PartitionKey key{.lane = Lane::retry, .number = move.held.place.key.number};
  const LogRecord copy{.message = move.record.message, .attempts = move.attempts, .due_ms = move.due_ms};
  std::int64_t offset = -1;
  if (written && !move.dead) {
    if (random_.chance(5)) world_.append(key, {.mark = true});
    offset = world_.append(key, copy);
  }
  ShelfModel::Item* const item = c.model.find(move.held.place);
  const bool here = item != nullptr && item->at == At::moving && item->hand_over == move.held.hand_over;
  say([&] {
    return "the copy of " + text_of(move.held.place) +
           (told      ? " is written"
            : written ? " is written, and the answer lost"
                      : " fails") +
           (here ? "" : "; nobody waits for it");
  });
  c.shelf.end_move(move.held.tag, told);
  if (here) {
    if (told) world_.end(item->record, move.dead ? Fate::dead : Fate::copied);
    c.model.end_move(move.held.place, told);
    if (!told && !move.early) {
      if (random_.chance(50)) {  // nobody tries again: it gets a lease
        const std::int64_t until = world_.tick + random_.between(20, 200);
        c.shelf.give_lease(move.held.tag, until);
        c.model.find(move.held.place)->until = until;
      }
      c.held.push_back(move.held);
    }
  }
  // The answer may be slower than the reader.
  if (told && !move.dead && !fails(20)) retry_written(c, key, offset, world_.at({key, offset}));
  return true;
}

bool KafkaMachine::touch(C& c) {
  if (c.held.empty()) return false;
  const C::Held held = random_.any_of(c.held);
  const std::int64_t until = world_.tick + random_.between(1, 500);
  ShelfModel::Item* const item = c.model.in_flight(held.place, held.hand_over);
  say([&] { return c.name + " touches " + text_of(held.place) + " until " + std::to_string(until); });
  if (random_.chance(30)) {
    c.shelf.give_lease(held.tag, until);
    if (item != nullptr) item->until = until;
    return true;
  }
  check_equal(c.shelf.touch(held.tag, until), item != nullptr, "D9: whether a touch is taken");
  if (item != nullptr && item->until != Shelf::kForever) item->until = until;
  return true;
}

bool KafkaMachine::keep(C& c) {
  if (c.held.empty()) return false;
  C::Held& held = random_.any_of(c.held);
  const bool counted = random_.chance(70);
  ShelfModel::Item* const item = c.model.in_flight(held.place, held.hand_over);
  const auto tag = c.shelf.keep(held.tag, counted);
  say([&] { return c.name + " keeps " + text_of(held.place); });
  check_equal(tag.has_value(), item != nullptr, "D8: whether a delivery can be kept");
  if (item == nullptr) return true;
  c.model.keep(held.place, counted);
  check_equal(tag->attempts,
              item->record.attempts + c.model.partitions.at(held.place.key).deliveries.at(held.place.offset),
              "D6: attempts of one that is kept");
  check(c.shelf.find(held.tag) == nullptr, "D8: the delivery before is found");
  held.tag = *tag;
  held.hand_over = item->hand_over;
  c.tags[held.hand_over] = *tag;
  return true;
}

bool KafkaMachine::give_back(C& c) {
  if (c.held.empty()) return false;
  const std::size_t at = random_.below(c.held.size());
  const C::Held held = c.held[at];
  c.held.erase(c.held.begin() + static_cast<std::ptrdiff_t>(at));
  const bool counted = random_.chance(50);
  ShelfModel::Item* const item = c.model.in_flight(held.place, held.hand_over);
  say([&] { return c.name + " gives " + text_of(held.place) + " back"; });
  check_equal(c.shelf.give_back(held.tag, counted), item != nullptr, "D20: whether a delivery can be given back");
  if (item != nullptr) c.model.give_back(held.place, counted, ShelfEvent::give_back);
  return true;
}

// As the close of a channel does. The order is that of the shelf's slots, which nobody is promised.
bool KafkaMachine::give_all_back(C& c) {
  if (c.handing) return false;
  say([&] { return c.name + " gives all back"; });
  c.shelf.give_all_back();
  c.model.give_all_back();
  c.held.clear();
  std::vector<Place> order;
  std::vector<Delivery> all(static_cast<std::size_t>(c.shelf.ready()));
  check_equal(all.size(), c.model.ready.size(), "ready after all was given back");
  static_cast<void>(c.shelf.hand_out(all, Shelf::kForever));
  for (const Delivery& delivery : all) {
    const auto it = std::ranges::find_if(
        c.model.ready, [&](Place place) { return c.model.find(place)->record.number == number_of(delivery); });
    check(it != c.model.ready.end(), "D20: what was given back is ready");
    order.push_back(*it);
    c.model.ready.erase(it);
  }
  c.model.ready.assign(order.begin(), order.end());
  const std::vector<Place> places = c.model.hand_out(all.size(), Shelf::kForever);
  C::Handing handing;
  handing.deliveries = std::move(all);
  for (std::size_t i = 0; i < places.size(); ++i) {
    ShelfModel::Item& item = *c.model.find(places[i]);
    check_equal(handing.deliveries[i].attempts,
                item.record.attempts + c.model.partitions.at(places[i].key).deliveries.at(places[i].offset),
                "D6: attempts of what was given back");
    check_equal(handing.deliveries[i].lease_expired, item.lease_expired, "D7: whether its lease had run out");
    handing.was_expired.push_back(std::exchange(item.lease_expired, false));
    handing.held.push_back({.tag = handing.deliveries[i].tag, .place = places[i], .hand_over = item.hand_over});
    c.tags[item.hand_over] = handing.deliveries[i].tag;
  }
  for (std::size_t i = places.size(); i-- > 0;)
    take_back(c, handing.deliveries[i], handing.held[i], handing.was_expired[i]);
  return true;
}

bool KafkaMachine::drop_all(C& c) {
  if (!random_.chance(30)) return false;
  std::int64_t expected = 0;
  std::vector<LogRecord> dropped;
  for (auto& [key, partition] : c.model.partitions) {
    if (partition.suspended) continue;
    for (const auto& [offset, item] : partition.items) {
      if (item.at != At::out && item.at != At::moving) dropped.push_back(item.record);
    }
  }
  for (const LogRecord& record : dropped) world_.end(record, Fate::dropped);
  expected = static_cast<std::int64_t>(c.model.drop_all().size());
  check_equal(c.shelf.drop_all(), expected, "how many are dropped");
  say([&] { return c.name + " drops all, " + std::to_string(expected); });
  for (const PartitionKey key : c.shelf.owned()) {
    const KafkaWorld::Partition& log = world_.logs.at(key);
    auto& partition = c.model.partitions.at(key);
    if (is_current(c)) {
      for (std::int64_t offset = std::max(partition.end, log.low); offset < log.high(); ++offset) {
        if (!partition.foreseen.contains(offset)) world_.end(world_.at({key, offset}), Fate::dropped);
      }
    } else {
      continue;
    }
    const std::int64_t skipped = c.model.skip_to(key, log.high());
    check_equal(c.shelf.skip_to(key, log.high()), skipped, "how many that were not read are dropped");
    c.position[key] = std::max(c.position[key], log.high());
  }
  return true;
}

bool KafkaMachine::look_for_id(C& c) {
  if (c.held.empty()) return false;
  const C::Held held = random_.any_of(c.held);
  const ShelfModel::Item* const item = c.model.find(held.place);
  if (item == nullptr) return false;
  const int message = item->record.message;
  std::uint64_t newest = 0;
  for (const auto& [key, partition] : c.model.partitions) {
    for (const auto& [offset, one] : partition.items) {
      if (one.at == At::out && one.record.message == message) newest = std::max(newest, one.hand_over);
    }
  }
  const auto found = c.shelf.find("m" + std::to_string(message));
  check_equal(found.has_value(), newest != 0, "D10: whether an id is found");
  if (found) check(*found == c.tags.at(newest), "the newest delivery of an id");
  return true;
}

}  // namespace lrpc::queue::simulation
