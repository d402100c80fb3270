#include "observe/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <limits>
#include <thread>

#include "base/json.h"

namespace rowhouse::observe {
namespace {

const WallTime kNow = WallTime(std::chrono::milliseconds(1'795'239'600'123));

struct LogTest : testing::Test {
  MemorySink sink;
  ManualClock clock{kNow};
  Log log{sink, clock, Level::debug};

  json::Value only_line() const {
    EXPECT_EQ(sink.lines().size(), 1U);
    auto parsed = json::parse(sink.lines().at(0));
    EXPECT_TRUE(parsed.ok()) << sink.lines().at(0);
    return parsed.ok() ? std::move(parsed).value() : json::Value();
  }
};

TEST_F(LogTest, WritesTimeLevelEventAndFieldsInOrder) {
  const std::string address = "127.0.0.1:8080";
  log.write(
      Level::info, "server_started",
      {{"address", address}, {"workers", 2}, {"tls", false}, {"load", 0.5}, {"max", std::uint64_t{1} << 63}});
  EXPECT_EQ(sink.lines().at(0), "{\"time\":\"" + to_rfc3339(kNow) +
                                    "\",\"level\":\"info\",\"event\":\"server_started\",\"address\":"
                                    "\"127.0.0.1:8080\",\"workers\":2,\"tls\":false,\"load\":0.5,\"max\":"
                                    "9223372036854775808}");
}

TEST_F(LogTest, EscapesWhatACallerSends) {
  const std::string hostile("a\"b\\c\n{\"level\":\"error\"}\0d", 26);
  log.write(Level::warning, "path_refused", {{"path", hostile}});
  const auto line = only_line();
  ASSERT_NE(line.find("path"), nullptr);
  EXPECT_EQ(*line.find("path")->as_string(), hostile);
  EXPECT_EQ(sink.lines().at(0).find('\n'), std::string::npos);
}

TEST_F(LogTest, BytesThatAreNotUtf8AreReplaced) {
  log.write(Level::info, "seen", {{"agent", "bad\xff\xc3name"}});
  EXPECT_EQ(*only_line().find("agent")->as_string(), "bad??name");
}

TEST_F(LogTest, NumbersThatJsonCannotHoldAreNull) {
  log.write(Level::info, "seen", {{"ratio", std::numeric_limits<double>::infinity()}});
  EXPECT_TRUE(only_line().find("ratio")->is_null());
}

TEST_F(LogTest, LongValuesAreCutBetweenCharacters) {
  std::string text = "x";
  while (text.size() < 100'000) text += "é";
  log.write(Level::info, "seen", {{"text", text}});
  const auto line = only_line();
  const std::string& kept = *line.find("text")->as_string();
  EXPECT_LT(kept.size(), 9'000U);
  EXPECT_TRUE(kept.ends_with("é…"));
}

TEST_F(LogTest, LevelsBelowTheMinimumAreLeftOut) {
  log.set_minimum(Level::warning);
  log.write(Level::debug, "a");
  log.write(Level::info, "b");
  log.write(Level::warning, "c");
  log.write(Level::error, "d");
  EXPECT_EQ(sink.lines().size(), 2U);
  EXPECT_EQ(sink.count_of("c"), 1U);
  EXPECT_FALSE(log.enabled(Level::info));
}

TEST_F(LogTest, ErrorsCarryCodeAndMessageButNotDetails) {
  const Error error =
      Error(ErrorCode::database_unavailable, "No connection").with_detail("sqlstate", "57P01");
  log.write_error("request_failed", error, {{"request_id", "r1"}});
  const auto line = only_line();
  EXPECT_EQ(*line.find("request_id")->as_string(), "r1");
  EXPECT_EQ(*line.find("error_code")->as_string(), "database_unavailable");
  EXPECT_EQ(*line.find("error_message")->as_string(), "No connection");
  EXPECT_EQ(sink.lines().at(0).find("57P01"), std::string::npos);
}

TEST_F(LogTest, ProcessLogCanBeReplaced) {
  set_process_log(&log);
  observe::log(Level::info, "replaced", {{"n", 1}});
  set_process_log(nullptr);
  EXPECT_EQ(sink.count_of("replaced"), 1U);
  EXPECT_NE(&process_log(), &log);
}

TEST(LevelTest, NamesRoundTrip) {
  for (const Level level : {Level::debug, Level::info, Level::warning, Level::error}) {
    EXPECT_EQ(parse_level(level_name(level)), level);
  }
  EXPECT_EQ(parse_level("loud"), std::nullopt);
}

struct FileSinkTest : testing::Test {
  FileSinkTest() {
    std::string pattern = testing::TempDir() + "/log_test_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory = pattern;
    path = directory + "/rowhouse.log";
  }
  ~FileSinkTest() override {
    ::unlink(path.c_str());
    ::rmdir(directory.c_str());
  }
  std::string directory, path;
};

TEST_F(FileSinkTest, ThreadsAndProcessesNeverMixTheirLines) {
  const SystemClock clock;
  {
    auto sinks = {FileSink::open(path), FileSink::open(path)};  // as two processes would have it
    std::vector<std::thread> threads;
    for (const auto& sink : sinks) {
      ASSERT_TRUE(sink.ok());
      for (int t = 0; t < 2; ++t) {
        threads.emplace_back([&clock, t, target = sink.value().get()] {
          const Log log(*target, clock);
          const std::string text(500, static_cast<char>('a' + t));
          for (int i = 0; i < 500; ++i) log.write(Level::info, "line", {{"text", text}, {"i", i}});
        });
      }
    }
    for (auto& thread : threads) thread.join();
    for (const auto& sink : sinks) EXPECT_EQ(sink.value()->dropped_lines(), 0U);
  }
  std::ifstream file(path);
  std::string line;
  int count = 0;
  while (std::getline(file, line)) {
    ASSERT_TRUE(json::parse(line).ok()) << line;
    ++count;
  }
  EXPECT_EQ(count, 2000);
}

TEST_F(FileSinkTest, AppendsAndIsNotReadableByOthers) {
  const SystemClock clock;
  for (int i = 0; i < 2; ++i) {
    auto sink = FileSink::open(path);
    ASSERT_TRUE(sink.ok());
    Log(*sink.value(), clock).write(Level::info, "opened");
  }
  std::ifstream file(path);
  std::string first, second;
  EXPECT_TRUE(std::getline(file, first) && std::getline(file, second));
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07U, 0U);
}

TEST_F(FileSinkTest, APathThatCannotBeOpenedIsNamed) {
  const auto sink = FileSink::open(directory + "/none/rowhouse.log");
  ASSERT_FALSE(sink.ok());
  EXPECT_EQ(sink.error().code, ErrorCode::config_invalid);
  EXPECT_NE(sink.error().message.find("/none/rowhouse.log"), std::string::npos);
}

TEST_F(FileSinkTest, ADeviceThatIsFullCostsOnlyTheLine) {
  const SystemClock clock;
  auto sink = FileSink::open("/dev/full");
  ASSERT_TRUE(sink.ok());
  Log(*sink.value(), clock).write(Level::error, "lost");
  EXPECT_EQ(sink.value()->dropped_lines(), 1U);
}

}  // namespace
}  // namespace rowhouse::observe
