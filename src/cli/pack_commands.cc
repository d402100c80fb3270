#include <fmt/format.h>

#include <ostream>

#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/operation_view.h"
#include "cli/operation_watch.h"
#include "cli/table.h"
#include "tenancy/bundle.h"

namespace rowhouse::cli {
namespace {

constexpr std::string_view kPacks = "/v1/packs";

// "a, b" of an array of names or of an object's members, or the number of them when there are many.
std::string names_of(const json::Value* value) {
  constexpr std::size_t kMostShown = 6;
  std::vector<std::string> names;
  if (value != nullptr && value->as_array() != nullptr) {
    for (const json::Value& item : *value->as_array()) {
      names.push_back(item.find("name") != nullptr ? text_of(item, "name") : text_of(item));
    }
  } else if (value != nullptr && value->as_object() != nullptr) {
    for (const auto& [name, member] : *value->as_object()) names.push_back(name);
  }
  if (names.size() > kMostShown) return std::to_string(names.size());
  return fmt::format("{}", fmt::join(names, ", "));
}

Result<ExitCode> list_packs(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", std::string(kPacks)));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  Table table;
  for (const char* title : {"PACK", "VERSION", "TIER", "PLANS", "RESOURCES", "TITLE"}) table.column(title);
  const json::Value* data = reply.body.find("data");
  if (data != nullptr && data->as_array() != nullptr) {
    for (const json::Value& pack : *data->as_array()) {
      table.row({text_of(pack, "name"), text_of(pack, "version"), text_of(pack, "default_tier"),
                 names_of(pack.find("plans")), names_of(pack.find("resources")), text_of(pack, "title")});
    }
  }
  table.print(invocation.terminal(), "No pack is installed.");
  return ExitCode::ok;
}

// Resources come as an object by name or as an array of objects with a name.
void print_resource(Table& table, const std::string& resource, const json::Value& description) {
  const json::Value* columns = description.find("columns");
  if (columns == nullptr || columns->as_array() == nullptr) {
    table.row({resource, "", "", text_of(description, "description")});
    return;
  }
  for (const json::Value& column : *columns->as_array()) {
    const json::Value* nullable = column.find("nullable");
    const bool required = nullable != nullptr && nullable->as_bool() != nullptr && !*nullable->as_bool();
    table.row({resource, text_of(column, "name"), text_of(column, "type") + (required ? " not null" : ""),
               text_of(column, "comment")});
  }
}

Result<ExitCode> show_pack(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", path_of(kPacks, {invocation.argument(0)})));
  const Terminal& terminal = invocation.terminal();
  if (invocation.json()) return print_json(terminal, reply.body);
  const json::Value* manifest = reply.body.find("manifest");
  const json::Value& head = manifest == nullptr ? reply.body : *manifest;
  print_fields(terminal, {{"Pack", text_of(head, "name")},
                          {"Title", text_of(head, "title")},
                          {"Version", text_of(head, "version")},
                          {"Description", text_of(head, "description")},
                          {"Default tier", text_of(head, "default_tier")},
                          {"Default plan", text_of(head, "default_plan")},
                          {"Services", names_of(head.find("services"))},
                          {"Plans", names_of(head.find("plans"))},
                          {"Functions", names_of(head.find("functions"))}});
  Table table;
  for (const char* title : {"RESOURCE", "COLUMN", "TYPE", "COMMENT"}) table.column(title);
  const json::Value* catalog = reply.body.find("catalog");
  const json::Value* resources = (catalog == nullptr ? reply.body : *catalog).find("resources");
  if (resources != nullptr && resources->as_array() != nullptr) {
    for (const json::Value& resource : *resources->as_array())
      print_resource(table, text_of(resource, "name"), resource);
  } else if (resources != nullptr && resources->as_object() != nullptr) {
    for (const auto& [name, resource] : *resources->as_object()) print_resource(table, name, resource);
  }
  terminal.out << '\n';
  table.print(terminal, "The pack has no resources.");
  return ExitCode::ok;
}

std::string upgrade_query(const Invocation& invocation) {
  return query_of({{"lint", invocation.has("skip-lint") ? "skip" : ""},
                   {"contract", invocation.has("contract") ? "true" : ""},
                   {"canary", invocation.value("canary")},
                   {"parallel", invocation.value("parallel")},
                   {"lock_timeout_ms", invocation.value("lock-timeout-ms")},
                   {"max_failures", invocation.value("max-failures")}});
}

// The answer of an installation that was waited for.
ExitCode show_report(const Invocation& invocation, const json::Value& report) {
  const Terminal& terminal = invocation.terminal();
  const json::Value* failed = report.find("failed");
  const bool complete = failed == nullptr || failed->as_array() == nullptr || failed->as_array()->empty();
  if (invocation.json()) {
    print_json(terminal, report);
    return complete ? ExitCode::ok : ExitCode::failed;
  }
  const std::string from = text_of(report, "from_version");
  const std::string to = text_of(report, "to_version");
  terminal.out << fmt::format("{} {} is installed{}.\n", text_of(report, "pack"), to,
                              from.empty() || from == to ? "" : fmt::format(" (was {})", from));
  const std::string migrated = names_of(report.find("migrated"));
  terminal.out << fmt::format("Migrated: {}. Unchanged: {}.\n", migrated.empty() ? "nothing" : migrated,
                              text_of(report, "unchanged"));
  const std::string behind = text_of(report, "behind");
  if (!behind.empty() && behind != "0") {
    terminal.err << fmt::format("Databases that could not be reached: {}. They are caught up later.\n",
                                behind);
  }
  if (complete) return ExitCode::ok;
  for (const json::Value& target : *failed->as_array()) {
    terminal.err << fmt::format("Failed: {}: {}\n", printable(text_of(target, "target")),
                                printable(text_of(target, "error")));
  }
  terminal.err << "Run this again after mending: what is done stays done.\n";
  return ExitCode::failed;
}

Result<ExitCode> install_pack(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  const Terminal& terminal = invocation.terminal();
  TRY(const auto bundle, tenancy::bundle_from_directory(invocation.argument(0)));
  if (terminal.err_is_terminal) terminal.err << "Installing; every tenant of the pack is migrated …\n";
  TRY(const auto reply,
      client.call("POST", std::string(kPacks) + upgrade_query(invocation), tenancy::bundle_to_json(bundle)));
  return show_report(invocation, reply.body);
}

Result<void> tell_failed(const Invocation& invocation, const ApiClient& client, const std::string& id) {
  TRY(const auto failed,
      get_patiently(client, invocation.terminal(), operation_path(id) + "/targets?status=failed"));
  const json::Value* data = failed.body.find("data");
  if (data == nullptr || data->as_array() == nullptr) return {};
  const Terminal& terminal = invocation.terminal();
  for (const json::Value& target : *data->as_array()) {
    terminal.err << fmt::format("Failed: {}: {}\n", printable(text_of(target, "target")),
                                printable(text_of(target, "error")));
  }
  terminal.err << fmt::format("After mending: rowhouse operation retry {}\n", id);
  return {};
}

// Like an installation, but shows what it is doing, and can be left.
Result<ExitCode> upgrade_pack(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  const Terminal& terminal = invocation.terminal();
  TRY(const auto bundle, tenancy::bundle_from_directory(invocation.argument(0)));
  std::vector<net::Header> headers;
  headers.emplace_back("Prefer", "respond-async");
  TRY(const auto reply, client.call("POST", std::string(kPacks) + upgrade_query(invocation),
                                    tenancy::bundle_to_json(bundle), std::move(headers)));
  const json::Value* operation = reply.body.find("operation");
  if (operation == nullptr) return show_report(invocation, reply.body);
  const std::string id = text_of(*operation, "id");
  if (invocation.has("no-wait")) {
    if (invocation.json()) return print_json(terminal, reply.body);
    terminal.out << id << '\n';
    return ExitCode::ok;
  }
  TRY(const WatchEnd end, watch_operation(client, terminal, id, OnPause::stop));
  if (end.why == WatchEnd::Why::interrupted) {
    terminal.err << how_to_watch(id) << '\n';
    return ExitCode::interrupted;
  }
  if (end.why == WatchEnd::Why::paused) {
    terminal.err << fmt::format("An operator has paused it. `rowhouse operation resume {}` goes on.\n", id);
    return ExitCode::failed;
  }
  if (invocation.json()) print_json(terminal, end.operation);
  if (!operation_succeeded(end.operation)) {
    TRY_DO(tell_failed(invocation, client, id));
    return operation_failure(end.operation);
  }
  const json::Value* output = end.operation.find("output");
  if (invocation.json() || output == nullptr) return ExitCode::ok;
  terminal.out << fmt::format("{} {} is installed. Tenants migrated: {}. Unchanged: {}. Behind: {}.\n",
                              text_of(*output, "pack"), text_of(*output, "to_version"),
                              text_of(*output, "migrated"), text_of(*output, "unchanged"),
                              text_of(*output, "behind"));
  return ExitCode::ok;
}

Result<ExitCode> list_targets(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  std::vector<std::pair<std::string, std::string>> query;
  for (const char* option : {"status", "limit", "cursor"})
    query.emplace_back(option, invocation.value(option));
  TRY(const auto reply,
      client.call("GET", operation_path(invocation.argument(0)) + "/targets" + query_of(query)));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  Table table;
  table.column("WAVE", Align::right);
  for (const char* title : {"TARGET", "TIER", "PLAN", "STATUS"}) table.column(title);
  table.column("ATTEMPTS", Align::right);
  table.column("ERROR");
  const json::Value* data = reply.body.find("data");
  if (data != nullptr && data->as_array() != nullptr) {
    for (const json::Value& target : *data->as_array()) {
      table.row({text_of(target, "wave"), text_of(target, "target"), text_of(target, "tier"),
                 text_of(target, "plan"), text_of(target, "status"), text_of(target, "attempts"),
                 text_of(target, "error")});
    }
  }
  table.print(invocation.terminal(), "There are no such targets.");
  const std::string cursor = text_of(reply.body, "next_cursor");
  if (!cursor.empty()) invocation.terminal().err << "There are more: --cursor " << cursor << '\n';
  return ExitCode::ok;
}

std::vector<Option> upgrade_options() {
  return {json_option(),
          {"skip-lint", "", "Upgrade although `rowhouse lint` finds errors; is recorded"},
          {"contract", "", "Run migrations that take something away (see docs/packs.md)"},
          {"canary", "N", "Tenants of each tier that go first; one that fails stops everything (default 1)"},
          {"parallel", "N", "Sessions that migrate tenants (1 to 16; default 2)"},
          {"lock-timeout-ms", "MS",
           "How long a migration waits for a lock, before the tenant is tried again later "
           "(default 2000)"},
          {"max-failures", "N", "So many tenants that fail stop it (default 10)"}};
}

Command upgrade_command() {
  Command upgrade;
  upgrade.name = "pack upgrade";
  upgrade.summary = "Install or upgrade a pack, and show every step";
  upgrade.arguments = {{"DIR", "the folder with pack.json and migrations/", Argument::Presence::required,
                        Completion::directory}};
  upgrade.options = upgrade_options();
  upgrade.options.push_back({"no-wait", "", "Print the operation's id and leave it to the server"});
  upgrade.notes =
      "Ctrl-C ends the watching, not the upgrade. `rowhouse operation pause|resume|cancel|retry` steer it, "
      "`rowhouse operation targets` tells what became of each tenant.";
  upgrade.examples = {
      {"rowhouse pack upgrade ./packs/helpdesk --canary 5", "five tenants of each tier go first"},
      {"rowhouse pack upgrade ./packs/helpdesk --no-wait", "prints the id of the operation"}};
  upgrade.talks = Talks::to_control_plane;
  upgrade.run = upgrade_pack;
  return upgrade;
}

Result<ExitCode> show_drift(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", path_of(kPacks, {invocation.argument(0), "drift"}) +
                                               query_of({{"full", invocation.has("full") ? "true" : ""}})));
  const json::Value* findings = reply.body.find("findings");
  const bool clean = findings == nullptr || findings->as_array() == nullptr || findings->as_array()->empty();
  const Terminal& terminal = invocation.terminal();
  if (invocation.json()) {
    print_json(terminal, reply.body);
    return clean ? ExitCode::ok : ExitCode::failed;
  }
  Table table;
  for (const char* title : {"DATABASE", "SCHEMA", "OBJECT", "WHAT", "FIX"}) table.column(title);
  if (!clean) {
    for (const json::Value& finding : *findings->as_array()) {
      table.row({text_of(finding, "database"), text_of(finding, "schema"), text_of(finding, "object"),
                 text_of(finding, "message"), text_of(finding, "fix")});
    }
  }
  table.print(terminal, fmt::format("No drift in {} schemas.", text_of(reply.body, "schemas")));
  const json::Value* unreachable = reply.body.find("unreachable");
  if (unreachable != nullptr && unreachable->as_array() != nullptr && !unreachable->as_array()->empty())
    terminal.err << "Not reached: " << names_of(unreachable) << '\n';
  return clean ? ExitCode::ok : ExitCode::failed;
}

Command drift_command() {
  Command drift;
  drift.name = "pack drift";
  drift.summary = "Show schemas of a pack that do not look as the others do";
  drift.arguments = {{"PACK", "the pack's name"}};
  drift.options = {json_option(),
                   {"full", "", "Read every schema, also those that are proven to be unchanged"}};
  drift.notes =
      "Exit code 0: none; 1: there are some. `rowhouse lint` checks every rule, this only compares. What the "
      "catalogs prove to be unchanged since the last report is not read again.";
  drift.examples = {{"rowhouse pack drift tekup", "reads what has changed since the last time"},
                    {"rowhouse pack drift tekup --full --json", "reads every schema anew"}};
  drift.talks = Talks::to_control_plane;
  drift.run = show_drift;
  return drift;
}

Command targets_command() {
  Command targets;
  targets.name = "operation targets";
  targets.summary = "Show what became of each tenant in an upgrade of a pack";
  targets.arguments = {{"OPERATION", "the operation's id; `rowhouse operation list` shows it"}};
  targets.options = {{"status",
                      "STATUS",
                      "Only those with this status",
                      {"waiting", "running", "done", "unchanged", "failed", "behind"}},
                     {"limit", "N", "How many (1 to 500; default 50)"},
                     {"cursor", "CURSOR", "Continue a list where the previous page ended"},
                     json_option()};
  targets.examples = {{"rowhouse operation targets 0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b11 --status failed",
                       "what has to be mended"}};
  targets.talks = Talks::to_control_plane;
  targets.run = list_targets;
  return targets;
}

}  // namespace

std::vector<Command> pack_commands() {
  Command list;
  list.name = "pack list";
  list.summary = "List the installed packs";
  list.options = {json_option()};
  list.examples = {{"rowhouse pack list", "with versions, plans and resources"}};
  list.talks = Talks::to_control_plane;
  list.run = list_packs;

  Command show;
  show.name = "pack show";
  show.summary = "Show a pack: plans, resources, columns";
  show.arguments = {{"PACK", "the pack's name"}};
  show.options = {json_option()};
  show.examples = {{"rowhouse pack show tekup", "every column of every resource"}};
  show.talks = Talks::to_control_plane;
  show.run = show_pack;

  Command install;
  install.name = "pack install";
  install.summary = "Install or upgrade a pack, in every tenant of every tier";
  install.arguments = {{"DIR", "the folder with pack.json and migrations/", Argument::Presence::required,
                        Completion::directory}};
  install.options = upgrade_options();
  install.notes =
      "The server checks the pack first, in a scratch database. A pack that breaks a rule changes nothing. "
      "Before an "
      "upgrade it lints every place where the pack is installed, and refuses while there are errors.";
  install.examples = {
      {"rowhouse pack install ./packs/helpdesk", "check it first: rowhouse pack check ./packs/helpdesk"}};
  install.talks = Talks::to_control_plane;
  install.run = install_pack;
  return {list, show, install, upgrade_command(), drift_command(), targets_command()};
}

}  // namespace rowhouse::cli
