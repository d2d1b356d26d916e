// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Ids of messages, which other programs may have made: each comes back as it was.
#include <string>

#include <lrpc/queue/envelope.hpp>

#include "fuzz.hpp"

using namespace lrpc::queue;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  if (text.empty()) return 0;  // makes one of ours
  const EnvelopePtr message = Envelope::make_encoded({});
  message->set_id(text);
  fuzz::require(message->id() == text, "an id comes back as it was");
  const Envelope::IdQuery query(text);
  fuzz::require(message->id_is(query) && message->id_hash() == query.hash(), "a message is found by its id");
  return 0;
}
