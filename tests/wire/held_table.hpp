// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lrpc/queue/message.hpp>

namespace lrpc::queue::wire {

/// The deliveries that this client believes to hold in one channel. The server knows better: what it no longer
/// confirms is taken out. Thread-safe.
class HeldTable {
 public:
  /// Notes a delivery. Returns whether an earlier delivery of the same entry was held.
  bool put(DeliveryTag tag, const std::string& id) {
    const std::lock_guard lock(mutex_);
    const auto [it, fresh] = by_slot_.try_emplace(tag.slot, Held{.tag = tag, .id = id});
    if (!fresh && it->second.tag.generation > tag.generation) return true;  // replies overtook one another
    if (!fresh) by_id_.erase(key(it->second));
    it->second.tag = tag;
    by_id_[key(it->second)] = tag;
    return !fresh;
  }
  /// Forgets a delivery, unless the entry has been handed out here again since.
  void remove(DeliveryTag tag) {
    const std::lock_guard lock(mutex_);
    const auto it = by_slot_.find(tag.slot);
    if (it == by_slot_.end() || it->second.tag.generation != tag.generation) return;
    by_id_.erase(key(it->second));
    by_slot_.erase(it);
  }
  /// The delivery goes on as another.
  void renew(DeliveryTag old, DeliveryTag now) {
    const std::lock_guard lock(mutex_);
    const auto it = by_slot_.find(old.slot);
    if (it == by_slot_.end() || it->second.tag.generation != old.generation) return;
    by_id_.erase(key(it->second));
    it->second.tag = now;
    by_id_[key(it->second)] = now;
  }
  /// The newest delivery of that id.
  [[nodiscard]] std::optional<DeliveryTag> find(std::string_view id) const {
    const std::lock_guard lock(mutex_);
    auto it = by_id_.upper_bound({std::string(id), UINT64_MAX});
    if (it == by_id_.begin()) return std::nullopt;
    --it;
    if (it->first.first != id) return std::nullopt;
    return it->second;
  }

 private:
  struct Held {
    DeliveryTag tag{};
    std::string id{};
  };
  using Key = std::pair<std::string, std::uint64_t>;  // id, generation
  static Key key(const Held& held) { return {held.id, held.tag.generation}; }

  mutable std::mutex mutex_;
  std::map<std::uint64_t, Held> by_slot_;
  std::map<Key, DeliveryTag> by_id_;
};

}  // namespace lrpc::queue::wire
