// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "history.hpp"

namespace lrpc::queue::torture {

/// Microseconds of the machine's monotonic clock, which all processes share.
[[nodiscard]] std::int64_t machine_us();

/// The same instant by three clocks.
struct Reading {
  std::int64_t at_us = 0;    ///< The machine's: orders what happened in different processes.
  std::int64_t wall_ms = 0;  ///< The queue's wall clock: expiry.
  std::int64_t tick_ms = 0;  ///< The queue's other clock: delays.
};

/// What one process, or one object that acts like one, did: a line a record, in the file before the call returns. A
/// process that is killed loses nothing of it, as the system has it then. Safe to use from many threads.
class Ledger {
 public:
  /// Appends to the file. Throws std::runtime_error when it cannot.
  explicit Ledger(const std::filesystem::path& file);
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  ~Ledger();

  /// A process begins: it has no line yet.
  void life(const std::string& name);
  /// About to publish. `ordered`: no delay, and the publisher's next call comes after this one's end.
  void intent(const std::string& token, const std::string& key, std::int64_t due_tick_ms, std::int64_t expires_s,
              bool ordered, const Reading& now);
  void outcome(const std::string& token, Published outcome, std::string_view code);
  void delivered(const std::string& consumer, std::int64_t number, const std::string& token, const std::string& channel,
                 int attempts, const Reading& now);
  /// What the consumer made of it; written before the queue is told.
  void ended(const std::string& consumer, std::int64_t number, Ending ending);
  /// What the queue answered to an explicit ack, nack or rejection that was begun at `began_us`, now; `code`: of the
  /// error, if it was one.
  void settled(const std::string& consumer, std::int64_t number, Answer answer, std::string_view code,
               std::int64_t began_us);
  void dead(const DeadLetterSeen& letter);
  void fault(const Fault& fault);
  void depth(const std::string& channel, std::int64_t depth, std::int64_t wall_ms);

 private:
  void write(std::string line);

  int fd_;
};

/// Adds what a ledger says to a history. A last line that is not complete is what its process was writing when it was
/// killed: nothing of it was done. Throws std::runtime_error for any other that cannot be read.
void read_ledger(const std::filesystem::path& file, History& history);
/// All ledgers of a folder: its files that end in ".ledger".
[[nodiscard]] History read_ledgers(const std::filesystem::path& folder);

}  // namespace lrpc::queue::torture
