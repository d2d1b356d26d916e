// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "redis/client.hpp"
#include "server.hpp"

namespace lrpc::queue::redis {

/// Real time that something expected may take at most.
inline constexpr auto kPatience = std::chrono::seconds(10);

[[nodiscard]] inline SteadyTime in(Duration time) { return std::chrono::steady_clock::now() + time; }

/// The value of a call that has to succeed; ends the test otherwise.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(std::string(to_string(result.error().code)) + ": " + result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

[[nodiscard]] inline Pipeline command(std::initializer_list<std::string_view> words) {
  Pipeline pipeline;
  pipeline.add(words);
  return pipeline;
}

/// One command through a client.
inline Result<Reply> ask(Client& client, std::initializer_list<std::string_view> words, Repeat repeat = Repeat::no,
                         Duration time = kPatience) {
  return client.command(*words.begin(), command(words), in(time), repeat);
}

/// The error of a call that has to fail.
template <class T>
Error error_of_call(Result<T> result) {
  EXPECT_FALSE(result.has_value());
  return result ? Error{} : std::move(result.error());
}

inline bool eventually(const std::function<bool()>& condition) {
  for (const SteadyTime end = in(kPatience); std::chrono::steady_clock::now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return condition();
}

}  // namespace lrpc::queue::redis
