// rowhouse admin …, user …, role … and session …
#include <fmt/format.h>

#include <ostream>

#include "base/text.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/secret_input.h"
#include "cli/table.h"

namespace rowhouse::cli {
namespace {

constexpr std::string_view kTenants = "/v1/tenants";
constexpr std::string_view kAccounts = "/v1/platform/users";
constexpr std::string_view kAllSessions = "/v1/platform/sessions";
constexpr const char* kUsers = "users";
constexpr const char* kRoles = "roles";

// ---- what the commands share

Option password_option() {
  return {"password", "",
          "Ask for the password, or read it from standard input; otherwise the server makes one and it is "
          "shown once"};
}

void copy_option(const Invocation& invocation, const char* option, json::Value& body) {
  if (invocation.has(option)) body.set(option, json::Value(invocation.value(option)));
}

Result<void> copy_password(const Invocation& invocation, const std::string& email, json::Value& body) {
  if (!invocation.has("password")) return {};
  TRY(auto password, read_new_password(invocation.terminal(), email));
  body.set("password", json::Value(std::move(password)));
  return {};
}

std::string joined(const json::Value& object, std::string_view member) {
  std::string text;
  const json::Value* words = object.find(member);
  if (words != nullptr && words->as_array() != nullptr) {
    for (const json::Value& word : *words->as_array()) text += (text.empty() ? "" : " ") + text_of(word);
  }
  return text;
}

void tell_of_more(const Terminal& terminal, const json::Value& body) {
  const std::string cursor = text_of(body, "next_cursor");
  if (!cursor.empty()) terminal.err << "There are more: --cursor " << cursor << '\n';
}

Result<ExitCode> show_with_password(const Invocation& invocation, const json::Value& created) {
  const Terminal& terminal = invocation.terminal();
  if (invocation.json()) return print_json(terminal, created);
  if (const json::Value* user = created.find("user")) {
    print_fields(terminal, {{"Id", text_of(*user, "id")},
                            {"E-mail", text_of(*user, "email")},
                            {"Name", text_of(*user, "name")},
                            {"Role", text_of(*user, "role")}});
  }
  const std::string password = text_of(created, "password");
  if (!password.empty()) {
    terminal.out << '\n' << styled(terminal, Style::bold, password) << '\n';
    terminal.err << "This is the password. Hand it over now: Rowhouse keeps only a hash and cannot show it "
                    "again. The user should change it.\n";
  } else if (text_of(created, "account") == "known") {
    terminal.err << "This person has an account already, and keeps its password.\n";
  }
  return ExitCode::ok;
}

// ---- admin

Result<ExitCode> create_admin(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  json::Value body{json::Object{}};
  body.set("email", json::Value(invocation.argument(0)));
  body.set("platform_admin", json::Value(true));
  copy_option(invocation, "name", body);
  TRY_DO(copy_password(invocation, invocation.argument(0), body));
  TRY(const auto reply, client.call("POST", std::string(kAccounts), body));
  return show_with_password(invocation, reply.body);
}

Result<ExitCode> list_admins(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply,
      client.call("GET", std::string(kAccounts) + query_of({{"platform_admin", "true"},
                                                            {"limit", "500"},
                                                            {"cursor", invocation.value("cursor")}})));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  Table table;
  for (const char* title : {"E-MAIL", "NAME", "STATUS", "LAST LOGIN", "ID"}) table.column(title);
  for (const json::Value& user : data_of(reply.body)) {
    table.row({text_of(user, "email"), text_of(user, "name"), text_of(user, "status"),
               text_of(user, "last_login_at"), text_of(user, "id")});
  }
  table.print(invocation.terminal(), "There is no platform admin yet: `rowhouse admin create EMAIL`.");
  tell_of_more(invocation.terminal(), reply.body);
  return ExitCode::ok;
}

Result<ExitCode> remove_admin(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto id, id_of_user(client, std::string(kAccounts), invocation.argument(0)));
  json::Value body{json::Object{}};
  body.set("platform_admin", json::Value(false));
  TRY(const auto reply, client.call("PATCH", path_of(kAccounts, {id}), body));
  invocation.terminal().err << fmt::format("{} is no platform admin any more.\n",
                                           printable(text_of(reply.body, "email")));
  return ExitCode::ok;
}

// ---- user

std::string users_path(const Invocation& invocation) {
  return path_of(kTenants, {invocation.argument(0), kUsers});
}

Result<ExitCode> list_users(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  std::vector<std::pair<std::string, std::string>> query;
  for (const char* option : {"search", "role", "limit", "cursor"}) {
    query.emplace_back(option, invocation.value(option));
  }
  TRY(const auto reply, client.call("GET", users_path(invocation) + query_of(query)));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  Table table;
  for (const char* title : {"E-MAIL", "NAME", "ROLE", "STATUS", "LAST LOGIN", "ID"}) table.column(title);
  for (const json::Value& user : data_of(reply.body)) {
    const bool is_usable = text_of(user, "account_status") == "active";
    table.row({text_of(user, "email"), text_of(user, "name"), text_of(user, "role"),
               is_usable ? text_of(user, "status") : "account disabled", text_of(user, "last_login_at"),
               text_of(user, "id")});
  }
  table.print(invocation.terminal(), "This tenant has no such users.");
  tell_of_more(invocation.terminal(), reply.body);
  return ExitCode::ok;
}

Result<ExitCode> create_user(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  json::Value body{json::Object{}};
  body.set("email", json::Value(invocation.argument(1)));
  copy_option(invocation, "role", body);
  copy_option(invocation, "name", body);
  TRY_DO(copy_password(invocation, invocation.argument(1), body));
  TRY(const auto reply, client.call("POST", users_path(invocation), body));
  return show_with_password(invocation, reply.body);
}

Result<ExitCode> remove_user(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto id, id_of_user(client, users_path(invocation), invocation.argument(1)));
  TRY_DO(client.call("DELETE", path_of(kTenants, {invocation.argument(0), kUsers, id})));
  invocation.terminal().err << fmt::format("{} has no access to {} any more.\n",
                                           printable(invocation.argument(1)),
                                           printable(invocation.argument(0)));
  return ExitCode::ok;
}

Result<ExitCode> give_role(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto id, id_of_user(client, users_path(invocation), invocation.argument(1)));
  json::Value body{json::Object{}};
  body.set("role", json::Value(invocation.argument(2)));
  TRY(const auto reply, client.call("PATCH", path_of(kTenants, {invocation.argument(0), kUsers, id}), body));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  invocation.terminal().err << fmt::format("{} has the role {} from the next request on.\n",
                                           printable(text_of(reply.body, "email")),
                                           printable(text_of(reply.body, "role")));
  return ExitCode::ok;
}

Result<ExitCode> set_password(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto id, id_of_user(client, std::string(kAccounts), invocation.argument(0)));
  TRY(auto password, read_new_password(invocation.terminal(), invocation.argument(0)));
  json::Value body{json::Object{}};
  body.set("password", json::Value(std::move(password)));
  TRY_DO(client.call("PATCH", path_of(kAccounts, {id}), body));
  invocation.terminal().err << "The password is changed, and every session of this user has ended.\n";
  return ExitCode::ok;
}

Result<ExitCode> reset_second_factor(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto id, id_of_user(client, std::string(kAccounts), invocation.argument(0)));
  TRY_DO(client.call("DELETE", path_of(kAccounts, {id, "totp"})));
  invocation.terminal().err << "The second factor is removed: the password alone signs this user in.\n";
  return ExitCode::ok;
}

// ---- role

Result<ExitCode> list_roles(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", path_of(kTenants, {invocation.argument(0), kRoles})));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  Table table;
  for (const char* title : {"ROLE", "OF", "ROWS", "OPERATIONS"}) table.column(title);
  for (const json::Value& role : data_of(reply.body)) {
    table.row(
        {text_of(role, "name"), text_of(role, "origin"), text_of(role, "rows"), joined(role, "operations")});
  }
  table.print(invocation.terminal(), "There are no roles.");
  return ExitCode::ok;
}

Result<ExitCode> create_role(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  json::Array operations;
  for (const std::string& operation : invocation.values("operation")) operations.emplace_back(operation);
  if (operations.empty()) return usage_error("--operation is missing: name at least one, such as lead:read");
  json::Value body{json::Object{}};
  body.set("name", json::Value(invocation.argument(1)));
  body.set("operations", std::move(operations));
  copy_option(invocation, "description", body);
  copy_option(invocation, "rows", body);
  TRY(const auto reply, client.call("POST", path_of(kTenants, {invocation.argument(0), kRoles}), body));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  print_fields(invocation.terminal(), {{"Role", text_of(reply.body, "name")},
                                       {"Rows", text_of(reply.body, "rows")},
                                       {"Operations", joined(reply.body, "operations")}});
  return ExitCode::ok;
}

Result<ExitCode> delete_role(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY_DO(client.call("DELETE", path_of(kTenants, {invocation.argument(0), kRoles, invocation.argument(1)})));
  invocation.terminal().err << fmt::format("The role {} is deleted.\n", printable(invocation.argument(1)));
  return ExitCode::ok;
}

// ---- session

Result<ExitCode> list_sessions(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  const std::string tenant = invocation.value("tenant");
  std::string user = invocation.value("user");
  if (!user.empty()) {
    TRY(user, id_of_user(client, std::string(kAccounts), user));
  }
  const std::string path =
      tenant.empty() ? std::string(kAllSessions) : path_of(kTenants, {tenant, "sessions"});
  TRY(const auto reply, client.call("GET", path + query_of({{"user", user}})));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  Table table;
  for (const char* title : {"SESSION", "USER", "TENANT", "SINCE", "LAST SEEN", "ADDRESS"})
    table.column(title);
  for (const json::Value& session : data_of(reply.body)) {
    const std::string where = text_of(session, "tenant");
    table.row({text_of(session, "id"), text_of(session, "email"), where.empty() ? "platform" : where,
               text_of(session, "created_at"), text_of(session, "last_seen_at"),
               text_of(session, "address")});
  }
  table.print(invocation.terminal(), "Nobody is signed in.");
  return ExitCode::ok;
}

Result<ExitCode> revoke_session(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY_DO(client.call("DELETE", path_of(kAllSessions, {invocation.argument(0)})));
  invocation.terminal().err << "The session has ended; its tokens are refused from now on.\n";
  return ExitCode::ok;
}

// ---- the table

const Argument kTenantArgument = {"TENANT", "Slug or id of the tenant"};
const Argument kUserArgument = {"USER", "E-mail address or id"};
const Option kNameOption = {"name", "NAME", "The person's name"};
const Option kCursorOption = {"cursor", "CURSOR", "Continue a list where the previous page ended"};

std::vector<Command> admin_part() {
  Command create = command_of(
      "admin create", "Make a platform admin, who signs in with a password",
      {{"EMAIL", "The person's e-mail address"}}, {kNameOption, password_option(), json_option()},
      {{"rowhouse admin create ada@platform.example", "shows a password once"},
       {"rowhouse admin create ada@platform.example --password", "asks for one, without showing it"}},
      create_admin);
  create.notes = "Nothing ships with a password: the first admin is made with the admin token.";
  return {create,
          command_of("admin list", "List the platform admins", {}, {kCursorOption, json_option()},
                     {{"rowhouse admin list", "who may do everything here"}}, list_admins),
          command_of("admin remove", "Make somebody a platform admin no more", {kUserArgument}, {},
                     {{"rowhouse admin remove ada@platform.example", "the account stays"}}, remove_admin)};
}

std::vector<Command> user_part() {
  const Option search = {"search", "TEXT", "Only those with this text in name or e-mail address"};
  const Option limit = {"limit", "N", "How many (1 to 500; default 50)"};
  const Option role = {"role", "ROLE", "Only those with this role"};
  const Option new_role = {"role", "ROLE",
                           "Role of the pack or the tenant; the first user gets the admin role"};
  return {
      command_of("user list", "List a tenant's users", {kTenantArgument},
                 {search, role, limit, kCursorOption, json_option()},
                 {{"rowhouse user list acme-corp --role admin", "its admins"}}, list_users),
      command_of("user create", "Add a user to a tenant",
                 {kTenantArgument, {"EMAIL", "The person's e-mail address"}},
                 {new_role, kNameOption, password_option(), json_option()},
                 {{"rowhouse user create acme-corp ada@acme.example", "the first one: the tenant's admin"},
                  {"rowhouse user create acme-corp bob@acme.example --role user --name Bob",
                   "shows a password once"}},
                 create_user),
      command_of("user remove", "Take a user's access to a tenant", {kTenantArgument, kUserArgument}, {},
                 {{"rowhouse user remove acme-corp bob@acme.example", "from the next request on"}},
                 remove_user),
      command_of("user role", "Give a user another role at a tenant",
                 {kTenantArgument, kUserArgument, {"ROLE", "Name of the role"}}, {json_option()},
                 {{"rowhouse user role acme-corp bob@acme.example admin", "from the next request on"}},
                 give_role),
      command_of("user password", "Set a user's password", {kUserArgument}, {},
                 {{"rowhouse user password bob@acme.example", "asks for it; ends the user's sessions"}},
                 set_password),
      command_of("user reset-totp", "Remove the second factor that a user has lost", {kUserArgument}, {},
                 {{"rowhouse user reset-totp bob@acme.example", "make sure first that it is Bob who asks"}},
                 reset_second_factor)};
}

std::vector<Command> role_part() {
  const Argument name = {"ROLE", "Name of the role"};
  const Option operation = {
      "operation", "OPERATION",      "What it permits: lead:read, lead:*, *; once for each",
      {},          Completion::none, Option::Count::many};
  return {
      command_of("role list", "List a tenant's roles, the pack's among them", {kTenantArgument},
                 {json_option()}, {{"rowhouse role list acme-corp", "and what each permits"}}, list_roles),
      command_of("role create", "Make a role of a tenant's own", {kTenantArgument, name},
                 {operation,
                  {"rows", "SCOPE", "Which rows: all, or the user's own", {"all", "own"}},
                  {"description", "TEXT", "What it is for"},
                  json_option()},
                 {{"rowhouse role create acme-corp reader --operation lead:read --operation user:read",
                   "may look, and nothing else"}},
                 create_role),
      command_of("role delete", "Delete a tenant's own role that nobody has", {kTenantArgument, name}, {},
                 {{"rowhouse role delete acme-corp reader", "roles of the pack stay"}}, delete_role)};
}

std::vector<Command> session_part() {
  return {command_of("session list", "List who is signed in", {},
                     {{"tenant", "TENANT", "Only at this tenant"},
                      {"user", "USER", "Only this user: e-mail address or id"},
                      json_option()},
                     {{"rowhouse session list --tenant acme-corp", "at one tenant"}}, list_sessions),
          command_of("session revoke", "End a session", {{"SESSION", "Id of the session"}}, {},
                     {{"rowhouse session revoke 018f2b7e-3c1d-7a10-9e6b-0c5d2f4a8b11",
                       "its tokens are refused from the next request on"}},
                     revoke_session)};
}

}  // namespace

std::vector<Command> people_commands() {
  std::vector<Command> commands = admin_part();
  for (auto part : {user_part, role_part, session_part}) {
    for (Command& command : part()) commands.push_back(std::move(command));
  }
  return commands;
}

}  // namespace rowhouse::cli
