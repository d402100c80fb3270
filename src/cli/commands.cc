#include "cli/commands.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <istream>
#include <iterator>
#include <ostream>

#include "base/text.h"
#include "cli/api_client.h"
#include "cli/table.h"

namespace rowhouse::cli {

Option json_option() { return {"json", "", "Print the server's answer as JSON"}; }

ExitCode print_json(const Terminal& terminal, const json::Value& body) {
  terminal.out << json::serialize_pretty(body) << '\n';
  return ExitCode::ok;
}

Result<std::string> read_text_argument(const Terminal& terminal, const std::string& argument) {
  if (argument == "-") {
    return std::string(std::istreambuf_iterator<char>(terminal.in), std::istreambuf_iterator<char>());
  }
  const std::string_view start = trim(argument);
  if (start.starts_with('{') || start.starts_with('[')) return argument;
  std::ifstream file(argument, std::ios::binary);
  if (!file) return usage_error(fmt::format("cannot read {}: {}", argument, std::strerror(errno)));
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

Result<void> write_secret_file(const std::string& path, std::string_view secret) {
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    return Error(ErrorCode::conflict, fmt::format("cannot create {}: {}", path, std::strerror(errno)));
  }
  const std::string line = std::string(secret) + "\n";
  const auto written = write(descriptor, line.data(), line.size());
  const bool closed = close(descriptor) == 0;
  if (written != static_cast<ssize_t>(line.size()) || !closed) {
    return Error(ErrorCode::disk_full, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  }
  return {};
}

std::optional<std::string> ask(const Terminal& terminal, std::string_view question) {
  terminal.err << question << std::flush;
  std::string line;
  if (!std::getline(terminal.in, line)) return std::nullopt;
  return std::string(trim(line));
}

Result<void> hand_over_secret(const Invocation& invocation, const std::string& secret,
                              std::string_view what) {
  const Terminal& terminal = invocation.terminal();
  if (invocation.has("key-file")) {
    TRY_DO(write_secret_file(invocation.value("key-file"), secret));
    terminal.err << fmt::format("The {} is in {} (only you can read it).\n", what,
                                invocation.value("key-file"));
    return {};
  }
  if (invocation.json()) return {};
  terminal.out << '\n' << styled(terminal, Style::bold, secret) << '\n';
  terminal.err << fmt::format(
      "This is the {}. Store it now: Rowhouse keeps only a hash and cannot show it again.\n", what);
  return {};
}

const json::Array& data_of(const json::Value& body) {
  static const json::Array none;
  const json::Value* data = body.find("data");
  return data != nullptr && data->as_array() != nullptr ? *data->as_array() : none;
}

Result<std::string> id_of_user(const ApiClient& client, const std::string& path, const std::string& user) {
  if (user.find('@') == std::string::npos) return user;
  std::string cursor;
  do {
    TRY(const auto reply,
        client.call("GET", path + query_of({{"search", user}, {"limit", "500"}, {"cursor", cursor}})));
    for (const json::Value& found : data_of(reply.body)) {
      if (equals_ignoring_case(text_of(found, "email"), user)) return text_of(found, "id");
    }
    cursor = text_of(reply.body, "next_cursor");
  } while (!cursor.empty());
  return Error(ErrorCode::not_found, fmt::format("there is no user {}", printable(user)));
}

Command command_of(std::string name, std::string summary, std::vector<Argument> arguments,
                   std::vector<Option> options, std::vector<Example> examples,
                   std::function<Result<ExitCode>(Invocation&)> run) {
  Command command;
  command.name = std::move(name);
  command.summary = std::move(summary);
  command.arguments = std::move(arguments);
  command.options = std::move(options);
  command.examples = std::move(examples);
  command.talks = Talks::to_control_plane;
  command.run = std::move(run);
  return command;
}

}  // namespace rowhouse::cli
