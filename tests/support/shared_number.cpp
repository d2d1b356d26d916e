// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "support/shared_number.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>

namespace lrpc::queue::support {

SharedNumber::SharedNumber(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, sizeof(std::int64_t)) != 0) throw std::runtime_error("cannot make " + file.string());
  void* const page = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (page == MAP_FAILED) throw std::runtime_error("cannot map " + file.string());
  number_ = static_cast<std::int64_t*>(page);
}

SharedNumber::~SharedNumber() { ::munmap(number_, sizeof(std::int64_t)); }

std::int64_t SharedNumber::load() const noexcept { return std::atomic_ref(*number_).load(); }
void SharedNumber::store(std::int64_t number) noexcept { std::atomic_ref(*number_).store(number); }

}  // namespace lrpc::queue::support
