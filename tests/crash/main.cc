// The whole program once more, interrupted where a plan says: killed, frozen, held up, or told a lie about an
// answer. Everything else is as in src/main.cc.
//
// $ROWHOUSE_CRASH_DIRECTORY holds `plan`, which is read at every point: a line with a name of the plan, then
// rules "ACTION NTH POINT", each of which acts once, at the NTH passing of the point under this plan. There
// it writes `trail`, "PLAN<tab>POINT<tab>ACTION" for every point that is passed (ACTION is empty where
// nothing happens), and `kinds`, "KIND<tab>STEP<tab>effect|record<tab>undo|" for every step that there is.
//
// A point with `*` for its number is any of that effect.
//
//   kill    SIGKILL of this process
//   freeze  SIGSTOP of this process; goes on when somebody continues it
//   hold    waits for another plan, while everything else goes on
//   lose    the point answers that the database is unavailable: after an effect, its answer is lost
//   fail    the point answers with an error that no other attempt mends
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "platform/program.h"

namespace {

using namespace std::chrono_literals;
using rowhouse::Error;
using rowhouse::ErrorCode;
using rowhouse::Result;
using rowhouse::Task;
using rowhouse::net::Executor;
using rowhouse::operations::Kind;
using rowhouse::operations::Observer;
using rowhouse::operations::Point;
using rowhouse::operations::Step;

constexpr auto kLookAgainAfter = 2ms;

struct Rule {
  std::string action, point;
  int passings_left = 1;
};

// One write(2) at the end of the file: nothing is torn, and nothing is lost when the process is killed.
void append_line(const std::string& path, const std::string& line) {
  constexpr mode_t kMode = 0644;
  const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, kMode);
  const std::string text = line + "\n";
  const bool written =
      file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (!written) std::abort();  // a matrix that sees half of the points proves nothing
  close(file);
}

// "kind/step/run/12 SELECT/before" with a star for its number.
std::string without_number(const std::string& name) {
  std::size_t begin = 0;
  for (int slash = 0; slash < 3 && begin != std::string::npos; ++slash) {
    begin = name.find('/', begin);
    if (begin != std::string::npos) ++begin;
  }
  if (begin == std::string::npos) return name;
  const std::size_t end = name.find_first_not_of("0123456789", begin);
  if (end == begin || end == std::string::npos) return name;
  return name.substr(0, begin) + "*" + name.substr(end);
}

class Interrupter final : public Observer {
 public:
  Interrupter(Executor& executor, std::string directory)
      : executor_(executor), directory_(std::move(directory)) {}

  void knows(const Kind& kind) override {
    for (const Step& step : kind.steps) {
      const bool has_undo = step.undo_effect || step.undo_record;
      append_line(directory_ + "/kinds", kind.name + "\t" + step.name + "\t" +
                                             (step.run_record ? "record" : "effect") + "\t" +
                                             (has_undo ? "undo" : ""));
    }
  }

  Task<Result<void>> at(const Point& point) override {
    const std::string name = point.name();
    const std::string any_number = without_number(name);
    read_plan();
    std::string action;
    for (Rule& rule : rules_) {
      const bool is_here = rule.point == name || rule.point == any_number;
      if (is_here && --rule.passings_left == 0) action = rule.action;
    }
    append_line(directory_ + "/trail", plan_ + "\t" + name + "\t" + action);
    // This thread itself, so that it does nothing more: with kill(2) another thread may be the one to be
    // told.
    if (action == "kill") raise(SIGKILL);
    if (action == "freeze") raise(SIGSTOP);
    if (action == "hold") {
      const std::string held_by = plan_;
      while (plan_ == held_by) {
        co_await rowhouse::net::sleep_for(executor_, kLookAgainAfter);
        read_plan();
      }
    }
    if (action == "lose") co_return Error(ErrorCode::database_unavailable, "the answer was lost");
    if (action == "fail") co_return Error(ErrorCode::validation_failed, "planned to fail");
    co_return Result<void>();
  }

 private:
  // The harness replaces the file by a rename.
  void read_plan() {
    std::ifstream file(directory_ + "/plan");
    std::string name, line;
    if (!std::getline(file, name) || name == plan_) return;
    plan_ = name;
    rules_.clear();
    while (std::getline(file, line)) {
      Rule rule;
      std::istringstream words(line);
      words >> rule.action >> rule.passings_left >> std::ws;
      std::getline(words, rule.point);
      rules_.push_back(std::move(rule));
    }
  }

  Executor& executor_;
  std::string directory_;
  std::string plan_;
  std::vector<Rule> rules_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  rowhouse::platform::Hooks hooks;
  const auto directory = rowhouse::platform::process_environment()("ROWHOUSE_CRASH_DIRECTORY");
  if (directory) {
    hooks.make_observer = [where = *directory](Executor& executor) -> std::unique_ptr<Observer> {
      return std::make_unique<Interrupter>(executor, where);
    };
  }
  return rowhouse::platform::run_program(words, hooks);
}
