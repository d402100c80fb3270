#include <fmt/format.h>

#include <ostream>

#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/table.h"

namespace rowhouse::cli {
namespace {

constexpr const char* kContextKeys = "/v1/context-keys";
constexpr const char* kRetireNow = "retire-now";

void print_keys(const Terminal& terminal, const json::Value& body) {
  const json::Value* behind = body.find("behind");
  std::string names;
  if (behind != nullptr && behind->as_array() != nullptr) {
    for (const json::Value& name : *behind->as_array()) names += (names.empty() ? "" : ", ") + text_of(name);
  }
  print_fields(terminal, {{"Checked by",
                           fmt::format("{} ({})", text_of(body, "implementation"), text_of(body, "reason"))},
                          {"Databases", text_of(body, "databases")},
                          {"Behind", names.empty() ? "none" : names}});
  Table table;
  table.column("GENERATION", Align::right);
  for (const char* title : {"STATE", "CREATED", "SIGNS SINCE", "RETIRES", "RETIRED"}) table.column(title);
  const json::Value* data = body.find("data");
  if (data != nullptr && data->as_array() != nullptr) {
    for (const json::Value& key : *data->as_array()) {
      table.row({text_of(key, "generation"), text_of(key, "state"), text_of(key, "created_at"),
                 text_of(key, "activated_at"), text_of(key, "retire_at"), text_of(key, "retired_at")});
    }
  }
  terminal.out << '\n';
  table.print(terminal, "There is no key.");
}

Result<ExitCode> list_keys(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", kContextKeys));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  print_keys(invocation.terminal(), reply.body);
  return ExitCode::ok;
}

Result<ExitCode> rotate_key(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  json::Value body{json::Object{}};
  if (invocation.has(kRetireNow)) body.set("retire_now", true);
  TRY(const auto reply, client.call("POST", kContextKeys, body));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  print_keys(invocation.terminal(), reply.body);
  return ExitCode::ok;
}

}  // namespace

std::vector<Command> context_key_commands() {
  Command list;
  list.name = "context-key list";
  list.summary = "List the keys that tenant contexts are signed with";
  list.options = {json_option()};
  list.examples = {{"rowhouse context-key list", "generations, and databases that lack the current ones"}};
  list.talks = Talks::to_control_plane;
  list.run = list_keys;

  Command rotate;
  rotate.name = "context-key rotate";
  rotate.summary = "Sign tenant contexts with a new key, without downtime";
  rotate.options = {{kRetireNow, "", "Refuse every older key at once: for a key that leaked"}, json_option()};
  rotate.notes =
      "The new key is added to every database before it signs. The key before is accepted for "
      "context_key_grace, "
      "and then retired by the server itself, also if it is restarted meanwhile.";
  rotate.examples = {
      {"rowhouse context-key rotate", "at any time: no request fails"},
      {"rowhouse context-key rotate --retire-now", "when a database or a dump of one was stolen"}};
  rotate.talks = Talks::to_control_plane;
  rotate.run = rotate_key;
  return {list, rotate};
}

}  // namespace rowhouse::cli
