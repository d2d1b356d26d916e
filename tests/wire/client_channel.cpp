// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "client_channel.hpp"

#include <algorithm>
#include <limits>

namespace lrpc::queue::wire {

namespace {

constexpr Duration kFirstBackoff{2};
constexpr Duration kLastBackoff{200};

/// Attempts of an entry: those before it was stored plus its deliveries. A damaged or hostile sum stays an int.
int sum_attempts(std::int64_t before, std::uint32_t deliveries) {
  return static_cast<int>(std::min<std::int64_t>(before + deliveries, std::numeric_limits<int>::max()));
}

}  // namespace

WireChannel::WireChannel(std::shared_ptr<Connection> connection, std::string topic, std::string name,
                         std::uint64_t number, std::int64_t dropped_before, const ChannelPolicy& policy)
    : connection_(std::move(connection)),
      topic_(std::move(topic)),
      name_(std::move(name)),
      number_(number),
      dropped_before_(dropped_before),
      lease_(policy.ack_timeout),
      dead_limit_(policy.dead_letter_limit) {
  connection_->link().listen(number_, wakeup_);
}

std::unexpected<Error> WireChannel::closed() const {
  return std::unexpected(Error{.code = ErrorCode::channel_closed,
                               .message = "channel " + name_ + " of topic " + topic_ + " was closed",
                               .source = "wire"});
}

Writer WireChannel::address() const {
  Writer out;
  out.text(topic_).text(name_).u64(number_);
  return out;
}

Result<Reply> WireChannel::call(Op op, const Writer& arguments) {
  return connection_->call(op, address().raw(arguments.bytes()));
}

Delivery WireChannel::read_delivery(Reader& in) {
  Delivery delivery;
  delivery.tag.slot = in.u64();
  delivery.tag.generation = in.u64();
  const std::uint32_t deliveries = in.u32();
  const SessionId expired_from = in.u64();
  const auto frame = in.block();
  if (auto message = decode_frame(frame)) {
    delivery.attempts = sum_attempts(message->attempts, deliveries);
    delivery.message = to_envelope(std::move(*message));
  } else {
    delivery.attempts = sum_attempts(0, deliveries);
    delivery.message = malformed_envelope(frame, delivery.tag.slot);
    delivery.malformed = std::make_shared<const std::string>(std::move(message.error()));
  }
  delivery.tag.attempts = delivery.attempts;
  const bool held = held_.put(delivery.tag, delivery.message->id());
  // A delivery whose reply was lost never arrived here: its expiry is not this process's doing.
  delivery.lease_expired = held && expired_from == connection_->session();
  return delivery;
}

Result<WireChannel::Fetched> WireChannel::fetch(std::span<Delivery> out, const ReceiveOptions& options) {
  if (options.limit > 0) limited_.store(true);
  Writer arguments;
  arguments.u32(static_cast<std::uint32_t>(std::min<std::size_t>(out.size(), UINT32_MAX)));
  arguments.i64(lease_.load().count()).flag(options.renewed).i64(options.limit);
  auto reply = call(Op::receive, arguments);
  if (!reply) return std::unexpected(std::move(reply.error()));
  Fetched fetched{.count = 0, .due = reply->in.i64()};
  const std::uint32_t count = reply->in.count();
  if (count > out.size()) return std::unexpected(Connection::garbled());
  for (; fetched.count < count; ++fetched.count) out[fetched.count] = read_delivery(reply->in);
  if (!reply->in.complete()) return std::unexpected(Connection::garbled());
  return fetched;
}

Result<std::size_t> WireChannel::receive(std::span<Delivery> out, const ReceiveOptions& options) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  if (out.empty()) return 0;
  const bool waits = options.deadline > std::chrono::steady_clock::now();
  Duration backoff = kFirstBackoff;
  for (;;) {
    const std::uint64_t mark = wakeup_->mark();
    if (gate_.is_shut()) return closed();
    if (!receiving_.load()) return 0;
    auto fetched = fetch(out, options);
    if (fetched && fetched->count > 0) return fetched->count;
    if (!fetched && !Connection::broken(fetched.error())) return std::unexpected(std::move(fetched.error()));
    if (options.stop.stop_requested()) return 0;
    if (std::chrono::steady_clock::now() >= options.deadline) {
      // Who only looked whether something is there gets nothing; who waited for it learns why nothing came.
      if (!fetched && waits) return std::unexpected(std::move(fetched.error()));
      return 0;
    }

    SteadyTime until = SteadyTime::max();
    if (fetched) {
      until = connection_->clock().real(fetched->due);
    } else if (connection_->link().reachable()) {
      until = std::chrono::steady_clock::now() + connection_->link().jittered(backoff);
      backoff = std::min(backoff * 2, kLastBackoff);
    }  // else the line wakes us when it is back
    wakeup_->wait(mark, options.stop, std::min(until, options.deadline));
  }
}

void WireChannel::set_receiving(bool on) noexcept {
  receiving_.store(on);
  wakeup_->wake();
}

void WireChannel::settled() {
  // The server counts what next handed out: room for a receive that waits at its limit.
  if (limited_.load()) wakeup_->wake();
}

Result<void> WireChannel::mark(Op op, const Writer& arguments, std::span<const DeliveryTag> tags,
                               std::span<bool> done) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  auto reply = call(op, arguments);
  if (!reply) return std::unexpected(std::move(reply.error()));
  for (std::size_t i = 0; i < tags.size(); ++i) {
    done[i] = reply->in.flag();
    if (op == Op::ack || !done[i]) held_.remove(tags[i]);
  }
  if (!reply->in.complete()) return std::unexpected(Connection::garbled());
  settled();
  return {};
}

Result<void> WireChannel::ack(std::span<const DeliveryTag> tags, std::span<bool> done) {
  Writer arguments;
  arguments.u32(static_cast<std::uint32_t>(tags.size()));
  for (const DeliveryTag tag : tags) arguments.u64(tag.slot).u64(tag.generation);
  return mark(Op::ack, arguments, tags, done);
}

Result<void> WireChannel::touch(std::span<const DeliveryTag> tags, Duration lease, std::span<bool> done) {
  Writer arguments;
  arguments.i64(lease.count()).u32(static_cast<std::uint32_t>(tags.size()));
  for (const DeliveryTag tag : tags) arguments.u64(tag.slot).u64(tag.generation);
  return mark(Op::touch, arguments, tags, done);
}

Result<void> WireChannel::settle(std::span<Settlement> settlements) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  Writer arguments;
  arguments.i64(lease_.load().count()).i64(dead_limit_.load()).u32(static_cast<std::uint32_t>(settlements.size()));
  for (const Settlement& s : settlements) {
    arguments.u64(s.tag.slot).u64(s.tag.generation).u8(static_cast<std::uint8_t>(s.action)).flag(s.count_attempt);
    arguments.i64(s.delay.count()).u8(static_cast<std::uint8_t>(s.reason)).text(s.error);
  }
  auto reply = call(Op::settle, arguments);
  if (!reply) return std::unexpected(std::move(reply.error()));
  for (Settlement& s : settlements) {
    s.done = reply->in.flag();
    const std::uint64_t slot = reply->in.u64();
    const DeliveryTag now{
        .slot = slot, .generation = reply->in.u64(), .attempts = s.tag.attempts + (s.count_attempt ? 1 : 0)};
    if (s.done && s.action == Settlement::Action::keep) {
      held_.renew(s.tag, now);
      s.tag = now;
    } else {
      held_.remove(s.tag);
    }
  }
  if (!reply->in.complete()) return std::unexpected(Connection::garbled());
  settled();
  return {};
}

Result<BackendStats> WireChannel::stats() {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  auto reply = call(Op::stats, {});
  if (!reply) return std::unexpected(std::move(reply.error()));
  Reader& in = reply->in;
  BackendStats stats;
  stats.ready = in.i64();
  stats.in_flight = in.i64();
  stats.delayed = in.i64();
  stats.dead = in.i64();
  stats.dropped = in.i64() - dropped_before_;
  if (!in.complete()) return std::unexpected(Connection::garbled());
  return stats;
}

Result<std::int64_t> WireChannel::counted(Op op, const Writer& arguments) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  auto reply = call(op, arguments);
  if (!reply) return std::unexpected(std::move(reply.error()));
  const std::int64_t count = reply->in.i64();
  if (!reply->in.complete()) return std::unexpected(Connection::garbled());
  return count;
}

Result<std::int64_t> WireChannel::requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) {
  Writer arguments;
  arguments.flag(all).i64(fresh_ttl.count()).u32(static_cast<std::uint32_t>(ids.size()));
  for (const std::string& id : ids) arguments.text(id);
  return counted(Op::requeue_dead, arguments);
}

Result<DeadPage> WireChannel::dead_letters(std::size_t limit, std::string_view cursor) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  auto reply = call(Op::dead_letters, Writer().u64(limit).text(cursor));
  if (!reply) return std::unexpected(std::move(reply.error()));
  Reader& in = reply->in;
  DeadPage page{.items = {}, .cursor = in.text()};
  for (std::uint32_t left = in.count(); left > 0 && in.ok(); --left) {
    DeadRecord record;
    const std::uint64_t slot = in.u64();
    record.reason = static_cast<DeadReason>(in.u8());
    record.error = in.text();
    record.attempts = static_cast<int>(in.u32());
    record.last_at_ms = in.i64();
    const auto frame = in.block();
    if (auto message = decode_frame(frame)) {
      record.first_at_ms = message->enqueued_at_ms;
      record.message = to_envelope(std::move(*message));
    } else {
      record.message = malformed_envelope(frame, slot);
    }
    page.items.push_back(std::move(record));
  }
  if (!in.complete()) return std::unexpected(Connection::garbled());
  return page;
}

void WireChannel::configure(const ChannelPolicy& policy) {
  lease_.store(policy.ack_timeout);
  dead_limit_.store(policy.dead_letter_limit);
}

Result<void> WireChannel::close() {
  const bool first = gate_.shut();
  wakeup_->wake();
  gate_.drain();
  if (!first) return {};
  auto reply = connection_->call_repeatedly(Op::close_channel, address());
  if (!reply && reply.error().code != ErrorCode::channel_not_found) return std::unexpected(std::move(reply.error()));
  return {};
}

}  // namespace lrpc::queue::wire
