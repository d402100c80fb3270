// The client commands, group by group. Each speaks the HTTP API of a server and knows nothing else.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/command.h"

namespace rowhouse::cli {

std::vector<Command> tenant_commands();
std::vector<Command> key_commands();
std::vector<Command> service_key_commands();
std::vector<Command> people_commands();
std::vector<Command> invitation_commands();
std::vector<Command> mail_commands();
std::vector<Command> sso_commands();
std::vector<Command> storage_commands();
std::vector<Command> encryption_key_commands();
std::vector<Command> operation_commands();
std::vector<Command> pack_commands();
std::vector<Command> data_commands();
std::vector<Command> object_commands();
std::vector<Command> status_commands();
std::vector<Command> lint_commands();
std::vector<Command> verify_commands();
std::vector<Command> context_key_commands();
std::vector<Command> token_key_commands();

class ApiClient;

// What the lists of the API hold; none if it is no list.
const json::Array& data_of(const json::Value& body);
// An id as it is; an e-mail address is looked up in the list at `path`. Error: not_found.
Result<std::string> id_of_user(const ApiClient& client, const std::string& path, const std::string& user);
// A command that talks to the control plane, without notes.
Command command_of(std::string name, std::string summary, std::vector<Argument> arguments,
                   std::vector<Option> options, std::vector<Example> examples,
                   std::function<Result<ExitCode>(Invocation&)> run);

// --json, which every command that prints an answer offers.
Option json_option();
// Prints `body` as pretty JSON.
ExitCode print_json(const Terminal& terminal, const json::Value& body);
// A JSON file, "-" for standard input, or the text itself when it begins like JSON. Error: invalid_parameter.
Result<std::string> read_text_argument(const Terminal& terminal, const std::string& argument);
// The storage configuration that the option names: a file, or "-" for standard input; never the text itself,
// which holds secrets. Error: invalid_parameter.
Result<json::Value> read_storage_config(const Invocation& invocation, std::string_view option);
// Writes a secret to a new file that only its owner may read. Error: conflict if the file is there already.
Result<void> write_secret_file(const std::string& path, std::string_view secret);
// Shows a credential once: on the terminal, or in the file that --key-file names; with --json it is in the
// answer already.
Result<void> hand_over_secret(const Invocation& invocation, const std::string& secret, std::string_view what);
// Shows a one-time link, once; "": says that it goes by mail.
void show_link(const Terminal& terminal, const std::string& link);
// Asks on the terminal and reads one line; nullopt at the end of the input.
std::optional<std::string> ask(const Terminal& terminal, std::string_view question);

}  // namespace rowhouse::cli
