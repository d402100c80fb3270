// What users.cc, members.cc and roles.cc share. For these files alone.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/trail.h"
#include "base/json.h"
#include "identity/users.h"
#include "tenancy/permissions.h"

namespace rowhouse::identity {

// "2026-11-21T05:40:00.123456Z"; null stays null.
std::string timestamp_sql(std::string_view column);

// Where a page of a list begins: after this row. Belongs to one filter (its fingerprint).
struct PagePosition {
  std::string created_at, id;
};
std::string encode_cursor(std::string_view fingerprint, const PagePosition& last);
// Error: invalid_cursor.
Result<PagePosition> decode_cursor(std::string_view fingerprint, std::string_view cursor);
std::string fingerprint_of(const std::vector<std::string>& parts);
// For ILIKE: contains this text.
std::string containing_pattern(std::string_view text);

// A statement that does `with` (its main part is called t, one row for each thing changed), records the
// change for each row of t, and selects.
pg::Statement recorded_statement(std::string_view with, std::string_view select, pg::Params params,
                                 const audit::Change& change);

audit::Change change_of(std::string action, const tenancy::Actor& actor, std::string object_type,
                        const Uuid& object);

// Trimmed, and only what mail servers agree on: ASCII, one '@', a domain of letters, digits, '-' and '.'.
std::optional<std::string> clean_email(std::string_view text);
void check_name(std::string_view name, Error& faults);

Error email_taken();
Error no_such_user();

struct UserService::Impl {
  Impl(net::Executor& loop, pg::Pool& pool, Passwords& hashing, const Clock& wall_clock)
      : executor(loop), identity(pool), passwords(hashing), clock(wall_clock) {}

  // A role of the pack or of the tenant's own, as it stands now.
  struct RoleRow {
    std::optional<Uuid> id;  // nullopt: a role of the pack that nobody has had yet
    RoleInfo info;
    std::shared_ptr<const tenancy::Permissions> permissions;
  };
  // Error not_found.
  Task<Result<RoleRow>> role(Tenant tenant, std::string name, CallOptions call);
  // The same with a row in the table.
  Task<Result<RoleRow>> role_to_give(Tenant tenant, std::string name, CallOptions call);
  Task<Result<std::vector<RoleInfo>>> own_roles(Uuid tenant, std::optional<std::string> name,
                                                CallOptions call);

  // What add_member and change_member know before they write.
  struct Standing {
    std::optional<Uuid> user;
    std::optional<Uuid> home_tenant;
    enum class Verified { no, yes } verified = Verified::no;
    User::PlatformAdmin platform_admin = User::PlatformAdmin::no;
    std::size_t other_memberships = 0;
  };
  Task<Result<Standing>> standing(std::optional<std::string> email, std::optional<Uuid> user, Uuid tenant,
                                  CallOptions call);
  Task<Result<Uuid>> make_member_account(Tenant tenant, const NewMember& request, const Requester& requester,
                                         CallOptions call);
  Task<Result<Uuid>> account_to_add(Tenant tenant, const Standing& known, const NewMember& request,
                                    const Requester& requester, CallOptions call);

  // Nothing, or limit_reached.
  Task<Result<void>> check_seats(Tenant tenant, std::string email, CallOptions call);
  // Removes an account that the tenant made and that belongs nowhere.
  Task<Result<void>> forget_account(Tenant tenant, Uuid user, tenancy::Actor actor, CallOptions call);

  // The hash of a checked password, or nullopt for "".
  Task<Result<std::optional<std::string>>> hash_if_given(std::string password, CallOptions call);
  void announce(const Uuid& subject) const {
    if (changed) changed(subject);
  }

  net::Executor& executor;
  pg::Pool& identity;
  Passwords& passwords;
  const Clock& clock;
  Changed changed;
};

// The plan's limit of users; kUnlimited if it names none. And the refusal.
std::int64_t seat_limit(const tenancy::Tenant& tenant);
Error no_seat_left(const tenancy::Tenant& tenant);

// Nothing, or permission_missing: the requester lacks a permission or the rows of the role.
Result<void> may_give(const Requester& requester, const tenancy::Permissions& permissions,
                      tenancy::RowScope rows);

}  // namespace rowhouse::identity
