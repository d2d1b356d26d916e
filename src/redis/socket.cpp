// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/socket.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>
#include <system_error>
#include <utility>

namespace lrpc::queue::redis {
namespace {

/// How long a read sleeps before it looks at the time again. Who waits longer sleeps in the read itself: one call of
/// the system, where a look, a poll and a read are three.
constexpr Duration kNap{100};

std::string text_of(int error) { return std::generic_category().message(error); }

/// Milliseconds for poll(2), rounded up; -1 = for ever.
int poll_time(SteadyTime deadline) {
  if (deadline == SteadyTime::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

/// The reason that OpenSSL gives last.
std::string tls_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* text = code != 0 ? ERR_reason_error_string(code) : nullptr;
  return text != nullptr ? text : "the connection was closed";
}

// OpenSSL's own socket BIO writes without MSG_NOSIGNAL: a server that closes would end the process by SIGPIPE.
int descriptor_of(BIO* bio) { return *static_cast<const int*>(BIO_get_data(bio)); }

int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = ::send(descriptor_of(bio), data, static_cast<std::size_t>(size), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

int bio_read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = ::recv(descriptor_of(bio), data, static_cast<std::size_t>(size), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) BIO_set_retry_read(bio);
  if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(n);
}

long bio_control(BIO* bio, int command, long /*argument*/, void* /*pointer*/) {
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/// A BIO over a socket that it does not own and whose number stays where it is; null when there is no memory.
BIO* make_bio(const int* fd) {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
    if (made != nullptr) {
      BIO_meth_set_write(made, &bio_write);
      BIO_meth_set_read(made, &bio_read);
      BIO_meth_set_ctrl(made, &bio_control);
    }
    return made;
  }();
  BIO* bio = method != nullptr ? BIO_new(method) : nullptr;
  if (bio != nullptr) {
    BIO_set_data(bio, const_cast<int*>(fd));
    BIO_set_init(bio, 1);
  }
  return bio;
}

/// Waits for the end of a connect that has begun; 0 or the error.
int finish_connect(int fd, SteadyTime deadline) {
  pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
  for (;;) {
    const int n = ::poll(&entry, 1, poll_time(deadline));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) {
      if (std::chrono::steady_clock::now() >= deadline) return ETIMEDOUT;
      continue;
    }
    int error = 0;
    socklen_t size = sizeof error;
    return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
  }
}

/// A connected socket, or the error as a negative number.
int connect_to(int family, const sockaddr* address, socklen_t size, SteadyTime deadline) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  int error = ::connect(fd, address, size) == 0 ? 0 : errno;
  if (error == EINPROGRESS) error = finish_connect(fd, deadline);
  if (error == 0) {
    // From now on what must not wait says so; what may wait does so for a nap at most.
    const timeval nap{.tv_sec = 0, .tv_usec = std::chrono::microseconds(kNap).count()};
    const int flags = ::fcntl(fd, F_GETFL);
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &nap, sizeof nap) == 0 &&
        ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0) {
      return fd;
    }
    error = errno;
  }
  ::close(fd);
  return -error;
}

int connect_unix(const std::string& path, SteadyTime deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return -ENAMETOOLONG;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return connect_to(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address, deadline);
}

std::unexpected<Error> no_connection(const Endpoint& endpoint, const std::string& why, bool late) {
  return fail(late ? ErrorCode::timeout : ErrorCode::unavailable,
              "no connection to Redis at " + endpoint.where() + ": " + why, true);
}

}  // namespace

Socket::Socket(int fd, std::string where) noexcept : fd_(fd), where_(std::move(where)) {}

Socket::~Socket() {
  SSL_free(tls_);
  SSL_CTX_free(context_);
  ::close(fd_);
}

Result<std::unique_ptr<Socket>> Socket::connect(const Endpoint& endpoint, SteadyTime deadline) {
  int fd = -1;
  if (!endpoint.unix_path.empty()) {
    fd = connect_unix(endpoint.unix_path, deadline);
  } else {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(endpoint.host.c_str(), endpoint.port.c_str(), &hints, &found); error != 0) {
      return no_connection(endpoint, ::gai_strerror(error), false);
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
    fd = -EADDRNOTAVAIL;
    for (const addrinfo* one = found; one != nullptr && fd < 0 && fd != -ETIMEDOUT; one = one->ai_next) {
      fd = connect_to(one->ai_family, one->ai_addr, one->ai_addrlen, deadline);
    }
  }
  if (fd < 0) return no_connection(endpoint, text_of(-fd), fd == -ETIMEDOUT);
  if (endpoint.unix_path.empty()) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  std::unique_ptr<Socket> socket(new Socket(fd, endpoint.where()));
  if (endpoint.tls.enabled) {
    if (auto ok = socket->start_tls(endpoint.tls, deadline); !ok) return std::unexpected(std::move(ok.error()));
  }
  return socket;
}

Result<void> Socket::start_tls(const TlsConfig& tls, SteadyTime deadline) {
  const auto unreadable = [](std::string_view field, const std::string& file) {
    return fail(ErrorCode::invalid_config,
                "redis_config.tls." + std::string(field) + ": cannot use " + file + ": " + tls_reason());
  };
  ERR_clear_error();
  context_ = SSL_CTX_new(TLS_client_method());
  if (context_ == nullptr) return fail(ErrorCode::backend, "OpenSSL: " + tls_reason());
  SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
  SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (tls.ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(context_);
  } else if (SSL_CTX_load_verify_locations(context_, tls.ca_file.c_str(), nullptr) != 1) {
    return unreadable("ca_file", tls.ca_file);
  }
  if (!tls.cert_file.empty() && SSL_CTX_use_certificate_chain_file(context_, tls.cert_file.c_str()) != 1) {
    return unreadable("cert_file", tls.cert_file);
  }
  if (!tls.key_file.empty() && SSL_CTX_use_PrivateKey_file(context_, tls.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return unreadable("key_file", tls.key_file);
  }
  SSL_CTX_set_verify(context_, tls.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  tls_ = SSL_new(context_);
  BIO* const bio = make_bio(&fd_);
  if (tls_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    return fail(ErrorCode::backend, "OpenSSL: " + tls_reason());
  }
  SSL_set_bio(tls_, bio, bio);
  if (!tls.server_name.empty()) {
    std::array<unsigned char, sizeof(in6_addr)> address{};
    const bool is_address = ::inet_pton(AF_INET, tls.server_name.c_str(), address.data()) == 1 ||
                            ::inet_pton(AF_INET6, tls.server_name.c_str(), address.data()) == 1;
    if (is_address) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls_), tls.server_name.c_str());
    } else {
      SSL_set_tlsext_host_name(tls_, tls.server_name.c_str());
      SSL_set1_host(tls_, tls.server_name.c_str());
    }
  }
  for (;;) {
    const int done = SSL_connect(tls_);
    if (done == 1) return {};
    const int error = SSL_get_error(tls_, done);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
      if (const long verdict = SSL_get_verify_result(tls_); tls.verify && verdict != X509_V_OK) {
        ERR_clear_error();
        return fail(ErrorCode::permission, "the TLS certificate of Redis at " + where_ +
                                               " is not accepted: " + X509_verify_cert_error_string(verdict) +
                                               "; set redis_config.tls.ca_file, or server_name");
      }
      return tls_failed("the TLS handshake");
    }
    if (!wait(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline)) {
      return fail(ErrorCode::timeout,
                  "the TLS handshake with Redis at " + where_ + " took longer than dial_timeout; is that a TLS port?",
                  true);
    }
  }
}

Socket::Woken Socket::wait(short events, SteadyTime deadline, int other) const noexcept {
  // poll passes over negative descriptors.
  std::array<pollfd, 2> entries{pollfd{.fd = fd_, .events = events, .revents = 0},
                                pollfd{.fd = other, .events = POLLIN, .revents = 0}};
  for (;;) {
    const int n = ::poll(entries.data(), entries.size(), poll_time(deadline));
    if (n > 0) return entries[0].revents != 0 ? Woken::by_line : Woken::by_other;
    if (n == 0 && std::chrono::steady_clock::now() >= deadline) return Woken::by_time;
  }
}

std::unexpected<Error> Socket::lost(std::string_view doing, int error) const {
  Error result{.code = ErrorCode::unavailable,
               .message = "the connection to Redis at " + where_ + " was lost " + std::string(doing) + ": " +
                          (error != 0 ? text_of(error) : "the server closed it"),
               .retryable = true,
               .native_code = error};
  return std::unexpected(std::move(result));
}

std::unexpected<Error> Socket::tls_failed(std::string_view doing) const {
  // A server that speaks plain text, or that wants a certificate of ours, ends the handshake.
  return fail(ErrorCode::unavailable, std::string(doing) + " with Redis at " + where_ + " failed: " + tls_reason(),
              true);
}

Result<std::size_t> Socket::read(std::span<char> into, SteadyTime deadline, int wake) {
  for (;;) {
    short wanted = POLLIN;
    if (tls_ == nullptr) {
      const bool naps = wake < 0 && deadline - std::chrono::steady_clock::now() > kNap;
      const ssize_t n = ::recv(fd_, into.data(), into.size(), naps ? 0 : MSG_DONTWAIT);
      if (n > 0) return static_cast<std::size_t>(n);
      if (n == 0) return lost("while reading", 0);
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return lost("while reading", errno);
      if (naps) continue;
    } else {
      const std::lock_guard lock(tls_mutex_);
      ERR_clear_error();
      const int n = SSL_read(tls_, into.data(), static_cast<int>(std::min<std::size_t>(into.size(), 1 << 30)));
      if (n > 0) return static_cast<std::size_t>(n);
      const int error = SSL_get_error(tls_, n);
      if (error == SSL_ERROR_ZERO_RETURN) return lost("while reading", 0);
      if (error == SSL_ERROR_SYSCALL) return lost("while reading", errno);
      if (error == SSL_ERROR_WANT_WRITE) {
        wanted = POLLOUT;
      } else if (error != SSL_ERROR_WANT_READ) {
        return tls_failed("reading");
      }
    }
    const Woken woken = wait(wanted, deadline, wake);
    if (woken == Woken::by_other) return fail(ErrorCode::cancelled, "the wait for Redis was ended");
    if (woken == Woken::by_time) {
      return fail(ErrorCode::timeout, "Redis at " + where_ + " did not answer in time (read_timeout)", true);
    }
  }
}

Result<void> Socket::write(std::string_view bytes, SteadyTime deadline, std::size_t& written) {
  written = 0;
  while (written < bytes.size()) {
    const std::string_view rest = bytes.substr(written);
    short wanted = POLLOUT;
    if (tls_ == nullptr) {
      const ssize_t n = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) {
        written += static_cast<std::size_t>(n);
        continue;
      }
      if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return lost("while writing", errno);
    } else {
      const std::lock_guard lock(tls_mutex_);
      ERR_clear_error();
      const int n = SSL_write(tls_, rest.data(), static_cast<int>(std::min<std::size_t>(rest.size(), 1 << 30)));
      if (n > 0) {
        written += static_cast<std::size_t>(n);
        continue;
      }
      const int error = SSL_get_error(tls_, n);
      if (error == SSL_ERROR_SYSCALL) return lost("while writing", errno);
      if (error == SSL_ERROR_WANT_READ) {
        wanted = POLLIN;
      } else if (error != SSL_ERROR_WANT_WRITE) {
        return tls_failed("writing");
      }
    }
    if (!wait(wanted, deadline)) {
      return fail(ErrorCode::timeout, "Redis at " + where_ + " did not take what was sent in time (write_timeout)",
                  true);
    }
  }
  return {};
}

bool Socket::ended() {
  char byte = 0;
  if (tls_ == nullptr) {
    return ::recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }
  // There may be something that is only between OpenSSL and its like.
  const std::lock_guard lock(tls_mutex_);
  ERR_clear_error();
  const int n = SSL_peek(tls_, &byte, 1);
  const int error = SSL_get_error(tls_, n);
  return error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
}

void Socket::shut_down() noexcept { ::shutdown(fd_, SHUT_RDWR); }

}  // namespace lrpc::queue::redis
