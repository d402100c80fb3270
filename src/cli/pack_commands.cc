#include <fmt/format.h>

#include <ostream>

#include "cli/api_client.h"
#include "cli/commands.h"
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

Result<ExitCode> install_pack(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  const Terminal& terminal = invocation.terminal();
  TRY(const auto bundle, tenancy::bundle_from_directory(invocation.argument(0)));
  if (terminal.err_is_terminal) terminal.err << "Installing; every tenant of the pack is migrated …\n";
  TRY(const auto reply,
      client.call("POST", std::string(kPacks) + (invocation.has("skip-lint") ? "?lint=skip" : ""),
                  tenancy::bundle_to_json(bundle)));
  const json::Value* failed = reply.body.find("failed");
  const bool complete = failed == nullptr || failed->as_array() == nullptr || failed->as_array()->empty();
  if (invocation.json()) {
    print_json(terminal, reply.body);
    return complete ? ExitCode::ok : ExitCode::failed;
  }
  const std::string from = text_of(reply.body, "from_version");
  terminal.out << fmt::format("{} {} is installed{}.\n", text_of(reply.body, "pack"),
                              text_of(reply.body, "to_version"),
                              from.empty() ? "" : fmt::format(" (was {})", from));
  terminal.out << fmt::format("Migrated: {}. Unchanged: {}.\n", names_of(reply.body.find("migrated")),
                              text_of(reply.body, "unchanged"));
  if (complete) return ExitCode::ok;
  for (const json::Value& target : *failed->as_array()) {
    terminal.err << fmt::format("Failed: {}: {}\n", text_of(target, "target"), text_of(target, "error"));
  }
  terminal.err << "Run this again after mending: what is done stays done.\n";
  return ExitCode::failed;
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
  install.options = {json_option(),
                     {"skip-lint", "", "Upgrade although `rowhouse lint` finds errors; is recorded"}};
  install.notes =
      "The server checks the pack first, in a scratch database. A pack that breaks a rule changes nothing. "
      "Before an "
      "upgrade it lints every place where the pack is installed, and refuses while there are errors.";
  install.examples = {
      {"rowhouse pack install ./packs/helpdesk", "check it first: rowhouse pack check ./packs/helpdesk"}};
  install.talks = Talks::to_control_plane;
  install.run = install_pack;
  return {list, show, install};
}

}  // namespace rowhouse::cli
