// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "samples.hpp"

#include <algorithm>
#include <functional>
#include <ostream>

namespace lrpc::queue::soak {
namespace {

/// The median of something of each.
template <class Of>
double middle(std::span<const Sample> samples, Of of) {
  std::vector<double> values;
  for (const Sample& sample : samples) values.push_back(static_cast<double>(of(sample)));
  return median(std::move(values));
}

Quantiles middle_quantiles(std::span<const Sample> samples, Quantiles Sample::* which) {
  const auto of = [&](std::int64_t Quantiles::* figure) {
    return static_cast<std::int64_t>(middle(samples, [&](const Sample& sample) { return sample.*which.*figure; }));
  };
  Quantiles result{.p50 = of(&Quantiles::p50), .p99 = of(&Quantiles::p99), .p999 = of(&Quantiles::p999)};
  for (const Sample& sample : samples) {
    result.count += (sample.*which).count;
    result.max = std::max(result.max, (sample.*which).max);
  }
  return result;
}

}  // namespace

void write_csv_head(std::ostream& out) {
  out << "seconds,rss_kib,threads,descriptors,server_kib,depth,handle_p50_us,handle_p99_us,handle_max_us,"
         "publish_p50_us,publish_p99_us,published,handled,dead,expired,errors,load\n";
}

void write_csv(std::ostream& out, const Sample& sample) {
  // Whole numbers without an exponent.
  const auto whole = [](double value) { return static_cast<std::int64_t>(value); };
  out << sample.seconds << ',' << whole(sample.rss_kib) << ',' << whole(sample.threads) << ','
      << whole(sample.descriptors) << ',' << whole(sample.server_kib) << ',' << whole(sample.depth) << ','
      << sample.handle.p50 << ',' << sample.handle.p99 << ',' << sample.handle.max << ',' << sample.publish.p50 << ','
      << sample.publish.p99 << ',' << sample.published << ',' << sample.handled << ',' << sample.dead << ','
      << sample.expired << ',' << sample.errors << ',' << sample.load << '\n';
}

std::vector<Sample> thinned(std::span<const Sample> samples, std::size_t most) {
  if (samples.size() <= most) return {samples.begin(), samples.end()};
  std::vector<Sample> result;
  for (std::size_t i = 0; i < most; ++i) {
    const std::size_t begin = samples.size() * i / most;
    const std::size_t end = samples.size() * (i + 1) / most;
    const auto stretch = samples.subspan(begin, end - begin);
    Sample one = stretch.back();
    for (double Sample::* const figure : {&Sample::rss_kib, &Sample::threads, &Sample::descriptors, &Sample::server_kib,
                                          &Sample::depth, &Sample::load}) {
      one.*figure = middle(stretch, std::mem_fn(figure));
    }
    one.handle = middle_quantiles(stretch, &Sample::handle);
    one.publish = middle_quantiles(stretch, &Sample::publish);
    result.push_back(one);
  }
  return result;
}

std::vector<double> column(std::span<const Sample> samples, double Sample::* figure) {
  std::vector<double> values;
  std::ranges::transform(samples, std::back_inserter(values), std::mem_fn(figure));
  return values;
}

}  // namespace lrpc::queue::soak
