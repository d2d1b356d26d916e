// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What a channel knows of its group: figures, other members, and dropping everything.
#include <algorithm>
#include <map>
#include <utility>

#include "kafka/channel.hpp"

namespace lrpc::queue::kafka {
namespace {

std::int64_t settled_beyond(const Committed& committed) {
  const auto note = read_note(committed.metadata, committed.offset);
  std::int64_t count = 0;
  if (!note) return count;
  for (const OffsetRange& range : note->settled) count += range.end - range.first;
  return count;
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

// By what we know of our partitions, and by what the group has committed of the others.
Result<KafkaChannel::Unfinished> KafkaChannel::unfinished(SteadyTime until) {
  constexpr int kMostTries = 10;
  for (int tries = 1;; ++tries) {
    std::uint64_t moves = 0;
    {
      std::unique_lock lock(state_.mutex);
      state_.changed.wait_until(lock, until, [this] { return !state_.shelf.moving(); });
      moves = state_.shelf.moves();
    }
    auto total = count_unfinished(until);
    if (!total || tries == kMostTries) return total;
    const std::lock_guard lock(state_.mutex);
    if (state_.shelf.moves() == moves) return total;
  }
}

Result<KafkaChannel::Unfinished> KafkaChannel::count_unfinished(SteadyTime until) {
  Unfinished total;
  for (const Lane lane : {Lane::topic, Lane::retry}) {
    auto list = partitions(lane, until);
    if (!list) return std::unexpected(std::move(list.error()));
    auto committed = parts_.cluster->admin->committed(group_, *list, until);
    if (!committed) return std::unexpected(std::move(committed.error()));
    std::map<PartitionKey, Shelf::Position> ours;
    {
      const std::lock_guard lock(state_.mutex);
      for (const Shelf::Position& position : state_.shelf.positions()) ours.emplace(position.key, position);
    }
    // Asked last: what is settled meanwhile is not counted as missing.
    auto bounds = parts_.cluster->admin->watermarks(*list, until);
    if (!bounds) return std::unexpected(std::move(bounds.error()));
    std::int64_t& sum = lane == Lane::topic ? total.topic : total.retry;
    for (std::size_t i = 0; i < list->size(); ++i) {
      const auto [low, high] = (*bounds)[i];
      std::int64_t from = std::max((*committed)[i].offset, low);
      std::int64_t beyond = settled_beyond((*committed)[i]);
      if (const auto own = ours.find({.lane = lane, .number = (*list)[i].partition}); own != ours.end()) {
        from = std::max(own->second.watermark, low);
        beyond = own->second.settled_ahead;
      }
      sum += std::max<std::int64_t>(high - from - beyond, 0);
    }
  }
  return total;
}

Result<BackendStats> KafkaChannel::stats() {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  const SteadyTime until = parts_.cluster->deadline();
  auto dead = dead_letters_.count();
  if (!dead) return std::unexpected(std::move(dead.error()));
  auto total = unfinished(until);
  if (!total) return std::unexpected(std::move(total.error()));
  std::unique_lock lock(state_.mutex);
  if (state_.gone) return deleted();
  if (joined_) catch_up(lock, {});
  mature(lock);
  const Shelf::Counts here = state_.shelf.counts();
  BackendStats stats;
  stats.in_flight = here.out_of_topic + here.out_of_retry;
  stats.delayed = std::max<std::int64_t>(total->retry - here.ready_of_retry - here.out_of_retry, 0) + here.early;
  stats.ready = std::max<std::int64_t>(total->topic + total->retry - stats.in_flight - stats.delayed, 0);
  stats.dead = *dead;
  stats.dropped = dropped_;
  return stats;
}

Result<std::vector<std::string>> KafkaChannel::other_members() {
  auto members = parts_.cluster->admin->group_members(group_, parts_.cluster->deadline());
  if (!members) return std::unexpected(std::move(members.error()));
  std::string mine;
  {
    const std::lock_guard lock(join_mutex_);
    if (member_) mine = member_->id();
  }
  std::vector<std::string> others;
  for (const GroupMember& member : *members) {
    if (member.id != mine) others.push_back(member.id + " at " + member.host);
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
  if (auto ok = refuse_with_others("drop_all"); !ok) return std::unexpected(std::move(ok.error()));
  return skip_all(parts_.cluster->deadline());
}

Result<std::int64_t> KafkaChannel::skip_all(SteadyTime until) {
  std::int64_t dropped = 0;
  std::vector<OffsetCommit> commits;
  for (const Lane lane : {Lane::topic, Lane::retry}) {
    auto list = partitions(lane, until);
    if (!list) return std::unexpected(std::move(list.error()));
    auto committed = parts_.cluster->admin->committed(group_, *list, until);
    if (!committed) return std::unexpected(std::move(committed.error()));
    auto bounds = parts_.cluster->admin->watermarks(*list, until);
    if (!bounds) return std::unexpected(std::move(bounds.error()));
    const std::lock_guard lock(state_.mutex);
    for (std::size_t i = 0; i < list->size(); ++i) {
      const PartitionKey key{.lane = lane, .number = (*list)[i].partition};
      const auto [low, high] = (*bounds)[i];
      if (joined_) {
        if (!state_.shelf.owns(key)) {
          return fail(ErrorCode::unavailable, text() + ": its partitions are not assigned yet", true);
        }
        dropped += state_.shelf.skip_to(key, high);
      } else {
        const Committed& known = (*committed)[i];
        dropped += std::max<std::int64_t>(high - std::max(known.offset, low) - settled_beyond(known), 0);
        commits.push_back({.partition = (*list)[i], .offset = high});
      }
    }
  }
  if (joined_) {
    std::unique_lock lock(state_.mutex);
    dropped += state_.shelf.drop_all();
    if (auto ok = member_->commit_now(lock, until); !ok) return std::unexpected(std::move(ok.error()));
  } else if (auto ok = parts_.cluster->admin->commit(group_, commits, until); !ok) {
    return std::unexpected(std::move(ok.error()));
  }
  return dropped;
}

}  // namespace lrpc::queue::kafka
