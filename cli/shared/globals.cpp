// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/globals.hpp"

#include <fmt/format.h>

#include <utility>

#include "shared/console.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kGroup = "Global options";

std::string_view name_of(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "log";
}

/// The back end that the options name: by itself, or by an address that only one has a use for.
Result<StorageType> chosen_storage(const GlobalOptions& options, StorageType configured) {
  if (options.redis && !options.brokers.empty()) {
    return fail(ErrorCode::invalid_argument, "--redis and --brokers name two back ends; leave one out");
  }
  StorageType chosen = configured;
  if (options.redis) chosen = StorageType::redis;
  if (!options.brokers.empty()) chosen = StorageType::kafka;
  if (!options.storage) return chosen;
  const bool by_address = options.redis || !options.brokers.empty();
  if (by_address && options.storage != to_string(chosen)) {
    return fail(ErrorCode::invalid_argument, fmt::format("{} has no effect on --storage {}",
                                                         options.redis ? "--redis" : "--brokers", *options.storage));
  }
  for (const StorageType type : {StorageType::memory, StorageType::redis, StorageType::kafka}) {
    if (options.storage == to_string(type)) chosen = type;
  }
  return chosen;
}

/// Lays the options over `config`, whose storage type is chosen.
Result<void> apply_options(const GlobalOptions& options, Config& config) {
  if (options.redis) {
    const bool is_url = options.redis->find("://") != std::string::npos;
    (is_url ? config.redis_config.url : config.redis_config.addr) = *options.redis;
    if (!is_url) config.redis_config.url.clear();  // a URL of the file would win over the address
  }
  if (!options.brokers.empty()) config.kafka_config.brokers = options.brokers;
  if (!options.prefix) return {};
  switch (config.storage_type) {
    case StorageType::redis:
      config.redis_config.key_prefix = *options.prefix;
      return {};
    case StorageType::kafka:
      config.kafka_config.topic_prefix = *options.prefix;
      return {};
    case StorageType::memory:
      break;
  }
  return fail(ErrorCode::invalid_argument,
              "--prefix has no effect on storage \"memory\"; add --redis, --brokers or --storage");
}

}  // namespace

void add_global_options(CLI::App& app, GlobalOptions& options) {
  app.add_option("--config", options.config_file, "Configuration file (.json, .yaml, .yml, .toml)")
      ->type_name("FILE")
      ->group(kGroup);
  app.add_option("--storage", options.storage, "Back end: memory (default), redis or kafka")
      ->check(CLI::IsMember({"memory", "redis", "kafka"}))
      ->type_name("NAME")
      ->group(kGroup);
  app.add_option("--redis", options.redis, "Use Redis at HOST:PORT, a socket path or a redis:// URL")
      ->type_name("ADDRESS")
      ->group(kGroup);
  app.add_option("--brokers", options.brokers, "Use Kafka by these brokers: HOST:PORT,...")
      ->delimiter(',')
      ->type_name("LIST")
      ->allow_extra_args(false)
      ->group(kGroup);
  app.add_option("--prefix", options.prefix, "Prefix of keys (redis) or topics (kafka)")
      ->type_name("TEXT")
      ->group(kGroup);
  app.add_flag("--json", options.json, "Machine-readable output")->group(kGroup);
  app.add_flag("-v,--verbose", options.verbose, "Tell more on standard error")->group(kGroup);
}

std::string_view given_queue_option(const GlobalOptions& options) noexcept {
  if (options.config_file) return "--config";
  if (options.storage) return "--storage";
  if (options.redis) return "--redis";
  if (!options.brokers.empty()) return "--brokers";
  if (options.prefix) return "--prefix";
  return {};
}

Result<Config> load_config(const GlobalOptions& options, Console& console) {
  Result<Config> loaded = options.config_file ? Config::load(*options.config_file) : Config{};
  if (loaded) loaded = Config::from_env(std::move(*loaded));
  if (!loaded) return loaded;
  Config& config = *loaded;
  const Result<StorageType> storage = chosen_storage(options, config.storage_type);
  if (!storage) return std::unexpected(storage.error());
  config.storage_type = *storage;
  if (Result<void> applied = apply_options(options, config); !applied) {
    return std::unexpected(std::move(applied.error()));
  }
  config.logger = [&console, least = options.verbose ? LogLevel::debug : LogLevel::warning](LogLevel level,
                                                                                            std::string_view text) {
    if (level >= least) console.line(fmt::format("lrpc-queue: {}: {}", name_of(level), text));
  };
  return loaded;
}

}  // namespace lrpc::queue::cli
