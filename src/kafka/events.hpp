// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>

#include <librdkafka/rdkafka.h>

#include <lrpc/queue/hooks.hpp>

namespace lrpc::queue::kafka {

/// What a client of librdkafka tells without being asked: log lines go to our Logger, the last trouble with a broker is
/// remembered, because most calls later report no more than that time ran out. Pass it to a conf by `listen`; it must
/// outlive the client. Who needs callbacks with an object of his own derives from it: librdkafka's opaque is this.
/// Thread-safe.
class ClientEvents {
 public:
  explicit ClientEvents(Logger logger);
  ClientEvents(const ClientEvents&) = delete;
  ClientEvents& operator=(const ClientEvents&) = delete;
  virtual ~ClientEvents() = default;

  /// Makes a client of `conf` report here. The errors arrive when its main queue is polled.
  void listen(rd_kafka_conf_t* conf) noexcept;

  /// Before `listen`'s client is made: brokers must show a certificate for this name, whatever their address.
  void expect_name(rd_kafka_conf_t* conf, std::string name);

  struct Trouble {
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    std::string text{};
    std::chrono::steady_clock::time_point at{};
    /// When no broker was left to try, if so: librdkafka tells it once, until a connection stands again.
    std::optional<std::chrono::steady_clock::time_point> all_down_at{};
  };
  /// The latest since `since`; what no waiting mends (a wrong password, a bad certificate) goes before the rest.
  [[nodiscard]] std::optional<Trouble> trouble(std::chrono::steady_clock::time_point since) const;
  /// Calls are answered again: what was is over. Costs nothing when nothing was.
  void forget_trouble();
  /// librdkafka does not repeat an error of the same kind for so long (30 s): one of that age may be the present one.
  static constexpr std::chrono::seconds kRepeated{35};

  /// What librdkafka reports as an error, with its reason.
  void hear(rd_kafka_resp_err_t error, const char* reason) noexcept;

  void log(LogLevel level, std::string_view text) const;
  /// The logger is not called any more when this has returned.
  void silence();

 protected:
  /// An error that makes the client useless (idempotent producer). From the thread that polls.
  virtual void on_fatal(rd_kafka_t* /*client*/) noexcept {}

 private:
  static void on_log(const rd_kafka_t* client, int level, const char* facility, const char* text) noexcept;
  static void on_error(rd_kafka_t* client, int code, const char* reason, void* opaque) noexcept;

  static int on_certificate(rd_kafka_t* client, const char* broker, std::int32_t id, int* error, int depth,
                            const char* bytes, std::size_t size, char* why, std::size_t why_size,
                            void* opaque) noexcept;

  mutable std::shared_mutex logger_mutex_;  // held while the logger is called
  Logger logger_;                           // with logger_mutex_
  std::string expected_name_;
  std::atomic<bool> troubled_{false};
  mutable std::mutex mutex_;
  std::string complaint_;  // about the certificate that was shown last
  Trouble latest_;
  Trouble refusal_;
};

}  // namespace lrpc::queue::kafka
