#include "platform/config_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/suggest.h"
#include "cli/table.h"

namespace rowhouse::platform {
namespace {

std::string default_of(const OptionSpec& spec) {
  return spec.default_text.empty() ? shown_value(spec, spec.get(Config())) : spec.default_text;
}

std::string spellings_of(const OptionSpec& spec) {
  const std::string flag = spec.secrecy == Secrecy::secret ? "no flag" : "--" + spec.flag();
  return fmt::format("{}, {}", flag, spec.environment());
}

void print_table(const cli::Terminal& terminal, const std::vector<const ResolvedOption*>& options) {
  std::string module;
  for (const ResolvedOption* option : options) {
    const OptionSpec& spec = *option->spec;
    if (spec.module != module) {
      terminal.out << (module.empty() ? "" : "\n") << cli::styled(terminal, cli::Style::bold, spec.module)
                   << "\n";
      module = spec.module;
    }
    const std::string value = cli::printable(shown_value(spec, option->value));
    terminal.out << fmt::format("  {} = {}\n", spec.name, value.empty() ? "(none)" : value);
    terminal.out << fmt::format("      {}.\n", spec.description);
    terminal.out << cli::styled(
                        terminal, cli::Style::dim,
                        fmt::format("      from {}; default {}{}; {}", cli::printable(option->source.where),
                                    default_of(spec).empty() ? "none" : default_of(spec),
                                    spec.bounds.empty() ? "" : "; " + spec.bounds, spellings_of(spec)))
                 << "\n";
  }
}

json::Value as_json(const std::vector<const ResolvedOption*>& options) {
  json::Array list;
  for (const ResolvedOption* option : options) {
    const OptionSpec& spec = *option->spec;
    json::Value entry{json::Object{}};
    entry.set("name", json::Value(spec.name));
    entry.set("module", json::Value(spec.module));
    entry.set("description", json::Value(spec.description));
    entry.set("value", json::Value(shown_value(spec, option->value)));
    entry.set("default", json::Value(default_of(spec)));
    entry.set("bounds", json::Value(spec.bounds));
    entry.set("source", json::Value(option->source.where));
    entry.set("environment", json::Value(spec.environment()));
    entry.set("flag", spec.secrecy == Secrecy::secret ? json::Value() : json::Value("--" + spec.flag()));
    entry.set("secret", json::Value(spec.secrecy == Secrecy::secret));
    list.push_back(std::move(entry));
  }
  json::Value document{json::Object{}};
  document.set("options", json::Value(std::move(list)));
  return document;
}

Result<cli::ExitCode> show_config(cli::Invocation& invocation, const Environment& environment) {
  const cli::Terminal& terminal = invocation.terminal();
  if (invocation.has("markdown")) {
    terminal.out << configuration_document();
    return cli::ExitCode::ok;
  }
  TRY(const auto resolved, resolve(invocation.options(), environment));
  const std::string& name = invocation.argument(0);
  std::vector<const ResolvedOption*> options;
  for (const ResolvedOption& option : resolved.options) {
    if (name.empty() || option.spec->name == name) options.push_back(&option);
  }
  if (options.empty()) {
    std::vector<std::string> known;
    for (const OptionSpec& spec : option_registry()) known.push_back(spec.name);
    return cli::usage_error(fmt::format("there is no option {}{}", name, cli::did_you_mean(name, known)));
  }
  if (invocation.json()) return cli::print_json(terminal, as_json(options));
  if (name.empty()) {
    print_table(terminal, options);
  } else {
    terminal.out << shown_value(*options.front()->spec, options.front()->value) << '\n';
  }
  return cli::ExitCode::ok;
}

std::string cell(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c;
  }
  return result;
}

}  // namespace

std::vector<cli::Option> flags_of(const std::vector<std::string>& modules) {
  std::vector<cli::Option> options;
  for (const OptionSpec& spec : option_registry()) {
    if (spec.secrecy == Secrecy::secret) continue;
    if (std::find(modules.begin(), modules.end(), spec.module) == modules.end()) continue;
    cli::Option option{spec.flag(), spec.value_name, spec.description, spec.choices};
    const std::string fallback = default_of(spec);
    if (!fallback.empty()) option.description += fmt::format(" (default: {})", fallback);
    if (spec.kind == Kind::path) option.completion = cli::Completion::directory;
    if (spec.kind == Kind::file) option.completion = cli::Completion::file;
    options.push_back(std::move(option));
  }
  options.push_back({"config",
                     "FILE",
                     "Configuration file with `name = value` lines (default: ROWHOUSE_CONFIG)",
                     {},
                     cli::Completion::file});
  return options;
}

std::string configuration_document() {
  std::string text =
      "# Configuration\n\n"
      "<!-- Made by `rowhouse config --markdown`; a test compares. Change src/platform/options.cc instead. "
      "-->\n\n"
      "Every option has a default: `rowhouse up` needs none. An option is set by a flag, an environment "
      "variable, or a line\n"
      "`name = value` in the file that `--config` or `ROWHOUSE_CONFIG` names (`#` begins a comment). A flag "
      "beats the\n"
      "environment, the environment beats the file. An empty variable counts as not set. Secrets have no "
      "flag, because command\n"
      "lines are readable by everybody on the machine. `rowhouse config` prints every option with its value "
      "and where that comes\n"
      "from; `rowhouse config NAME` prints one value.\n";
  std::string module;
  for (const OptionSpec& spec : option_registry()) {
    if (spec.module != module) {
      module = spec.module;
      text += fmt::format(
          "\n## {}\n\n| option | default | bounds | what it is |\n| --- | --- | --- | --- |\n", module);
    }
    const std::string fallback = default_of(spec);
    const std::string flag = spec.secrecy == Secrecy::secret ? "" : fmt::format("`--{}`<br>", spec.flag());
    text += fmt::format("| `{}`<br>{}`{}` | {} | {} | {} |\n", spec.name, flag, spec.environment(),
                        fallback.empty() ? "" : fmt::format("`{}`", cell(fallback)), cell(spec.bounds),
                        cell(spec.description));
  }
  return text;
}

cli::Command config_command(const Environment& environment) {
  cli::Command command;
  command.name = "config";
  command.summary = "Print every option: value, source, default, bounds";
  command.arguments = {{"NAME",
                        "print the value of this option alone",
                        cli::Argument::Presence::optional,
                        cli::Completion::none,
                        {}}};
  for (const OptionSpec& spec : option_registry()) command.arguments[0].choices.push_back(spec.name);
  command.options = {cli::json_option(), {"markdown", "", "Print docs/configuration.md"}};
  const auto flags = flags_of({"server", "credentials", "postgres", "http", "connections", "data",
                               "isolation", "people", "operations", "client"});
  command.options.insert(command.options.end(), flags.begin(), flags.end());
  command.notes = "Secrets show as (set). A flag beats the environment, the environment beats the file.";
  command.examples = {{"rowhouse config", "all of them"},
                      {"rowhouse config data", "where `rowhouse up` keeps its data"},
                      {"ROWHOUSE_WORKERS=4 rowhouse config --json", "with the source of each value"}};
  command.run = [environment](cli::Invocation& invocation) { return show_config(invocation, environment); };
  return command;
}

}  // namespace rowhouse::platform
