// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "redis/route.hpp"

namespace lrpc::queue::redis {

/// A Lua script that the server runs as one step. It is called by its hash; a server that does not know it (new,
/// restarted, failed over, SCRIPT FLUSH) gets the text with the same call and keeps it.
class Script {
 public:
  Script(std::string_view name, std::string_view text);

  /// Runs it; `more` are further arguments. Error replies are errors; `unavailable` and friends as of Route::call.
  Result<Reply> run(Route& route, std::span<const std::string> keys, const Arguments& arguments, SteadyTime deadline,
                    Repeat repeat, const Arguments& more = {}) const;
  /// The command that runs it by its hash, for a pipeline: a server that does not know it answers NOSCRIPT.
  [[nodiscard]] Pipeline command(std::span<const std::string> keys, const Arguments& arguments,
                                 const Arguments& more = {}) const {
    return command("EVALSHA", hash_, keys, arguments, more);
  }

  [[nodiscard]] const std::string& hash() const noexcept { return hash_; }

 private:
  [[nodiscard]] static Pipeline command(std::string_view how, std::string_view what, std::span<const std::string> keys,
                                        const Arguments& arguments, const Arguments& more);

  std::string name_;
  std::string text_;
  std::string hash_;  // SHA-1 in hexadecimal, as EVALSHA wants it
};

}  // namespace lrpc::queue::redis
