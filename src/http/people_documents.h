// People, roles and sessions as JSON documents, and the bodies of their routes. Pure functions; the schemas
// are in people_schemas.cc. Errors of the readers: validation_failed, one field for each fault.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "identity/sessions.h"
#include "identity/users.h"

namespace rowhouse::http {

json::Value signed_in_document(const identity::SignedIn& signed_in, WallTime now);
json::Value member_document(const identity::Member& member);
json::Value role_document(const identity::RoleInfo& role);
json::Value session_document(const identity::SessionInfo& session);
json::Value account_document(const identity::User& user);
json::Value membership_document(const identity::Membership& membership);

Result<identity::Login> read_login(const json::Value& body);
Result<std::string> read_refresh_token(const json::Value& body);
struct PasswordChange {
  std::string current, next;
};
Result<PasswordChange> read_password_change(const json::Value& body);
Result<identity::NewMember> read_new_member(const json::Value& body);
Result<identity::MemberChange> read_member_change(const json::Value& body);
Result<identity::NewRole> read_new_role(const json::Value& body);
Result<identity::RoleChange> read_role_change(const json::Value& body);
Result<identity::NewUser> read_new_account(const json::Value& body);
struct AccountChange {
  identity::UserChange user;
  std::optional<std::string> password;
};
Result<AccountChange> read_account_change(const json::Value& body);

// A password that the server makes for somebody: 100 random bits, easy to read out.
std::string make_password();

}  // namespace rowhouse::http
