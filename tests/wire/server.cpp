// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include <charconv>
#include <optional>
#include <utility>

namespace lrpc::queue::wire {

namespace {

std::unexpected<Error> unreadable() { return fail(ErrorCode::backend, "the request cannot be read"); }

DeliveryTag read_tag(Reader& in) {
  const std::uint64_t slot = in.u64();
  return {.slot = slot, .generation = in.u64()};
}

Writer names_reply(const auto& map) {
  Writer out = done_reply();
  out.u32(static_cast<std::uint32_t>(map.size()));
  for (const auto& [name, value] : map) out.text(name);
  return out;
}

Writer count_reply(std::int64_t count) {
  Writer out = done_reply();
  out.i64(count);
  return out;
}

Result<Writer> receive(ChannelStore& store, Reader& in, SessionId session, Instant now) {
  ChannelStore::Request request{.session = session};
  request.max = in.u32();
  request.lease = Duration(in.i64());
  request.renewed = in.flag();
  request.limit = in.i64();
  if (!in.complete()) return unreadable();
  const auto handed = store.receive(request, now);
  Writer out = done_reply();
  out.i64(store.next_due(now)).u32(static_cast<std::uint32_t>(handed.size()));
  for (const auto& h : handed) {
    out.u64(h.tag.slot).u64(h.tag.generation).u32(static_cast<std::uint32_t>(h.deliveries));
    out.u64(h.expired_from).block(*h.frame);
  }
  return out;
}

Result<Writer> ack_or_touch(ChannelStore& store, Reader& in, SessionId session, Instant now, bool ack) {
  const Duration lease(ack ? 0 : in.i64());
  std::vector<DeliveryTag> tags(in.count());
  for (DeliveryTag& tag : tags) tag = read_tag(in);
  if (!in.complete()) return unreadable();
  Writer out = done_reply();
  for (const DeliveryTag tag : tags) out.flag(ack ? store.ack(session, tag) : store.touch(session, tag, now, lease));
  return out;
}

Result<Writer> settle(ChannelStore& store, Reader& in, SessionId session, Instant now) {
  const Duration lease(in.i64());
  const std::int64_t dead_limit = in.i64();
  std::vector<Settlement> settlements(in.count());
  for (Settlement& s : settlements) {
    s.tag = read_tag(in);
    const std::uint8_t action = in.u8();
    if (action > static_cast<std::uint8_t>(Settlement::Action::drop)) return unreadable();
    s.action = static_cast<Settlement::Action>(action);
    s.count_attempt = in.flag();
    s.delay = Duration(in.i64());
    const std::uint8_t reason = in.u8();
    if (reason > static_cast<std::uint8_t>(DeadReason::rejected)) return unreadable();
    s.reason = static_cast<DeadReason>(reason);
    s.error = in.text();
  }
  if (!in.complete()) return unreadable();
  Writer out = done_reply();
  for (Settlement& s : settlements) {
    store.settle(session, s, now, lease, dead_limit);
    out.flag(s.done).u64(s.tag.slot).u64(s.tag.generation);
  }
  return out;
}

Writer stats_reply(const BackendStats& stats) {
  Writer out = done_reply();
  out.i64(stats.ready).i64(stats.in_flight).i64(stats.delayed).i64(stats.dead).i64(stats.dropped);
  return out;
}

/// A cursor is "d" and the number of the next dead letter.
std::optional<std::uint64_t> parse_cursor(std::string_view cursor, std::uint64_t end) {
  if (cursor.empty()) return 0;
  std::uint64_t number = 0;
  const char* const last = cursor.data() + cursor.size();
  if (cursor.front() != 'd') return std::nullopt;
  const auto [stop, problem] = std::from_chars(cursor.data() + 1, last, number);
  if (problem != std::errc{} || stop != last || number >= end) return std::nullopt;
  return number;
}

Result<Writer> dead_letters(ChannelStore& store, Reader& in) {
  const std::uint64_t limit = in.u64();
  const std::string cursor = in.text();
  if (!in.complete()) return unreadable();
  const auto from = parse_cursor(cursor, store.dead_end());
  if (!from) return fail(ErrorCode::invalid_argument, "the cursor is not one that dead_letters returned");
  auto page = store.dead_from(*from, limit == UINT64_MAX ? limit : limit + 1);
  std::string next;
  if (page.size() > limit) {
    next = "d" + std::to_string(page.back().first);
    page.pop_back();
  }
  Writer out = done_reply();
  out.text(next).u32(static_cast<std::uint32_t>(page.size()));
  for (const auto& [number, dead] : page) {
    out.u64(dead->slot).u8(static_cast<std::uint8_t>(dead->reason)).text(dead->error);
    out.u32(static_cast<std::uint32_t>(dead->attempts)).i64(dead->last_at_ms).block(*dead->frame);
  }
  return out;
}

Result<Writer> requeue(ChannelStore& store, Reader& in, Instant now) {
  const bool all = in.flag();
  const Duration fresh_ttl(in.i64());
  std::set<std::string> ids;
  for (std::uint32_t left = in.count(); left > 0; --left) ids.insert(in.text());
  if (!in.complete()) return unreadable();
  return count_reply(store.requeue(ids, all, now, fresh_ttl));
}

}  // namespace

Bytes WireServer::handle(std::span<const std::byte> request) {
  Call call{.in = Reader(request)};
  const auto op = call.in.u8();
  call.session = call.in.u64();
  Bytes reply;
  {
    const std::lock_guard lock(mutex_);
    call.now = clock_->now();
    auto result =
        op < static_cast<std::uint8_t>(Op::count_) ? dispatch(static_cast<Op>(op), call) : Result<Writer>(unreadable());
    reply = result ? result->take() : error_reply(result.error());
  }
  announce(call.news);
  return reply;
}

void WireServer::attach(std::weak_ptr<NewsListener> listener) {
  const std::lock_guard lock(mutex_);
  listeners_.push_back(std::move(listener));
}

std::vector<std::shared_ptr<NewsListener>> WireServer::listeners() {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<NewsListener>> result;
  std::erase_if(listeners_, [&](const auto& weak) {
    auto strong = weak.lock();
    const bool gone = strong == nullptr;
    if (!gone) result.push_back(std::move(strong));
    return gone;
  });
  return result;
}

void WireServer::announce(const std::set<std::uint64_t>& news) {
  if (news.empty()) return;
  for (const auto& listener : listeners()) {
    for (const std::uint64_t number : news) listener->on_news(number);
  }
}

void WireServer::set_up(bool up) {
  up_.store(up);
  if (!up) return;
  for (const auto& listener : listeners()) listener->on_up();
}

void WireServer::inject(const std::string& topic_name, const std::string& channel, Bytes raw) {
  std::set<std::uint64_t> news;
  {
    const std::lock_guard lock(mutex_);
    Channel& target = topics_.at(topic_name).channels.at(channel);
    target.store.add(std::make_shared<const Bytes>(std::move(raw)), clock_->now(), Duration{0});
    news.insert(target.number);
  }
  announce(news);
}

Result<WireServer::TopicState*> WireServer::topic(const std::string& name) {
  const auto found = topics_.find(name);
  if (found == topics_.end()) return fail(ErrorCode::backend, "the server has no topic " + name);
  return &found->second;
}

Result<Writer> WireServer::dispatch(Op op, Call& call) {
  switch (op) {
    case Op::connect: {
      Writer out = done_reply();
      out.u64(next_session_++);
      return out;
    }
    case Op::disconnect:
      return disconnect(call);
    case Op::ping:
      return done_reply();
    case Op::topics:
      return names_reply(topics_);
    case Op::open_topic:
      topics_.try_emplace(call.in.text(), TopicState{.channels = {}, .backlog = empty_store()});
      return done_reply();
    case Op::publish:
      return publish(call);
    case Op::channels: {
      const auto found = topic(call.in.text());
      if (!found) return std::unexpected(found.error());
      return names_reply((*found)->channels);
    }
    case Op::open_channel:
      return open_channel(call);
    case Op::delete_channel:
      return delete_channel(call);
    default:
      return dispatch_channel(op, call);
  }
}

Result<Writer> WireServer::disconnect(Call& call) {
  for (auto& [topic_name, state] : topics_) {
    for (auto& [name, channel] : state.channels) {
      if (channel.store.release(call.session)) call.news.insert(channel.number);
    }
  }
  return done_reply();
}

Result<Writer> WireServer::publish(Call& call) {
  const std::string name = call.in.text();
  const std::int64_t limit = call.in.i64();
  const bool drop_oldest = call.in.flag();
  std::vector<std::pair<Duration, Frame>> messages(call.in.count());
  for (auto& [delay, frame] : messages) {
    delay = Duration(call.in.i64());
    const auto bytes = call.in.block();
    frame = std::make_shared<const Bytes>(bytes.begin(), bytes.end());
  }
  if (!call.in.complete()) return unreadable();
  const auto found = topic(name);
  if (!found) return std::unexpected(found.error());

  TopicState& state = **found;
  std::vector<std::pair<std::string, ChannelStore*>> targets;
  if (state.channels.empty()) targets.emplace_back("the backlog", &state.backlog);
  for (auto& [channel, content] : state.channels) {
    targets.emplace_back("channel " + channel, &content.store);
    call.news.insert(content.number);
  }
  for (const auto& [what, store] : targets) {
    if (store->fits(messages.size(), limit, drop_oldest, call.now)) continue;
    call.news.clear();
    return fail(ErrorCode::queue_full,
                what + " of topic " + name + " is full (max_msg_size " + std::to_string(limit) + ")", true);
  }
  for (const auto& [what, store] : targets) {
    store->make_room(messages.size(), limit);
    for (const auto& [delay, frame] : messages) store->add(frame, call.now, delay);
  }
  return done_reply();
}

Result<Writer> WireServer::open_channel(Call& call) {
  const std::string topic_name = call.in.text();
  const std::string name = call.in.text();
  const bool create = call.in.flag();
  if (!call.in.complete()) return unreadable();
  const auto found = topic(topic_name);
  if (!found) return std::unexpected(found.error());
  TopicState& state = **found;
  auto channel = state.channels.find(name);
  if (channel == state.channels.end()) {
    if (!create) return fail(ErrorCode::channel_not_found, "topic " + topic_name + " has no channel " + name);
    const bool first = state.channels.empty();
    channel = state.channels.try_emplace(name, Channel{.number = next_channel_++, .store = empty_store()}).first;
    if (first) channel->second.store = std::exchange(state.backlog, empty_store());
  }
  Writer out = done_reply();
  out.u64(channel->second.number).i64(channel->second.store.stats(call.now).dropped);
  return out;
}

Result<Writer> WireServer::delete_channel(Call& call) {
  const std::string topic_name = call.in.text();
  const std::string name = call.in.text();
  const auto found = topic(topic_name);
  if (!found) return std::unexpected(found.error());
  auto& channels = (*found)->channels;
  const auto channel = channels.find(name);
  if (channel == channels.end()) {
    return fail(ErrorCode::channel_not_found, "topic " + topic_name + " has no channel " + name);
  }
  call.news.insert(channel->second.number);
  channels.erase(channel);
  return done_reply();
}

Result<Writer> WireServer::dispatch_channel(Op op, Call& call) {
  Reader& in = call.in;
  const std::string topic_name = in.text();
  const std::string name = in.text();
  const std::uint64_t number = in.u64();
  const auto state = topics_.find(topic_name);
  if (!in.ok() || state == topics_.end()) return unreadable();
  const auto found = state->second.channels.find(name);
  if (found == state->second.channels.end() || found->second.number != number) {
    return fail(ErrorCode::channel_not_found, "channel " + name + " of topic " + topic_name + " was deleted");
  }
  ChannelStore& store = found->second.store;
  switch (op) {
    case Op::receive:
      return receive(store, in, call.session, call.now);
    case Op::ack:
      return ack_or_touch(store, in, call.session, call.now, true);
    case Op::touch:
      call.news.insert(number);  // a lease may now end before the time that a waiting receive knows
      return ack_or_touch(store, in, call.session, call.now, false);
    case Op::settle:
      call.news.insert(number);
      return settle(store, in, call.session, call.now);
    case Op::stats:
      return stats_reply(store.stats(call.now));
    case Op::drop_all:
      return count_reply(store.drop_all());
    case Op::dead_letters:
      return dead_letters(store, in);
    case Op::requeue_dead:
      call.news.insert(number);
      return requeue(store, in, call.now);
    case Op::purge_dead:
      return count_reply(store.purge());
    case Op::close_channel:
      if (store.release(call.session)) call.news.insert(number);
      return done_reply();
    default:
      return unreadable();
  }
}

}  // namespace lrpc::queue::wire
