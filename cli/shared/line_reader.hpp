// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <lrpc/queue/error.hpp>

namespace lrpc::queue::cli {

/// An eventfd that becomes readable when a stop token is triggered: what poll waits for.
class StopEvent {
 public:
  StopEvent();
  StopEvent(const StopEvent&) = delete;
  StopEvent& operator=(const StopEvent&) = delete;
  ~StopEvent();
  [[nodiscard]] int fd() const noexcept { return fd_; }
  void signal() const noexcept;

 private:
  int fd_;
};

/// Reads lines from files, one after another, in bounded memory. A last line without newline counts; the newline is
/// not part of a line, everything else is.
class LineReader {
 public:
  enum class Status {
    line,      ///< `text` holds a line.
    too_long,  ///< A line of more than `max_line` bytes was passed over; `text` is empty.
    waiting,   ///< Only of `next_ready`: no whole line is there yet.
    end,       ///< All files are read.
    stopped    ///< The token was triggered.
  };
  struct Line {
    Status status = Status::end;
    std::string_view text{};  ///< Valid until the next call.
    std::size_t size = 0;     ///< Length of the line, also of one passed over.
  };

  /// `files`: paths, "-" is stdin; empty = stdin.
  LineReader(std::vector<std::string> files, std::size_t max_line, std::stop_token stop);
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  ~LineReader();

  /// Tells whether all files can be read, before the first is.
  [[nodiscard]] Result<void> check_files() const;
  /// Waits for the next line.
  [[nodiscard]] Result<Line> next() { return next(/*wait=*/true); }
  /// The next line if all of it can be read without waiting.
  [[nodiscard]] Result<Line> next_ready() { return next(/*wait=*/false); }
  /// Where the line just read stands: "FILE:NUMBER".
  [[nodiscard]] std::string location() const;

 private:
  enum class Fill { data, nothing, end_of_file, stopped };

  [[nodiscard]] Result<Line> next(bool wait);
  [[nodiscard]] Result<void> open_next();
  void close_current() noexcept;
  [[nodiscard]] Result<Fill> fill(bool wait);
  [[nodiscard]] const char* name() const noexcept;

  std::vector<std::string> files_;
  const std::size_t max_line_;
  std::stop_token stop_;
  StopEvent stop_event_;
  std::stop_callback<std::function<void()>> on_stop_;

  std::size_t next_file_ = 0;
  int fd_ = -1;
  std::uint64_t line_number_ = 0;
  std::vector<char> chunk_;
  std::size_t chunk_begin_ = 0;
  std::size_t chunk_end_ = 0;
  bool line_begun_ = false;       // partial_ belongs to the line that the next call returns
  std::string partial_;           // the beginning of a line that earlier chunks held
  std::size_t partial_size_ = 0;  // its length; more than partial_.size() when the line is too long to be kept
};

}  // namespace lrpc::queue::cli
