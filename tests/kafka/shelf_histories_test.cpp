// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Random histories of the shelf.
#include <array>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "shelf_fixture.hpp"

namespace lrpc::queue::kafka::shelf_test {
namespace {

// Random histories of one group over one log: whatever is read, handed out, settled, revoked and taken over by another
// consumer, nothing is lost, and what a consumer that still owned the partition settled is not delivered again.
TEST(Shelf, NothingIsLostOrDoubledInRandomHistories) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    std::mt19937 random(seed);
    constexpr std::int64_t kMessages = 60;
    std::array<Shelf, 2> shelves{Shelf(1), Shelf(2)};
    std::array<std::int64_t, 2> next{};
    std::array<std::vector<DeliveryTag>, 2> out;
    std::map<std::uint64_t, std::int64_t> offset_of[2];
    Shelf::Committed stored;
    std::size_t owner = 0;
    std::set<std::int64_t> settled;
    next[0] = shelves[0].assign(kTopic0, stored, {.high = kMessages}).offset;
    const auto commit = [&] {
      for (const auto& one : shelves[owner].to_commit(true)) {
        stored = {.offset = one.offset, .note = read_note(one.note.text, one.offset)};
        shelves[owner].committed(one, true);
      }
    };
    for (int step = 0; step < 400; ++step) {
      Shelf& shelf = shelves[owner];
      switch (random() % 8) {
        case 0:
        case 1:
          if (next[owner] < kMessages) {
            shelf.ingest({kTopic0, next[owner]}, record(next[owner]), 0);
            ++next[owner];
          }
          break;
        case 2:
        case 3: {
          std::array<Delivery, 3> taken;
          const std::size_t count = shelf.hand_out(taken, Shelf::kForever);
          for (std::size_t i = 0; i < count; ++i) {
            const std::int64_t offset = std::stoll(taken[i].message->id().substr(1));
            ASSERT_FALSE(settled.contains(offset)) << "seed " << seed << ": settled, and delivered again";
            out[owner].push_back(taken[i].tag);
            offset_of[owner][taken[i].tag.generation] = offset;
          }
          if (count > 0) commit();  // as the first hand-overs after an assignment do
          break;
        }
        case 4:
        case 5: {
          if (out[owner].empty()) break;
          const std::size_t at = random() % out[owner].size();
          const DeliveryTag tag = out[owner][at];
          out[owner].erase(out[owner].begin() + static_cast<std::ptrdiff_t>(at));
          if (random() % 4 == 0) {
            shelf.give_back(tag, true);
          } else if (shelf.settle(tag)) {
            settled.insert(offset_of[owner].at(tag.generation));
          }
          break;
        }
        case 6:
          commit();
          break;
        default: {  // a rebalance, to the same or to the other
          commit();
          shelf.suspend(kTopic0);
          if (random() % 2 == 0) {
            owner = 1 - owner;
            if (random() % 2 == 0) shelf.forget_suspended();
          }
          next[owner] = shelves[owner].assign(kTopic0, stored, {.high = kMessages}).offset;
        }
      }
    }
    // Drained by whoever owns it.
    Shelf& shelf = shelves[owner];
    for (const DeliveryTag& tag : out[owner]) {
      if (shelf.settle(tag)) settled.insert(offset_of[owner].at(tag.generation));
    }
    for (; next[owner] < kMessages; ++next[owner]) shelf.ingest({kTopic0, next[owner]}, record(next[owner]), 0);
    std::array<Delivery, 100> taken;
    const std::size_t count = shelf.hand_out(taken, Shelf::kForever);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(settled.insert(std::stoll(taken[i].message->id().substr(1))).second) << "seed " << seed;
      ASSERT_TRUE(shelf.settle(taken[i].tag));
    }
    commit();
    EXPECT_EQ(settled.size(), static_cast<std::size_t>(kMessages)) << "seed " << seed;
    EXPECT_EQ(stored.offset, kMessages) << "seed " << seed;
  }
}

// Random histories of a retry partition, whose records come from elsewhere or are written by its consumer itself, wait,
// are read again and written anew: a message that was settled or dropped is delivered no more, and none is lost. A
// restart finds what was committed at its end.
TEST(Shelf, RetriesAreNeitherLostNorDoubledInRandomHistories) {
  for (unsigned seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto one_in = [&random](unsigned n) { return random() % n == 0; };
    struct Written {
      std::int64_t message = 0;
      std::int64_t due_ms = 0;
    };
    std::vector<Written> log;
    std::int64_t messages = 0;
    std::int64_t now_ms = 0;
    const auto to_record = [&log](std::int64_t offset) {
      const Written& written = log[static_cast<std::size_t>(offset)];
      return record(written.message, written.due_ms);
    };
    const auto write = [&](std::int64_t message) {
      log.push_back({message, now_ms + static_cast<std::int64_t>(random() % 50)});
      return static_cast<std::int64_t>(log.size()) - 1;
    };
    const auto end = [&log] { return static_cast<std::int64_t>(log.size()); };
    const auto new_shelf = [&seed] {
      // Keeps few bodies, and is full soon.
      return std::make_unique<Shelf>(kMe, RetryIndex(8, seed % 2 == 0 ? 1000 : 0));
    };
    auto shelf = new_shelf();
    std::int64_t next = shelf->assign(kRetry0, Shelf::Committed{}, {.high = end()}).offset;
    std::map<std::int64_t, DeliveryTag> out;  // by message
    std::set<std::int64_t> over;              // settled or dropped
    std::vector<std::int64_t> unheard;        // written by us, and we have not heard of it
    std::vector<Place> away;
    std::vector<RetryIndex::Waiting> rewriting;
    const auto hear = [&](std::int64_t offset) { shelf->foresee({kRetry0, offset}, to_record(offset), now_ms); };
    const auto hand_out = [&](std::size_t most) {
      for (const Place place : shelf->mature(now_ms)) away.push_back(place);
      std::vector<Delivery> taken(most);
      taken.resize(shelf->hand_out(taken, Shelf::kForever));
      for (const Delivery& one : taken) {
        const std::int64_t message = std::stoll(one.message->id().substr(1));
        ASSERT_FALSE(over.contains(message)) << message << " is over, and is delivered again";
        ASSERT_TRUE(out.emplace(message, one.tag).second) << message << " is out already";
      }
    };
    const auto read = [&] {
      if (next >= end()) return;
      shelf->ingest({kRetry0, next}, to_record(next), now_ms);
      ++next;
    };
    const auto bring_back = [&] {
      if (away.empty()) return;
      shelf->refill(away.back(), to_record(away.back().offset));
      away.pop_back();
    };
    const auto end_rewrite = [&](bool written) {
      if (written) {
        for (const auto& waiting : rewriting) write(log[static_cast<std::size_t>(waiting.place.offset)].message);
      }
      shelf->end_rewrite(std::exchange(rewriting, {}), written);
    };
    const auto rebalance = [&](bool restart) {
      Shelf::Committed stored;
      for (const auto& one : shelf->to_commit(true)) {
        stored = {.offset = one.offset, .note = read_note(one.note.text, one.offset)};
        shelf->committed(one, true);
      }
      if (restart) {
        shelf = new_shelf();
        out.clear();
      } else {
        shelf->suspend(kRetry0);
      }
      next = shelf->assign(kRetry0, stored, {.high = end()}).offset;
    };
    for (int step = 0; step < 500; ++step) {
      now_ms += static_cast<std::int64_t>(random() % 5);
      shelf->set_unread(next < end());
      switch (random() % 12) {
        case 0:
          write(messages++);
          break;
        case 1:
        case 2:
          read();
          break;
        case 3:
        case 4:
          hand_out(random() % 4);
          break;
        case 5:
        case 6:
        case 7: {
          if (out.empty()) break;
          const auto it = std::next(out.begin(), static_cast<std::ptrdiff_t>(random() % out.size()));
          if (one_in(2)) {
            ASSERT_TRUE(shelf->settle(it->second));
            over.insert(it->first);
          } else {
            ASSERT_TRUE(shelf->begin_move(it->second).has_value());
            const bool written = !one_in(4);
            const std::int64_t offset = written ? write(it->first) : 0;
            shelf->end_move(it->second, written);
            if (!written) break;
            if (one_in(2)) {
              hear(offset);
            } else {
              unheard.push_back(offset);
            }
          }
          out.erase(it);
          break;
        }
        case 8:
          if (!unheard.empty()) {
            hear(unheard.back());
            unheard.pop_back();
          } else {
            bring_back();
          }
          break;
        case 9:
          if (rewriting.empty()) {
            rewriting = shelf->begin_rewrite(3);
          } else {
            end_rewrite(one_in(2));
          }
          break;
        case 10:
          // Whoever drops everything waits for moves, and knows where the log ends.
          if (!one_in(8) || shelf->moving()) break;
          shelf->drop_all();
          shelf->skip_to(kRetry0, end());
          next = std::max(next, end());
          for (std::int64_t message = 0; message < messages; ++message) {
            if (!out.contains(message)) over.insert(message);
          }
          break;
        default:
          // A restart in the middle of a rewrite may double, as any crash may.
          if (one_in(4)) rebalance(rewriting.empty() && one_in(3));
      }
      if (HasFatalFailure()) return;
    }
    // All is brought to its end.
    end_rewrite(false);
    while (!away.empty()) bring_back();
    while (next < end()) read();
    now_ms += 100;
    for (int i = 0; i < 3; ++i) {
      hand_out(1000);
      while (!away.empty()) bring_back();
    }
    for (const auto& [message, tag] : out) {
      ASSERT_TRUE(shelf->settle(tag));
      over.insert(message);
    }
    EXPECT_EQ(over.size(), static_cast<std::size_t>(messages));
    const auto commits = shelf->to_commit(true);
    ASSERT_EQ(commits.size(), 1U);
    EXPECT_EQ(commits[0].offset, end());
    EXPECT_EQ(shelf->out(), 0);
    EXPECT_FALSE(shelf->moving());
  }
}

}  // namespace
}  // namespace lrpc::queue::kafka::shelf_test
