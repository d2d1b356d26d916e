// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/events.hpp"

#include <cstdio>
#include <utility>

#include "kafka/certificate_name.hpp"
#include "kafka/errors.hpp"

namespace lrpc::queue::kafka {
namespace {

/// From the levels of syslog. Librdkafka calls every lost connection an error; it makes new ones by itself.
LogLevel level_of(int level) noexcept {
  if (level <= 2) return LogLevel::error;
  if (level <= 4) return LogLevel::warning;
  return level <= 6 ? LogLevel::info : LogLevel::debug;
}

}  // namespace

ClientEvents::ClientEvents(Logger logger) : logger_(std::move(logger)) {}

void ClientEvents::listen(rd_kafka_conf_t* conf) noexcept {
  rd_kafka_conf_set_opaque(conf, this);
  rd_kafka_conf_set_log_cb(conf, &on_log);
  rd_kafka_conf_set_error_cb(conf, &on_error);
}

void ClientEvents::expect_name(rd_kafka_conf_t* conf, std::string name) {
  expected_name_ = std::move(name);
  rd_kafka_conf_set_ssl_cert_verify_cb(conf, &on_certificate);
}

int ClientEvents::on_certificate(rd_kafka_t* /*client*/, const char* broker, std::int32_t /*id*/, int* error, int depth,
                                 const char* bytes, std::size_t size, char* why, std::size_t why_size,
                                 void* opaque) noexcept {
  auto* const self = static_cast<ClientEvents*>(opaque);
  if (*error == 0 && depth > 0) return 1;  // an authority's
  bool pleases = *error == 0;              // else OpenSSL's own verdict, of which librdkafka tells
  std::string complaint;
  try {
    if (pleases && !certificate_names({reinterpret_cast<const unsigned char*>(bytes), size}, self->expected_name_)) {
      pleases = false;
      std::snprintf(why, why_size, "the certificate of %s is not for \"%s\" (kafka_config.tls.server_name)", broker,
                    self->expected_name_.c_str());
      complaint = why;
    }
    // The errors that follow, of which there may be several for one handshake or one for several, will only say that
    // the certificate did not please.
    const std::lock_guard lock(self->mutex_);
    self->complaint_ = std::move(complaint);
  } catch (...) {  // no memory for the text
  }
  return pleases ? 1 : 0;
}

std::optional<ClientEvents::Trouble> ClientEvents::trouble(std::chrono::steady_clock::time_point since) const {
  const std::lock_guard lock(mutex_);
  for (const Trouble* const each : {&refusal_, &latest_}) {
    if (each->code != RD_KAFKA_RESP_ERR_NO_ERROR && each->at >= since) return *each;
  }
  return std::nullopt;
}

void ClientEvents::forget_trouble() {
  if (!troubled_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  troubled_.store(false, std::memory_order_relaxed);
  latest_ = {};
  refusal_ = {};
}

void ClientEvents::log(LogLevel level, std::string_view text) const {
  try {
    const std::shared_lock lock(logger_mutex_);
    if (logger_) logger_(level, text);
  } catch (...) {  // the user's; librdkafka is C
  }
}

void ClientEvents::silence() {
  Logger old;  // destroyed without the lock
  const std::lock_guard lock(logger_mutex_);
  old = std::exchange(logger_, {});
}

void ClientEvents::on_log(const rd_kafka_t* client, int level, const char* facility, const char* text) noexcept {
  const auto* const self = static_cast<const ClientEvents*>(rd_kafka_opaque(client));
  if (self == nullptr) return;
  try {
    const auto is = [&](std::string_view which, std::string_view part) {
      return facility == which && std::string_view(text).find(part) != std::string_view::npos;
    };
    // Settings of consumers that a producer does not need, and the reverse: both get kafka_config.extra. And a broker
    // that has just started has no number for an idempotent producer yet.
    const bool idle = is("CONFWARN", "will be ignored by this") || is("GETPID", "retrying");
    self->log(idle ? LogLevel::debug : level_of(level), std::string("kafka: ") + facility + ": " + text);
  } catch (...) {  // no memory for a line of log
  }
}

void ClientEvents::on_error(rd_kafka_t* client, int code, const char* reason, void* opaque) noexcept {
  auto* const self = static_cast<ClientEvents*>(opaque);
  const auto error = static_cast<rd_kafka_resp_err_t>(code);
  if (error == RD_KAFKA_RESP_ERR__FATAL) {
    self->on_fatal(client);
  } else {
    self->hear(error, reason);
  }
}

void ClientEvents::hear(rd_kafka_resp_err_t error, const char* reason) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    troubled_.store(true, std::memory_order_relaxed);
    Trouble& into = is_refusal(error) ? refusal_ : latest_;
    const bool all_down = error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
    into.at = std::chrono::steady_clock::now();
    if (all_down) into.all_down_at = into.at;
    // "All brokers are down" tells less than what came before it.
    if (all_down && into.code != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    into.code = error;
    into.text = error == RD_KAFKA_RESP_ERR__SSL && !complaint_.empty() ? complaint_ : reason;
  } catch (...) {  // no memory for the text
  }
}

}  // namespace lrpc::queue::kafka
