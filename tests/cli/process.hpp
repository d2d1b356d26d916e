// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

/// \file
/// Runs the built command line as users do and collects what it says.

namespace lrpc::queue::test {

/// How a run ended. A program ended by a signal has the exit code -signal.
struct RunResult {
  int exit_code = 0;
  std::string out{};
  std::string err{};
};

/// What a program is started with besides its arguments.
struct Start {
  std::vector<std::string> environment{};  ///< "NAME=value"; besides these PATH and sanitizer options.
  std::optional<std::string> out_file{};   ///< Where stdout goes instead of being collected.
  bool terminal = false;                   ///< stderr is a pseudo-terminal.
  bool terminal_input = false;             ///< stdin is a pseudo-terminal.
  bool closed_output = false;              ///< stdout is a pipe whose reader has gone.
  std::vector<int> ignored_signals{};      ///< As nohup would.
};

/// A running command line.
class Process {
 public:
  explicit Process(const std::vector<std::string>& arguments, const Start& start = {});
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  /// Kills it if it still runs.
  ~Process();

  /// Writes to its stdin; false when it reads no more.
  bool write(std::string_view text);
  void close_input();
  void signal(int number) const;
  /// Again and again, for several at one moment count as one.
  void signal_until_end(int number) const;
  /// Waits until stdout (stderr) contains `text`; false when the stream ends without it.
  [[nodiscard]] bool wait_for_output(std::string_view text);
  [[nodiscard]] bool wait_for_error(std::string_view text);
  [[nodiscard]] std::string output() const;
  /// Closes stdin and waits for the end.
  RunResult wait();

 private:
  struct Stream {
    int fd = -1;
    std::string text{};
    bool ended = false;
    std::jthread reader{};
  };
  void collect(Stream& stream);
  bool wait_for(const Stream& stream, std::string_view text);

  pid_t pid_ = -1;
  int input_ = -1;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Stream out_;
  Stream err_;
};

/// Runs the command line to its end.
RunResult run(const std::vector<std::string>& arguments, std::string_view input = {}, const Start& start = {});

/// The lines of a text, without their newlines.
std::vector<std::string> lines_of(std::string_view text);
/// A file's content; empty when there is none.
std::string read_file(const std::filesystem::path& path);

/// A fresh folder, removed at the end.
class TempFolder {
 public:
  TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder();
  [[nodiscard]] std::string path(std::string_view name) const { return (folder_ / name).string(); }
  /// Makes a file and returns its path.
  [[nodiscard]] std::string file(std::string_view name, std::string_view content) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace lrpc::queue::test
