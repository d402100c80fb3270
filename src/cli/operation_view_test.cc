#include "cli/operation_view.h"

#include <gtest/gtest.h>

#include <chrono>
#include <sstream>

namespace rowhouse::cli {
namespace {

using namespace std::chrono_literals;

json::Value parsed(std::string_view text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value.ok());
  return std::move(value).value();
}

class OperationViewTest : public testing::Test {
 protected:
  explicit OperationViewTest() { terminal.err_width = 80; }
  // What was written since the last call.
  std::string written() {
    std::string text = err.str();
    err.str("");
    return text;
  }

  std::istringstream in;
  std::ostringstream out, err;
  Terminal terminal{in, out, err};
  OperationView::Time start = std::chrono::steady_clock::now();

  const json::Value begun = parsed(R"({"status": "running", "progress": null, "steps": [
    {"name": "create_role", "status": "done", "attempts": 1, "error": null,
     "started_at": "2026-11-21T05:40:59.9Z", "finished_at": "2026-11-21T05:41:00.025Z"},
    {"name": "create_database", "status": "running", "attempts": 2, "error": {"message": "in use\u001b[31m"},
     "started_at": "2026-11-21T05:41:00Z", "finished_at": null},
    {"name": "activate", "status": "pending", "attempts": 0, "error": null, "started_at": null, "finished_at": null}]})");
};

TEST_F(OperationViewTest, TellsEachThingOnceWhereThereIsNoTerminal) {
  OperationView view(terminal);
  view.show(begun, start);
  EXPECT_EQ(written(), "create role: done (125 ms)\ncreate database: in use\xEF\xBF\xBD[31m (attempt 2)\n");
  view.show(begun, start + 5s);
  view.tick(start + 6s);
  EXPECT_EQ(written(), "");
  json::Value later = begun;
  later.set("status", "undoing");
  later.set("error", parsed(R"({"message": "in use", "step": "create_database"})"));
  view.show(later, start + 7s);
  EXPECT_EQ(written(), "failed: taking back what was done: in use\n");
}

TEST_F(OperationViewTest, DrawsOverItselfOnATerminal) {
  terminal.err_is_terminal = true;
  OperationView view(terminal);
  view.show(begun, start);
  const std::string first = written();
  for (const char* part :
       {"✓ create role", "125 ms", "▸ create database", "attempt 2  in use", "· activate"}) {
    EXPECT_NE(first.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(first.find("\x1b[31m"), std::string::npos) << "the server's text steers nothing";
  EXPECT_EQ(first.find("A\x1b[K"), std::string::npos);
  view.tick(start + 3s);
  const std::string second = written();
  EXPECT_TRUE(second.starts_with("\r\x1b[3A\x1b[K")) << "up by the three lines of before";
  EXPECT_NE(second.find("3 s"), std::string::npos);
}

TEST_F(OperationViewTest, ShowsProgressBelowTheRunningStep) {
  terminal.err_is_terminal = true;
  OperationView view(terminal);
  json::Value moving = begun;
  moving.set("progress", parsed(R"({"done": 1500, "total": 3000, "what": "tenant acme"})"));
  view.show(moving, start);
  EXPECT_NE(written().find("50 %  1,500 of 3,000  tenant acme"), std::string::npos);
  moving.set("progress", parsed(R"({"done": 12, "total": null, "what": null})"));
  view.show(moving, start);
  EXPECT_NE(written().find("    12\n"), std::string::npos);
}

TEST_F(OperationViewTest, NeverWrapsALine) {
  terminal.err_is_terminal = true;
  terminal.err_width = 30;
  OperationView view(terminal);
  json::Value long_one = begun;
  long_one.set("error",
               parsed(R"({"message": "a very long message about what went wrong in the database"})"));
  long_one.set("status", "failed");
  view.show(long_one, start);
  std::istringstream lines(written());
  for (std::string line; std::getline(lines, line);) {
    if (const auto at = line.rfind("\x1b[K"); at != std::string::npos) line.erase(0, at + 3);
    if (line.starts_with("\x1b")) continue;
    EXPECT_LT(display_width(line), 30U) << line;
  }
}

TEST(OperationText, Durations) {
  EXPECT_EQ(duration_text(0ms), "0 ms");
  EXPECT_EQ(duration_text(-5ms), "0 ms") << "clocks may be set back";
  EXPECT_EQ(duration_text(999ms), "999 ms");
  EXPECT_EQ(duration_text(3'250ms), "3.2 s");
  EXPECT_EQ(duration_text(125s), "2 min 5 s");
  EXPECT_EQ(duration_text(200min), "3 h 20 min");
}

TEST(OperationText, Times) {
  EXPECT_EQ(time_between("2026-11-21T05:40:00Z", "2026-11-21T05:40:01.5Z"), 1500ms);
  EXPECT_EQ(time_between("2026-11-21T23:59:59.999Z", "2026-11-22T00:00:00.001000Z"), 2ms);
  EXPECT_EQ(time_between("", "2026-11-21T05:40:01Z"), std::nullopt);
  EXPECT_EQ(time_between("yesterday", "2026-11-21T05:40:01+01:00"), std::nullopt);
}

TEST(OperationText, Bars) {
  EXPECT_EQ(progress_bar(0, 10, 4), "────   0 %");
  EXPECT_EQ(progress_bar(5, 10, 4), "━━──  50 %");
  EXPECT_EQ(progress_bar(15, 10, 4), "━━━━ 100 %");
  EXPECT_EQ(progress_bar(5, 0, 4), "");
}

}  // namespace
}  // namespace rowhouse::cli
