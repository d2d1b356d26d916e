// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include <lrpc/queue/config.hpp>

#include "config/schema.hpp"
#include "config/value.hpp"

namespace lrpc::queue {
namespace config_impl {
namespace {

template <Section S>
Result<void> check_section(const Source& source, const std::string& path, const S& config);

template <class T>
Result<void> check_value(const Source& source, const std::string& path, const Rule& rule, const T& value) {
  if constexpr (Optional<T>) {
    return value ? check_value(source, path, rule, *value) : Result<void>();
  } else if constexpr (Section<T>) {
    return check_section(source, path, value);
  } else {
    if (accepts(value, rule)) return {};
    return invalid(source, path, rule.secret ? "another text" : show(value), Allowed<T>::text(rule, source.origin));
  }
}

// Rules between fields. They wait for the whole configuration: file, environment and code may each set a part.

template <class S>
Result<void> check_together(const Source& /*source*/, const std::string& /*path*/, const S& /*config*/) {
  return {};
}

Result<void> check_together(const Source& source, const std::string& path, const TlsConfig& config) {
  if (config.cert_file.empty() == config.key_file.empty()) return {};
  return invalid(source, path, config.cert_file.empty() ? "key_file without cert_file" : "cert_file without key_file",
                 "both or neither");
}

Result<void> check_together(const Source& source, const std::string& path, const SentinelConfig& config) {
  if (config.master.empty() == config.addrs.empty()) return {};
  return invalid(source, path, config.master.empty() ? "addrs without master" : "master without addrs",
                 "both or neither");
}

Result<void> check_together(const Source& source, const std::string& path, const RedisConfig& config) {
  if (config.addr.empty() && config.url.empty() && config.sentinel.master.empty()) {
    return invalid(source, join_path(path, "addr"), "an empty string",
                   "\"host:port\" or the path of a Unix socket, unless url or sentinel is set");
  }
  return {};
}

Result<void> check_together(const Source& source, const std::string& path, const SaslConfig& config) {
  if (!config.mechanism.empty() || (config.username.empty() && config.password.empty())) return {};
  return invalid(source, path, "a username or password without mechanism", "mechanism " + join(kSaslMechanisms));
}

Result<void> check_together(const Source& source, const std::string& path, const KafkaConfig& config) {
  if (config.heartbeat_interval < config.session_timeout) return {};
  return invalid(source, join_path(path, "heartbeat_interval"), show(config.heartbeat_interval),
                 fmt::format("less than session_timeout, which is {}", show(config.session_timeout)));
}

template <Section S>
Result<void> check_section(const Source& source, const std::string& path, const S& config) {
  Result<void> result = for_each_field<S>([&](const auto& each) -> Result<void> {
    return check_value(source, join_path(path, each.name), each.rule, config.*(each.member));
  });
  return result ? check_together(source, path, config) : result;
}

}  // namespace
}  // namespace config_impl

Result<void> validate(const Config& config) {
  return config_impl::check_section({config_impl::Origin::code, "config"}, "", config);
}

Result<void> validate_for_open(const Config& config) {
  const config_impl::Source source{config_impl::Origin::code, "config"};
  const std::string chosen = std::string(to_string(config.storage_type)) + "_config";
  return config_impl::for_each_field<Config>([&](const auto& each) -> Result<void> {
    // Only the back ends' structs have such names.
    if (each.name.ends_with("_config") && each.name != chosen) return {};
    return config_impl::check_value(source, std::string(each.name), each.rule, config.*(each.member));
  });
}

Result<void> validate(const TopicConfig& config) {
  return config_impl::check_section({config_impl::Origin::code, "topic config"}, "", config);
}

Result<void> validate(const ChannelConfig& config) {
  return config_impl::check_section({config_impl::Origin::code, "channel config"}, "", config);
}

}  // namespace lrpc::queue
