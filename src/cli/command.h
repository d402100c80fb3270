// What the command line offers, as data: --help, `rowhouse help`, shell completion and dispatch all come from
// this.
//
// A Command is complete in itself: its function gets the parsed Invocation and writes to the Terminal it
// carries. Errors travel up as Result and are printed in one place (report_error in app.cc). Single-threaded.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/exit_code.h"
#include "cli/terminal.h"

namespace rowhouse::cli {

enum class Completion { none, file, directory };

struct Option {
  std::string name;        // without the dashes: "tier"
  std::string value_name;  // "TIER"; "" = a switch
  std::string description;
  std::vector<std::string>
      choices;  // for completion; the server or the option registry decides what is valid
  Completion completion = Completion::none;
  enum class Count { once, many } count = Count::once;
};

struct Argument {
  std::string name;  // "SLUG"
  std::string description;
  enum class Presence { required, optional, many } presence = Presence::required;
  Completion completion = Completion::none;
  std::vector<std::string> choices;
};

struct Example {
  std::string line;  // "rowhouse tenant list --pack tekup"
  std::string what;
};

// Which credential a command sends; decides which connection options it offers.
enum class Talks { to_nobody, to_control_plane, to_data_plane };

class Invocation;

struct Command {
  std::string name;     // "tenant create"
  std::string summary;  // one line
  std::vector<Argument> arguments;
  std::vector<Option> options;
  std::vector<Example> examples;
  std::string notes;  // paragraphs after the options; may be ""
  Talks talks = Talks::to_nobody;
  std::function<Result<ExitCode>(Invocation&)> run;
};

// What a client command needs to know about the installation.
struct ClientSettings {
  std::string url;
  std::string admin_token;            // "" = none found
  std::string admin_token_hint;       // where it was looked for
  std::string tenant_key;             // "" = none found
  std::string certificate_authority;  // PEM file; "" = the system's
};

using OptionValues = std::vector<std::pair<std::string, std::string>>;

struct App {
  std::vector<Command> commands;  // in the order of the overview
  // How to reach a server and with which credential; offered by every command that talks to one.
  std::function<std::vector<Option>(Talks talks)> connection_options;
  // Looks at flags, environment and file. Only the fields for `talks` need to be there.
  std::function<Result<ClientSettings>(const OptionValues& options, Talks talks)> client_settings;
  std::string version;
};

// One command line, parsed and checked against its Command.
class Invocation {
 public:
  Invocation(const App& app, const Command& command, const Terminal& terminal)
      : app_(app), command_(command), terminal_(terminal) {}

  const App& app() const { return app_; }
  const Command& command() const { return command_; }
  const Terminal& terminal() const { return terminal_; }

  // The argument at that place, or "" if it was left out.
  const std::string& argument(std::size_t index) const;
  std::size_t argument_count() const { return arguments_.size(); }
  bool has(std::string_view option) const;
  // The last value given; "" if none.
  std::string value(std::string_view option) const;
  std::vector<std::string> values(std::string_view option) const;
  const OptionValues& options() const { return options_; }
  bool json() const { return has("json"); }

 private:
  friend Result<Invocation> parse_invocation(const App& app, const Command& command, const Terminal& terminal,
                                             const std::vector<std::string>& words);
  const App& app_;
  const Command& command_;
  const Terminal& terminal_;
  std::vector<std::string> arguments_;
  OptionValues options_;
};

// Every option that `command` takes: its own, and those of its connection.
std::vector<Option> options_of(const App& app, const Command& command);

// `words`: what follows the command's name. "--name value", "--name=value", "--" ends options.
// Error: invalid_parameter, naming the word and what is near it.
Result<Invocation> parse_invocation(const App& app, const Command& command, const Terminal& terminal,
                                    const std::vector<std::string>& words);

// A mistake on the command line; ends the process with ExitCode::usage.
Error usage_error(std::string message);

// Runs one command line (without the program's name); returns the process's exit status.
int run(const App& app, const Terminal& terminal, const std::vector<std::string>& words);

// Prints an error as a person reads it: title, detail, fields, what to do, request id.
void report_error(const Terminal& terminal, const Error& error);
ExitCode exit_code_of(const Error& error);

}  // namespace rowhouse::cli
