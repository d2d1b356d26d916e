// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "support/beside.hpp"

#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

extern char** environ;

namespace lrpc::queue::support {

int run_beside(int argc, char** argv, const char* name, const char* variable,
               const std::function<void(const std::function<void(const std::string&)>&)>& serve) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s COMMAND [ARGUMENT...]\n", name);
    return 2;
  }
  int code = 2;
  try {
    serve([&](const std::string& address) {
      ::setenv(variable, address.c_str(), 1);
      pid_t pid = -1;
      if (::posix_spawnp(&pid, argv[1], nullptr, nullptr, argv + 1, environ) != 0) {
        std::fprintf(stderr, "cannot start %s\n", argv[1]);
        return;
      }
      int status = 0;
      ::waitpid(pid, &status, 0);
      code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    });
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return code;
}

}  // namespace lrpc::queue::support
