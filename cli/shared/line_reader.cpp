// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/line_reader.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace lrpc::queue::cli {

namespace {

constexpr std::size_t kChunk = std::size_t{64} << 10U;

std::unexpected<Error> read_error(const char* name, int code) {
  auto error = fail(ErrorCode::backend, fmt::format("cannot read {}: {}", name, std::generic_category().message(code)));
  error.error().native_code = code;
  return error;
}

bool is_stdin(const std::string& file) { return file == "-"; }

}  // namespace

StopEvent::StopEvent() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

StopEvent::~StopEvent() { ::close(fd_); }

void StopEvent::signal() const noexcept {
  const std::uint64_t one = 1;
  // It fails only when the counter is about to overflow: readable already.
  static_cast<void>(!::write(fd_, &one, sizeof one));
}

LineReader::LineReader(std::vector<std::string> files, std::size_t max_line, std::stop_token stop)
    : files_(std::move(files)),
      max_line_(max_line),
      stop_(std::move(stop)),
      on_stop_(stop_, [this] { stop_event_.signal(); }),
      chunk_(kChunk) {
  if (files_.empty()) files_.emplace_back("-");
}

LineReader::~LineReader() { close_current(); }

Result<void> LineReader::check_files() const {
  for (const std::string& file : files_) {
    if (is_stdin(file)) continue;
    struct stat info{};
    if (::stat(file.c_str(), &info) != 0) return read_error(file.c_str(), errno);
    if (S_ISDIR(info.st_mode)) return read_error(file.c_str(), EISDIR);
    if (::access(file.c_str(), R_OK) != 0) return read_error(file.c_str(), errno);
  }
  return {};
}

const char* LineReader::name() const noexcept {
  const std::string& file = files_[next_file_ == 0 ? 0 : next_file_ - 1];
  return is_stdin(file) ? "standard input" : file.c_str();
}

std::string LineReader::location() const { return fmt::format("{}:{}", name(), line_number_); }

Result<void> LineReader::open_next() {
  const std::string& file = files_[next_file_++];
  line_number_ = 0;
  if (is_stdin(file)) {
    fd_ = STDIN_FILENO;
    return {};
  }
  // Non-blocking, because the open of a named pipe without a writer could not be interrupted; `fill` waits instead.
  fd_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) return read_error(file.c_str(), errno);
  return {};
}

void LineReader::close_current() noexcept {
  if (fd_ > STDIN_FILENO) ::close(fd_);
  fd_ = -1;
}

Result<LineReader::Fill> LineReader::fill(bool wait) {
  while (true) {
    std::array<pollfd, 2> waits{
        {{.fd = stop_event_.fd(), .events = POLLIN, .revents = 0}, {.fd = fd_, .events = POLLIN, .revents = 0}}};
    if (::poll(waits.data(), waits.size(), wait ? -1 : 0) < 0) {
      if (errno == EINTR) continue;
      return read_error(name(), errno);
    }
    if (stop_.stop_requested()) return Fill::stopped;
    if (waits[1].revents == 0) return Fill::nothing;
    const ssize_t got = ::read(fd_, chunk_.data(), chunk_.size());
    if (got < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return read_error(name(), errno);
    }
    chunk_begin_ = 0;
    chunk_end_ = static_cast<std::size_t>(got);
    return got == 0 ? Fill::end_of_file : Fill::data;
  }
}

Result<LineReader::Line> LineReader::next(bool wait) {
  if (!line_begun_) {
    partial_.clear();
    partial_size_ = 0;
  }
  line_begun_ = false;
  while (true) {
    if (stop_.stop_requested()) return Line{.status = Status::stopped};
    if (fd_ < 0) {
      if (next_file_ == files_.size()) return Line{.status = Status::end};
      if (Result<void> opened = open_next(); !opened) return std::unexpected(std::move(opened.error()));
    }
    if (chunk_begin_ == chunk_end_) {
      Result<Fill> filled = fill(wait);
      if (!filled) return std::unexpected(std::move(filled.error()));
      if (*filled == Fill::stopped) return Line{.status = Status::stopped};
      if (*filled == Fill::nothing) {
        line_begun_ = true;
        return Line{.status = Status::waiting};
      }
      if (*filled == Fill::end_of_file) {
        close_current();
        if (partial_size_ == 0) continue;
        ++line_number_;
        if (partial_size_ > max_line_) return Line{.status = Status::too_long, .text = {}, .size = partial_size_};
        return Line{.status = Status::line, .text = partial_, .size = partial_size_};
      }
    }
    const char* const begin = chunk_.data() + chunk_begin_;
    const std::size_t available = chunk_end_ - chunk_begin_;
    const auto* const newline = static_cast<const char*>(std::memchr(begin, '\n', available));
    const std::size_t length = newline != nullptr ? static_cast<std::size_t>(newline - begin) : available;
    chunk_begin_ += newline != nullptr ? length + 1 : length;
    const std::size_t size = partial_size_ + length;
    const bool fits = size <= max_line_;
    if (newline == nullptr) {
      if (fits) partial_.append(begin, length);
      partial_size_ = size;
      continue;
    }
    ++line_number_;
    if (!fits) return Line{.status = Status::too_long, .text = {}, .size = size};
    if (partial_size_ == 0) return Line{.status = Status::line, .text = {begin, length}, .size = size};
    partial_.append(begin, length);
    return Line{.status = Status::line, .text = partial_, .size = size};
  }
}

}  // namespace lrpc::queue::cli
