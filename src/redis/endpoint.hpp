// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <lrpc/queue/config.hpp>
#include <lrpc/queue/error.hpp>

namespace lrpc::queue::redis {

/// Where a server is and how to log in.
struct Endpoint {
  std::string host{};
  std::string port = "6379";
  std::string unix_path{};  ///< Set: a Unix socket instead of host and port.
  std::string username{};   ///< Empty = the default user.
  std::string password{};   ///< Empty = no login.
  int db = 0;               ///< kNoDatabase: it has none, as a sentinel.
  TlsConfig tls{};
  bool named = false;  ///< tls.server_name is the configuration's, not the host's.

  /// Where, without user and password: for messages and logs.
  [[nodiscard]] std::string where() const;
  /// Another server that is reached and logged in to in the same way.
  [[nodiscard]] Endpoint at(std::string new_host, std::string new_port) const;

  static constexpr int kNoDatabase = -1;
};

/// The server that a configuration names; `url` wins over addr, username, password and db. Where sentinels know the
/// server, only its host and port are left open. `invalid_config` names the field that is wrong and never shows a
/// password.
[[nodiscard]] Result<Endpoint> endpoint_of(const RedisConfig& config);

/// Takes "host:port", "host", "[v6]:port" or the path of a Unix socket (it begins with '/' or '.') apart. `field` is
/// where the configuration has it.
[[nodiscard]] Result<Endpoint> parse_address(std::string_view address, std::string_view field = "addr");

/// Takes a URL apart: redis://[user[:password]@]host[:port][/db], rediss:// the same over TLS, and
/// unix://[user[:password]@]/path[?db=n] (the schemes of IANA's registry and of redis-cli).
[[nodiscard]] Result<Endpoint> parse_url(std::string_view url);

}  // namespace lrpc::queue::redis
