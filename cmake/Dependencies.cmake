# What the build needs, each with the Debian package to install when it is missing.

# lrpc_queue_require(<package> <debian package> [find_package arguments...])
macro(lrpc_queue_require package debian)
  find_package(${package} ${ARGN} QUIET)
  if(NOT ${package}_FOUND)
    string(REPLACE ";" " " lrpc_queue_wanted "${package};${ARGN}")
    message(FATAL_ERROR "lrpc-queue: ${lrpc_queue_wanted} was not found. On Debian: apt-get install ${debian} "
                        "(everything at once: scripts/setup.sh build)")
  endif()
endmacro()

if(PROJECT_IS_TOP_LEVEL AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(LRPC_QUEUE_CCACHE ccache)
  if(LRPC_QUEUE_CCACHE)
    # Without these, ccache keeps nothing that uses a precompiled header; and nothing for another checkout.
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
                                    CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${LRPC_QUEUE_CCACHE})
  endif()
endif()

# Keep in step with lrpc_queue-config.cmake.in and scripts/setup.sh.
lrpc_queue_require(Threads libc6-dev)
lrpc_queue_require(nlohmann_json nlohmann-json3-dev 3.11)
lrpc_queue_require(spdlog libspdlog-dev 1.10)
lrpc_queue_require(yaml-cpp libyaml-cpp-dev 0.7)
lrpc_queue_require(tomlplusplus libtomlplusplus-dev 3.3)
if(LRPC_QUEUE_BUILD_CLI)
  lrpc_queue_require(CLI11 libcli11-dev 2.1)
  lrpc_queue_require(fmt libfmt-dev 9)
endif()
if(LRPC_QUEUE_BUILD_TESTS)
  lrpc_queue_require(GTest "libgtest-dev libgmock-dev" 1.12)
endif()
if(LRPC_QUEUE_BUILD_BENCH)
  lrpc_queue_require(benchmark "libbenchmark-dev libconcurrentqueue-dev" 1.7)
endif()
