#include "http/people_documents.h"

#include <chrono>

#include "crypto/crypto.h"
#include "http/body_reader.h"

namespace rowhouse::http {
namespace {

using identity::AccountStatus;

json::Value text_or_null(const std::string& text) { return text.empty() ? json::Value() : json::Value(text); }

json::Value seconds_until(WallTime time, WallTime now) {
  return std::chrono::duration_cast<std::chrono::seconds>(time - now).count();
}

std::string_view rows_name(tenancy::RowScope rows) { return rows == tenancy::RowScope::own ? "own" : "all"; }

void read_status(BodyReader& reader, std::optional<AccountStatus>& status) {
  reader.choice("status", [&](const std::string& text) {
    status = identity::parse_account_status(text);
    return status ? "" : "must be active or disabled";
  });
}

void read_rows(BodyReader& reader, std::optional<tenancy::RowScope>& rows) {
  reader.choice("rows", [&](const std::string& text) {
    if (text == "all") rows = tenancy::RowScope::all;
    if (text == "own") rows = tenancy::RowScope::own;
    return rows ? "" : "must be all or own";
  });
}

}  // namespace

json::Value signed_in_document(const identity::SignedIn& signed_in, WallTime now) {
  json::Value user;
  user.set("id", signed_in.user.to_string());
  user.set("email", signed_in.email);
  user.set("name", signed_in.name);
  json::Value tenant;
  if (signed_in.tenant != nullptr) {
    tenant.set("id", signed_in.tenant->id.to_string());
    tenant.set("slug", signed_in.tenant->slug);
    tenant.set("name", signed_in.tenant->name);
    tenant.set("pack", signed_in.tenant->pack_name);
  }
  json::Value document;
  document.set("access_token", signed_in.access_token);
  document.set("token_type", "Bearer");
  document.set("expires_in", seconds_until(signed_in.access_expires_at, now));
  document.set("refresh_token", signed_in.refresh_token);
  document.set("refresh_expires_in", seconds_until(signed_in.refresh_expires_at, now));
  document.set("session", signed_in.session.to_string());
  document.set("user", std::move(user));
  document.set("role", signed_in.role);
  document.set("tenant", std::move(tenant));
  return document;
}

json::Value member_document(const identity::Member& member) {
  json::Value document;
  document.set("id", member.user.to_string());
  document.set("email", member.email);
  document.set("name", member.name);
  document.set("role", member.role);
  document.set("status", identity::account_status_name(member.status));
  document.set("account_status", identity::account_status_name(member.account));
  document.set("has_password", member.password == identity::User::Password::set);
  document.set("created_at", member.created_at);
  document.set("updated_at", member.updated_at);
  document.set("last_login_at", text_or_null(member.last_login_at));
  return document;
}

json::Value role_document(const identity::RoleInfo& role) {
  json::Array operations;
  for (const std::string& operation : role.operations) operations.emplace_back(operation);
  json::Value document;
  document.set("name", role.name);
  document.set("title", role.title);
  document.set("description", role.description);
  document.set("origin", role.origin == identity::RoleInfo::Origin::pack ? "pack" : "tenant");
  document.set("operations", std::move(operations));
  document.set("rows", rows_name(role.rows));
  document.set("created_at", text_or_null(role.created_at));
  document.set("updated_at", text_or_null(role.updated_at));
  return document;
}

json::Value session_document(const identity::SessionInfo& session) {
  json::Value document;
  document.set("id", session.id.to_string());
  document.set("user", session.user.to_string());
  document.set("email", session.email);
  document.set("tenant", session.tenant ? json::Value(session.tenant->to_string()) : json::Value());
  document.set("created_at", session.created_at);
  document.set("expires_at", session.expires_at);
  document.set("last_seen_at", text_or_null(session.last_seen_at));
  document.set("address", text_or_null(session.address));
  document.set("agent", text_or_null(session.agent));
  return document;
}

json::Value account_document(const identity::User& user) {
  json::Value document;
  document.set("id", user.id.to_string());
  document.set("email", user.email);
  document.set("name", user.name);
  document.set("status", identity::account_status_name(user.status));
  document.set("platform_admin", user.platform_admin == identity::User::PlatformAdmin::yes);
  document.set("has_password", user.password == identity::User::Password::set);
  document.set("home_tenant", user.home_tenant ? json::Value(user.home_tenant->to_string()) : json::Value());
  document.set("created_at", user.created_at);
  document.set("updated_at", user.updated_at);
  document.set("last_login_at", text_or_null(user.last_login_at));
  return document;
}

json::Value membership_document(const identity::Membership& membership) {
  json::Value document;
  document.set("tenant", membership.tenant.to_string());
  document.set("role", membership.role);
  document.set("status", identity::account_status_name(membership.status));
  document.set("created_at", membership.created_at);
  return document;
}

Result<identity::Login> read_login(const json::Value& body) {
  identity::Login login;
  BodyReader reader(body);
  reader.require("email");
  reader.require("password");
  reader.text("email", login.email);
  reader.text("password", login.password);
  reader.text("tenant", login.tenant);
  reader.text("code", login.code);
  TRY_DO(reader.done());
  return login;
}

Result<std::string> read_refresh_token(const json::Value& body) {
  std::string token;
  BodyReader reader(body);
  reader.require("refresh_token");
  reader.text("refresh_token", token);
  TRY_DO(reader.done());
  return token;
}

Result<PasswordChange> read_password_change(const json::Value& body) {
  PasswordChange change;
  BodyReader reader(body);
  reader.require("current_password");
  reader.require("new_password");
  reader.text("current_password", change.current);
  reader.text("new_password", change.next);
  TRY_DO(reader.done());
  return change;
}

Result<identity::NewMember> read_new_member(const json::Value& body) {
  identity::NewMember member;
  BodyReader reader(body);
  reader.require("email");
  reader.text("email", member.email);
  reader.text("name", member.name);
  reader.text("password", member.password);
  reader.text("role", member.role);
  TRY_DO(reader.done());
  return member;
}

Result<identity::MemberChange> read_member_change(const json::Value& body) {
  identity::MemberChange change;
  BodyReader reader(body);
  reader.choice("role", [&](const std::string& text) {
    change.role = text;
    return "";
  });
  read_status(reader, change.status);
  reader.text("name", change.name);
  reader.choice("password", [&](const std::string& text) {
    change.password = text;
    return "";
  });
  TRY_DO(reader.done());
  return change;
}

Result<identity::NewRole> read_new_role(const json::Value& body) {
  identity::NewRole role;
  std::optional<std::vector<std::string>> operations;
  std::optional<tenancy::RowScope> rows;
  BodyReader reader(body);
  reader.require("name");
  reader.require("operations");
  reader.text("name", role.name);
  reader.text("description", role.description);
  reader.texts("operations", operations);
  read_rows(reader, rows);
  TRY_DO(reader.done());
  role.operations = std::move(operations).value_or(std::vector<std::string>());
  role.rows = rows.value_or(tenancy::RowScope::all);
  return role;
}

Result<identity::RoleChange> read_role_change(const json::Value& body) {
  identity::RoleChange change;
  BodyReader reader(body);
  reader.text("description", change.description);
  reader.texts("operations", change.operations);
  read_rows(reader, change.rows);
  TRY_DO(reader.done());
  return change;
}

Result<identity::NewUser> read_new_account(const json::Value& body) {
  identity::NewUser user;
  BodyReader reader(body);
  reader.require("email");
  reader.text("email", user.email);
  reader.text("name", user.name);
  reader.text("password", user.password);
  reader.flag("platform_admin", [&](bool is_admin) {
    user.platform_admin = is_admin ? identity::User::PlatformAdmin::yes : identity::User::PlatformAdmin::no;
  });
  TRY_DO(reader.done());
  return user;
}

Result<AccountChange> read_account_change(const json::Value& body) {
  AccountChange change;
  BodyReader reader(body);
  reader.choice("email", [&](const std::string& text) {
    change.user.email = text;
    return "";
  });
  reader.text("name", change.user.name);
  read_status(reader, change.user.status);
  reader.flag("platform_admin", [&](bool is_admin) {
    change.user.platform_admin =
        is_admin ? identity::User::PlatformAdmin::yes : identity::User::PlatformAdmin::no;
  });
  reader.choice("password", [&](const std::string& text) {
    change.password = text;
    return "";
  });
  TRY_DO(reader.done());
  return change;
}

std::string make_password() {
  // 32 signs (of Crockford), none of which looks like another: five bits each.
  constexpr std::string_view kSigns = "0123456789abcdefghjkmnpqrstvwxyz";
  static_assert(kSigns.size() == 32);
  constexpr std::size_t kLength = 20;
  constexpr std::size_t kGroup = 5;
  const std::string bytes = crypto::random_bytes(kLength);
  std::string password;
  for (std::size_t i = 0; i < kLength; ++i) {
    if (i > 0 && i % kGroup == 0) password += '-';
    password += kSigns[static_cast<unsigned char>(bytes[i]) % kSigns.size()];
  }
  return password;
}

}  // namespace rowhouse::http
