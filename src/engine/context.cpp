// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "engine/context.hpp"

#include <spdlog/spdlog.h>

#include <exception>

namespace lrpc::queue::detail {

Logger default_logger() {
  return [](LogLevel level, std::string_view text) {
    switch (level) {
      case LogLevel::debug:
      case LogLevel::info:
        break;  // an application that wants these sets Config::logger
      case LogLevel::warning:
        spdlog::warn("lrpc-queue: {}", text);
        break;
      case LogLevel::error:
        spdlog::error("lrpc-queue: {}", text);
        break;
    }
  };
}

bool& in_user_code() noexcept {
  constinit thread_local bool inside = false;
  return inside;
}

double random_unit() noexcept {
  thread_local std::minstd_rand generator(std::random_device{}());
  return std::uniform_real_distribution<double>(0.0, 1.0)(generator);
}

std::string current_exception_text() noexcept {
  try {
    try {
      throw;
    } catch (const std::exception& e) {
      return e.what();
    } catch (const std::string& text) {
      return text;
    } catch (const char* text) {
      return text != nullptr ? text : "null";
    } catch (...) {
      return "an exception that is no std::exception";
    }
  } catch (...) {
    return {};  // out of memory while copying the text
  }
}

}  // namespace lrpc::queue::detail
