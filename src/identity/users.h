// Users, their memberships in tenants, and roles of a tenant's own. See users_model.h for the values.
//
// A user is one account for the whole platform; a membership gives it one role at one tenant. Roles of the
// pack are its manifest's (always there, not to be changed); a tenant may define further ones. A role that
// the tenant made before its pack had one of that name stays what it was.
//
// Who may do something is the route's business (permissions); what is checked here is that nobody gives,
// takes or changes more than they have: a requester of a tenant must have every permission of a role that
// they give, change, or whose holder they change, or permission_missing.
//
// Every change is recorded in the outbox in its own statement, and told to `changed` when it is committed.
// Belongs to the executor's thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/passwords.h"
#include "identity/users_model.h"
#include "net/executor.h"
#include "pg/pool.h"
#include "tenancy/tenant.h"

namespace rowhouse::identity {

class UserService {
 public:
  using Tenant = std::shared_ptr<const tenancy::Tenant>;
  // Called after a committed change that makes remembered access stale, with the user, session or tenant
  // concerned: forget it in this worker's AccessDirectory and tell the other workers.
  using Changed = std::function<void(const Uuid& subject)>;

  UserService(net::Executor& executor, pg::Pool& identity, Passwords& passwords, const Clock& clock);
  ~UserService();
  void wire(Changed changed);

  // ---- accounts; for platform admins
  // Errors: validation_failed with fields (/email, /name, /password), conflict (the e-mail address is taken).
  Task<Result<User>> create_user(NewUser request, tenancy::Actor actor, CallOptions options);
  Task<Result<User>> get_user(Uuid user, CallOptions options);                // not_found
  Task<Result<User>> find_user(std::string email, CallOptions options);       // not_found
  Task<Result<UserPage>> list_users(UserFilter filter, CallOptions options);  // invalid_cursor
  // Disabling ends the user's sessions. Errors: not_found, validation_failed, conflict (the e-mail address is
  // taken; it is the last active platform admin).
  Task<Result<User>> change_user(Uuid user, UserChange change, tenancy::Actor actor, CallOptions options);
  // Ends all of the user's sessions. Errors: not_found, validation_failed.
  Task<Result<void>> set_password(Uuid user, std::string password, tenancy::Actor actor, CallOptions options);
  // With memberships and sessions. Errors: not_found, conflict (the last active platform admin).
  Task<Result<void>> remove_user(Uuid user, tenancy::Actor actor, CallOptions options);
  Task<Result<std::vector<Membership>>> memberships_of(Uuid user, CallOptions options);

  // ---- members of a tenant
  Task<Result<MemberPage>> list_members(Tenant tenant, MemberFilter filter, CallOptions options);
  Task<Result<Member>> get_member(Tenant tenant, Uuid user, CallOptions options);  // not_found
  // Makes the account, too, if the e-mail address has none: then a password may be given. Errors:
  // validation_failed (also: a password for an account that is there already; an unknown role),
  // permission_missing, limit_reached (of the plan), conflict (a member already; or the account was made by
  // another tenant and its e-mail address is not verified: that tenant's admin could come in through it, so
  // only a platform admin may do this).
  Task<Result<AddedMember>> add_member(Tenant tenant, NewMember request, Requester requester,
                                       CallOptions options);
  // A name or password can be set only by the tenant that made the account, while it has no other membership;
  // then the account's sessions end. Errors: not_found, validation_failed, permission_missing, forbidden (see
  // before), conflict (the last active member with the pack's admin role, unless a platform admin wants it).
  Task<Result<Member>> change_member(Tenant tenant, Uuid user, MemberChange change, Requester requester,
                                     CallOptions options);
  // Ends the user's sessions at this tenant. An account that the tenant made and that belongs nowhere else
  // goes, too. Errors: not_found, permission_missing, conflict (as before).
  Task<Result<void>> remove_member(Tenant tenant, Uuid user, Requester requester, CallOptions options);

  // ---- roles
  Task<Result<std::vector<RoleInfo>>> list_roles(Tenant tenant, CallOptions options);     // the pack's first
  Task<Result<RoleInfo>> get_role(Tenant tenant, std::string name, CallOptions options);  // not_found
  // Errors: validation_failed (name, a permission that neither the plan nor Rowhouse has),
  // permission_missing, conflict (the name is taken, also by the pack; kMaxRoles).
  Task<Result<RoleInfo>> create_role(Tenant tenant, NewRole request, Requester requester,
                                     CallOptions options);
  // Errors: as create_role(); not_found; forbidden (a role of the pack).
  Task<Result<RoleInfo>> change_role(Tenant tenant, std::string name, RoleChange change, Requester requester,
                                     CallOptions options);
  Task<Result<void>> remove_role(Tenant tenant, std::string name, Requester requester,
                                 CallOptions options);  // also: conflict (members have it)

  // The id of a role that the requester may give, for invitations. Errors: validation_failed (/role),
  // permission_missing.
  Task<Result<Uuid>> role_to_give(Tenant tenant, std::string name, Requester requester, CallOptions options);

  // ---- a tenant that goes: memberships, roles, sessions, invitations, and accounts that it made and that
  // belong nowhere else. May be repeated.
  Task<Result<void>> remove_tenant(Uuid tenant, tenancy::Actor actor, CallOptions options);
  // Error internal, naming the table, if something of the tenant is left.
  Task<Result<void>> prove_tenant_gone(Uuid tenant, CallOptions options);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::identity
