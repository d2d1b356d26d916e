// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <mutex>

namespace lrpc::queue::kafka {

/// Knows whether anything of the calls under way may have reached a broker. Only when nothing has can librdkafka's
/// queues be emptied without harm: a record that was sent once and waits to be repeated would otherwise lose its chance
/// of a certain outcome. Thread-safe.
class SendWatch {
 public:
  using Mark = std::uint64_t;

  /// A call begins; the mark is for its end.
  [[nodiscard]] Mark begin() {
    const std::lock_guard lock(mutex_);
    ++unsent_;
    return requests_;
  }
  void end(Mark mark) {
    const std::lock_guard lock(mutex_);
    --(mark == requests_ ? unsent_ : sent_);
  }
  /// A request with records left: any call under way may have a part in it.
  void request() {
    const std::lock_guard lock(mutex_);
    ++requests_;
    sent_ += unsent_;
    unsent_ = 0;
  }
  [[nodiscard]] bool nothing_sent() {
    const std::lock_guard lock(mutex_);
    return sent_ == 0;
  }

 private:
  std::mutex mutex_;
  Mark requests_ = 0;
  std::uint64_t unsent_ = 0;  // calls since whose begin no request left
  std::uint64_t sent_ = 0;    // the other calls
};

/// A call under way, for the watch.
class Attendance {
 public:
  explicit Attendance(SendWatch& watch) : watch_(watch), mark_(watch.begin()) {}
  Attendance(const Attendance&) = delete;
  Attendance& operator=(const Attendance&) = delete;
  ~Attendance() { watch_.end(mark_); }

 private:
  SendWatch& watch_;
  const SendWatch::Mark mark_;
};

}  // namespace lrpc::queue::kafka
