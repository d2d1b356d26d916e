// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/certificate_name.hpp"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

namespace lrpc::queue::kafka {

bool certificate_names(std::span<const unsigned char> certificate, const std::string& name) noexcept {
  struct Free {
    void operator()(X509* parsed) const noexcept { X509_free(parsed); }
  };
  const unsigned char* at = certificate.data();
  const std::unique_ptr<X509, Free> parsed(d2i_X509(nullptr, &at, static_cast<long>(certificate.size())));
  return parsed != nullptr && (X509_check_host(parsed.get(), name.data(), name.size(), 0, nullptr) == 1 ||
                               X509_check_ip_asc(parsed.get(), name.c_str(), 0) == 1);
}

}  // namespace lrpc::queue::kafka
