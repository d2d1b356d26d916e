// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What a channel knows of its group: figures, other members, and dropping everything.
#include <algorithm>
#include <utility>

#include "kafka/channel.hpp"
#include "kafka/errors.hpp"

namespace lrpc::queue::kafka {
namespace {

/// How often what moves meanwhile is looked at anew.
constexpr int kMostLooks = 10;

/// How many in a log are not settled, by what a group has committed. Nothing of what was committed beyond the log's end
/// is true of it: it was made anew.
std::int64_t unfinished_of(const Committed& committed, Watermarks log) {
  if (committed.offset > log.high) return log.high - log.low;
  const std::int64_t from = std::max(committed.offset, log.low);
  const auto note = read_note(committed.metadata, committed.offset);
  return count_outside({from, log.high}, note ? note->settled : std::vector<OffsetRange>());
}

}  // namespace

Result<std::vector<TopicPartition>> KafkaChannel::partitions(Lane lane, SteadyTime until) {
  const std::string& topic = lane == Lane::topic ? topic_ : retry_topic_;
  auto count = parts_.cluster->admin->partition_count(topic, until);
  if (!count) return std::unexpected(std::move(count.error()));
  std::vector<TopicPartition> list;
  list.reserve(static_cast<std::size_t>(*count));
  for (std::int32_t i = 0; i < *count; ++i) list.push_back({.topic = topic, .partition = i});
  return list;
}

// The ends are asked last: what is settled meanwhile is not counted as missing.
Result<std::vector<KafkaChannel::View>> KafkaChannel::look(SteadyTime until) {
  std::vector<View> views;
  bool exists = false;
  for (const Lane lane : {Lane::topic, Lane::retry}) {
    auto list = partitions(lane, until);
    if (!list) return std::unexpected(explain(std::move(list.error())));
    auto committed = parts_.cluster->admin->committed(group_, *list, until);
    if (!committed) return std::unexpected(std::move(committed.error()));
    auto bounds = parts_.cluster->admin->watermarks(*list, until);
    if (!bounds) return std::unexpected(explain(std::move(bounds.error())));
    const std::lock_guard lock(state_.mutex);
    for (std::size_t i = 0; i < list->size(); ++i) {
      exists = exists || (lane == Lane::topic && (*committed)[i].offset >= 0);
      const PartitionKey key{.lane = lane, .number = (*list)[i].partition};
      const auto [low, high] = (*bounds)[i];
      views.push_back({.key = key,
                       .partition = (*list)[i],
                       .end = high,
                       .unfinished = state_.shelf.owns(key) ? state_.shelf.unfinished(key, {low, high})
                                                            : unfinished_of((*committed)[i], (*bounds)[i])});
    }
  }
  // Who is not in the group has nothing else that tells him that somebody deleted the channel (D20).
  const std::lock_guard lock(state_.mutex);
  if (!exists && !member_) state_.gone = true;
  if (!state_.gone) return views;
  state_.changed.notify_all();
  return deleted();
}

Error KafkaChannel::explain(Error error) {
  if (!is_missing_topic(error)) return error;
  auto committed = parts_.cluster->admin->committed(group_, parts_.cluster->deadline());
  if (!committed || std::ranges::any_of(*committed, [this](const auto& one) {
        return one.second.offset >= 0 && one.first.topic == topic_;
      })) {
    return error;
  }
  die();
  return deleted().error();
}

std::uint64_t KafkaChannel::await_moves(std::unique_lock<std::mutex>& lock, SteadyTime until) {
  state_.changed.wait_until(lock, until, [this] { return !state_.shelf.moving() || state_.gone || gate_.is_shut(); });
  return state_.shelf.moves();
}

Result<KafkaChannel::Unfinished> KafkaChannel::unfinished(SteadyTime until) {
  for (int tries = 1;; ++tries) {
    std::unique_lock lock(state_.mutex);
    const std::uint64_t moves = await_moves(lock, until);
    lock.unlock();
    auto views = look(until);
    if (!views) return std::unexpected(std::move(views.error()));
    lock.lock();
    if (state_.shelf.moves() != moves && tries < kMostLooks) continue;
    Unfinished total;
    for (const View& view : *views) (view.key.lane == Lane::topic ? total.topic : total.retry) += view.unfinished;
    return total;
  }
}

Result<BackendStats> KafkaChannel::stats() {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  const EndWith ending(ends());
  const SteadyTime until = parts_.cluster->deadline();
  auto total = unfinished(until);
  if (gate_.is_shut()) return closed();
  if (!total) return std::unexpected(std::move(total.error()));
  auto dead = told(dead_letters_.count());
  if (!dead) return std::unexpected(std::move(dead.error()));
  std::unique_lock lock(state_.mutex);
  if (state_.gone) return deleted();
  if (member_) catch_up(lock, {});
  mature(lock);
  const Shelf::Counts here = state_.shelf.counts();
  BackendStats stats;
  stats.in_flight = here.out_of_topic + here.out_of_retry;
  stats.delayed = std::max<std::int64_t>(total->retry - here.ready_of_retry - here.out_of_retry, 0) + here.early;
  stats.ready = std::max<std::int64_t>(total->topic + total->retry - stats.in_flight - stats.delayed, 0);
  stats.dead = *dead;
  stats.dropped = dropped_ + state_.lost;
  return stats;
}

Result<std::vector<std::string>> KafkaChannel::other_members() {
  auto members = parts_.cluster->admin->group_members(group_, parts_.cluster->deadline());
  if (!members) return std::unexpected(std::move(members.error()));
  std::string mine;
  {
    const std::lock_guard lock(state_.mutex);
    if (member_) mine = member_->id();
  }
  std::vector<std::string> others;
  for (const GroupMember& member : *members) {
    // The group may be another topic's channel's, too (see KafkaTopic::forget_channel). One that has nothing may be
    // ours.
    const bool elsewhere = !member.partitions.empty() && std::ranges::none_of(member.partitions, [this](const auto& p) {
      return p.topic == topic_ || p.topic == retry_topic_;
    });
    if (member.id != mine && !elsewhere) others.push_back(member.id + " at " + member.host);
  }
  return others;
}

Result<void> KafkaChannel::refuse_with_others(std::string_view what) {
  auto others = other_members();
  if (!others) return std::unexpected(std::move(others.error()));
  if (others->empty()) return {};
  std::string list;
  for (const std::string& other : *others) list += (list.empty() ? "" : ", ") + other;
  return fail(ErrorCode::unsupported, text() + ": " + std::string(what) +
                                          " is possible on Kafka when nobody else consumes the channel; there is " +
                                          list);
}

Result<std::int64_t> KafkaChannel::drop_all() {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  const EndWith ending(ends());
  auto ok = refuse_with_others("drop_all");
  Result<std::int64_t> dropped =
      ok ? drop_everything(parts_.cluster->deadline()) : std::unexpected(std::move(ok.error()));
  if (!dropped && gate_.is_shut()) return closed();
  return dropped;
}

// What is written to the retry topic meanwhile would escape: then all is looked at again.
Result<std::int64_t> KafkaChannel::drop_everything(SteadyTime until) {
  for (int tries = 1;; ++tries) {
    std::unique_lock lock(state_.mutex);
    const std::shared_ptr<Member> member = member_;
    const std::uint64_t moves = await_moves(lock, until);
    lock.unlock();
    auto views = look(until);
    if (!views) return std::unexpected(std::move(views.error()));
    if (!member) return drop_as_nobody(*views, until);
    lock.lock();
    const auto over = [this] { return gate_.is_shut() || state_.gone; };
    state_.changed.wait_until(lock, until, [&] { return state_.assigned || over(); });
    if (gate_.is_shut()) return closed();
    if (state_.gone) return deleted();
    if (state_.shelf.moves() != moves && tries < kMostLooks) continue;
    if (!std::ranges::all_of(*views, [this](const View& view) { return state_.shelf.owns(view.key); })) {
      return fail(ErrorCode::unavailable, text() + ": not all of its partitions are assigned yet", true);
    }
    std::int64_t dropped = state_.shelf.drop_all();
    for (const View& view : *views) dropped += state_.shelf.skip_to(view.key, view.end);
    if (auto ok = member->commit_now(lock, until, over); !ok) return std::unexpected(std::move(ok.error()));
    return dropped;
  }
}

// By who is not in the group; the broker refuses it when somebody has joined meanwhile.
Result<std::int64_t> KafkaChannel::drop_as_nobody(const std::vector<View>& views, SteadyTime until) {
  std::int64_t dropped = 0;
  std::vector<OffsetCommit> commits;
  for (const View& view : views) {
    dropped += view.unfinished;
    commits.push_back({.partition = view.partition, .offset = view.end});
  }
  if (auto ok = parts_.cluster->admin->commit(group_, commits, until); !ok) {
    return std::unexpected(std::move(ok.error()));
  }
  return dropped;
}

}  // namespace lrpc::queue::kafka
