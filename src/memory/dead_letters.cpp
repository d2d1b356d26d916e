// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "memory/dead_letters.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

namespace lrpc::queue::memory {

std::int64_t DeadLetters::add(DeadRecord record, std::int64_t limit, Garbage& garbage) {
  items_.push_back({.number = ++last_number_, .record = std::move(record)});
  std::int64_t gone = 0;
  for (; size() > limit; ++gone) {
    garbage.add(std::move(items_.front().record));
    items_.pop_front();
  }
  return gone;
}

Result<DeadPage> DeadLetters::page(std::size_t limit, std::string_view cursor) const {
  std::uint64_t after = 0;
  if (!cursor.empty()) {
    const auto [end, error] = std::from_chars(cursor.data(), cursor.data() + cursor.size(), after);
    if (error != std::errc{} || end != cursor.data() + cursor.size()) {
      return fail(ErrorCode::invalid_argument, "dead_letters: the cursor is not one that dead_letters returned");
    }
  }
  DeadPage page;
  auto it = std::ranges::upper_bound(items_, after, {}, &Item::number);
  for (; it != items_.end() && page.items.size() < limit; ++it) page.items.push_back(it->record);
  if (it != items_.end()) page.cursor = std::to_string(std::prev(it)->number);
  return page;
}

std::vector<DeadRecord> DeadLetters::take(std::span<const std::string> ids, bool all) {
  std::vector<DeadRecord> taken;
  const std::set<std::string_view> wanted(ids.begin(), ids.end());
  std::deque<Item> kept;
  for (Item& item : items_) {
    if (all || wanted.contains(item.record.message->id())) {
      taken.push_back(std::move(item.record));
    } else {
      kept.push_back(std::move(item));
    }
  }
  items_ = std::move(kept);
  return taken;
}

std::int64_t DeadLetters::purge(Garbage& garbage) {
  const std::int64_t count = size();
  for (Item& item : items_) garbage.add(std::move(item.record));
  std::deque<Item>().swap(items_);
  return count;
}

}  // namespace lrpc::queue::memory
