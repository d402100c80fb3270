#include "cli/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ostream>

#include "base/text.h"

namespace rowhouse::cli {
namespace {

constexpr std::string_view kFiles = "@file";
constexpr std::string_view kDirectories = "@directory";

// What may follow: `next` by the words of a command so far, `options` and `arguments` by command, `values` by
// "command --option".
struct Candidates {
  std::map<std::string, std::vector<std::string>> next;
  std::map<std::string, std::vector<std::string>> options;
  std::map<std::string, std::string> values;
  std::map<std::string, std::string> arguments;
};

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

std::string value_words(const std::vector<std::string>& choices, Completion completion) {
  if (!choices.empty()) return joined(choices);
  if (completion == Completion::file) return std::string(kFiles);
  if (completion == Completion::directory) return std::string(kDirectories);
  return "";
}

Candidates candidates_of(const App& app) {
  Candidates result;
  result.next[""].push_back("help");
  for (const Command& command : app.commands) {
    std::string prefix;
    for (const std::string_view part : split(command.name, ' ')) {
      auto& list = result.next[prefix];
      if (std::find(list.begin(), list.end(), part) == list.end()) list.emplace_back(part);
      prefix += (prefix.empty() ? "" : " ") + std::string(part);
    }
    for (const Option& option : options_of(app, command)) {
      result.options[command.name].push_back("--" + option.name);
      if (!option.value_name.empty()) {
        result.values[command.name + " --" + option.name] = value_words(option.choices, option.completion);
      }
    }
    result.options[command.name].emplace_back("--help");
    for (const Argument& argument : command.arguments) {
      const std::string words = value_words(argument.choices, argument.completion);
      if (!words.empty()) result.arguments[command.name] = words;
    }
  }
  return result;
}

// An associative array of the shell: names and words hold only letters, digits, spaces and dashes (a test
// checks).
std::string shell_array(std::string_view name, const std::map<std::string, std::string>& entries) {
  std::string text = fmt::format("  local -A {}=(\n", name);
  for (const auto& [key, words] : entries) text += fmt::format("    [\"{}\"]=\"{}\"\n", key, words);
  return text + "  )\n";
}

std::map<std::string, std::string> joined_lists(
    const std::map<std::string, std::vector<std::string>>& lists) {
  std::map<std::string, std::string> result;
  for (const auto& [key, words] : lists) result["/" + key] = joined(words);
  return result;
}

std::map<std::string, std::string> keyed(const std::map<std::string, std::string>& entries) {
  std::map<std::string, std::string> result;
  for (const auto& [key, words] : entries) result["/" + key] = words;
  return result;
}

std::string arrays(const Candidates& candidates) {
  return shell_array("next_words", joined_lists(candidates.next)) +
         shell_array("option_words", joined_lists(candidates.options)) +
         shell_array("value_words", keyed(candidates.values)) +
         shell_array("argument_words", keyed(candidates.arguments));
}

constexpr std::string_view kBashHead = R"(# bash completion for rowhouse; made by: rowhouse completion bash
_rowhouse() {
)";
constexpr std::string_view kBashTail =
    R"(  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
  local command="" word i choices=""
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    [[ "$command" == "" && "$word" == help ]] && continue
    [[ " ${next_words[/$command]-} " == *" $word "* ]] || break
    command="${command:+$command }$word"
  done
  if [[ -n "${value_words[/$command $previous]+x}" ]]; then
    choices="${value_words[/$command $previous]}"
  elif [[ "$current" == -* ]]; then
    choices="${option_words[/$command]-}"
  elif [[ -n "${next_words[/$command]-}" ]]; then
    choices="${next_words[/$command]}"
  else
    choices="${argument_words[/$command]-}"
  fi
  COMPREPLY=()
  case "$choices" in
    @file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    @directory) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$current") ;;
  esac
}
complete -F _rowhouse rowhouse
)";

constexpr std::string_view kZshHead = R"(#compdef rowhouse
# zsh completion for rowhouse; made by: rowhouse completion zsh
_rowhouse() {
)";
constexpr std::string_view kZshTail = R"(  local current="${words[CURRENT]}" previous="${words[CURRENT-1]}"
  local line="" word i choices=""
  for ((i = 2; i < CURRENT; i++)); do
    word="${words[i]}"
    [[ -z "$line" && "$word" == help ]] && continue
    [[ " ${next_words["/$line"]-} " == *" $word "* ]] || break
    line="${line:+$line }$word"
  done
  if [[ -n "${value_words["/$line $previous"]+x}" ]]; then
    choices="${value_words["/$line $previous"]}"
  elif [[ "$current" == -* ]]; then
    choices="${option_words["/$line"]-}"
  elif [[ -n "${next_words["/$line"]-}" ]]; then
    choices="${next_words["/$line"]}"
  else
    choices="${argument_words["/$line"]-}"
  fi
  case "$choices" in
    @file) _files ;;
    @directory) _files -/ ;;
    *) compadd -- ${=choices} ;;
  esac
}
if [[ "${funcstack[1]}" == _rowhouse ]]; then _rowhouse "$@"; else compdef _rowhouse rowhouse; fi
)";

// zsh keeps the quotes of ["key"] in a key; a plain key with spaces needs the (key value) form.
std::string zsh_arrays(const Candidates& candidates) {
  const auto array = [](std::string_view name, const std::map<std::string, std::string>& entries) {
    std::string text = fmt::format("  local -A {}\n  {}=(\n", name, name);
    for (const auto& [key, words] : entries) text += fmt::format("    \"{}\" \"{}\"\n", key, words);
    return text + "  )\n";
  };
  return array("next_words", joined_lists(candidates.next)) +
         array("option_words", joined_lists(candidates.options)) +
         array("value_words", keyed(candidates.values)) +
         array("argument_words", keyed(candidates.arguments));
}

std::string fish_quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') result += '\\';
    result += c;
  }
  return result + "'";
}

std::string fish_script(const App& app, const Candidates& candidates) {
  std::string text =
      "# fish completion for rowhouse; made by: rowhouse completion fish\n"
      "function __rowhouse_at\n"
      "  set -l words (commandline -opc)[2..-1]\n"
      "  test (string join ' ' -- (string match -v -- '-*' $words)) = \"$argv\"\n"
      "end\n"
      "function __rowhouse_in\n"
      "  string match -q -- \"$argv*\" (string join ' ' -- (commandline -opc)[2..-1])\n"
      "end\n"
      "complete -c rowhouse -f\n";
  for (const auto& [prefix, words] : candidates.next) {
    text += fmt::format("complete -c rowhouse -n {} -a {}\n", fish_quoted("__rowhouse_at " + prefix),
                        fish_quoted(joined(words)));
  }
  for (const Command& command : app.commands) {
    const std::string in = fish_quoted("__rowhouse_in " + command.name);
    for (const Option& option : options_of(app, command)) {
      std::string line = fmt::format("complete -c rowhouse -n {} -l {} -d {}", in, option.name,
                                     fish_quoted(option.description));
      if (!option.value_name.empty()) {
        line += option.completion == Completion::none ? " -x" : " -r -F";
        if (!option.choices.empty()) line += " -a " + fish_quoted(joined(option.choices));
      }
      text += line + "\n";
    }
    for (const Argument& argument : command.arguments) {
      if (argument.completion != Completion::none) {
        text += fmt::format("complete -c rowhouse -n {} -F\n", in);
      } else if (!argument.choices.empty()) {
        text += fmt::format("complete -c rowhouse -n {} -a {}\n", in, fish_quoted(joined(argument.choices)));
      }
    }
  }
  return text;
}

Result<ExitCode> print_completion(Invocation& invocation) {
  TRY(const auto script, completion_script(invocation.app(), invocation.argument(0)));
  invocation.terminal().out << script;
  return ExitCode::ok;
}

Result<ExitCode> print_version(Invocation& invocation) {
  invocation.terminal().out << "rowhouse " << invocation.app().version << '\n';
  return ExitCode::ok;
}

}  // namespace

Result<std::string> completion_script(const App& app, std::string_view shell) {
  const Candidates candidates = candidates_of(app);
  if (shell == "bash") return fmt::format("{}{}{}", kBashHead, arrays(candidates), kBashTail);
  if (shell == "zsh") return fmt::format("{}{}{}", kZshHead, zsh_arrays(candidates), kZshTail);
  if (shell == "fish") return fish_script(app, candidates);
  return usage_error(fmt::format("there is no completion for {}: bash, zsh and fish are known", shell));
}

std::vector<Command> general_commands() {
  Command completion;
  completion.name = "completion";
  completion.summary = "Print a script that teaches your shell these commands";
  completion.arguments = {{"SHELL",
                           "bash, zsh or fish",
                           Argument::Presence::required,
                           Completion::none,
                           {"bash", "zsh", "fish"}}};
  completion.examples = {
      {"source <(rowhouse completion bash)", "for this shell; put it into ~/.bashrc to keep it"},
      {"rowhouse completion fish > ~/.config/fish/completions/rowhouse.fish", "for fish"}};
  completion.run = print_completion;

  Command version;
  version.name = "version";
  version.summary = "Print the version";
  version.examples = {{"rowhouse version", "also: rowhouse --version"}};
  version.run = print_version;
  return {completion, version};
}

}  // namespace rowhouse::cli
