// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace lrpc::queue::detail {

/// How many threads at a time have an index of their own.
inline constexpr std::size_t kThreadIndexes = 16;

/// A small number that no other living thread has, for state that only its thread writes; kThreadIndexes when all were
/// taken as the thread first asked. A number is given to another thread only after its thread has ended, which
/// happens before whatever that other thread does with it.
[[nodiscard]] std::size_t thread_index() noexcept;

}  // namespace lrpc::queue::detail
