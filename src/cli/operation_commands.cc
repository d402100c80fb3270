#include <fmt/format.h>

#include <ostream>

#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/operation_view.h"
#include "cli/operation_watch.h"
#include "cli/table.h"

namespace rowhouse::cli {
namespace {

constexpr std::string_view kOperations = "/v1/operations";

const json::Array& list_of(const json::Value& document, std::string_view member) {
  static const json::Array kNone;
  const json::Value* value = document.find(member);
  return value != nullptr && value->as_array() != nullptr ? *value->as_array() : kNone;
}

// "2026-11-21 05:40:00"
std::string short_time(const json::Value& object, std::string_view member) {
  constexpr std::size_t kUpToSeconds = 19;
  std::string text = text_of(object, member).substr(0, kUpToSeconds);
  if (const auto at = text.find('T'); at != std::string::npos) text[at] = ' ';
  return text;
}

std::string message_of(const json::Value& object) {
  const json::Value* error = object.find("error");
  return error == nullptr ? "" : text_of(*error, "message");
}

void print_steps(const Terminal& terminal, const json::Value& operation) {
  Table table;
  for (const char* title : {"STEP", "STATUS"}) table.column(title);
  table.column("ATTEMPTS", Align::right);
  table.column("TIME", Align::right);
  table.column("ERROR");
  for (const json::Value& step : list_of(operation, "steps")) {
    const auto took = time_between(text_of(step, "started_at"), text_of(step, "finished_at"));
    table.row({text_of(step, "name"), text_of(step, "status"), text_of(step, "attempts"),
               took ? duration_text(*took) : "", message_of(step)});
  }
  terminal.out << '\n';
  table.print(terminal, "It has no steps.");
}

void print_operation(const Terminal& terminal, const json::Value& operation) {
  const json::Value* progress = operation.find("progress");
  const bool moves = progress != nullptr && !progress->is_null();
  const std::string total = moves ? text_of(*progress, "total") : "";
  print_fields(terminal, {{"Id", text_of(operation, "id")},
                          {"Kind", text_of(operation, "kind")},
                          {"Status", text_of(operation, "status")},
                          {"Error", message_of(operation)},
                          {"Progress", moves ? fmt::format("{}{} {}", text_of(*progress, "done"),
                                                           total.empty() ? "" : " of " + total,
                                                           text_of(*progress, "what"))
                                             : ""},
                          {"Tenant", text_of(operation, "tenant_id")},
                          {"Output", text_of(operation, "output")},
                          {"Requested by", text_of(operation, "requested_by")},
                          {"Created", text_of(operation, "created_at")},
                          {"Started", text_of(operation, "started_at")},
                          {"Finished", text_of(operation, "finished_at")},
                          {"Not before", text_of(operation, "run_after")},
                          {"Taken up", text_of(operation, "attempts")},
                          {"Node", text_of(operation, "node")}});
  print_steps(terminal, operation);
}

Result<ExitCode> list_operations(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  std::vector<std::pair<std::string, std::string>> query;
  for (const char* option : {"status", "kind", "tenant", "limit", "cursor"}) {
    query.emplace_back(option, invocation.value(option));
  }
  TRY(const auto reply, client.call("GET", std::string(kOperations) + query_of(query)));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  Table table;
  for (const char* title : {"ID", "KIND", "STATUS", "CREATED", "BY", "TENANT", "ERROR"}) table.column(title);
  for (const json::Value& operation : list_of(reply.body, "data")) {
    table.row({text_of(operation, "id"), text_of(operation, "kind"), text_of(operation, "status"),
               short_time(operation, "created_at"), text_of(operation, "requested_by"),
               text_of(operation, "tenant_id"), message_of(operation)});
  }
  table.print(invocation.terminal(), "There are no such operations.");
  const std::string cursor = text_of(reply.body, "next_cursor");
  if (!cursor.empty()) invocation.terminal().err << "There are more: --cursor " << cursor << '\n';
  return ExitCode::ok;
}

Result<ExitCode> show_operation(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", operation_path(invocation.argument(0))));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  print_operation(invocation.terminal(), reply.body);
  return ExitCode::ok;
}

Result<ExitCode> watch(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  const Terminal& terminal = invocation.terminal();
  const std::string& id = invocation.argument(0);
  TRY(const WatchEnd end, watch_operation(client, terminal, id, OnPause::stay));
  if (end.why == WatchEnd::Why::interrupted) {
    terminal.err << how_to_watch(id) << '\n';
    return ExitCode::interrupted;
  }
  if (invocation.json()) print_json(terminal, end.operation);
  if (operation_succeeded(end.operation)) return ExitCode::ok;
  return operation_failure(end.operation);
}

Result<ExitCode> change(Invocation& invocation, const char* verb) {
  TRY(const auto client, ApiClient::create(invocation));
  const std::string& id = invocation.argument(0);
  TRY(const auto reply, client.call("POST", path_of(kOperations, {id, verb})));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  print_operation(invocation.terminal(), reply.body);
  if (!operation_ended(reply.body))
    invocation.terminal().err << how_to_watch(text_of(reply.body, "id")) << '\n';
  return ExitCode::ok;
}

Argument operation_argument() {
  return {"OPERATION", "the operation's id; `rowhouse operation list` shows it"};
}

Command command_on_one(std::string verb, std::string summary,
                       std::function<Result<ExitCode>(Invocation&)> function) {
  Command command;
  command.name = "operation " + verb;
  command.summary = std::move(summary);
  command.arguments = {operation_argument()};
  command.options = {json_option()};
  command.examples = {
      {fmt::format("rowhouse operation {} 0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b11", verb), "by id"}};
  command.talks = Talks::to_control_plane;
  command.run = std::move(function);
  return command;
}

Command command_that_changes(const char* verb, std::string summary) {
  return command_on_one(verb, std::move(summary),
                        [verb](Invocation& invocation) { return change(invocation, verb); });
}

Command list_command() {
  Command command;
  command.name = "operation list";
  command.summary = "List operations, newest first";
  command.options = {
      {"status",
       "STATUS",
       "Only those with this status",
       {"pending", "running", "paused", "undoing", "succeeded", "undone", "cancelled", "failed"}},
      {"kind", "KIND", "Only those of this kind", {"tenant.create", "tenant.delete", "pack.upgrade"}},
      {"tenant", "TENANT", "Only those of this tenant: its id, or its slug while it is there"},
      {"limit", "N", "How many (1 to 500; default 50)"},
      {"cursor", "CURSOR", "Continue a list where the previous page ended"},
      json_option()};
  command.examples = {{"rowhouse operation list --status failed", "what needs an operator"},
                      {"rowhouse operation list --tenant acme-corp", "what became of one tenant"}};
  command.talks = Talks::to_control_plane;
  command.run = list_operations;
  return command;
}

Command watch_command() {
  Command command = command_on_one("watch", "Follow an operation until it has ended", watch);
  command.notes =
      "Ctrl-C ends the watching, not the operation. Exit code 0: it succeeded; 1: it did not. A server that "
      "is restarted "
      "meanwhile is waited for.";
  return command;
}

}  // namespace

std::vector<Command> operation_commands() {
  return {list_command(),
          command_on_one("show", "Show an operation with its steps", show_operation),
          watch_command(),
          command_that_changes("cancel", "Stop an operation and take back what it has done"),
          command_that_changes("pause", "Stop an operation where it can go on later"),
          command_that_changes("resume", "Go on with a paused operation"),
          command_that_changes("retry", "Try again, at once, what has failed or waits for its next attempt")};
}

}  // namespace rowhouse::cli
