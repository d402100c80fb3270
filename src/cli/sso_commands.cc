// rowhouse sso …: the identity providers of tenants.
#include <fmt/format.h>

#include <array>
#include <ostream>

#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/secret_input.h"
#include "cli/table.h"

namespace rowhouse::cli {
namespace {

constexpr std::string_view kTenants = "/v1/tenants";

// Members of the body that have options of the same name, with '-' for '_'.
constexpr std::array<std::pair<const char*, const char*>, 6> kTexts = {{{"issuer", "issuer"},
                                                                        {"client-id", "client_id"},
                                                                        {"email-claim", "email_claim"},
                                                                        {"groups-claim", "groups_claim"},
                                                                        {"default-role", "default_role"},
                                                                        {"new-members", "new_members"}}};
// Of an answer, to send them back unchanged.
constexpr std::array<const char*, 11> kKept = {
    "issuer",       "client_id",   "scopes",         "email_claim",    "groups_claim", "role_mapping",
    "default_role", "new_members", "accepts_tokens", "token_audience", "status"};

std::string provider_path(const Invocation& invocation) {
  return path_of(kTenants, {invocation.argument(0), "sso", "provider"});
}

json::Value list_of(const std::vector<std::string>& values) {
  json::Array list;
  for (const std::string& value : values) list.emplace_back(value);
  return json::Value(std::move(list));
}

std::string joined(const json::Value& object, std::string_view member) {
  std::string text;
  const json::Value* words = object.find(member);
  if (words == nullptr || words->as_array() == nullptr) return text;
  for (const json::Value& word : *words->as_array()) text += (text.empty() ? "" : " ") + text_of(word);
  return text;
}

std::string mapping_text(const json::Value& provider) {
  std::string text;
  const json::Value* rules = provider.find("role_mapping");
  if (rules == nullptr || rules->as_array() == nullptr) return text;
  for (const json::Value& rule : *rules->as_array()) {
    text += (text.empty() ? "" : ", ") + text_of(rule, "group") + " → " + text_of(rule, "role");
  }
  return text;
}

ExitCode print_provider(const Invocation& invocation, const json::Value& provider) {
  if (invocation.json()) return print_json(invocation.terminal(), provider);
  print_fields(invocation.terminal(), {{"Issuer", text_of(provider, "issuer")},
                                       {"Client", text_of(provider, "client_id")},
                                       {"Secret", text_of(provider, "has_secret") == "true" ? "set" : "none"},
                                       {"Scopes", joined(provider, "scopes")},
                                       {"E-mail claim", text_of(provider, "email_claim")},
                                       {"Groups claim", text_of(provider, "groups_claim")},
                                       {"Roles", mapping_text(provider)},
                                       {"Default role", text_of(provider, "default_role")},
                                       {"New members", text_of(provider, "new_members")},
                                       {"Token audience", text_of(provider, "token_audience")},
                                       {"Domains", joined(provider, "domains")},
                                       {"Status", text_of(provider, "status")},
                                       {"Redirect URI", text_of(provider, "redirect_uri")}});
  return ExitCode::ok;
}

Result<ExitCode> show_provider(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", provider_path(invocation)));
  return print_provider(invocation, reply.body);
}

// "crm-admins=admin": the role follows the last '='.
Result<json::Value> read_mapping(const std::vector<std::string>& rules) {
  json::Array mapping;
  for (const std::string& rule : rules) {
    const std::size_t equals = rule.rfind('=');
    if (equals == std::string::npos || equals == 0)
      return usage_error(fmt::format("--group {}: must be GROUP=ROLE", printable(rule)));
    json::Value entry;
    entry.set("group", rule.substr(0, equals));
    entry.set("role", rule.substr(equals + 1));
    mapping.push_back(std::move(entry));
  }
  return json::Value(std::move(mapping));
}

// What is set already, as the body that sets it again.
Result<json::Value> current_settings(const ApiClient& client, const Invocation& invocation) {
  json::Value body{json::Object{}};
  const auto reply = client.call("GET", provider_path(invocation));
  const bool has_none = !reply.ok() && reply.error().detail(kProblemCode) == "not_found";
  if (has_none) return body;
  if (!reply.ok()) return reply.error();
  for (const char* name : kKept) {
    if (const json::Value* value = reply->body.find(name)) body.set(name, *value);
  }
  return body;
}

Result<ExitCode> set_provider(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(json::Value body, current_settings(client, invocation));
  for (const auto& [option, member] : kTexts) {
    if (invocation.has(option)) body.set(member, json::Value(invocation.value(option)));
  }
  if (invocation.has("scope")) body.set("scopes", list_of(invocation.values("scope")));
  if (invocation.has("domain")) body.set("domains", list_of(invocation.values("domain")));
  if (invocation.has("group")) {
    TRY(json::Value mapping, read_mapping(invocation.values("group")));
    body.set("role_mapping", std::move(mapping));
  }
  if (invocation.has("token-audience")) {
    body.set("token_audience", json::Value(invocation.value("token-audience")));
    body.set("accepts_tokens", json::Value(!invocation.value("token-audience").empty()));
  }
  if (invocation.has("status")) body.set("status", json::Value(invocation.value("status")));
  if (invocation.has("client-secret")) {
    TRY(auto secret, read_new_password(invocation.terminal(), "the client"));
    body.set("client_secret", json::Value(std::move(secret)));
  }
  if (invocation.has("public-client")) body.set("client_secret", json::Value());
  TRY(const auto reply, client.call("PUT", provider_path(invocation), body));
  return print_provider(invocation, reply.body);
}

Result<ExitCode> remove_provider(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY_DO(client.call("DELETE", provider_path(invocation)));
  invocation.terminal().err << fmt::format(
      "{} has no identity provider any more; sessions that began through it have ended.\n",
      printable(invocation.argument(0)));
  return ExitCode::ok;
}

Result<ExitCode> test_provider(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("POST", provider_path(invocation) + "/test"));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  print_fields(invocation.terminal(), {{"Issuer", text_of(reply.body, "issuer")},
                                       {"Sign-in", text_of(reply.body, "authorization_endpoint")},
                                       {"Tokens", text_of(reply.body, "token_endpoint")},
                                       {"Userinfo", text_of(reply.body, "userinfo_endpoint")},
                                       {"Keys", text_of(reply.body, "keys")},
                                       {"Problems", joined(reply.body, "problems")}});
  return ExitCode::ok;
}

Argument tenant_argument() { return {"TENANT", "Slug or id"}; }

Command named(const char* name, const char* summary, Result<ExitCode> (*run)(Invocation&)) {
  Command command;
  command.name = name;
  command.summary = summary;
  command.arguments = {tenant_argument()};
  command.options = {json_option()};
  command.talks = Talks::to_control_plane;
  command.run = run;
  return command;
}

}  // namespace

std::vector<Command> sso_commands() {
  Command show = named("sso show", "Show the identity provider of a tenant", show_provider);
  show.examples = {{"rowhouse sso show acme-corp", "issuer, client, roles; never the secret"}};

  Command set = named("sso set", "Set or change the identity provider of a tenant", set_provider);
  const auto many = Option::Count::many;
  set.options = {
      {"issuer", "URL", "Exactly as the provider writes it into its tokens"},
      {"client-id", "ID", "Of Rowhouse, at the provider"},
      {"client-secret", "", "Ask for the client's secret, or read it from standard input"},
      {"public-client", "", "The client has no secret"},
      {"scope", "SCOPE", "What to ask for; may be given several times", {}, Completion::none, many},
      {"email-claim", "CLAIM", "Where the e-mail address is"},
      {"groups-claim", "CLAIM", "Where the groups are"},
      {"group",
       "GROUP=ROLE",
       "Who is in the group has the role; the first that fits counts",
       {},
       Completion::none,
       many},
      {"default-role", "ROLE", "Of those whom no group fits; empty: they are refused"},
      {"new-members", "WORD", "May somebody sign in who is no user yet?", {"join", "refuse"}},
      {"token-audience", "AUDIENCE", "Take its access tokens for this audience; empty: none"},
      {"domain",
       "DOMAIN",
       "Of e-mail addresses that belong to the tenant; all of them",
       {},
       Completion::none,
       many},
      {"status", "WORD", "Is it in use?", {"active", "disabled"}},
      json_option()};
  set.notes =
      "What is not named stays as it is. Another issuer or client ends the sessions that began through the "
      "one "
      "before.\n\nMake sure that a domain belongs to the tenant before you name it: the provider then speaks "
      "for "
      "all addresses there.";
  set.examples = {
      {"rowhouse sso set acme-corp --issuer https://id.acme.example --client-id rowhouse --client-secret",
       "asks for the secret"},
      {"rowhouse sso set acme-corp --new-members join --group crm-admins=admin --default-role user",
       "let people in, with roles by their groups"}};

  Command remove =
      named("sso remove", "Remove the identity provider of a tenant, and end its sessions", remove_provider);
  remove.options.clear();
  remove.examples = {{"rowhouse sso remove acme-corp", "its people sign in with passwords again"}};

  Command test = named("sso test", "Ask the identity provider of a tenant what it is", test_provider);
  test.examples = {{"rowhouse sso test acme-corp", "reads its metadata and keys"}};
  return {show, set, remove, test};
}

}  // namespace rowhouse::cli
