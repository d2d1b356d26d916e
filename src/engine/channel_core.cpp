// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "engine/channel_core.hpp"

#include <algorithm>

#include <lrpc/queue/detail/engine.hpp>

namespace lrpc::queue::detail {

Error ChannelCore::closed_error() const {
  if (life.load(std::memory_order_acquire) == ChannelLife::deleted) {
    return {.code = ErrorCode::channel_not_found,
            .message = "channel " + name + " of topic " + topic + " was deleted; get_or_add_channel makes it anew"};
  }
  return {.code = ErrorCode::channel_closed,
          .message = "channel " + name + " of topic " + topic + " is closed; get_or_add_channel opens it again"};
}

Error ChannelCore::explain(Error error, std::string_view doing) {
  if (error.code == ErrorCode::channel_not_found) {
    life.store(ChannelLife::deleted, std::memory_order_release);
    return closed_error();
  }
  if (error.code == ErrorCode::channel_closed) return closed_error();
  error.message =
      std::string(doing) + " on channel " + name + " of topic " + topic + " failed: " + std::move(error.message);
  if (error.source.empty()) error.source = context->capabilities.name;
  return error;
}

Settlement ChannelCore::give_up(const DeliveryTag& tag, const Decision& decision, bool delivered, std::string error) {
  return {
      .tag = tag,
      .action = decision.action == Decision::Action::drop ? Settlement::Action::drop : Settlement::Action::dead_letter,
      .count_attempt = delivered,
      .reason = decision.reason,
      .error = std::move(error)};
}

Settlement ChannelCore::settlement_for(const DeliveryTag& tag, const Failure& failure, std::string error) const {
  const ChannelPolicy& p = policy();
  const Decision decision = decide_failure(p, tag.attempts, failure, p.backoff.jitter ? random_unit() : 0.0);
  if (decision.action != Decision::Action::retry) return give_up(tag, decision, true, std::move(error));
  return {.tag = tag,
          .action = Settlement::Action::retry,
          .count_attempt = !failure.skip_attempts,
          .delay = decision.delay.count() > 0 ? decision.delay + context->clock->granularity() : decision.delay,
          .error = std::move(error)};
}

std::size_t ChannelCore::admit(std::span<Delivery> deliveries, Instant now) {
  const ChannelPolicy& p = policy();
  const std::int64_t now_s = now.wall_s();
  const bool plain = std::ranges::all_of(deliveries, [&](const Delivery& d) {
    return !d.malformed && !d.message->encoded() && surely_delivered(p, *d.message, d.lease_expired, now_s);
  });
  return plain ? deliveries.size() : sort_out(deliveries, now_s);
}

std::size_t ChannelCore::sort_out(std::span<Delivery> deliveries, std::int64_t now_s) {
  const ChannelPolicy& p = policy();
  std::vector<Settlement> refused;
  std::size_t kept = 0;
  for (Delivery& d : deliveries) {
    if (d.malformed) {
      const auto action = p.dead_letter ? Decision::Action::dead_letter : Decision::Action::drop;
      refused.push_back(give_up(d.tag, {.action = action, .reason = DeadReason::undecodable}, false, *d.malformed));
    } else if (const Decision decision = decide_delivery(p, *d.message, d.attempts, d.lease_expired, now_s);
               decision.action != Decision::Action::deliver) {
      refused.push_back(give_up(d.tag, decision, false, d.lease_expired ? "the lease ran out (ack_timeout)" : ""));
    } else {
      if (d.message->encoded()) {
        Result<EnvelopePtr> typed = decode_envelope(type, *d.message);
        if (!typed) {
          const auto action = p.dead_letter ? Decision::Action::dead_letter : Decision::Action::drop;
          refused.push_back(give_up(d.tag, {.action = action, .reason = DeadReason::undecodable}, false,
                                    std::move(typed.error().message)));
          d = Delivery{};
          continue;
        }
        d.message = std::move(*typed);
      }
      if (&deliveries[kept] != &d) deliveries[kept] = std::move(d);
      ++kept;
      continue;
    }
    d = Delivery{};
  }
  if (!refused.empty()) {
    if (auto done = backend->settle(refused); !done) {
      context->log(LogLevel::warning, explain(std::move(done.error()), "giving up messages").message);
    }
    for (const Settlement& s : refused) {
      if (s.done) count_settled(s);
    }
    // That may have waited for a broker, and an expiry have passed meanwhile (D12).
    if (const Instant now = context->clock->now(); now.wall_s() != now_s) return admit(deliveries.first(kept), now);
  }
  return kept;
}

void ChannelCore::count_delivered(std::span<const Delivery> deliveries) {
  if (!delivered_any.load(std::memory_order_relaxed)) delivered_any.store(true, std::memory_order_relaxed);
  counters.add(Counters::delivered, static_cast<std::int64_t>(deliveries.size()));
  for (const Delivery& d : deliveries) {
    if (d.attempts > 1) counters.add(Counters::redelivered);
  }
  context->observe([&](Observer& o) { o.delivered(topic, name, deliveries.size()); });
}

void ChannelCore::count_acked(std::size_t n) {
  counters.add(Counters::acked, static_cast<std::int64_t>(n));
  context->observe([&](Observer& o) { o.settled(topic, name, Outcome::acked, n); });
}

void ChannelCore::count_settled(const Settlement& settlement) {
  Outcome outcome = Outcome::retried;
  const bool ended =
      settlement.action == Settlement::Action::drop || settlement.action == Settlement::Action::dead_letter;
  if (ended && settlement.reason == DeadReason::expired) {
    counters.add(Counters::expired);
  } else {
    counters.add(Counters::nacked);
  }
  if (settlement.action == Settlement::Action::dead_letter) {
    outcome = Outcome::dead_lettered;
  } else if (settlement.action == Settlement::Action::drop) {
    outcome = settlement.reason == DeadReason::expired ? Outcome::expired : Outcome::dropped;
    if (outcome == Outcome::dropped) counters.add(Counters::dropped);
  }
  context->observe([&](Observer& o) { o.settled(topic, name, outcome, 1); });
}

}  // namespace lrpc::queue::detail
