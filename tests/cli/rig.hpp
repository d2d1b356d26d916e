// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "process.hpp"

namespace lrpc::queue::test {

/// What a rig's commands talk to. Ends with it.
struct RigServer {
  RigServer() = default;
  RigServer(const RigServer&) = delete;
  RigServer& operator=(const RigServer&) = delete;
  virtual ~RigServer() = default;

  std::vector<std::string> options{};  ///< The global options that name it, for this rig alone.
  bool parts_delayed = true;           ///< `stats` tells delayed from ready also of what nobody has read.
  /// Within this a new consumer gets what waits for it.
  std::chrono::milliseconds settling{300};
};
/// The two below are of redis_rig.cpp or kafka_rig.cpp, whichever is in the program: tests that include this header
/// alone hold on both.
[[nodiscard]] std::unique_ptr<RigServer> start_server();
/// The options of a server that is not there.
[[nodiscard]] std::vector<std::string> nobody();

/// A server, and the command line that uses it.
class Rig {
 public:
  using Words = std::vector<std::string>;

  explicit Rig(std::unique_ptr<RigServer> with = start_server()) : server_(std::move(with)) {}

  [[nodiscard]] Words words(Words command) const {
    command.insert(command.begin(), server_->options.begin(), server_->options.end());
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
  [[nodiscard]] bool parts_delayed() const { return server_->parts_delayed; }
  [[nodiscard]] std::chrono::milliseconds settling() const { return server_->settling; }

 private:
  std::unique_ptr<RigServer> server_;
};

/// A rig with messages in channel c of topic t.
struct Filled : Rig {
  explicit Filled(std::string_view lines) {
    EXPECT_EQ(out({"channels", "t", "--add", "c"}), "c\n");
    static_cast<void>(out({"pub", "t", "--batch", "100"}, lines));
  }
  [[nodiscard]] nlohmann::json stats() const { return json({"stats", "t", "c"}).at(0); }
};

}  // namespace lrpc::queue::test
