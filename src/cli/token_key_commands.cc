#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/table.h"

namespace rowhouse::cli {
namespace {

constexpr const char* kTokenKeys = "/v1/token-keys";
constexpr const char* kRetireNow = "retire-now";

ExitCode show(const Invocation& invocation, const json::Value& body) {
  if (invocation.json()) return print_json(invocation.terminal(), body);
  Table table;
  for (const char* title : {"KEY", "STATE", "SIGNS SINCE", "RETIRES"}) table.column(title);
  const json::Value* data = body.find("data");
  if (data != nullptr && data->as_array() != nullptr) {
    for (const json::Value& key : *data->as_array()) {
      table.row({text_of(key, "kid"), text_of(key, "state"), text_of(key, "not_before"),
                 text_of(key, "retired_at")});
    }
  }
  table.print(invocation.terminal(), "There is no key.");
  return ExitCode::ok;
}

Result<ExitCode> list_keys(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", kTokenKeys));
  return show(invocation, reply.body);
}

Result<ExitCode> rotate_key(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  json::Value body{json::Object{}};
  if (invocation.has(kRetireNow)) body.set("retire_now", true);
  TRY(const auto reply, client.call("POST", kTokenKeys, body));
  return show(invocation, reply.body);
}

}  // namespace

std::vector<Command> token_key_commands() {
  Command list;
  list.name = "token-key list";
  list.summary = "List the keys that access tokens are signed with";
  list.options = {json_option()};
  list.examples = {{"rowhouse token-key list", "which one signs, and which ones are accepted"}};
  list.talks = Talks::to_control_plane;
  list.run = list_keys;

  Command rotate;
  rotate.name = "token-key rotate";
  rotate.summary = "Sign access tokens with a new key; nobody has to sign in again";
  rotate.options = {{kRetireNow, "", "Refuse every access token at once: for a key that leaked"},
                    json_option()};
  rotate.notes =
      "The new key is published five minutes before it signs, and the one before is accepted until the last "
      "token that it signed has expired.";
  rotate.examples = {{"rowhouse token-key rotate", "at any time: no request fails"},
                     {"rowhouse token-key rotate --retire-now", "clients must refresh; sessions go on"}};
  rotate.talks = Talks::to_control_plane;
  rotate.run = rotate_key;
  return {list, rotate};
}

}  // namespace rowhouse::cli
