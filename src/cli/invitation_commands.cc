// rowhouse invitation …, user invite and user reset-password
#include <fmt/format.h>

#include <ostream>

#include "base/text.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/table.h"

namespace rowhouse::cli {
namespace {

constexpr std::string_view kTenants = "/v1/tenants";
constexpr std::string_view kAccounts = "/v1/platform/users";
constexpr const char* kInvitations = "invitations";

std::string invitations_path(const Invocation& invocation) {
  return path_of(kTenants, {invocation.argument(0), kInvitations});
}

// An id as it is; an e-mail address is that of the invitation that waits.
Result<std::string> id_of_invitation(const ApiClient& client, const std::string& path,
                                     const std::string& invitation) {
  if (invitation.find('@') == std::string::npos) return invitation;
  TRY(const auto reply, client.call("GET", path));
  for (const json::Value& found : data_of(reply.body)) {
    const std::string status = text_of(found, "status");
    const bool waits = status == "open" || status == "expired";
    if (waits && equals_ignoring_case(text_of(found, "email"), invitation)) return text_of(found, "id");
  }
  return Error(ErrorCode::not_found, fmt::format("nobody has invited {}", printable(invitation)));
}

Result<ExitCode> show_invited(const Invocation& invocation, const json::Value& body) {
  const Terminal& terminal = invocation.terminal();
  if (invocation.json()) return print_json(terminal, body);
  if (const json::Value* invitation = body.find("invitation")) {
    print_fields(terminal, {{"Id", text_of(*invitation, "id")},
                            {"E-mail", text_of(*invitation, "email")},
                            {"Role", text_of(*invitation, "role")},
                            {"Good until", text_of(*invitation, "expires_at")}});
  }
  show_link(terminal, text_of(body, "link"));
  return ExitCode::ok;
}

Result<ExitCode> invite(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  json::Value body{json::Object{}};
  body.set("email", json::Value(invocation.argument(1)));
  if (invocation.has("role")) body.set("role", json::Value(invocation.value("role")));
  TRY(const auto reply, client.call("POST", invitations_path(invocation), body));
  return show_invited(invocation, reply.body);
}

Result<ExitCode> list_invitations(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", invitations_path(invocation)));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  Table table;
  for (const char* title : {"E-MAIL", "ROLE", "STATUS", "MAIL", "GOOD UNTIL", "INVITED BY", "ID"}) {
    table.column(title);
  }
  for (const json::Value& invitation : data_of(reply.body)) {
    table.row({text_of(invitation, "email"), text_of(invitation, "role"), text_of(invitation, "status"),
               text_of(invitation, "mail"), text_of(invitation, "expires_at"),
               text_of(invitation, "invited_by"), text_of(invitation, "id")});
  }
  table.print(invocation.terminal(), "Nobody is invited.");
  return ExitCode::ok;
}

Result<ExitCode> send_invitation(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto id, id_of_invitation(client, invitations_path(invocation), invocation.argument(1)));
  TRY(const auto reply,
      client.call("POST", path_of(kTenants, {invocation.argument(0), kInvitations, id, "send"})));
  return show_invited(invocation, reply.body);
}

Result<ExitCode> revoke_invitation(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto id, id_of_invitation(client, invitations_path(invocation), invocation.argument(1)));
  TRY_DO(client.call("DELETE", path_of(kTenants, {invocation.argument(0), kInvitations, id})));
  invocation.terminal().err << "The invitation is revoked; its link is good no more.\n";
  return ExitCode::ok;
}

Result<ExitCode> reset_password(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto id, id_of_user(client, std::string(kAccounts), invocation.argument(0)));
  TRY(const auto reply, client.call("POST", path_of(kAccounts, {id, "password-link"})));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  show_link(invocation.terminal(), text_of(reply.body, "link"));
  return ExitCode::ok;
}

}  // namespace

void show_link(const Terminal& terminal, const std::string& link) {
  if (link.empty()) {
    terminal.err << "The link is on its way by mail.\n";
    return;
  }
  terminal.out << '\n' << styled(terminal, Style::bold, link) << '\n';
  terminal.err
      << "This is the one-time link. Hand it over now: no mail is configured, and Rowhouse cannot show it "
         "again.\n";
}

std::vector<Command> invitation_commands() {
  const Argument tenant = {"TENANT", "Slug or id of the tenant"};
  const Argument invitation = {"INVITATION", "Id, or the e-mail address of the person"};
  Command inviting = command_of(
      "user invite", "Invite a person to a tenant", {tenant, {"EMAIL", "The person's e-mail address"}},
      {{"role", "ROLE", "Role of the pack or the tenant; the first user gets the admin role"}, json_option()},
      {{"rowhouse user invite acme-corp bob@acme.example --role user", "they choose their own password"}},
      invite);
  inviting.notes =
      "The one-time link goes by mail. Where the server has no smtp_url, it is shown here, once.";
  return {
      inviting,
      command_of("user reset-password", "Let a user choose a new password",
                 {{"USER", "E-mail address or id"}}, {json_option()},
                 {{"rowhouse user reset-password bob@acme.example", "by a one-time link"}}, reset_password),
      command_of("invitation list", "List a tenant's invitations", {tenant}, {json_option()},
                 {{"rowhouse invitation list acme-corp", "and what became of them"}}, list_invitations),
      command_of("invitation send", "Send an invitation again, with another link", {tenant, invitation},
                 {json_option()},
                 {{"rowhouse invitation send acme-corp bob@acme.example", "also when it had expired"}},
                 send_invitation),
      command_of("invitation revoke", "Revoke an invitation", {tenant, invitation}, {},
                 {{"rowhouse invitation revoke acme-corp bob@acme.example", "its link is good no more"}},
                 revoke_invitation)};
}

}  // namespace rowhouse::cli
