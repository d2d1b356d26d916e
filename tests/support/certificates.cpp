// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "support/certificates.hpp"

#include <fstream>
#include <vector>

namespace lrpc::queue::support {

Certificates::Certificates() {
  const auto output = folder_.path() / "openssl.log";
  const std::string openssl = LRPC_QUEUE_OPENSSL;
  const std::vector<std::string> key_type{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"};
  std::vector<std::string> authority{
      openssl,   "req",          "-x509", "-days",       "2", "-subj", "/CN=lrpc-queue test authority",
      "-keyout", file("ca.key"), "-out",  file("ca.crt")};
  authority.insert(authority.end(), key_type.begin(), key_type.end());
  run(authority, output);
  std::vector<std::string> request{
      openssl, "req", "-subj", "/CN=localhost", "-keyout", file("server.key"), "-out", file("server.csr")};
  request.insert(request.end(), key_type.begin(), key_type.end());
  run(request, output);
  std::ofstream(file("names")) << "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
  run({openssl, "x509", "-req", "-days", "2", "-in", file("server.csr"), "-CA", file("ca.crt"), "-CAkey",
       file("ca.key"), "-CAcreateserial", "-extfile", file("names"), "-out", file("server.crt")},
      output);
}

}  // namespace lrpc::queue::support
