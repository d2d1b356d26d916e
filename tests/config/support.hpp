// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <lrpc/queue/config.hpp>

namespace lrpc::queue::config_test {

/// A folder for the files of one test, removed at its end.
class Folder {
 public:
  Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder();

  [[nodiscard]] std::string path(std::string_view name) const;
  /// Writes a file and returns its path.
  [[nodiscard]] std::string write(std::string_view name, std::string_view text) const;

 private:
  std::filesystem::path path_;
};

/// Loads a file of that name and text.
[[nodiscard]] Result<Config> load_text(std::string_view name, std::string_view text);
/// The error text of loading it; fails the test unless it is an `invalid_config` that names the file.
std::string load_error(std::string_view name, std::string_view text);

/// The given LRPC_QUEUE_* variables and no others while it lives; afterwards none.
class Environment {
 public:
  Environment(std::initializer_list<std::pair<std::string, std::string>> variables);
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment();
};

/// Every setting of a configuration, durations in milliseconds; unset ones are missing.
[[nodiscard]] nlohmann::json dump(const Config& config);
/// The dotted path of every setting.
[[nodiscard]] std::vector<std::string> all_paths();

}  // namespace lrpc::queue::config_test
