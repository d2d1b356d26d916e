// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <lrpc/queue/error.hpp>

/// \file
/// How the examples treat errors: what must not fail throws, and main prints it and ends with code 1. Nothing of the
/// library itself throws; where an error is part of what an example shows, it looks at the Result.

/// The value of a successful call.
template <class T>
T must(lrpc::queue::Result<T> result) {
  if (!result) {
    throw std::runtime_error(std::string(lrpc::queue::to_string(result.error().code)) + ": " + result.error().message);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// What the example claims to show has really happened.
inline void must(bool happened, const char* what) {
  if (!happened) throw std::runtime_error(std::string("this did not happen: ") + what);
}
