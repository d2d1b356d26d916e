// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The group: assignments, and commits on their way.
#include <algorithm>

#include "kafka_machine.hpp"

namespace lrpc::queue::simulation {

void KafkaMachine::compare_start(const Shelf::Start& is, const Shelf::Start& expected) const {
  check_equal(is.offset, expected.offset, "where to read on");
  check_equal(is.lost, expected.lost, "D1: how many retention took");
  check_equal(is.anew, expected.anew, "whether the log was made anew");
}

// As the member does when a partition is revoked: the last state is committed, then nothing more is handed out of it.
bool KafkaMachine::revoke(C& c) {
  if (!world_.rebalancing || c.phase != Phase::joined) return false;
  if (c.under && !c.under->accepted) at_broker(c, *c.under);  // one line to the broker: it does not overtake
  C::Under last{.commits = to_commit(c, true)};
  for (const PartitionKey key : c.mine) {
    c.shelf.suspend(key);
    c.model.suspend(key);
  }
  if (!fails(15)) {
    at_broker(c, last);
  } else {
    last.accepted = false;
  }
  const bool told = *last.accepted && !fails(10);
  say([&] {
    return c.name + " gives its partitions up, its last commit " +
           (told             ? "told"
            : *last.accepted ? "taken, and the answer lost"
                             : "failed");
  });
  ended(c, last, told);
  c.phase = Phase::joining;
  return true;
}

bool KafkaMachine::learn_of_loss(C& c) {
  if (c.phase != Phase::lost) return false;
  say([&] { return c.name + " learns that it was thrown out"; });
  if (c.under && !c.under->accepted) at_broker(c, *c.under);
  C::Under last{.commits = to_commit(c, true), .accepted = false};
  for (const PartitionKey key : c.mine) {
    c.shelf.suspend(key);
    c.model.suspend(key);
  }
  ended(c, last, false);
  c.phase = Phase::joining;
  world_.rebalancing = true;
  return true;
}

// All who answer have given theirs up: they are dealt out.
bool KafkaMachine::complete(C& /*c*/) {
  if (!world_.rebalancing) return false;
  std::vector<C*> members;
  for (const auto& one : consumers_) {
    if (one->phase == Phase::joined) return false;
    if (one->phase != Phase::lost) members.push_back(one.get());
  }
  if (members.empty()) return false;
  ++world_.generation;
  world_.rebalancing = false;
  for (C* member : members) {
    member->mine.clear();
    member->generation = world_.generation;
    member->phase = Phase::assigning;
  }
  for (const auto& [key, log] : world_.logs) random_.any_of(members)->mine.push_back(key);
  say([&] {
    std::string text = "generation " + std::to_string(world_.generation) + ":";
    for (const C* member : members) text += " " + member->name + " has " + std::to_string(member->mine.size());
    return text;
  });
  return true;
}

bool KafkaMachine::take_assignment(C& c) {
  if (c.phase != Phase::assigning || world_.rebalancing) return false;
  if (fails(5)) {  // its places could not be asked for
    say([&] { return c.name + " does not learn where to read: it joins anew"; });
    c.phase = Phase::joining;
    world_.rebalancing = true;
    return true;
  }
  for (const PartitionKey key : c.mine) {
    const KafkaWorld::Partition& log = world_.logs.at(key);
    const auto committed = log.committed();
    const Shelf::Start is = c.shelf.assign(key, committed, log.bounds());
    const Shelf::Start expected = c.model.assign(key, committed, log.bounds(), c.owner);
    say([&] {
      return c.name + " is assigned " + text_of({key, is.offset}) + ", the group's offset " +
             (committed ? std::to_string(committed->offset) : "none") + (is.anew ? ", anew" : "");
    });
    compare_start(is, expected);
    if (is.anew) world_.logs.at(key).read_anew();
    c.position[key] = is.offset;
  }
  c.shelf.forget_suspended();
  c.model.forget_suspended();
  c.phase = Phase::joined;
  return true;
}

// What a commit says must be what its consumer knows, or as much of it as finds room.
std::vector<Shelf::Commit> KafkaMachine::to_commit(C& c, bool all) {
  std::vector<Shelf::Commit> commits = c.shelf.to_commit(all);
  std::vector<PartitionKey> told;
  for (const Shelf::Commit& commit : commits) {
    check(c.model.owns(commit.key), "a commit for a partition that is not ours");
    ShelfModel::Partition& partition = c.model.partitions.at(commit.key);
    told.push_back(commit.key);
    check_equal(commit.offset, partition.watermark(), "D1: the offset of a commit");
    check(commit.offset >= partition.last_watermark, "the watermark goes back within an assignment");
    check_equal(commit.assignment, partition.assignment, "the assignment of a commit");
    check_equal(commit.handed_out, partition.handed_out, "the hand-overs of a commit");
    check(commit.note.text.size() <= kafka::kMostMetadata, "a note beyond what brokers take");
    const auto note = kafka::read_note(commit.note.text, commit.offset);
    check(note.has_value(), "a note that cannot be read");
    const CommitNote expected = partition.note(c.owner);
    check_equal(note->owner, expected.owner, "the owner of a note");
    const auto compare = [](const auto& is, const auto& all_of_it, bool complete, const char* what) {
      check(complete ? is == all_of_it
                     : is.size() < all_of_it.size() && std::ranges::equal(is, std::span(all_of_it).first(is.size())),
            what);
    };
    compare(note->settled, expected.settled, commit.note.all_settled, "D1: what a note has as settled");
    compare(note->handed_out, expected.handed_out, commit.note.all_handed_out, "D6: what a note has as handed out");
    partition.full = !commit.note.all_settled;
    partition.last_watermark = commit.offset;
    partition.told_all = {commit.offset, expected};
  }
  for (const auto& [key, partition] : c.model.partitions) {
    if (partition.suspended || std::ranges::find(told, key) != told.end()) continue;
    check(!all && partition.told_all && partition.told_all->first == partition.watermark() &&
              partition.told_all->second == partition.note(c.owner),
          "a partition that changed is not committed");
  }
  return commits;
}

bool KafkaMachine::begin_commit(C& c) {
  const bool asked = c.handing && !c.handing->asked;
  if (c.under || (c.phase != Phase::joined && c.phase != Phase::lost && !asked)) return false;
  C::Under under{.commits = to_commit(c, false), .for_hand_over = asked};
  if (asked) c.handing->asked = true;
  say([&] { return c.name + " commits " + std::to_string(under.commits.size()) + (asked ? " for a hand-over" : ""); });
  if (under.commits.empty()) {
    under.accepted = true;
    ended(c, under, true);
    return true;
  }
  c.under = std::move(under);
  return true;
}

// The broker takes it from who is a member of the present generation, whole.
void KafkaMachine::at_broker(C& c, C::Under& under) {
  const bool member = c.generation == world_.generation && c.phase != Phase::lost && c.phase != Phase::assigning;
  under.too_large = std::ranges::any_of(
      under.commits, [&](const Shelf::Commit& commit) { return commit.note.text.size() > world_.most_metadata; });
  under.accepted = member && !under.too_large;
  if (!*under.accepted) return;
  for (const Shelf::Commit& commit : under.commits) {
    KafkaWorld::Partition& log = world_.logs.at(commit.key);
    check(commit.offset <= log.high() || log.low == log.high(), "a commit beyond the log's end");
    check(commit.offset >= log.floor, "a commit goes back behind an earlier one");
    const auto settled = [&](std::int64_t first, std::int64_t end) {
      for (std::int64_t offset = std::max(first, log.low); offset < std::min(end, log.high()); ++offset) {
        const LogRecord& record = world_.at({commit.key, offset});
        check(!world_.is_open(record), [&] {
          return "D1: " + text_of({commit.key, offset}) + " is committed as settled, and nobody settled it";
        });
      }
    };
    settled(0, commit.offset);
    const auto note = kafka::read_note(commit.note.text, commit.offset);
    for (const OffsetRange& run : note->settled) settled(run.first, run.end);
    log.stored = {commit.offset, commit.note.text};
    log.floor = commit.offset;
    log.stale = false;
  }
}

bool KafkaMachine::commit_arrives(C& c) {
  if (!c.under || c.under->accepted) return false;
  if (fails(10)) {
    c.under->accepted = false;
  } else {
    at_broker(c, *c.under);
  }
  say([&] {
    return "the commit of " + c.name +
           (*c.under->accepted   ? " is taken"
            : c.under->too_large ? " is too large"
                                 : " is refused or lost");
  });
  return true;
}

bool KafkaMachine::commit_answered(C& c) {
  if (!c.under || !c.under->accepted) return false;
  C::Under under = std::move(*c.under);
  c.under.reset();
  const bool told = *under.accepted && !fails(10);
  say([&] { return c.name + " hears that its commit " + (told ? "is stored" : "failed"); });
  ended(c, under, told);
  return true;
}

void KafkaMachine::ended(C& c, C::Under& under, bool stored) {
  for (const Shelf::Commit& commit : under.commits) {
    c.shelf.committed(commit, stored);
    const auto it = c.model.partitions.find(commit.key);
    if (it == c.model.partitions.end() || it->second.assignment != commit.assignment) continue;
    if (stored) {
      it->second.told = std::max(it->second.told, commit.handed_out);
      it->second.stored = std::max(it->second.stored, commit.offset);
    } else {
      it->second.told_all.reset();
    }
  }
  if (under.too_large) {
    const bool shorter = c.shelf.shorten_notes();
    say([&] { return c.name + (shorter ? " writes shorter notes" : " cannot write shorter notes"); });
  }
  if (!c.handing || !under.for_hand_over) return;
  if (stored) {
    release(c);
  } else {
    say([&] { return c.name + " takes back what it was to hand out"; });
    for (std::size_t i = c.handing->held.size(); i-- > 0;) {
      take_back(c, c.handing->deliveries[i], c.handing->held[i], c.handing->was_expired[i]);
    }
    c.handing.reset();
  }
}

// What the group has finished is deleted from the retry topic.
bool KafkaMachine::trim(C& c) {
  const std::vector<Shelf::Finished> finished = c.shelf.finished();
  std::size_t expected = 0;
  for (const auto& [key, partition] : c.model.partitions) {
    if (key.lane == Lane::retry && !partition.suspended &&
        partition.stored - partition.trimmed >= Shelf::kEnoughFinished)
      ++expected;
  }
  check_equal(finished.size(), expected, "partitions that can be trimmed");
  for (const Shelf::Finished& one : finished) {
    const PartitionKey key{.lane = Lane::retry, .number = one.partition};
    KafkaWorld::Partition& log = world_.logs.at(key);
    check(log.stored && one.offset <= log.stored->first, "D1: more is deleted than the broker has as committed");
    log.low = std::max(log.low, one.offset);
    c.shelf.trimmed(one);
    auto& trimmed = c.model.partitions.at(key).trimmed;
    trimmed = std::max(trimmed, one.offset);
    say([&] { return c.name + " deletes what lies before " + text_of({key, one.offset}); });
  }
  return !finished.empty();
}

}  // namespace lrpc::queue::simulation
