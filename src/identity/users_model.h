// The values of users.h. No behaviour.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/uuid.h"
#include "tenancy/pack.h"
#include "tenancy/permissions.h"
#include "tenancy/tenants.h"

namespace rowhouse::identity {

enum class AccountStatus { active, disabled };
std::string_view account_status_name(AccountStatus status);  // "active"
std::optional<AccountStatus> parse_account_status(std::string_view text);

inline constexpr std::size_t kMaxRoles = 100;            // of a tenant's own
inline constexpr std::size_t kMaxRolePermissions = 200;  // of one role
inline constexpr std::size_t kMaxUserNameCharacters = 200;

// Who asks for a change, and what they may pass on.
struct Requester {
  // A platform admin or the server: may give everything.
  static Requester platform(tenancy::Actor actor) {
    return Requester(std::move(actor), tenancy::all_permissions(), tenancy::RowScope::all);
  }
  // A user or key of the tenant: what its TenantContext says. `permissions` must not be null.
  static Requester tenant(tenancy::Actor actor, std::shared_ptr<const tenancy::Permissions> permissions,
                          tenancy::RowScope rows) {
    return Requester(std::move(actor), std::move(permissions), rows, Side::tenant);
  }
  enum class Side { tenant, platform };
  tenancy::Actor actor;
  std::shared_ptr<const tenancy::Permissions> permissions;
  tenancy::RowScope rows;
  Side side;

 private:
  Requester(tenancy::Actor who, std::shared_ptr<const tenancy::Permissions> may, tenancy::RowScope which,
            Side whose = Side::platform)
      : actor(std::move(who)), permissions(std::move(may)), rows(which), side(whose) {}
};

struct User {
  Uuid id;
  std::string email, name;
  AccountStatus status = AccountStatus::active;
  enum class PlatformAdmin { no, yes } platform_admin = PlatformAdmin::no;
  enum class Password { none, set } password = Password::none;
  std::optional<Uuid> home_tenant;                    // whose admin made the account
  std::string created_at, updated_at, last_login_at;  // RFC 3339; "" = never
};

struct NewUser {
  std::string email;     // as people write it; compared without regard to case
  std::string name;      // "" or up to kMaxUserNameCharacters
  std::string password;  // "" = none yet: the user cannot sign in
  User::PlatformAdmin platform_admin = User::PlatformAdmin::no;
};

struct UserChange {  // what is set is changed
  std::optional<std::string> email, name;
  std::optional<AccountStatus> status;
  std::optional<User::PlatformAdmin> platform_admin;
};

struct UserFilter {
  std::string search;  // "" = any; in e-mail address or name
  std::optional<AccountStatus> status;
  std::optional<User::PlatformAdmin> platform_admin;
  std::size_t limit = 50;  // 1 to 500
  std::string cursor;      // of the previous page
};

struct UserPage {
  std::vector<User> users;  // oldest first
  std::string next_cursor;  // "" at the end
};

struct Membership {  // of a user, anywhere
  Uuid tenant;
  std::string role;
  AccountStatus status = AccountStatus::active;
  std::string created_at;
};

struct Member {  // a user at one tenant
  Uuid user;
  std::string email, name, role;
  AccountStatus status = AccountStatus::active;   // of the membership
  AccountStatus account = AccountStatus::active;  // of the account
  User::Password password = User::Password::none;
  std::string created_at, updated_at, last_login_at;  // of the membership; RFC 3339; "" = never
};

struct NewMember {
  std::string email;
  std::string name;      // of a new account
  std::string password;  // of a new account; "" = none yet
  std::string role;      // "" = the pack's admin role if the tenant has no member yet; otherwise required
};

struct AddedMember {
  Member member;
  enum class Account { created, known } account = Account::created;
};

struct MemberChange {  // what is set is changed
  std::optional<std::string> role;
  std::optional<AccountStatus> status;  // of the membership; disabling ends the user's sessions here
  std::optional<std::string> name;
  std::optional<std::string> password;
};

struct MemberFilter {
  std::string search;  // "" = any; in e-mail address or name
  std::string role;    // "" = any
  std::size_t limit = 50;
  std::string cursor;
};

struct MemberPage {
  std::vector<Member> members;  // in the order of their joining
  std::string next_cursor;
};

struct RoleInfo {
  std::string name, title, description;
  enum class Origin { pack, tenant } origin = Origin::tenant;
  std::vector<std::string> operations;  // "lead:read", "lead:*", "*"
  tenancy::RowScope rows = tenancy::RowScope::all;
  std::string created_at, updated_at;  // "" of a role of the pack
};

struct NewRole {
  std::string name;  // [a-z][a-z0-9_-]{0,62}
  std::string description;
  std::vector<std::string> operations;  // at least one
  tenancy::RowScope rows = tenancy::RowScope::all;
};

struct RoleChange {
  std::optional<std::string> description;
  std::optional<std::vector<std::string>> operations;
  std::optional<tenancy::RowScope> rows;
};

}  // namespace rowhouse::identity
