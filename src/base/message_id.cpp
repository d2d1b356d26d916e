// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <lrpc/queue/message_id.hpp>

#include <pthread.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <lrpc/queue/clock.hpp>

namespace lrpc::queue {
namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kLength = 26;

// Two characters for ten bits: half as many look-ups.
constexpr auto kPairs = [] {
  std::array<std::array<char, 2>, 1024> table{};
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = {kAlphabet[i >> 5U], kAlphabet[i & 31U]};
  return table;
}();

constexpr std::uint64_t kPairMask = 1023;

constexpr auto kValues = [] {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return table;
}();

// Counts forks: a child must not go on with its parent's random state, or both would make the same ids.
std::atomic<std::uint32_t> fork_count{0};

// Before main, so that no fork meets a thread in the middle of it.
[[maybe_unused]] const int at_fork =
    pthread_atfork(nullptr, nullptr, [] { fork_count.fetch_add(1, std::memory_order_relaxed); });

// xoshiro256** (Blackman and Vigna, https://prng.di.unimi.it), seeded from the kernel.
class Random {
 public:
  void seed() noexcept {
    auto* out = reinterpret_cast<unsigned char*>(state_.data());
    std::size_t left = sizeof state_;
    while (left > 0) {
      const ssize_t got = getrandom(out, left, 0);
      if (got <= 0) break;
      out += got;
      left -= static_cast<std::size_t>(got);
    }
    // Without the kernel's help (it never fails once booted) time and address still tell threads apart.
    state_[0] ^= static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    state_[1] ^= reinterpret_cast<std::uintptr_t>(this) ^ (static_cast<std::uint64_t>(getpid()) << 32U);
  }

  std::uint64_t operator()() noexcept {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

 private:
  static constexpr std::uint64_t rotate(std::uint64_t x, unsigned k) noexcept { return (x << k) | (x >> (64U - k)); }
  std::array<std::uint64_t, 4> state_{};
};

struct Generator {
  MessageId last{};
  std::int64_t last_ms = -1;
  std::uint32_t seeded_at = ~0U;
  Random random{};

  void reseed(std::uint32_t forks) noexcept {
    random.seed();
    seeded_at = forks;
    last_ms = -1;
  }
};

constinit thread_local Generator generator{};

/// Writes the two characters of ten bits.
void put(char* at, std::uint64_t bits) noexcept {
  std::memcpy(at, kPairs[static_cast<std::size_t>(bits & kPairMask)].data(), 2);
}

/// An id with its 26 characters.
struct Text {
  MessageId id{};
  std::array<char, kLength> characters = [] {
    std::array<char, kLength> zeros{};
    zeros.fill('0');
    return zeros;
  }();

  constexpr Text() = default;
  // 130 bits as 13 groups of ten, the topmost two bits being zero: six groups lie in `low`, one across, six in `high`.
  void write(MessageId of) noexcept {
    id = of;
    char* const out = characters.data();
    for (std::size_t i = 0; i < 6; ++i) {
      put(out + kLength - 2 - 2 * i, id.low >> (10 * i));
      put(out + kLength - 16 - 2 * i, id.high >> (6 + 10 * i));
    }
    put(out + 12, (id.low >> 60U) | (id.high << 4U));
  }
};

}  // namespace

MessageId MessageId::generate(std::int64_t unix_ms) noexcept {
  Generator& g = generator;
  if (const std::uint32_t forks = fork_count.load(std::memory_order_relaxed); g.seeded_at != forks) [[unlikely]] {
    g.reseed(forks);
  }
  constexpr std::int64_t kMaxMs = (std::int64_t{1} << 48U) - 1;
  unix_ms = std::clamp<std::int64_t>(unix_ms, 0, kMaxMs);
  if (unix_ms > g.last_ms) {
    g.last_ms = unix_ms;
    // The highest random bit stays clear, so that counting up within the millisecond never overflows into the time.
    g.last = {.high = (static_cast<std::uint64_t>(unix_ms) << 16U) | (g.random() & 0x7fffU), .low = g.random()};
  } else {
    // Same millisecond, or the clock went back: count on, as the specification's monotonic mode does.
    if (++g.last.low == 0) ++g.last.high;
  }
  return g.last;
}

std::string MessageId::to_string() const {
  // Ids that a thread makes in one millisecond follow one another: mostly only the last two characters differ from
  // those of the text before.
  constinit thread_local Text previous{};
  if (high != previous.id.high || (low ^ previous.id.low) > kPairMask) previous.write(*this);
  std::string text(previous.characters.data(), kLength);
  // Not into `previous`: reading back what was just written in pieces makes the processor wait.
  put(text.data() + kLength - 2, low);
  return text;
}

std::optional<MessageId> MessageId::parse(std::string_view text) noexcept {
  if (text.size() != kLength || text[0] > '7') return std::nullopt;
  // The time and two halves of the randomness, side by side: a processor works on all three at once.
  constexpr std::size_t kTime = 10;
  constexpr std::size_t kHalf = 8;
  int seen = 0;  // negative once a character was wrong
  const auto part = [&](std::size_t from, std::size_t count) {
    std::uint64_t bits = 0;
    for (std::size_t i = from; i < from + count; ++i) {
      const std::int8_t value = kValues[static_cast<unsigned char>(text[i])];
      seen |= value;
      bits = (bits << 5U) | static_cast<std::uint64_t>(value);
    }
    return bits;
  };
  const std::uint64_t time = part(0, kTime);
  const std::uint64_t upper = part(kTime, kHalf);
  const std::uint64_t lower = part(kTime + kHalf, kHalf);
  if (seen < 0) return std::nullopt;
  return MessageId{.high = (time << 16U) | (upper >> 24U), .low = (upper << 40U) | lower};
}

std::string generate_message_id() { return MessageId::generate(system_clock()->now().wall_ms).to_string(); }

}  // namespace lrpc::queue
