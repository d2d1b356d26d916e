// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "support/process_figures.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace lrpc::queue::support {
namespace {

/// A line of /proc/PID/status, "VmRSS:".
std::int64_t status_of(pid_t pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; file >> word;) {
    std::int64_t value = 0;
    if (word == name && file >> value) return value;
  }
  throw std::runtime_error("process " + std::to_string(pid) + " has no " + name);
}

}  // namespace

std::int64_t rss_kib_of(pid_t pid) { return status_of(pid, "VmRSS:"); }

ProcessFigures own_figures() {
  const std::filesystem::directory_iterator open("/proc/self/fd");
  // One of them is the directory itself.
  return {.rss_kib = rss_kib_of(::getpid()),
          .threads = status_of(::getpid(), "Threads:"),
          .descriptors = std::distance(begin(open), end(open)) - 1};
}

double machine_load() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : 0;
}

}  // namespace lrpc::queue::support
