// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "plots.hpp"

#include <fstream>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "rig.hpp"
#include "table.hpp"

namespace lrpc::queue::bench {
namespace {

void write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) die("cannot write " + path);
}

}  // namespace

nlohmann::json to_report(const Plot& plot, const Readings& readings) {
  nlohmann::json curves = nlohmann::json::array();
  for (const Curve& curve : plot.curves) {
    nlohmann::json points = nlohmann::json::array();
    for (const Point& point : curve.points) {
      points.push_back({point.x, median_of(readings, point.figure) * plot.y_factor});
    }
    curves.push_back({{"curve", curve.title}, {"points", std::move(points)}});
  }
  return {{"plot", plot.name},
          {"title", plot.title},
          {"x", plot.x_title},
          {"y", plot.y_title},
          {"curves", std::move(curves)}};
}

void write_plot(const std::string& folder, const Plot& plot, const nlohmann::json& report) {
  std::string data;
  for (const auto& curve : report.at("curves")) {
    data += fmt::format("\"{}\"\n", curve.at("curve").get<std::string>());
    for (const auto& point : curve.at("points")) {
      data += fmt::format("{} {}\n", point.at(0).get<double>(), point.at(1).get<double>());
    }
    data += "\n\n";
  }
  const std::string path = folder + "/" + plot.name;
  write(path + ".dat", data);
  write(path + ".gp", fmt::format(R"(set terminal svg size 640,420 font "sans-serif,12" background "white"
set output "{0}.svg"
set encoding utf8
set title "{1}" noenhanced
set xlabel "{2}" noenhanced
set ylabel "{3}" noenhanced
{4}set logscale y
set grid
set key below noenhanced
plot for [i=0:{5}] "{0}.dat" index i using 1:2 with linespoints pointsize 0.5 title columnheader(1)
)",
                                  plot.name, plot.title, plot.x_title, plot.y_title,
                                  plot.log_x ? "set logscale x\n" : "", plot.curves.size() - 1));
}

}  // namespace lrpc::queue::bench
