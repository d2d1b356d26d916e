#include "machine.hpp"
namespace lrpc::queue::simulation { Kind engine_kind() { return {.name="engine", .make=[](std::uint64_t, Journal&)->std::unique_ptr<Machine>{struct N:Machine{void step() override{} void finish() override{}}; return std::make_unique<N>();}, .coverage={}}; } }
