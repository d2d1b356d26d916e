// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "figures.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace lrpc::queue::soak {
namespace {

/// Buckets of each power of two; below that one for each number.
constexpr std::size_t kSteps = 32;
constexpr std::size_t kStepBits = 5;

std::size_t bucket_of(std::uint64_t value) {
  if (value < kSteps) return static_cast<std::size_t>(value);
  const auto exponent = static_cast<std::size_t>(std::bit_width(value)) - 1;
  return (exponent - kStepBits) * kSteps + static_cast<std::size_t>(value >> (exponent - kStepBits));
}

/// The largest value of a bucket.
std::int64_t top_of(std::size_t bucket) {
  if (bucket < 2 * kSteps) return static_cast<std::int64_t>(bucket);
  const std::size_t shift = bucket / kSteps - 1;
  return static_cast<std::int64_t>(((bucket % kSteps + kSteps + 1) << shift) - 1);
}

}  // namespace

Histogram::Histogram() : counts_(bucket_of(INT64_MAX) + 1) {}

void Histogram::add(std::int64_t us) noexcept {
  us = std::max<std::int64_t>(us, 0);
  ++counts_[bucket_of(static_cast<std::uint64_t>(us))];
  ++count_;
  max_ = std::max(max_, us);
}

void Histogram::clear() noexcept {
  std::ranges::fill(counts_, 0);
  count_ = 0;
  max_ = 0;
}

std::int64_t Histogram::quantile(double share) const {
  const auto rank = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
  std::uint64_t passed = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    passed += counts_[i];
    if (passed >= rank && passed > 0) return std::min(top_of(i), max_);
  }
  return 0;
}

Quantiles Histogram::quantiles() const {
  return {.count = count_, .p50 = quantile(0.5), .p99 = quantile(0.99), .p999 = quantile(0.999), .max = max_};
}

void Meter::add(std::int64_t us) {
  const std::lock_guard lock(mutex_);
  interval_.add(us);
  total_.add(us);
}

Quantiles Meter::take_interval() {
  const std::lock_guard lock(mutex_);
  const Quantiles result = interval_.quantiles();
  interval_.clear();
  return result;
}

Quantiles Meter::total() const {
  const std::lock_guard lock(mutex_);
  return total_.quantiles();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

Quarters quarters_of(std::span<const double> readings) {
  Quarters result{};
  for (std::size_t i = 0; i < result.size(); ++i) {
    const std::size_t begin = readings.size() * i / 4;
    const std::size_t end = readings.size() * (i + 1) / 4;
    const auto part = readings.subspan(begin, end - begin);
    result[i] = median({part.begin(), part.end()});
  }
  return result;
}

bool grows(const Quarters& quarters, double hours, const Limit& limit) {
  const auto& [first, second, third, fourth] = quarters;
  const double grown = fourth - second;
  return second < third && third < fourth && grown / (hours / 2) > limit.per_hour && grown > limit.share * second;
}

}  // namespace lrpc::queue::soak
