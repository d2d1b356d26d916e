// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "process.hpp"

namespace lrpc::queue::test {
namespace {

TEST(Usage, VersionIsPrintedOnStdout) {
  const RunResult result = run({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.out.starts_with("lrpc-queue ")) << result.out;
  EXPECT_EQ(lines_of(result.out).size(), 1U);
  EXPECT_EQ(result.err, "");
}

TEST(Usage, HelpNamesCommandsGlobalOptionsExitCodesAndExamples) {
  const RunResult result = run({"--help"});
  EXPECT_EQ(result.exit_code, 0);
  for (const char* text :
       {"pipe",    "pub",       "sub",      "tail",   "topics",    "channels",   "stats",    "depth",
        "dlq",     "drain",     "rm",       "doctor", "bench",     "config",     "--config", "--storage",
        "--redis", "--brokers", "--prefix", "--json", "--verbose", "Exit codes", "Examples:"}) {
    EXPECT_NE(result.out.find(text), std::string::npos) << text;
  }
  EXPECT_EQ(result.err, "");
}

TEST(Usage, EveryCommandHasHelpWithExamples) {
  std::vector<std::vector<std::string>> commands{
      {"config", "check"}, {"dlq", "list"}, {"dlq", "requeue"}, {"dlq", "purge"}};
  for (const char* const name : {"pipe", "pub", "sub", "tail", "topics", "channels", "stats", "depth", "dlq", "drain",
                                 "rm", "doctor", "bench", "config"}) {
    commands.push_back({name});
  }
  for (std::vector<std::string> command : commands) {
    command.emplace_back("--help");
    const RunResult result = run(command);
    EXPECT_EQ(result.exit_code, 0) << command[0];
    EXPECT_NE(result.out.find("Examples:"), std::string::npos) << command[0];
  }
  EXPECT_NE(run({"pipe", "--help"}).out.find("--handler-timeout"), std::string::npos);
  EXPECT_NE(run({"bench", "--help"}).out.find("--producers"), std::string::npos);
}

TEST(Usage, WrongUseExitsWith2AndSaysWhyOnStderr) {
  struct Case {
    std::vector<std::string> arguments;
    std::string said;
  };
  const std::vector<Case> cases{
      {{}, "subcommand is required"},
      {{"nonsense"}, "\"nonsense\""},
      {{"pipe", "--nonsense"}, "--nonsense"},
      {{"pipe", "--storage", "paper"}, "--storage"},
      {{"pipe", "--exec", "cat", "--concurrency", "0"}, "--concurrency"},
      {{"pipe", "--exec", "cat", "--concurrency", "many"}, "--concurrency"},
      {{"pipe", "--exec", "cat", "--max-retries", "-2"}, "--max-retries"},
      {{"pipe", "--exec", "cat", "--retry-delay", "soon"}, "soon"},
      {{"pipe", "--exec", "cat", "--retry-delay", "-1s"}, "-1s"},
      {{"pipe", "--exec", "cat", "--ack-timeout", "0"}, "ack_timeout"},
      {{"pipe", "--concurrency", "2"}, "--exec"},
      {{"pipe", "--max-retries", "2"}, "--exec"},
      {{"pipe", "--retry-delay", "2s"}, "--exec"},
      {{"pipe", "--ack-timeout", "2s"}, "--exec"},
      {{"pipe", "--handler-timeout", "2s"}, "--exec"},
      {{"pipe", "--dead-letters", "f"}, "--exec"},
      {{"pipe", "--prefix", "x"}, "--prefix"},
      {{"pipe", "--storage", "memory", "--redis", "localhost:1"}, "--redis"},
      {{"pipe", "--storage", "memory", "--brokers", "localhost:1"}, "--brokers"},
      {{"pipe", "--redis", "localhost:1", "--brokers", "localhost:1"}, "--brokers"},
      {{"pipe", "--storage", "redis", "--brokers", "localhost:1"}, "--brokers"},
      {{"pipe", "--redis", "localhost:1"}, "use pub and sub"},
      {{"pipe", "--brokers", "localhost:1"}, "use pub and sub"},
      {{"pipe", "--config", "no-such-file.yaml"}, "no-such-file.yaml"},
      {{"bench", "--messages", "0"}, "--messages"},
      {{"bench", "--shape", "round"}, "--shape"},
      {{"config"}, "subcommand is required"},
      {{"config", "chekc", "a.yaml"}, "\"chekc\""},
      {{"config", "check"}, "FILE"},
      {{"config", "check", "a.yaml", "--storage", "memory"}, "--storage"},
      {{"config", "check", "a.yaml", "--config", "b.yaml"}, "--config"},
  };
  for (const Case& c : cases) {
    const RunResult result = run(c.arguments);
    EXPECT_EQ(result.exit_code, 2) << testing::PrintToString(c.arguments) << result.err;
    EXPECT_TRUE(result.err.starts_with("lrpc-queue: ")) << result.err;
    EXPECT_NE(result.err.find(c.said), std::string::npos) << testing::PrintToString(c.arguments) << result.err;
    EXPECT_EQ(result.out, "") << testing::PrintToString(c.arguments);
  }
}

TEST(Usage, AnErrorNamesTheHelpOfItsCommand) {
  const auto said = [](const std::vector<std::string>& arguments) { return lines_of(run(arguments).err).back(); };
  EXPECT_EQ(said({"--nothing"}), "Run lrpc-queue --help for more.");
  EXPECT_EQ(said({"pub", "t", "--dely", "1s"}), "Run lrpc-queue pub --help for more.");
  EXPECT_EQ(said({"dlq", "list", "t"}), "Run lrpc-queue dlq list --help for more.");
}

TEST(Usage, AKafkaThatIsNotThereIsSaid) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--brokers", "localhost:1,localhost:2"},
        std::vector<std::string>{"--storage", "kafka", "--brokers", "localhost:1", "--prefix", "x"}}) {
    for (const char* const command : {"bench", "topics"}) {
      std::vector<std::string> words = arguments;
      words.emplace_back(command);
      const RunResult result = run(words);
      EXPECT_EQ(result.exit_code, 3) << result.err;
      EXPECT_NE(result.err.find("connect to Kafka: localhost:"), std::string::npos) << result.err;
      EXPECT_NE(result.err.find("(kafka_config.brokers is localhost:1"), std::string::npos) << result.err;
      EXPECT_EQ(result.out, "");
    }
  }
}

TEST(Usage, AFullDiskIsAnError) {
  const Start full{.out_file = "/dev/full"};
  EXPECT_EQ(run({"--version"}, {}, full).exit_code, 1);
  EXPECT_EQ(run({"--help"}, {}, full).exit_code, 1);
  EXPECT_EQ(run({"bench", "--messages", "10"}, {}, full).exit_code, 1);
  const RunResult printed = run({"pipe"}, "a\n", full);
  EXPECT_EQ(printed.exit_code, 1);
  EXPECT_NE(printed.err.find("No space left"), std::string::npos) << printed.err;
  EXPECT_NE(printed.err.find("published 1 handled 0"), std::string::npos) << printed.err;
}

TEST(Settings, EnvironmentGoesOverTheFileAndOptionsOverBoth) {
  const TempFolder folder;
  const std::string file = folder.file("queue.yaml", "max_retries: 1\nretry_delay: 0s\n");
  const std::vector<std::string> base{"--config", file, "pipe", "--exec", "exit 1"};
  EXPECT_NE(run(base, "a\n").err.find("retried 1 dead 1"), std::string::npos);
  const Start two{.environment = {"LRPC_QUEUE_MAX_RETRIES=2"}};
  EXPECT_NE(run(base, "a\n", two).err.find("retried 2 dead 1"), std::string::npos);
  std::vector<std::string> three = base;
  three.insert(three.end(), {"--max-retries", "3"});
  EXPECT_NE(run(three, "a\n", two).err.find("retried 3 dead 1"), std::string::npos);
  const RunResult wrong = run(base, "a\n", {.environment = {"LRPC_QUEUE_MAX_RETRIES=lots"}});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_NE(wrong.err.find("LRPC_QUEUE_MAX_RETRIES"), std::string::npos) << wrong.err;
}

TEST(ConfigCheck, SaysOkForAGoodFileOfEachKind) {
  const TempFolder folder;
  for (const std::string& file : {folder.file("a.json", R"({"max_retries": 3, "retry_delay": "1m30s"})"),
                                  folder.file("a.yaml", "max_retries: 3\nredis_config:\n  addr: r:1\n"),
                                  folder.file("a.yml", "max_retries: -1\n"),
                                  folder.file("a.toml", "max_retries = 3\n[kafka_config]\npartition = 2\n")}) {
    const RunResult result = run({"config", "check", file});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, file + ": ok\n");
    EXPECT_EQ(result.err, "");
  }
}

TEST(ConfigCheck, NamesFileAndKeyOfWhatIsWrongInAnyBackEnd) {
  const TempFolder folder;
  struct Case {
    std::string file;
    std::string key;
  };
  const std::vector<Case> cases{{folder.file("a.yaml", "max_retires: 3\n"), "max_retires"},
                                {folder.file("b.json", R"({"max_retries": "three"})"), "max_retries"},
                                {folder.file("c.yaml", "redis_config:\n  pool_size: 0\n"), "pool_size"},
                                {folder.file("d.toml", "[kafka_config]\npartition = 0\n"), "partition"},
                                {folder.file("e.json", "{"), "e.json"},
                                {folder.file("f.ini", "max_retries=3"), "f.ini"},
                                {folder.path("missing.yaml"), "missing.yaml"},
                                {folder.path(""), ""}};
  for (const Case& c : cases) {
    const RunResult result = run({"config", "check", c.file});
    EXPECT_EQ(result.exit_code, 2) << c.file;
    EXPECT_NE(result.err.find(c.file), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(c.key), std::string::npos) << result.err;
    EXPECT_EQ(result.err.find(c.file), result.err.rfind(c.file)) << "the file is named once: " << result.err;
    EXPECT_EQ(result.out, "");
  }
}

TEST(ConfigCheck, PrintsJson) {
  const TempFolder folder;
  const std::string good = folder.file("a \"b\".yaml", "max_retries: 3\n");
  const auto ok = nlohmann::json::parse(run({"config", "check", "--json", good}).out);
  EXPECT_EQ(ok.at("file"), good);
  EXPECT_EQ(ok.at("ok"), true);
  const RunResult result = run({"config", "check", "--json", folder.file("b.yaml", "max_in_flight: 0\n")});
  EXPECT_EQ(result.exit_code, 2);
  const auto wrong = nlohmann::json::parse(result.out);
  EXPECT_EQ(wrong.at("ok"), false);
  EXPECT_NE(wrong.at("error").get<std::string>().find("max_in_flight"), std::string::npos);
}

TEST(ConfigCheck, DoesNotReadTheEnvironment) {
  const TempFolder folder;
  const std::string good = folder.file("a.yaml", "max_retries: 3\n");
  EXPECT_EQ(run({"config", "check", good}, {}, {.environment = {"LRPC_QUEUE_MAX_RETRIES=-7"}}).exit_code, 0);
}

TEST(Bench, JsonCountsEveryDeliveryOfEveryShape) {
  const RunResult result = run({"bench", "--json", "--messages", "1000", "--size", "10", "--producers", "3",
                                "--consumers", "2", "--channels", "5", "--batch", "7"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto report = nlohmann::json::parse(result.out);
  EXPECT_EQ(report.at("storage"), "memory");
  EXPECT_EQ(report.at("size"), 10);
  std::vector<std::string> names;
  for (const auto& row : report.at("results")) {
    names.push_back(row.at("shape"));
    EXPECT_EQ(row.at("messages"), 1000);
    EXPECT_EQ(row.at("deliveries"), row.at("shape") == "fan-out" ? 5000 : 1000);
    EXPECT_GT(row.at("seconds").get<double>(), 0);
    EXPECT_GT(row.at("rate").get<double>(), 0);
    EXPECT_GT(row.at("ns").get<double>(), 0);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"single", "batch", "one-to-one", "many-to-many", "fan-out", "subscribe"}));
}

TEST(Bench, TableHasOneRowPerChosenShape) {
  const RunResult result = run({"bench", "--messages", "100", "--shape", "subscribe,single", "--shape", "batch"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 4U) << result.out;
  EXPECT_TRUE(lines[0].starts_with("shape"));
  EXPECT_TRUE(lines[1].starts_with("single"));
  EXPECT_TRUE(lines[2].starts_with("batch"));
  EXPECT_TRUE(lines[3].starts_with("subscribe"));
}

TEST(Bench, ABodyAboveTheLimitIsReported) {
  const RunResult result = run({"bench", "--messages", "10", "--size", "2000000"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("max_body_size"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace lrpc::queue::test
