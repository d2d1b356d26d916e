// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "support.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <type_traits>

#include "config/schema.hpp"

namespace lrpc::queue::config_test {
namespace {

using config_impl::for_each_field;
using config_impl::NamedEnum;
using config_impl::Optional;
using config_impl::Section;
using nlohmann::json;

void clear_environment() {
  std::vector<std::string> names;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with("LRPC_QUEUE_")) names.emplace_back(text.substr(0, text.find('=')));
  }
  for (const std::string& name : names) ::unsetenv(name.c_str());
}

template <class T>
void dump_value(json& section, std::string_view name, const T& value) {
  if constexpr (Optional<T>) {
    if (value) dump_value(section, name, *value);
  } else if constexpr (Section<T>) {
    json table = json::object();
    static_cast<void>(for_each_field<T>([&](const auto& each) -> Result<void> {
      dump_value(table, each.name, value.*(each.member));
      return {};
    }));
    section[name] = std::move(table);
  } else if constexpr (NamedEnum<T>) {
    section[name] = to_string(value);
  } else if constexpr (std::is_same_v<T, Duration>) {
    section[name] = value.count();
  } else {
    section[name] = value;
  }
}

}  // namespace

Folder::Folder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "lrpc-queue-config-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
  path_ = pattern;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Folder::path(std::string_view name) const { return (path_ / name).string(); }

std::string Folder::write(std::string_view name, std::string_view text) const {
  std::ofstream(path(name), std::ios::binary) << text;
  return path(name);
}

Result<Config> load_text(std::string_view name, std::string_view text) {
  const Folder folder;
  return Config::load(folder.write(name, text));
}

std::string load_error(std::string_view name, std::string_view text) {
  const Result<Config> result = load_text(name, text);
  if (result) {
    ADD_FAILURE() << "accepted: " << text;
    return {};
  }
  EXPECT_EQ(result.error().code, ErrorCode::invalid_config);
  EXPECT_FALSE(result.error().retryable);
  EXPECT_NE(result.error().message.find(name), std::string::npos) << result.error().message;
  return result.error().message;
}

Environment::Environment(std::initializer_list<std::pair<std::string, std::string>> variables) {
  clear_environment();
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
}

Environment::~Environment() { clear_environment(); }

json dump(const Config& config) {
  json result = json::object();
  dump_value(result, "config", config);
  return result["config"];
}

std::vector<std::string> all_paths() {
  std::vector<std::string> paths;
  config_impl::append_paths<Config>("", paths);
  return paths;
}

}  // namespace lrpc::queue::config_test
