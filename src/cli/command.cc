#include "cli/command.h"

#include <fmt/format.h>

#include "cli/suggest.h"

namespace rowhouse::cli {
namespace {

const Option* find_option(const std::vector<Option>& options, std::string_view name) {
  for (const Option& option : options) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

Error unknown_option(const Command& command, const std::vector<Option>& options, const std::string& word) {
  std::vector<std::string> known;
  known.reserve(options.size());
  for (const Option& option : options) known.push_back("--" + option.name);
  return usage_error(
      fmt::format("`rowhouse {}` has no option {}{}", command.name, word, did_you_mean(word, known)));
}

Result<void> check_count(const Command& command, std::size_t given) {
  std::size_t required = 0, most = 0;
  bool endless = false;
  for (const Argument& argument : command.arguments) {
    required += argument.presence == Argument::Presence::required ? 1 : 0;
    endless = endless || argument.presence == Argument::Presence::many;
    ++most;
  }
  if (given < required) {
    return usage_error(fmt::format("{} is missing: {}", command.arguments[given].name,
                                   command.arguments[given].description));
  }
  if (!endless && given > most) {
    return usage_error(fmt::format("`rowhouse {}` takes {} argument{}, but {} were given", command.name, most,
                                   most == 1 ? "" : "s", given));
  }
  return {};
}

}  // namespace

Error usage_error(std::string message) { return Error(ErrorCode::invalid_parameter, std::move(message)); }

const std::string& Invocation::argument(std::size_t index) const {
  static const std::string kNone;
  return index < arguments_.size() ? arguments_[index] : kNone;
}

bool Invocation::has(std::string_view option) const {
  for (const auto& [name, value] : options_) {
    if (name == option) return true;
  }
  return false;
}

std::string Invocation::value(std::string_view option) const {
  const auto all = values(option);
  return all.empty() ? "" : all.back();
}

std::vector<std::string> Invocation::values(std::string_view option) const {
  std::vector<std::string> found;
  for (const auto& [name, value] : options_) {
    if (name == option) found.push_back(value);
  }
  return found;
}

std::vector<Option> options_of(const App& app, const Command& command) {
  std::vector<Option> options = command.options;
  if (command.talks != Talks::to_nobody) {
    const auto connection = app.connection_options(command.talks);
    options.insert(options.end(), connection.begin(), connection.end());
  }
  return options;
}

Result<Invocation> parse_invocation(const App& app, const Command& command, const Terminal& terminal,
                                    const std::vector<std::string>& words) {
  Invocation invocation(app, command, terminal);
  const auto options = options_of(app, command);
  bool options_ended = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!options_ended && word == "--") {
      options_ended = true;
      continue;
    }
    if (options_ended || !word.starts_with("--")) {
      if (!options_ended && word.size() > 1 && word[0] == '-') return unknown_option(command, options, word);
      invocation.arguments_.push_back(word);
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const Option* option = find_option(options, name);
    if (option == nullptr) return unknown_option(command, options, "--" + name);
    if (option->count == Option::Count::once && invocation.has(name)) {
      return usage_error(fmt::format("--{} is given twice", name));
    }
    if (option->value_name.empty()) {
      if (equals != std::string::npos) return usage_error(fmt::format("--{} takes no value", name));
      invocation.options_.emplace_back(name, "");
    } else if (equals != std::string::npos) {
      invocation.options_.emplace_back(name, word.substr(equals + 1));
    } else if (i + 1 < words.size()) {
      invocation.options_.emplace_back(name, words[++i]);
    } else {
      return usage_error(fmt::format("--{} needs a value: {}", name, option->value_name));
    }
  }
  TRY_DO(check_count(command, invocation.arguments_.size()));
  return invocation;
}

}  // namespace rowhouse::cli
