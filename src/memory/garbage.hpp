// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>

namespace lrpc::queue::memory {

/// Messages to release once no lock is held: a destructor of a user's body may do anything. Declared before the lock,
/// it releases them after it.
class Garbage {
 public:
  Garbage() = default;
  Garbage(const Garbage&) = delete;
  Garbage& operator=(const Garbage&) = delete;
  ~Garbage() {
    for (const auto& [message, references] : messages_) Envelope::drop_refs(message, references);
  }

  /// Takes over so many references.
  void add(Envelope* message, std::uint32_t references) { messages_.emplace_back(message, references); }
  void add(DeadRecord&& record) { dead_.push_back(std::move(record)); }

 private:
  std::vector<std::pair<Envelope*, std::uint32_t>> messages_;
  std::vector<DeadRecord> dead_;
};

}  // namespace lrpc::queue::memory
