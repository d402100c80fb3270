#include <fmt/format.h>

#include <ostream>

#include "base/text.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/table.h"

namespace rowhouse::cli {
namespace {

const json::Array& array_of(const json::Value* value) {
  static const json::Array kNone;
  return value != nullptr && value->as_array() != nullptr ? *value->as_array() : kNone;
}

std::string number_of(const json::Value& object, std::string_view member) {
  const json::Value* value = object.find(member);
  const auto number = value == nullptr ? std::nullopt : value->as_int64();
  return number.has_value() ? grouped(*number) : text_of(object, member);
}

std::string duration_text(std::int64_t seconds) {
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172'800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} days", seconds / 86'400);
}

// "extension, key generation 3 (since 2026-11-21T05:40:00.123Z)"
std::string context_text(const json::Value& context) {
  std::string text = fmt::format("{}, key generation {} (since {})", text_of(context, "implementation"),
                                 text_of(context, "generation"), text_of(context, "since"));
  const json::Value* behind = context.find("databases_behind");
  const auto count = behind == nullptr ? std::nullopt : behind->as_int64();
  if (count.value_or(0) > 0) {
    text += fmt::format(", {} databases behind: rowhouse context-key list", grouped(*count));
  }
  return text;
}

// "proven 3 h ago: 3,802 surfaces, 0 without an attack, 0 findings"
std::string verification_text(const json::Value& verification) {
  const json::Value* age = verification.find("age_seconds");
  if (age == nullptr) return "never; `rowhouse verify` does it now";
  return fmt::format("{} {} ago: {} surfaces, {} without an attack, {} findings",
                     text_of(verification, "result"), duration_text(age->as_int64().value_or(0)),
                     number_of(verification, "surfaces"), number_of(verification, "uncovered"),
                     number_of(verification, "findings"));
}

std::string lint_text_of(const json::Value& lint) {
  if (lint.is_null() || text_of(lint, "finished_at").empty()) return "never run: `rowhouse lint`";
  return fmt::format("{} errors, {} warnings in {} schemas ({})", number_of(lint, "errors"),
                     number_of(lint, "warnings"), number_of(lint, "schemas"), text_of(lint, "finished_at"));
}

void print_node(const Terminal& terminal, const json::Value& body) {
  const json::Value empty{json::Object{}};
  const auto part = [&](std::string_view name) -> const json::Value& {
    const json::Value* found = body.find(name);
    return found == nullptr ? empty : *found;
  };
  const json::Value& node = part("node");
  const json::Value& connections = part("connections");
  const json::Value* uptime = node.find("uptime_seconds");
  print_fields(
      terminal,
      {{"Rowhouse", text_of(body, "version")},
       {"PostgreSQL", text_of(body, "postgresql")},
       {"Up", uptime == nullptr ? "" : duration_text(uptime->as_int64().value_or(0))},
       {"Tenants", number_of(part("tenants"), "total")},
       {"Connections", fmt::format("{} of {}", text_of(connections, "used"), text_of(connections, "max"))},
       {"Context", context_text(part("context"))},
       {"Lint", lint_text_of(part("lint"))},
       {"Verification", verification_text(part("verification"))},
       {"This node",
        fmt::format("{} workers, {} requests so far, {} pools, {} open connections ({} busy), {} waiting",
                    text_of(node, "workers"), number_of(node, "requests"), text_of(node, "pools"),
                    text_of(node, "open_connections"), text_of(node, "busy_connections"),
                    text_of(node, "waiting"))}});
}

Result<ExitCode> show_status(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", "/v1/status"));
  const Terminal& terminal = invocation.terminal();
  if (invocation.json()) return print_json(terminal, reply.body);
  print_node(terminal, reply.body);

  Table tenants;
  for (const char* title : {"PACK", "PLAN", "TIER", "STATUS"}) tenants.column(title);
  tenants.column("TENANTS", Align::right);
  const json::Value* counts = reply.body.find("tenants");
  for (const json::Value& count : array_of(counts == nullptr ? nullptr : counts->find("by"))) {
    tenants.row({text_of(count, "pack"), text_of(count, "plan"), text_of(count, "tier"),
                 text_of(count, "status"), number_of(count, "tenants")});
  }
  terminal.out << '\n';
  tenants.print(terminal, "There are no tenants yet: `rowhouse tenant create NAME`.");

  Table databases;
  databases.column("DATABASE");
  databases.column("SIZE", Align::right);
  for (const json::Value& database : array_of(reply.body.find("databases"))) {
    const json::Value* bytes = database.find("bytes");
    const auto size = bytes == nullptr ? std::nullopt : bytes->as_int64();
    databases.row({text_of(database, "name"), size ? human_bytes(static_cast<std::uint64_t>(*size)) : ""});
  }
  terminal.out << '\n';
  databases.print(terminal, "There are no databases.");
  return ExitCode::ok;
}

}  // namespace

std::vector<Command> status_commands() {
  Command status;
  status.name = "status";
  status.summary = "The platform at a glance: tenants, databases, connections";
  status.options = {json_option()};
  status.examples = {{"rowhouse status", "tables"},
                     {"rowhouse status --json | jq .tenants.total", "for scripts"}};
  status.talks = Talks::to_control_plane;
  status.run = show_status;
  return {status};
}

}  // namespace rowhouse::cli
