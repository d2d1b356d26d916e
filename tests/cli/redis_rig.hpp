// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "process.hpp"
#include "server.hpp"

namespace lrpc::queue::test {

/// A redis-server of the test's own, and the command line that uses it.
class RedisRig {
 public:
  using Words = std::vector<std::string>;

  [[nodiscard]] Words words(Words command) const {
    command.insert(command.begin(), {"--redis", server.address()});
    return command;
  }
  [[nodiscard]] RunResult run(const Words& command, std::string_view input = {}, const Start& start = {}) const {
    return test::run(words(command), input, start);
  }
  /// Its output, which must come without an error.
  [[nodiscard]] std::string out(const Words& command, std::string_view input = {}) const {
    const RunResult result = run(command, input);
    EXPECT_EQ(result.exit_code, 0) << testing::PrintToString(command) << result.err;
    EXPECT_EQ(result.err, "") << testing::PrintToString(command);
    return result.out;
  }
  /// The same as JSON.
  [[nodiscard]] std::vector<nlohmann::json> json(Words command, std::string_view input = {}) const {
    command.emplace_back("--json");
    std::vector<nlohmann::json> values;
    for (const std::string& line : lines_of(out(command, input))) values.push_back(nlohmann::json::parse(line));
    return values;
  }
  /// All that waits in a channel, printed and acked.
  [[nodiscard]] std::string take(const std::string& topic, const std::string& channel, int count) const {
    return out({"sub", topic, channel, "--max", std::to_string(count)});
  }

  redis::RedisServer server;
};

}  // namespace lrpc::queue::test
