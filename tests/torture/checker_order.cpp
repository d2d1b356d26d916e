// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "checker_index.hpp"

namespace lrpc::queue::torture {
namespace {

/// A delivery of which the order is promised: the first, of a message that was published on time.
const Intent* ordered_intent(const Index& index, const Delivered& d) {
  const Intent* const intent = index.intent(d.token);
  if (intent == nullptr || !intent->ordered || intent->outcome != Published::accepted || d.attempts != 1)
    return nullptr;
  return index.copy(d.channel, d.token)->deliveries.front() == &d ? intent : nullptr;
}

bool out_of_order(const Intent& first, const Intent& second) {
  return first.publisher == second.publisher && second.number < first.number;
}

std::string tell_two(const Index& index, const Delivered& a, const Delivered& b) {
  return index.tell(*index.copy(a.channel, a.token)) + " || " + index.tell(*index.copy(b.channel, b.token));
}

/// Two deliveries of a key to a subscription, one right after the other.
void check_pair(const Index& index, const Delivered& a, const Delivered& b, Verdict& verdict) {
  const auto excused = [&](std::int64_t from_us) { return index.explains_order(a.consumer, from_us, b.begin_us); };
  if (a.token != b.token || a.ending == Ending::handled) {
    if ((a.end_us == 0 || b.begin_us < a.end_us) && !excused(a.begin_us)) {
      report(verdict, "key_order", "at once: " + tell_two(index, a, b));
      return;
    }
  }
  if (a.token == b.token) return;
  const bool sent_back =
      (a.ending == Ending::retry && (index.rules().max_retries < 0 || a.attempts <= index.rules().max_retries)) ||
      a.ending == Ending::retry_same;
  const Intent* const its = index.intent(a.token);
  const bool expired = its != nullptr && index.may_have_expired(*its, a, b);
  if (sent_back && !expired && !excused(a.begin_us)) {
    report(verdict, "key_order", "past one that waits: " + tell_two(index, a, b));
    return;
  }
  const Intent* const first = ordered_intent(index, a);
  const Intent* const second = ordered_intent(index, b);
  if (first != nullptr && second != nullptr && out_of_order(*first, *second) && !excused(second->begin_us)) {
    report(verdict, "key_order", tell_two(index, a, b));
  }
}

void check_keys(const Index& index, const std::vector<const Delivered*>& deliveries, Verdict& verdict) {
  std::map<std::pair<std::string, std::string>, std::vector<const Delivered*>> lines;  // consumer, key
  for (const Delivered* d : deliveries) {
    const Intent* const intent = index.intent(d->token);
    if (intent != nullptr && !intent->key.empty()) lines[{d->consumer, intent->key}].push_back(d);
  }
  for (auto& [name, line] : lines) {
    std::ranges::sort(line, {}, &Delivered::begin_us);
    for (std::size_t i = 0; i + 1 < line.size(); ++i) check_pair(index, *line[i], *line[i + 1], verdict);
  }
}

void check_publishers(const Index& index, const std::vector<const Delivered*>& deliveries, Verdict& verdict) {
  std::map<std::tuple<std::string, std::string, std::string>, std::vector<const Delivered*>> lines;
  for (const Delivered* d : deliveries) {
    const Intent* const intent = ordered_intent(index, *d);
    if (intent == nullptr || (index.rules().order_by_key && intent->key.empty())) continue;
    lines[{d->consumer, intent->publisher, index.rules().order_by_key ? intent->key : std::string()}].push_back(d);
  }
  for (auto& [name, line] : lines) {
    std::ranges::sort(line, {}, &Delivered::number);
    for (std::size_t i = 0; i + 1 < line.size(); ++i) {
      const Delivered& a = *line[i];
      const Delivered& b = *line[i + 1];
      const Intent& earlier = *index.intent(b.token);
      if (!out_of_order(*index.intent(a.token), earlier)) continue;
      if (index.explains_order(b.consumer, earlier.begin_us, b.begin_us)) continue;
      report(verdict, "publisher_order", tell_two(index, a, b));
    }
  }
}

}  // namespace

void check_order(const Index& index, Verdict& verdict) {
  for (const ChannelRules& channel : index.rules().channels) {
    std::vector<const Delivered*> deliveries;
    for (const Copy* copy : index.copies(channel.name)) {
      deliveries.insert(deliveries.end(), copy->deliveries.begin(), copy->deliveries.end());
    }
    if (channel.subscribed) {
      check_keys(index, deliveries, verdict);
    } else {
      check_publishers(index, deliveries, verdict);
    }
  }
}

}  // namespace lrpc::queue::torture
