// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <mutex>
#include <string_view>

#include <lrpc/queue/error.hpp>

namespace lrpc::queue::cli {

/// Opens /dev/null on those of the three standard descriptors that the caller closed, so that no file of ours gets
/// their number. Output to a closed stdout stays an error: it is opened for reading.
void open_standard_streams() noexcept;

/// Writes all of `data`, waiting when the descriptor is full. `what` names it in the error.
[[nodiscard]] Result<void> write_all(int fd, std::string_view data, std::string_view what);
/// The same to stdout.
[[nodiscard]] Result<void> write_output(std::string_view data);

/// Whether stdout is a pipe or socket whose reader has gone.
[[nodiscard]] bool output_lost() noexcept;

/// What goes to stderr: errors, notes, the summary and, on a terminal, a progress line below them. Thread-safe.
class Console {
 public:
  Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;
  ~Console() = default;

  /// Whether stderr is a terminal.
  [[nodiscard]] bool terminal() const noexcept { return terminal_; }
  /// Prints "lrpc-queue: TEXT".
  void error(std::string_view text);
  /// Prints the text as it is, as one line.
  void line(std::string_view text);
  /// Prints the text without ending the line, for an answer to follow.
  void prompt(std::string_view text);
  /// Replaces the progress line; does nothing unless stderr is a terminal. An empty text removes the line.
  void progress(std::string_view text);

 private:
  void clear_locked();

  const bool terminal_;
  std::mutex mutex_;
  std::size_t progress_width_ = 0;
};

}  // namespace lrpc::queue::cli
