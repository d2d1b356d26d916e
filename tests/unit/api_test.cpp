// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// How the typed calls take what a user writes. What they promise is the conformance suite's business.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrpc/queue.hpp>

namespace lrpc::queue {
namespace {

// Not in the template: g++ 12 crashes on it there.
Queue open_queue() { return Queue::open({}).value(); }

/// A topic of T with a channel.
template <class T>
struct Rig {
  Rig()
      : queue(open_queue()),
        topic(queue.topic<T>("events").value()),
        channel(topic.get_or_add_channel("work").value()) {}

  Queue queue;
  Topic<T> topic;
  Channel<T> channel;

  /// What arrives of a publish.
  Message<T> take(const Result<std::string>& published) {
    EXPECT_TRUE(published.has_value());
    return channel.try_next(Duration(0)).value();
  }
};

struct Money {
  Money(double units) : by("conversion"), amount(units) {}
  explicit Money(long cents) : by("explicit"), amount(static_cast<double>(cents) / 100) {}
  std::string by;
  double amount;
};

TEST(Pub, ConvertsAsAnArgumentDoes) {
  Rig<Money> rig;
  EXPECT_EQ(rig.take(rig.topic.pub(5L)).body().by, "conversion") << "an explicit constructor was used";
  EXPECT_EQ(rig.take(rig.topic.pub(2.5)).body().amount, 2.5);
}

struct Constants {
  static const int kOne = 1;  // declared only: must not be bound to a reference
};

TEST(Pub, TakesWhatAnArgumentTakes) {
  struct Flags {
    unsigned kind : 3;
  };
  Rig<int> ints;
  Flags flags{.kind = 5};
  EXPECT_EQ(ints.take(ints.topic.pub(static_cast<int>(flags.kind))).body(), 5);
  EXPECT_EQ(ints.take(ints.topic.pub(Constants::kOne)).body(), 1);
  EXPECT_EQ(ints.take(ints.topic.pub('a')).body(), 'a');

  Rig<unsigned> unsigneds;
  EXPECT_EQ(unsigneds.take(unsigneds.topic.pub(flags.kind)).body(), 5U);

  Rig<const char*> pointers;
  EXPECT_EQ(pointers.take(pointers.topic.pub(0)).body(), nullptr);

  Rig<std::string> texts;
  EXPECT_EQ(texts.take(texts.topic.pub("text")).body(), "text");
  EXPECT_EQ(texts.take(texts.topic.pub({'a', 'b'})).body(), "ab");
  const std::string kept = "kept";
  EXPECT_EQ(texts.take(texts.topic.pub(kept, PubOptions{.key = "k"})).body(), "kept");
  EXPECT_EQ(kept, "kept");

  Rig<bool> bools;
  EXPECT_TRUE(bools.take(bools.topic.pub(true)).body());
  ASSERT_TRUE(bools.topic.pub_batch({true, false}).has_value());
}

TEST(Pub, TakesBracesAndMoveOnlyBodies) {
  struct Login {
    std::string user;
    int tries;
  };
  Rig<Login> logins;
  EXPECT_EQ(logins.take(logins.topic.pub(Login{"ada", 1})).body().user, "ada");
  ASSERT_TRUE(logins.topic.pub({"bob", 2}, {.key = "bob"}).has_value());
  EXPECT_EQ(logins.channel.try_next(Duration(0)).value().body().tries, 2);

  Rig<std::unique_ptr<int>> owners;
  EXPECT_EQ(*owners.take(owners.topic.pub(std::make_unique<int>(7))).body(), 7);
}

// Nothing may grow with the square of their number: opening, publishing, deleting, closing.
TEST(Channels, ManyTinyOnesInOneTopic) {
  constexpr int kChannels = 50'000;
  Rig<int> rig;
  std::vector<Channel<int>> channels;
  channels.reserve(kChannels);
  for (int i = 0; i < kChannels; ++i) {
    channels.push_back(rig.topic.get_or_add_channel("channel-" + std::to_string(i)).value());
  }
  ASSERT_TRUE(rig.topic.pub(7).has_value());
  for (Channel<int>& channel : channels) ASSERT_EQ(channel.try_next(Duration(0)).value().body(), 7);
  for (int i = 0; i < kChannels; i += 2) {
    ASSERT_TRUE(rig.topic.delete_channel("channel-" + std::to_string(i)).has_value());
  }
  EXPECT_EQ(rig.topic.channel_list().value().size(), static_cast<std::size_t>(kChannels / 2) + 1);
  EXPECT_TRUE(rig.queue.close().has_value());
}

struct alignas(128) Aligned {
  char bytes[128]{};
};

TEST(Pub, KeepsAlignmentAndLargeBodies) {
  Rig<Aligned> aligned;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&aligned.take(aligned.topic.pub(Aligned{})).body()) % 128, 0U);
  Rig<std::array<char, 5000>> large;
  std::array<char, 5000> body{};
  body.back() = 'x';
  EXPECT_EQ(large.take(large.topic.pub(body)).body().back(), 'x');
}

}  // namespace
}  // namespace lrpc::queue
