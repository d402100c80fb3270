#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "base/text.h"
#include "cli/command.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/suggest.h"

namespace rowhouse::cli {
namespace {

constexpr std::string_view kExitCodes =
    "  0    done\n"
    "  1    the server refused, or the operation failed\n"
    "  2    the command line or the configuration is wrong\n"
    "  3    there is no such tenant, key, pack, row or function\n"
    "  4    no credential, or one that may not do this\n"
    "  5    no server answers at the URL\n"
    "  130  interrupted\n";

// The command whose name is the longest prefix of `words`; null if none is.
const Command* find_command(const App& app, const std::vector<std::string>& words, std::size_t* used) {
  const Command* best = nullptr;
  for (const Command& command : app.commands) {
    const auto parts = split(command.name, ' ');
    const bool matches =
        parts.size() <= words.size() && std::equal(parts.begin(), parts.end(), words.begin());
    if (matches && (best == nullptr || parts.size() > *used)) {
      best = &command;
      *used = parts.size();
    }
  }
  return best;
}

Error unknown_command(const App& app, const std::vector<std::string>& words) {
  std::vector<std::string> known = {"help"};
  for (const Command& command : app.commands) known.push_back(command.name);
  std::string typed = words[0];
  if (words.size() > 1 && !words[1].starts_with("-")) typed += " " + words[1];
  const auto suggestion = did_you_mean(typed, known);
  return usage_error(fmt::format("there is no command `rowhouse {}`{}", typed,
                                 suggestion.empty() ? ". `rowhouse help` lists them" : suggestion));
}

Result<ExitCode> help(const App& app, const Terminal& terminal, const std::vector<std::string>& words) {
  if (words.empty()) {
    terminal.out << overview(app, terminal);
    return ExitCode::ok;
  }
  if (words[0] == "exit-codes") {
    terminal.out << kExitCodes;
    return ExitCode::ok;
  }
  std::size_t used = 0;
  if (const Command* command = find_command(app, words, &used)) {
    terminal.out << command_help(app, terminal, *command);
    return ExitCode::ok;
  }
  const std::string text = group_help(app, terminal, words[0]);
  if (text.empty() || words.size() > 1) return unknown_command(app, words);
  terminal.out << text;
  return ExitCode::ok;
}

bool asks_for_help(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--") return false;
    if (word == "--help" || word == "-h") return true;
  }
  return false;
}

Result<ExitCode> dispatch(const App& app, const Terminal& terminal, std::vector<std::string> words) {
  if (words.empty()) {
    terminal.err << overview(app, terminal);
    return ExitCode::usage;
  }
  if (words[0] == "--version") words[0] = "version";
  if (words[0] == "help" || words[0] == "--help" || words[0] == "-h") {
    words.erase(words.begin());
    return help(app, terminal, words);
  }
  std::size_t used = 0;
  const Command* command = find_command(app, words, &used);
  if (command == nullptr) {
    const std::string group = group_help(app, terminal, words[0]);
    if (!group.empty() && (words.size() == 1 || asks_for_help(words))) {
      (words.size() == 1 ? terminal.err : terminal.out) << group;
      return words.size() == 1 ? ExitCode::usage : ExitCode::ok;
    }
    return unknown_command(app, words);
  }
  words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(used));
  if (asks_for_help(words)) {
    terminal.out << command_help(app, terminal, *command);
    return ExitCode::ok;
  }
  auto invocation = parse_invocation(app, *command, terminal, words);
  if (!invocation.ok()) {
    return std::move(invocation).error().with_detail("usage", usage_line(*command));
  }
  return command->run(*invocation);
}

}  // namespace

int run(const App& app, const Terminal& terminal, const std::vector<std::string>& words) {
  const auto outcome = dispatch(app, terminal, words);
  if (!outcome.ok()) report_error(terminal, outcome.error());
  terminal.out.flush();
  const ExitCode code = outcome.ok() ? *outcome : exit_code_of(outcome.error());
  return static_cast<int>(code);
}

}  // namespace rowhouse::cli
