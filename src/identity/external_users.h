// A person of an identity provider → a member of its tenant.
//
// Who somebody is, is the provider's subject; an e-mail address is only how an account is found the first
// time, and may be wrong or somebody else's. A provider is configured by one tenant and believed about that
// tenant alone:
//
//   - Somebody who has no account gets one that belongs to the tenant, as if its admin had made it.
//   - An account that is there is joined only if the provider has verified the address and
//       it is the tenant's own (made there, a member nowhere else), or
//       the platform has found that the address's domain is the tenant's, and the account was made there, is
//       a member there already, or has no password.
//   - A platform admin's account is never joined, nor one that another subject of the provider has.
//   - The role follows the groups at every sign-in; the tenant's last admin keeps theirs.
//
// Everything else is refused with one answer (credential_unknown) and recorded. Belongs to the executor's
// thread.
#pragma once

#include <optional>
#include <string>

#include "audit/trail.h"
#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/external_claims.h"
#include "identity/providers.h"
#include "identity/sessions.h"
#include "identity/users.h"
#include "pg/pool.h"

namespace rowhouse::identity {

class ExternalUsers {
 public:
  ExternalUsers(pg::Pool& identity, UserService& users) : identity_(identity), users_(users) {}

  // The member that this person is, with the role that their groups give; made where that is allowed. Errors:
  // credential_unknown (the message, for the audit, says why), limit_reached, database_unavailable, …
  Task<Result<Uuid>> member(const Provider& provider, UserService::Tenant tenant, ExternalPerson person,
                            std::string address, CallOptions options);
  // The user of a subject that has signed in before. Error: not_found.
  Task<Result<Uuid>> known(Uuid provider, std::string subject, CallOptions options);

 private:
  struct Account;
  Task<Result<std::optional<Account>>> account(std::string email, Uuid provider, Uuid tenant,
                                               CallOptions options);
  Task<Result<Uuid>> find_or_make(const Provider& provider, UserService::Tenant tenant,
                                  const ExternalPerson& person, const std::string& role,
                                  const Requester& requester, CallOptions options);
  Task<Result<void>> link(const Provider& provider, Uuid user, const ExternalPerson& person,
                          const Requester& requester, CallOptions options);
  Task<Result<void>> follow_groups(UserService::Tenant tenant, Uuid user, const std::string& role,
                                   const Requester& requester, CallOptions options);

  pg::Pool& identity_;
  UserService& users_;
};

}  // namespace rowhouse::identity
