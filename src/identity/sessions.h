// Signing in and out: password → session with an access token and a refresh token that changes at each use.
//
// Every failed login has one answer (credential_unknown with one message) and does the same work: unknown
// user, wrong password, no password, disabled account, unknown tenant, no membership there. Attempts are
// counted in the identity database, so that the limits hold over all nodes: for (account, address), for an
// address, and for an account over all addresses that it has never been signed in from. An address from which
// the account was signed in before is counted apart, so strangers cannot lock anybody out. Too many:
// rate_limited with the detail kRetryAfterS.
//
// An account with a second factor (second_factors.h) needs its code beside the password. Without one the
// answer is second_factor_required, for the right password alone; with a wrong one it is that of a wrong
// password, and counts as one.
//
// A refresh token ("rht_" and 32 random bytes; a hash is stored) is good once. One that comes a second time
// ends the whole session and is a security event. Belongs to the executor's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/trail.h"
#include "base/call.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/passwords.h"
#include "identity/second_factors.h"
#include "identity/signing_keys.h"
#include "net/executor.h"
#include "pg/pool.h"
#include "tenancy/registry.h"
#include "tenancy/tenants.h"

namespace rowhouse::identity {

inline constexpr std::string_view kRefreshTokenPrefix = "rht_";
// Detail of rate_limited: whole seconds, for the header Retry-After.
inline constexpr std::string_view kRetryAfterS = "retry_after_s";

struct SessionOptions {
  std::chrono::hours idle_life{14 * 24};  // a refresh token that is not used for so long: 1 hour to 90 days
  std::chrono::hours longest_life{90 * 24};  // of a session however often refreshed: 1 hour to 365 days
  int max_sessions_per_user = 200;           // the oldest ends when there are more: 1 to 10,000
  std::chrono::minutes attempt_window{15};   // 1 minute to 24 hours
  int attempts_per_account_and_address = 5;  // 1 to 1,000
  int attempts_per_address = 300;            // 1 to 1,000,000
  int attempts_per_account = 100;            // from addresses that are new to it, together: 1 to 1,000,000
};

// Where a request comes from.
struct Origin {
  Origin(std::string peer, std::string user_agent, std::string request)
      : address(std::move(peer)), agent(std::move(user_agent)), request_id(std::move(request)) {}
  std::string address;  // with or without port
  std::string agent, request_id;
};

struct Login {
  std::string email, password;
  // Slug or id; "" = none named: a platform admin signs in to the platform, anybody else to the one tenant
  // that they belong to (several: validation_failed with the field "/tenant").
  std::string tenant;
  std::string code;  // of the second factor; "" = none given
};

struct SignedIn {
  std::string access_token;
  WallTime access_expires_at;
  std::string refresh_token;
  WallTime refresh_expires_at;
  Uuid session, user;
  std::string email, name, role;
  std::shared_ptr<const tenancy::Tenant> tenant;  // null: the platform
};

struct SessionInfo {
  Uuid id, user;
  std::string email;
  std::optional<Uuid> tenant;
  std::string created_at, expires_at, last_seen_at;  // RFC 3339; "" = never
  std::string address, agent;                        // of the login
};

// Which sessions somebody may see and end; what is not set is not asked for.
struct SessionScope {
  std::optional<Uuid> user, tenant;
};

// Removes sessions that ended more than 30 days ago, attempts that no longer count, addresses not seen for
// 180 days.
Task<Result<void>> prune_sessions(pg::Pool& identity, WallTime now, CallOptions options);

class SessionService {
 public:
  using Changed = std::function<void(const Uuid& subject)>;  // as of UserService

  SessionService(net::Executor& executor, pg::Pool& identity, tenancy::Registry& registry,
                 audit::Trail& trail, Passwords& passwords, SigningKeys& keys, const Clock& clock,
                 SessionOptions options);
  ~SessionService();
  void wire(Changed changed);
  // Without it nobody signs in whose account has a second factor.
  void wire(SecondFactors& second_factors);

  // Errors: credential_unknown, rate_limited, overloaded; after the password was right: tenant_suspended,
  // validation_failed (see Login::tenant), second_factor_required; database_unavailable, …
  Task<Result<SignedIn>> login(Login login, Origin origin, CallOptions options);
  // A member for whom the tenant's identity provider has vouched; the session ends with the provider. Error
  // credential_unknown; its message, for the audit, says why.
  Task<Result<SignedIn>> sign_in_external(Uuid user, std::shared_ptr<const tenancy::Tenant> tenant,
                                          Uuid provider, Origin origin, CallOptions options);
  // Errors: credential_unknown (unknown, used before, ended, expired; user or membership disabled or gone),
  // tenant_suspended (the token stays good).
  Task<Result<SignedIn>> refresh(std::string refresh_token, Origin origin, CallOptions options);
  // Ends the session. An unknown refresh token is no error: nothing is left to end.
  Task<Result<void>> logout(std::string refresh_token, Origin origin, CallOptions options);

  // Those that have not ended, newest first, at most kMaxListed.
  static constexpr std::size_t kMaxListed = 500;
  Task<Result<std::vector<SessionInfo>>> list(SessionScope scope, CallOptions options);
  Task<Result<void>> end(Uuid session, SessionScope scope, tenancy::Actor actor,
                         CallOptions options);  // not_found
  // All in the scope but `keep`; `scope` must not be empty. Returns how many.
  Task<Result<std::size_t>> end_all(SessionScope scope, std::optional<Uuid> keep, tenancy::Actor actor,
                                    CallOptions options);

  // The user's own change; ends their other sessions (all but `keep`). Errors: credential_unknown (`current`
  // is wrong; counted as a failed login), rate_limited, overloaded, validation_failed (/new_password).
  Task<Result<void>> change_password(Uuid user, std::string current, std::string new_password,
                                     std::optional<Uuid> keep, Origin origin, CallOptions options);

  // Somebody who is signed in says again who they are, before what a stolen session must not do. Counted as
  // attempts to sign in. Errors: credential_unknown (password or code is wrong), second_factor_required,
  // rate_limited, overloaded.
  Task<Result<void>> prove(Uuid user, std::string password, std::string code, Origin origin,
                           CallOptions options);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::identity
