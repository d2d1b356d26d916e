// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "account.hpp"

namespace lrpc::queue::soak {
namespace {

/// Spreads the kinds evenly over numbers in a row (the finaliser of splitmix64).
std::uint64_t mixed(std::uint64_t number) {
  number += 0x9e3779b97f4a7c15U;
  number = (number ^ (number >> 30U)) * 0xbf58476d1ce4e5b9U;
  number = (number ^ (number >> 27U)) * 0x94d049bb133111ebU;
  return number ^ (number >> 31U);
}

}  // namespace

Kind kind_of(std::uint64_t number, bool keyed) {
  const std::uint64_t share = mixed(number) % 1000;
  if (keyed) return share < 10 ? Kind::flaky : share < 12 ? Kind::doomed : share < 15 ? Kind::rejected : Kind::plain;
  if (share < 30) return Kind::flaky;
  if (share < 40) return Kind::doomed;
  if (share < 45) return Kind::rejected;
  if (share < 65) return Kind::expiring;
  if (share < 95) return Kind::delayed;
  return Kind::plain;
}

Tally& Tally::operator+=(const Tally& other) {
  accepted += other.accepted;
  handled += other.handled;
  dead += other.dead;
  unseen += other.unseen;
  missing += other.missing;
  return *this;
}

Doing Book::decide(std::uint64_t number, int attempts) {
  const std::uint8_t before = marks_[number].fetch_or(kSeen);
  const bool first = (before & kSeen) == 0;
  const bool given_up = (before & kGivenUp) != 0;
  switch (kind_of(number, keyed_)) {
    case Kind::plain:
    case Kind::delayed:
      return Doing::ack;
    case Kind::flaky:
      if (!first) return Doing::ack;
      return number % 3 == 0 ? Doing::retry : number % 3 == 1 ? Doing::retry_same : Doing::fail;
    case Kind::doomed:
      if (given_up) return Doing::ack;
      if (attempts > kMaxRetries) marks_[number].fetch_or(kGivenUp);
      return Doing::fail;
    case Kind::rejected:
      if (given_up) return Doing::ack;
      marks_[number].fetch_or(kGivenUp);
      return Doing::reject;
    case Kind::expiring:
      return first ? Doing::retry_late : Doing::ack;
  }
  return Doing::ack;
}

void Book::handled(std::uint64_t number) {
  if ((marks_[number].fetch_or(kHandled) & kHandled) != 0) {
    ++repeated_;
  } else if (ordered_) {
    check_order(number);
  }
}

void Book::check_order(std::uint64_t number) {
  const Kind kind = kind_of(number, keyed_);
  if (kind != Kind::plain && kind != Kind::flaky) return;
  auto& newest = newest_[key_of(number)];
  std::uint64_t before = newest;
  while (before <= number && !newest.compare_exchange_weak(before, number + 1)) {
  }
  if (before > number) ++out_of_order_;
}

Tally Book::tally(const Accepted& accepted) const {
  Tally result;
  for (std::size_t i = 0; i < marks_.size(); ++i) {
    if (!accepted.has(i)) continue;
    ++result.accepted;
    const std::uint8_t mark = marks_[i];
    if ((mark & kHandled) != 0) {
      ++result.handled;
    } else if ((mark & kGivenUp) != 0) {
      ++result.dead;
    } else if (kind_of(i, keyed_) == Kind::expiring) {
      ++result.unseen;
    } else {
      ++result.missing;
    }
  }
  return result;
}

}  // namespace lrpc::queue::soak
