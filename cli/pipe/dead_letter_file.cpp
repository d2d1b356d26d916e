// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "pipe/dead_letter_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "shared/console.hpp"

namespace lrpc::queue::cli {

Result<DeadLetterFile> DeadLetterFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd >= 0) return DeadLetterFile(fd, path);
  const int code = errno;
  auto error = fail(ErrorCode::backend,
                    fmt::format("cannot open {} for dead letters: {}", path, std::generic_category().message(code)));
  error.error().native_code = code;
  return error;
}

DeadLetterFile::DeadLetterFile(DeadLetterFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

DeadLetterFile::~DeadLetterFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> DeadLetterFile::append(std::string_view line) {
  const std::lock_guard lock(mutex_);
  struct stat before{};
  const bool regular = ::fstat(fd_, &before) == 0 && S_ISREG(before.st_mode);
  Result<void> written = write_all(fd_, line, path_);
  // A disk that fills up in the middle of a line would leave half of it, and the next line glued to it.
  if (!written && regular) static_cast<void>(!::ftruncate(fd_, before.st_size));
  return written;
}

}  // namespace lrpc::queue::cli
