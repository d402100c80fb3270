// An operation on the screen, while it runs: what each step is doing, and for how long.
//
// On a terminal a block of lines that is drawn over again; elsewhere one line for each thing that is settled.
// Everything goes to `err`: `out` belongs to the command's answer. Operations are the JSON documents of the
// API.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cli/terminal.h"

namespace rowhouse::cli {

class OperationView {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit OperationView(const Terminal& terminal) : terminal_(terminal) {}

  void show(const json::Value& operation, Time now);
  // Brings the running times up to date; terminals only.
  void tick(Time now);
  // A line between the steps: the connection broke, for example.
  void say(std::string_view what, Time now);

 private:
  void draw(Time now);
  void print_news(const json::Value& operation);
  std::vector<std::string> lines(Time now);
  std::string step_line(const json::Value& step, Time now);

  const Terminal& terminal_;
  json::Value operation_;
  std::string remark_;
  std::map<std::string, std::string> told_;  // step → what was printed of it last; "" the operation
  std::map<std::string, Time> since_;        // step → when it was first seen running
  std::size_t drawn_lines_ = 0;
};

// "create_schema" → "create schema"
std::string step_title(std::string_view name);
// "120 ms", "3.2 s", "2 min 5 s", "3 h 20 min"
std::string duration_text(std::chrono::milliseconds duration);
// Between two times as the API writes them; nullopt unless both are there.
std::optional<std::chrono::milliseconds> time_between(std::string_view from, std::string_view to);
// "━━━━━───── 50 %"; of a part that is unknown or nonsense: "".
std::string progress_bar(std::int64_t done, std::int64_t total, std::size_t columns);

bool operation_ended(const json::Value& operation);
bool operation_succeeded(const json::Value& operation);

}  // namespace rowhouse::cli
