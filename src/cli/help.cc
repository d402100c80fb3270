#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace rowhouse::cli {
namespace {

constexpr std::size_t kTextWidth = 100;
constexpr std::size_t kMaxLeftColumn = 34;

using Entries = std::vector<std::pair<std::string, std::string>>;

std::size_t text_width(const Terminal& terminal) {
  return terminal.width == 0 ? kTextWidth : std::clamp<std::size_t>(terminal.width, 40, kTextWidth);
}

// Words of `text` in lines of at most `width`, all but the first indented.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
  std::string result;
  std::size_t column = indent;
  for (const std::string_view word : split(text, ' ')) {
    if (word.empty()) continue;
    const std::size_t needed = display_width(word) + (column == indent ? 0 : 1);
    if (column != indent && column + needed > width) {
      result += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column != indent) {
      result += ' ';
      ++column;
    }
    result += word;
    column += display_width(word);
  }
  return result;
}

// Two columns; a left part that is too long gets a line of its own.
std::string two_columns(const Terminal& terminal, const Entries& entries) {
  std::size_t left = 0;
  for (const auto& [name, text] : entries) {
    if (display_width(name) <= kMaxLeftColumn) left = std::max(left, display_width(name));
  }
  const std::size_t indent = left + 4;
  std::string result;
  for (const auto& [name, text] : entries) {
    result += "  " + name;
    if (display_width(name) > left) {
      result += "\n" + std::string(indent, ' ');
    } else {
      result.append(indent - 2 - display_width(name), ' ');
    }
    result += wrapped(text, indent, text_width(terminal)) + "\n";
  }
  return result;
}

std::string heading(const Terminal& terminal, std::string_view text) {
  return "\n" + styled(terminal, Style::bold, text) + "\n";
}

Entries option_entries(const std::vector<Option>& options) {
  Entries entries;
  for (const Option& option : options) {
    std::string left = "--" + option.name;
    if (!option.value_name.empty()) left += " " + option.value_name;
    std::string text = option.description;
    if (option.count == Option::Count::many) text += " (may be repeated)";
    entries.emplace_back(left, text);
  }
  return entries;
}

Entries summaries(const App& app, std::string_view group) {
  Entries entries;
  for (const Command& command : app.commands) {
    if (group.empty() || command.name.starts_with(std::string(group) + " ")) {
      entries.emplace_back(command.name, command.summary);
    }
  }
  return entries;
}

}  // namespace

std::string usage_line(const Command& command) {
  std::string line = "rowhouse " + command.name;
  for (const Argument& argument : command.arguments) {
    switch (argument.presence) {
      case Argument::Presence::required:
        line += " " + argument.name;
        break;
      case Argument::Presence::optional:
        line += " [" + argument.name + "]";
        break;
      case Argument::Presence::many:
        line += " [" + argument.name + "…]";
        break;
    }
  }
  return line + " [options]";
}

std::string overview(const App& app, const Terminal& terminal) {
  std::string text = "Rowhouse: one PostgreSQL, many tenants, rows kept apart.\n";
  text += heading(terminal, "Usage") + "  rowhouse COMMAND [arguments] [options]\n";
  text += heading(terminal, "Commands") + two_columns(terminal, summaries(app, ""));
  text +=
      "\n" +
      wrapped(
          "`rowhouse help COMMAND` says more about one, with examples. `rowhouse help exit-codes` lists what "
          "the exit status means. `rowhouse config` prints every option of the server and where its value "
          "comes from.",
          0, text_width(terminal)) +
      "\n";
  return text;
}

std::string group_help(const App& app, const Terminal& terminal, std::string_view group) {
  const Entries entries = summaries(app, group);
  if (entries.empty()) return "";
  return heading(terminal, fmt::format("rowhouse {} …", group)).substr(1) + two_columns(terminal, entries) +
         fmt::format("\n`rowhouse help {}` says more about one.\n", entries.front().first);
}

std::string command_help(const App& app, const Terminal& terminal, const Command& command) {
  std::string text = command.summary + ".\n";
  text += heading(terminal, "Usage") + "  " + usage_line(command) + "\n";
  if (!command.arguments.empty()) {
    Entries entries;
    for (const Argument& argument : command.arguments)
      entries.emplace_back(argument.name, argument.description);
    text += heading(terminal, "Arguments") + two_columns(terminal, entries);
  }
  if (!command.options.empty()) {
    text += heading(terminal, "Options") + two_columns(terminal, option_entries(command.options));
  }
  if (command.talks != Talks::to_nobody) {
    text += heading(terminal, "Connection") +
            two_columns(terminal, option_entries(app.connection_options(command.talks)));
  }
  if (!command.notes.empty()) {
    for (const std::string_view paragraph : split(command.notes, '\n')) {
      text += "\n" + wrapped(paragraph, 0, text_width(terminal)) + "\n";
    }
  }
  if (!command.examples.empty()) {
    text += heading(terminal, "Examples");
    for (const Example& example : command.examples) {
      text += fmt::format("  {}\n      {}\n", example.line, example.what);
    }
  }
  return text;
}

}  // namespace rowhouse::cli
