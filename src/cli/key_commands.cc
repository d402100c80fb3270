// rowhouse key … and rowhouse service-key …
#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <ostream>

#include "base/clock.h"
#include "base/text.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/table.h"

namespace rowhouse::cli {
namespace {

constexpr std::string_view kTenants = "/v1/tenants";
constexpr const char* kServiceKeys = "/v1/service-keys";

// "90s", "30m", "24h", "90d"; "0".
std::optional<std::chrono::seconds> parse_span(std::string_view text) {
  constexpr std::int64_t kMostUnits = 100'000'000;
  if (text == "0") return std::chrono::seconds(0);
  if (text.size() < 2) return std::nullopt;
  const auto amount = parse_int64(text.substr(0, text.size() - 1));
  if (!amount || *amount < 0 || *amount > kMostUnits) return std::nullopt;
  switch (text.back()) {
    case 's':
      return std::chrono::seconds(*amount);
    case 'm':
      return std::chrono::minutes(*amount);
    case 'h':
      return std::chrono::hours(*amount);
    case 'd':
      return std::chrono::days(*amount);
    default:
      return std::nullopt;
  }
}

Error not_a_span(std::string_view option) {
  return usage_error(fmt::format("--{} must be a duration such as 30m, 24h or 90d", option));
}

json::Value array_of(const std::vector<std::string>& words) {
  json::Array array;
  array.reserve(words.size());
  for (const std::string& word : words) array.emplace_back(word);
  return array;
}

// --scope, --allow, --expires and --expires-at as members of the body.
Result<void> copy_rights(const Invocation& invocation, json::Value& body) {
  if (invocation.has("scope")) body.set("scopes", array_of(invocation.values("scope")));
  if (invocation.has("allow")) body.set("allowed_networks", array_of(invocation.values("allow")));
  if (invocation.has("expires") && invocation.has("expires-at")) {
    return usage_error("--expires and --expires-at say the same: give one");
  }
  if (invocation.has("expires-at")) body.set("expires_at", json::Value(invocation.value("expires-at")));
  if (invocation.has("expires")) {
    const auto span = parse_span(invocation.value("expires"));
    if (!span) return not_a_span("expires");
    const auto now = std::chrono::floor<std::chrono::seconds>(SystemClock().now());
    body.set("expires_at", to_rfc3339(now + *span));
  }
  return {};
}

Result<ExitCode> show_new_key(const Invocation& invocation, const json::Value& made, std::string_view what) {
  if (invocation.json()) print_json(invocation.terminal(), made);
  TRY_DO(hand_over_secret(invocation, text_of(made, "secret"), what));
  return ExitCode::ok;
}

std::string joined(const json::Value& key, std::string_view member, std::string_view if_none) {
  std::string text;
  const json::Value* words = key.find(member);
  if (words != nullptr && words->as_array() != nullptr) {
    for (const json::Value& word : *words->as_array()) text += (text.empty() ? "" : " ") + text_of(word);
  }
  return text.empty() ? std::string(if_none) : text;
}

Result<ExitCode> show_keys(const Invocation& invocation, const json::Value& body, const char* if_none) {
  if (invocation.json()) return print_json(invocation.terminal(), body);
  Table table;
  for (const char* title : {"ID", "NAME", "HINT", "SCOPES", "FROM", "CREATED", "LAST USED", "EXPIRES",
                            "REVOKED", "OLD SECRET UNTIL"})
    table.column(title);
  const json::Value* data = body.find("data");
  if (data != nullptr && data->as_array() != nullptr) {
    for (const json::Value& key : *data->as_array()) {
      table.row({text_of(key, "id"), text_of(key, "name"), text_of(key, "hint"), joined(key, "scopes", ""),
                 joined(key, "allowed_networks", "everywhere"), text_of(key, "created_at").substr(0, 10),
                 text_of(key, "last_used_at").substr(0, 16), text_of(key, "expires_at").substr(0, 16),
                 text_of(key, "revoked_at").substr(0, 16), text_of(key, "previous_until").substr(0, 16)});
    }
  }
  table.print(invocation.terminal(), if_none);
  return ExitCode::ok;
}

// ---- keys of tenants

Result<ExitCode> create_key(Invocation& invocation) {
  json::Value body{json::Object{}};
  body.set("name", json::Value(invocation.has("name") ? invocation.value("name") : "cli"));
  TRY_DO(copy_rights(invocation, body));
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("POST", path_of(kTenants, {invocation.argument(0), "keys"}), body));
  return show_new_key(invocation, reply.body, "API key");
}

Result<ExitCode> list_keys(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", path_of(kTenants, {invocation.argument(0), "keys"})));
  return show_keys(invocation, reply.body, "This tenant has no keys.");
}

// `key`: its path.
Result<ExitCode> rotate_at(Invocation& invocation, const std::string& key) {
  json::Value body{json::Object{}};
  if (invocation.has("overlap")) {
    const auto span = parse_span(invocation.value("overlap"));
    if (!span) return not_a_span("overlap");
    body.set("overlap_seconds", static_cast<std::int64_t>(span->count()));
  }
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("POST", key + "/rotate", body));
  if (!invocation.json()) {
    const json::Value* made = reply.body.find("key");
    const std::string until = made == nullptr ? "" : text_of(*made, "previous_until");
    invocation.terminal().err << (until.empty() ? "Every older secret is refused from now on.\n"
                                                : fmt::format("The old secret is good until {}.\n", until));
  }
  return show_new_key(invocation, reply.body, "key's new secret");
}

Result<ExitCode> rotate_key(Invocation& invocation) {
  return rotate_at(invocation, path_of(kTenants, {invocation.argument(0), "keys", invocation.argument(1)}));
}

Result<ExitCode> revoke_key(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply,
      client.call("DELETE", path_of(kTenants, {invocation.argument(0), "keys", invocation.argument(1)})));
  invocation.terminal().err << "The key is revoked.\n";
  return ExitCode::ok;
}

// ---- service keys

Result<ExitCode> create_service_key(Invocation& invocation) {
  if (!invocation.has("scope")) {
    return usage_error("--scope is missing: what may it do? tenants:read, \"tenants:*\", …, or \"*\"");
  }
  json::Value body{json::Object{}};
  body.set("name", json::Value(invocation.argument(0)));
  TRY_DO(copy_rights(invocation, body));
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("POST", kServiceKeys, body));
  return show_new_key(invocation, reply.body, "service key");
}

Result<ExitCode> list_service_keys(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", kServiceKeys));
  return show_keys(invocation, reply.body, "There are no service keys.");
}

Result<ExitCode> rotate_service_key(Invocation& invocation) {
  return rotate_at(invocation, path_of(kServiceKeys, {invocation.argument(0)}));
}

Result<ExitCode> revoke_service_key(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("DELETE", path_of(kServiceKeys, {invocation.argument(0)})));
  invocation.terminal().err << "The service key is revoked.\n";
  return ExitCode::ok;
}

// ---- the table of commands

Argument tenant_argument() { return {"TENANT", "the tenant's slug or id"}; }
Argument key_argument() { return {"KEY", "the key's id; `rowhouse key list` shows it"}; }

Option scope_option(std::string description) {
  Option option{"scope", "OPERATION", std::move(description)};
  option.count = Option::Count::many;
  return option;
}

std::vector<Option> rights_options(std::string scope_text) {
  Option allow{"allow", "NETWORK", "From where it may be used: an address or 10.0.0.0/8; may be repeated"};
  allow.count = Option::Count::many;
  Option file{"key-file", "FILE", "Write it to this new file (mode 0600) instead of showing it"};
  file.completion = Completion::file;
  return {scope_option(std::move(scope_text)),
          {"expires", "DURATION", "When it ends, from now: 24h, 90d (default: never)"},
          {"expires-at", "TIME", "When it ends, as 2027-01-31T00:00:00Z"},
          allow,
          file,
          json_option()};
}

Command create_command() {
  Command create;
  create.name = "key create";
  create.summary = "Make another API key for a tenant";
  create.arguments = {tenant_argument()};
  create.options = rights_options("What it may do: lead:read, \"lead:*\"; may be repeated (default: \"*\")");
  create.options.insert(create.options.begin(), {"name", "NAME", "What it is for (default: cli)"});
  create.examples = {
      {"rowhouse key create acme-corp --name production --key-file acme.key", "shown nowhere else"},
      {"rowhouse key create acme-corp --name reports --scope lead:read --expires 90d --allow 10.0.0.0/8",
       "reads leads, for three months, from one network"}};
  create.talks = Talks::to_control_plane;
  create.run = create_key;
  return create;
}

std::vector<Option> rotation_options() {
  Option file{"key-file", "FILE", "Write it to this new file (mode 0600) instead of showing it"};
  file.completion = Completion::file;
  return {{"overlap", "DURATION", "How long the old secret stays good (default: 24h; 0: not at all)"},
          file,
          json_option()};
}

Command rotate_command() {
  Command rotate;
  rotate.name = "key rotate";
  rotate.summary = "Give an API key a new secret; the old one stays good for a while";
  rotate.arguments = {tenant_argument(), key_argument()};
  rotate.options = rotation_options();
  rotate.examples = {
      {"rowhouse key rotate acme-corp 0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b11", "no request fails"},
      {"rowhouse key rotate acme-corp 0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b11 --overlap 0",
       "the secret has leaked"}};
  rotate.talks = Talks::to_control_plane;
  rotate.run = rotate_key;
  return rotate;
}

}  // namespace

std::vector<Command> key_commands() {
  Command list;
  list.name = "key list";
  list.summary = "List a tenant's API keys (their secrets are not kept)";
  list.arguments = {tenant_argument()};
  list.options = {json_option()};
  list.examples = {{"rowhouse key list acme-corp", "with scopes and the last use of each"}};
  list.talks = Talks::to_control_plane;
  list.run = list_keys;

  Command revoke;
  revoke.name = "key revoke";
  revoke.summary = "Refuse an API key from now on";
  revoke.arguments = {tenant_argument(), key_argument()};
  revoke.examples = {
      {"rowhouse key revoke acme-corp 0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b11", "at once, on every node"}};
  revoke.talks = Talks::to_control_plane;
  revoke.run = revoke_key;
  return {create_command(), list, rotate_command(), revoke};
}

std::vector<Command> service_key_commands() {
  Command create;
  create.name = "service-key create";
  create.summary = "Make a key of the platform for a program";
  create.arguments = {{"NAME", "what it is for; a name may be used again when its key is revoked"}};
  create.options = rights_options("What it may do: tenants:read, \"tenants:*\", \"*\"; may be repeated");
  create.notes =
      "It works wherever an admin token does, as far as its scopes reach. docs/identity.md lists them.";
  create.examples = {{"rowhouse service-key create billing --scope tenants:read --expires 365d",
                      "a program that reads the list of tenants"}};
  create.talks = Talks::to_control_plane;
  create.run = create_service_key;

  Command list;
  list.name = "service-key list";
  list.summary = "List the platform's service keys";
  list.options = {json_option()};
  list.examples = {{"rowhouse service-key list", "with scopes and the last use of each"}};
  list.talks = Talks::to_control_plane;
  list.run = list_service_keys;

  Command rotate;
  rotate.name = "service-key rotate";
  rotate.summary = "Give a service key a new secret; the old one stays good for a while";
  rotate.arguments = {{"KEY", "the key's id; `rowhouse service-key list` shows it"}};
  rotate.options = rotation_options();
  rotate.examples = {
      {"rowhouse service-key rotate 0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b11", "no request fails"}};
  rotate.talks = Talks::to_control_plane;
  rotate.run = rotate_service_key;

  Command revoke;
  revoke.name = "service-key revoke";
  revoke.summary = "Refuse a service key from now on";
  revoke.arguments = {{"KEY", "the key's id; `rowhouse service-key list` shows it"}};
  revoke.examples = {
      {"rowhouse service-key revoke 0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b11", "at once, on every node"}};
  revoke.talks = Talks::to_control_plane;
  revoke.run = revoke_service_key;
  return {create, list, rotate, revoke};
}

}  // namespace rowhouse::cli
