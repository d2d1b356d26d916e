// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/channel.hpp"

#include <algorithm>
#include <random>
#include <utility>

namespace lrpc::queue::kafka {
namespace {

constexpr Duration kCommitPause{100};  // between tries to commit what is to be handed out

std::uint64_t new_owner() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

}  // namespace

KafkaChannel::KafkaChannel(Parts parts)
    : parts_(std::move(parts)),
      topic_(parts_.cluster->names.topic(parts_.topic_name)),
      group_(parts_.cluster->names.group(parts_.topic_name, parts_.name)),
      retry_topic_(parts_.cluster->names.retry_topic(parts_.topic_name, parts_.name)),
      dead_topic_(parts_.cluster->names.dead_topic(parts_.topic_name, parts_.name)),
      state_(new_owner()),
      mover_({.cluster = parts_.cluster,
              .text = text(),
              .channel = parts_.name,
              .topic = topic_,
              .retry_topic = retry_topic_},
             state_),
      dead_letters_({.cluster = parts_.cluster,
                     .text = text(),
                     .channel = parts_.name,
                     .topic = topic_,
                     .dead_topic = dead_topic_,
                     .retry_topic = retry_topic_,
                     .on_requeued = [this](auto drafts, auto produced) { requeued(drafts, produced); },
                     .over = ends()}),
      on_jump_(parts_.cluster->clock->on_jump([this] {
        const std::lock_guard lock(state_.mutex);
        state_.changed.notify_all();
      })),
      policy_(parts_.policy) {}

KafkaChannel::~KafkaChannel() { static_cast<void>(close()); }

std::string KafkaChannel::text() const { return "channel " + parts_.name + " of topic " + parts_.topic_name; }

std::unexpected<Error> KafkaChannel::closed() const { return fail(ErrorCode::channel_closed, text() + " was closed"); }

std::unexpected<Error> KafkaChannel::deleted() const {
  return fail(ErrorCode::channel_not_found, text() + " was deleted");
}

// With `lock` on the state's mutex, which it lets go of where it is not in the group yet.
Result<void> KafkaChannel::join(std::unique_lock<std::mutex>& lock) {
  if (member_ || retired_) return {};
  lock.unlock();
  const std::lock_guard joining(join_mutex_);
  lock.lock();
  if (member_ || retired_ || state_.gone) return {};
  Member::Parts parts{
      .cluster = parts_.cluster,
      .channel_text = text(),
      .group = group_,
      .topic = topic_,
      .retry_topic = retry_topic_,
      .most_ready = std::max<std::int64_t>(Member::kLeastReady, 4 * std::int64_t{policy_.max_in_flight}),
      .on_moves = [this] { mover_.wake(); }};
  lock.unlock();
  auto member = std::make_shared<Member>(std::move(parts), state_);
  auto started = member->start();
  lock.lock();
  if (started) member_ = std::move(member);
  return started;
}

// `until` at the latest, if not before write_timeout is over.
Result<void> KafkaChannel::leave(SteadyTime until) {
  const std::lock_guard leaving(join_mutex_);
  std::shared_ptr<Member> member;
  {
    const std::lock_guard lock(state_.mutex);
    member = member_;
  }
  if (!member) return {};
  auto left = member->stop(std::min(until, parts_.cluster->write_deadline()));
  const std::lock_guard lock(state_.mutex);  // let go of before `member`, which may take its time to end
  member_.reset();
  return left;
}

void KafkaChannel::set_receiving(bool on) noexcept {
  {
    const std::lock_guard lock(state_.mutex);
    receiving_ = on;
  }
  state_.changed.notify_all();
}

void KafkaChannel::mature(std::unique_lock<std::mutex>& lock) {
  const Instant now = parts_.cluster->clock->now();
  state_.shelf.expire(now.tick_ms);
  std::vector<Place> places = state_.shelf.mature(now.wall_ms);
  if (places.empty()) return;
  lock.unlock();
  mover_.read_again(std::move(places));
  lock.lock();
}

SteadyTime KafkaChannel::next_event() {
  const auto& clock = *parts_.cluster->clock;
  std::int64_t tick = state_.shelf.next_expiry();
  if (const std::int64_t due_ms = state_.shelf.next_due_ms(); due_ms != RetryIndex::kNever) {
    const Instant now = clock.now();
    tick = std::min(tick, now.tick_ms + std::max<std::int64_t>(due_ms - now.wall_ms, 0));
  }
  return clock.real(tick);
}

void KafkaChannel::requeued(std::span<const Draft> drafts, std::span<const Produced> produced) {
  {
    const std::lock_guard lock(state_.mutex);
    for (std::size_t i = 0; i < drafts.size(); ++i) foresee(state_.shelf, *parts_.cluster, drafts[i], produced[i]);
  }
  state_.changed.notify_all();
}

// Who asks what is ready now means all that was published before: waits for the assignment, and until what the broker
// has is read.
void KafkaChannel::catch_up(std::unique_lock<std::mutex>& lock, const std::stop_token& stop) {
  const EndWith ending(ends());
  const SteadyTime until = parts_.cluster->deadline();
  const auto over = [&] {
    return gate_.is_shut() || state_.gone || !receiving_ || stop.stop_requested() || state_.shelf.ready() > 0;
  };
  if (!state_.changed.wait_until(lock, until, [&] { return state_.assigned || over(); }) || over()) return;
  const std::vector<PartitionKey> keys = state_.shelf.owned();
  std::vector<TopicPartition> list;
  list.reserve(keys.size());
  for (const PartitionKey key : keys) {
    list.push_back({.topic = key.lane == Lane::topic ? topic_ : retry_topic_, .partition = key.number});
  }
  lock.unlock();
  const auto bounds = parts_.cluster->admin->watermarks(list, until);
  lock.lock();
  if (!bounds) return;
  state_.changed.wait_until(lock, until, [&] {
    if (over() || !state_.assigned) return true;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (state_.shelf.owns(keys[i]) && state_.shelf.read_to(keys[i]) < (*bounds)[i].high) return false;
    }
    return true;
  });
}

Result<std::size_t> KafkaChannel::receive(std::span<Delivery> out, const ReceiveOptions& options) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  if (out.empty()) return 0;
  const std::stop_callback on_stop(options.stop, [this] {
    const std::lock_guard lock(state_.mutex);
    state_.changed.notify_all();
  });
  const bool waits = options.deadline > std::chrono::steady_clock::now();
  std::optional<Error> refused;  // why what is ready could not be handed out
  std::unique_lock lock(state_.mutex);
  for (bool first = true;; first = false) {
    // These let go of the lock: what follows is looked at after them.
    if (auto ok = join(lock); !ok) return std::unexpected(std::move(ok.error()));
    mature(lock);
    if (gate_.is_shut()) return closed();
    if (state_.gone) return deleted();
    if (!receiving_) return 0;
    // Who only looked whether something is there gets nothing; who waited for it learns why nothing came.
    if (waits && refused && options.deadline <= std::chrono::steady_clock::now()) return std::unexpected(*refused);
    auto count = hand_out(lock, out, options);
    if (count && *count > 0) return count;
    refused = count ? std::nullopt : std::optional(std::move(count.error()));
    for (const auto& trouble : {refused, state_.trouble}) {
      if (trouble && trouble->code == ErrorCode::permission) return std::unexpected(*trouble);
    }
    if (options.stop.stop_requested()) return 0;
    if (options.glance && state_.assigned) return 0;
    if (gate_.is_shut() || state_.gone || !receiving_) continue;  // it came while a commit was waited for
    if (first && !waits && !refused) {
      catch_up(lock, options.stop);
      continue;
    }
    const SteadyTime now = std::chrono::steady_clock::now();
    if (!first && now >= options.deadline) {
      if (waits && state_.trouble) return std::unexpected(*state_.trouble);
      return 0;
    }
    SteadyTime until = std::min(options.deadline, next_event());
    if (refused) until = std::min(until, now + kCommitPause);
    state_.changed.wait_until(lock, until);
  }
}

// 0 also when the wait for a commit was ended by what ends the receive, which sees it then.
Result<std::size_t> KafkaChannel::hand_out(std::unique_lock<std::mutex>& lock, std::span<Delivery> out,
                                           const ReceiveOptions& options) {
  const std::shared_ptr<Member> member = member_;
  if (!member) return 0;
  std::size_t most = out.size();
  if (options.limit > 0 && !options.renewed) {
    const std::int64_t room = std::max<std::int64_t>(options.limit - state_.shelf.leased(), 0);
    most = std::min(most, static_cast<std::size_t>(room));
  }
  const auto lease_end = [&](Duration more) {
    return options.renewed ? Shelf::kForever
                           : parts_.cluster->clock->now().tick_ms + (policy_.ack_timeout + more).count();
  };
  const auto lease_until = [&](std::size_t count, std::int64_t until) {
    for (const Delivery& delivery : out.first(count)) state_.shelf.touch(delivery.tag, until);
  };
  const std::size_t count = state_.shelf.hand_out(out.first(most), lease_end(Duration(0)));
  if (count == 0) return 0;
  if (state_.shelf.needs_commit(policy_.max_in_flight)) {
    const auto over = [&] { return gate_.is_shut() || state_.gone || !receiving_ || options.stop.stop_requested(); };
    SteadyTime deadline = parts_.cluster->write_deadline();
    const bool waits = options.deadline > std::chrono::steady_clock::now();
    if (waits) deadline = std::min(deadline, options.deadline);
    // A lease is the consumer's from when he has the message: it does not run out while the commit is under way.
    lease_until(count, lease_end(parts_.cluster->config.write_timeout));
    if (auto ok = member->commit_now(lock, deadline, over); !ok || over()) {
      state_.shelf.take_back(out.first(count));
      for (Delivery& delivery : out.first(count)) delivery = Delivery{};
      if (over() || (waits && options.deadline <= std::chrono::steady_clock::now())) return 0;
      return std::unexpected(std::move(ok.error()));
    }
    lease_until(count, lease_end(Duration(0)));
  }
  // While the commit was under way the partitions may have gone to somebody else.
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (!state_.shelf.is_ours(out[i].tag)) {
      state_.shelf.take_back(out.subspan(i, 1));
      out[i] = Delivery{};
    } else if (kept++ != i) {
      out[kept - 1] = std::exchange(out[i], Delivery{});
    }
  }
  state_.changed.notify_all();  // there may be room again
  if (state_.shelf.ready() <= state_.read_below) member->wake();
  return kept;
}

Result<void> KafkaChannel::ack(std::span<const DeliveryTag> tags, std::span<bool> done) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  {
    const std::lock_guard lock(state_.mutex);
    if (state_.gone) return deleted();
    for (std::size_t i = 0; i < tags.size(); ++i) done[i] = state_.shelf.settle(tags[i]);
  }
  state_.changed.notify_all();
  return {};
}

Result<void> KafkaChannel::touch(std::span<const DeliveryTag> tags, Duration lease, std::span<bool> done) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  {
    const std::lock_guard lock(state_.mutex);
    if (state_.gone) return deleted();
    const std::int64_t until = parts_.cluster->clock->now().tick_ms + lease.count();
    for (std::size_t i = 0; i < tags.size(); ++i) done[i] = state_.shelf.touch(tags[i], until);
  }
  state_.changed.notify_all();
  return {};
}

std::optional<DeliveryTag> KafkaChannel::find(std::string_view id) {
  const std::lock_guard lock(state_.mutex);
  return state_.shelf.find(id);
}

Result<void> KafkaChannel::settle(std::span<Settlement> settlements) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  bool moves = false;
  {
    const std::lock_guard lock(state_.mutex);
    if (state_.gone) return deleted();
    for (Settlement& s : settlements) {
      s.done = false;
      switch (s.action) {
        case Settlement::Action::give_back:
          s.done = state_.shelf.give_back(s.tag, s.count_attempt);
          break;
        case Settlement::Action::keep:
          if (const auto next = state_.shelf.keep(s.tag, s.count_attempt)) {
            s.tag = *next;
            s.done = true;
          }
          break;
        case Settlement::Action::drop:
          s.done = state_.shelf.settle(s.tag);
          break;
        case Settlement::Action::retry:
        case Settlement::Action::dead_letter:
          moves = true;
          break;
      }
    }
  }
  Result<void> result;
  if (moves) result = write_moves(settlements);
  state_.changed.notify_all();
  return result;
}

// Retries and dead letters: written first, settled when the brokers have them.
Result<void> KafkaChannel::write_moves(std::span<Settlement> settlements) {
  auto count = parts_.cluster->admin->partition_count(retry_topic_, parts_.cluster->deadline());
  if (!count) return std::unexpected(std::move(count.error()));
  std::vector<Settlement*> moving;
  std::vector<Draft> drafts;
  std::int64_t letters = 0;
  std::int64_t limit = 0;
  const Instant now = parts_.cluster->clock->now();
  {
    const std::lock_guard lock(state_.mutex);
    limit = policy_.dead_letter_limit;
    for (Settlement& s : settlements) {
      const bool dead = s.action == Settlement::Action::dead_letter;
      if (!dead && s.action != Settlement::Action::retry) continue;
      const auto move = state_.shelf.begin_move(s.tag);
      if (!move) continue;
      moving.push_back(&s);
      const std::int64_t attempts = move->attempts - (s.count_attempt ? 0 : 1);
      if (dead) {
        ++letters;
        drafts.push_back(dead_letters_.draft({.message = move->message,
                                              .from = move->from,
                                              .reason = s.reason,
                                              .error = s.error,
                                              .attempts = attempts}));
      } else {
        const Stamp stamp{.attempts = attempts,
                          .channel = parts_.name,
                          .due_ms = now.wall_ms + std::max(s.delay, Duration(0)).count()};
        drafts.push_back({.topic = retry_topic_,
                          .partition = move->from.key.number % *count,
                          .key = key_of(*move->message),
                          .message = move->message,
                          .headers = headers_of(*move->message, stamp),
                          .retry = stamp});
      }
    }
  }
  const std::vector<Produced> produced = parts_.cluster->write(drafts, parts_.cluster->write_deadline());
  Result<void> result;
  {
    const std::lock_guard lock(state_.mutex);
    for (std::size_t i = 0; i < moving.size(); ++i) {
      moving[i]->done = !produced[i].error;
      state_.shelf.end_move(moving[i]->tag, moving[i]->done);
      // Nobody tries that again: it comes again as after a lost lease.
      if (produced[i].error && !produced[i].error->retryable) {
        state_.shelf.give_lease(moving[i]->tag, now.tick_ms + policy_.ack_timeout.count());
      }
      foresee(state_.shelf, *parts_.cluster, drafts[i], produced[i]);
      if (produced[i].error && result) result = std::unexpected(*produced[i].error);
    }
  }
  if (letters > 0 && result) {
    // The letters are written: that the oldest could not be removed is no failure of theirs.
    const auto trimmed = dead_letters_.trim(letters, limit);
    if (trimmed) {
      const std::lock_guard lock(state_.mutex);
      dropped_ += *trimmed;
    } else {
      parts_.cluster->logger(LogLevel::warning,
                             text() + ": removing the oldest dead letters: " + trimmed.error().message);
    }
  }
  return result;
}

Result<DeadPage> KafkaChannel::dead_letters(std::size_t limit, std::string_view cursor) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  const EndWith ending(ends());
  return told(dead_letters_.list(limit, cursor));
}

Result<std::int64_t> KafkaChannel::requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  const EndWith ending(ends());
  return told(dead_letters_.requeue(ids, all, fresh_ttl));
}

Result<std::int64_t> KafkaChannel::purge_dead() {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  const EndWith ending(ends());
  return told(dead_letters_.purge());
}

void KafkaChannel::configure(const ChannelPolicy& policy) {
  const std::lock_guard lock(state_.mutex);
  policy_ = policy;
}

Result<void> KafkaChannel::close() {
  if (!gate_.shut()) return {};
  SteadyTime until = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(state_.mutex);
    until += std::min(policy_.close_timeout, Duration(std::chrono::hours(24)));
    state_.changed.notify_all();
  }
  gate_.drain();
  on_jump_.reset();
  mover_.stop();
  {
    const std::lock_guard lock(state_.mutex);
    state_.shelf.give_all_back();
  }
  return leave(until);
}

void KafkaChannel::retire() {
  {
    const std::lock_guard lock(state_.mutex);
    retired_ = true;
  }
  static_cast<void>(leave(parts_.cluster->write_deadline()));
}

void KafkaChannel::die() {
  {
    const std::lock_guard lock(state_.mutex);
    state_.gone = true;
    if (member_) member_->wake();  // it leaves the group
  }
  state_.changed.notify_all();
}

void KafkaChannel::revive() {
  {
    const std::lock_guard lock(state_.mutex);
    retired_ = false;
  }
  state_.changed.notify_all();
}

}  // namespace lrpc::queue::kafka
