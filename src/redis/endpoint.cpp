// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/endpoint.hpp"

#include <charconv>
#include <optional>
#include <utility>

namespace lrpc::queue::redis {
namespace {

std::unexpected<Error> wrong(std::string_view field, std::string_view what) {
  return fail(ErrorCode::invalid_config, "redis_config." + std::string(field) + ": " + std::string(what));
}

std::optional<int> number(std::string_view text, int least, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) return std::nullopt;
  return value;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Undoes percent-encoding; empty for a sequence that is none.
std::optional<std::string> decode(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    plain += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return plain;
}

// "host", "host:port", "[v6]", "[v6]:port"
Result<void> take_host(std::string_view text, std::string_view field, Endpoint& out) {
  std::string_view host = text;
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return wrong(field, "the address has '[' without ']'");
    host = text.substr(1, end - 1);
    const std::string_view rest = text.substr(end + 1);
    has_port = rest.starts_with(':');
    if (!rest.empty() && !has_port) return wrong(field, "what follows ']' must be ':' and a port");
    if (has_port) port = rest.substr(1);
  } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    if (text.find(':', colon + 1) != std::string_view::npos) {
      return wrong(field, "an IPv6 address must be written in brackets: [::1]:6379");
    }
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    has_port = true;
  }
  if (host.empty()) return wrong(field, "the host is missing; write host:port");
  if (has_port) {
    if (!number(port, 1, 65'535)) return wrong(field, "the port must be a number from 1 to 65535");
    out.port = port;
  }
  out.host = host;
  return {};
}

Result<void> take_login(std::string_view text, Endpoint& out) {
  const auto colon = text.find(':');
  auto user = decode(text.substr(0, colon));
  auto password = decode(colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1));
  if (!user || !password) return wrong("url", "user or password hold a '%' that two hexadecimal digits do not follow");
  out.username = std::move(*user);
  out.password = std::move(*password);
  return {};
}

Result<void> take_db(std::string_view text, Endpoint& out) {
  const auto db = number(text, 0, 1'000'000);
  if (!db) return wrong("url", "the database must be a number from 0 on");
  out.db = *db;
  return {};
}

}  // namespace

std::string Endpoint::where() const {
  if (!unix_path.empty()) return unix_path;
  return (host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" + port;
}

Endpoint Endpoint::at(std::string new_host, std::string new_port) const {
  Endpoint other = *this;
  if (!named) other.tls.server_name = new_host;
  other.unix_path.clear();
  other.host = std::move(new_host);
  other.port = std::move(new_port);
  return other;
}

Result<Endpoint> parse_address(std::string_view address, std::string_view field) {
  Endpoint result;
  if (address.starts_with('/') || address.starts_with('.')) {
    result.unix_path = address;
    return result;
  }
  if (auto ok = take_host(address, field, result); !ok) return std::unexpected(std::move(ok.error()));
  return result;
}

Result<Endpoint> parse_url(std::string_view url) {
  constexpr std::string_view kSeparator = "://";
  const auto at = url.find(kSeparator);
  const std::string_view scheme = url.substr(0, at == std::string_view::npos ? 0 : at);
  if (scheme != "redis" && scheme != "rediss" && scheme != "unix") {
    return wrong("url", "must begin with redis://, rediss:// or unix://");
  }
  Endpoint result;
  result.tls.enabled = scheme == "rediss";
  std::string_view rest = url.substr(at + kSeparator.size());
  std::string_view query;
  if (const auto mark = rest.find('?'); mark != std::string_view::npos) {
    query = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  const auto slash = rest.find('/');
  const std::string_view authority = rest.substr(0, slash);
  if (const auto end = authority.rfind('@'); end != std::string_view::npos) {
    if (auto ok = take_login(authority.substr(0, end), result); !ok) return std::unexpected(std::move(ok.error()));
    rest = rest.substr(end + 1);
  }
  if (!query.empty()) {
    if (!query.starts_with("db=")) return wrong("url", "the only parameter known is db");
    if (auto ok = take_db(query.substr(3), result); !ok) return std::unexpected(std::move(ok.error()));
  }
  if (scheme == "unix") {
    auto path = decode(rest);
    if (!path || !path->starts_with('/')) return wrong("url", "unix:// must be followed by an absolute path");
    result.unix_path = std::move(*path);
    return result;
  }
  const auto path = rest.find('/');
  if (auto ok = take_host(rest.substr(0, path), "url", result); !ok) return std::unexpected(std::move(ok.error()));
  if (path != std::string_view::npos && path + 1 < rest.size()) {
    if (auto ok = take_db(rest.substr(path + 1), result); !ok) return std::unexpected(std::move(ok.error()));
  }
  return result;
}

Result<Endpoint> endpoint_of(const RedisConfig& config) {
  const bool elsewhere = !config.sentinel.master.empty();  // what addr says does not matter
  Result<Endpoint> result = !config.url.empty() ? parse_url(config.url)
                            : elsewhere         ? Endpoint{}
                                                : parse_address(config.addr);
  if (!result) return result;
  const bool url_tls = result->tls.enabled;
  result->tls = config.tls;
  result->tls.enabled = config.tls.enabled || url_tls;
  if (config.url.empty()) {
    result->username = config.username;
    result->password = config.password;
    result->db = config.db;
  }
  if (!result->username.empty() && result->password.empty()) {
    return wrong("username", "is set without a password");
  }
  result->named = !result->tls.server_name.empty();
  if (!result->named) result->tls.server_name = result->host;
  return result;
}

}  // namespace lrpc::queue::redis
