#include <fmt/format.h>

#include <condition_variable>
#include <fstream>
#include <mutex>
#include <ostream>
#include <thread>

#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/lint_report.h"

namespace rowhouse::cli {
namespace {

using namespace std::chrono_literals;

// A run that takes longer says now and then that it is still there, on a terminal alone.
class Waiting {
 public:
  explicit Waiting(const Terminal& terminal) {
    if (terminal.err_is_terminal) thread_ = std::thread([this, &terminal] { tell(terminal); });
  }
  ~Waiting() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    ended_.notify_all();
    if (thread_.joinable()) thread_.join();
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  void tell(const Terminal& terminal) {
    const auto started = std::chrono::steady_clock::now();
    bool told = false;
    std::unique_lock lock(mutex_);
    while (!ended_.wait_for(lock, told ? 1s : 2s, [this] { return done_; })) {
      const auto passed = std::chrono::steady_clock::now() - started;
      terminal.err << fmt::format("\rReading catalogs … {} s",
                                  std::chrono::duration_cast<std::chrono::seconds>(passed).count())
                   << std::flush;
      told = true;
    }
    if (told) terminal.err << "\r\x1b[K" << std::flush;
  }

  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
  std::thread thread_;
};

Result<void> write_output(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.flush();
  if (!file) return Error(ErrorCode::invalid_parameter, "cannot write " + path);
  return {};
}

Result<ExitCode> lint(Invocation& invocation) {
  const Terminal& terminal = invocation.terminal();
  const std::string format = invocation.has("format") ? invocation.value("format") : "text";
  if (format != "text" && format != "json" && format != "sarif")
    return usage_error("--format is text, json or sarif, not " + format);
  TRY(const auto client, ApiClient::create(invocation));
  std::vector<std::pair<std::string, std::string>> query;
  for (const std::string& database : invocation.values("database")) query.emplace_back("database", database);

  json::Value report;
  {
    const Waiting waiting(terminal);
    TRY(auto reply, client.call("POST", "/v1/lint" + query_of(query)));
    report = std::move(reply.body);
  }
  const std::string output = invocation.value("output");
  // Colours are for the terminal, not for a file.
  Terminal plain = terminal;
  if (!output.empty()) plain.color = false;
  std::string text;
  if (format == "text") text = lint_text(plain, report);
  if (format == "json") text = json::serialize_pretty(report) + "\n";
  if (format == "sarif") text = json::serialize_pretty(lint_sarif(report, invocation.app().version)) + "\n";
  if (output.empty()) {
    terminal.out << text;
  } else {
    TRY_DO(write_output(output, text));
  }
  const json::Value* findings = report.find("findings");
  const bool clean = findings != nullptr && findings->as_array() != nullptr && findings->as_array()->empty();
  return clean ? ExitCode::ok : ExitCode::findings;
}

}  // namespace

std::vector<Command> lint_commands() {
  Command lint_command;
  lint_command.name = "lint";
  lint_command.summary = "Check everything that is installed against the rules of isolation";
  lint_command.options = {
      {"database", "NAME", "Only this database; may be repeated", {}, Completion::none, Option::Count::many},
      {"format", "FORMAT", "text (default), json or sarif", {"text", "json", "sarif"}},
      {"output", "FILE", "Write there instead of to the standard output", {}, Completion::file}};
  lint_command.notes =
      "Reads the catalogs of every database with tenants' rows and of the server; changes nothing. Each "
      "finding names "
      "the rule and the fix, which is SQL wherever SQL can mend it. Exit status 1 if there is a finding. "
      "docs/isolation-rules.md explains the rules.";
  lint_command.examples = {
      {"rowhouse lint", "everything"},
      {"rowhouse lint --format sarif --output lint.sarif", "for tools that show code reviews"}};
  lint_command.talks = Talks::to_control_plane;
  lint_command.run = lint;
  return {lint_command};
}

}  // namespace rowhouse::cli
