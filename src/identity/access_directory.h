// Access tokens → who that is now, remembered in one worker.
//
// A token that was seen before costs a hash and a look-up, no query and no signature. What is remembered is
// forgotten when the user, the membership, the role, the session or a signing key changes: forget() by the
// node that makes the change, LISTEN/NOTIFY from other nodes, and a poll of the revision every second in case
// a notification was lost. Whether the tenant is active is the registry's business, and asked at each
// request. The poll also carries the outbox of the identity database to the platform database, and prunes.
// Belongs to the executor's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/call.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/outbox.h"
#include "identity/signing_keys.h"
#include "pg/pool.h"
#include "tenancy/cluster.h"
#include "tenancy/pack.h"
#include "tenancy/permissions.h"

namespace rowhouse::identity {

class ExternalTokens;

struct AccessDirectoryOptions {
  std::size_t max_tokens = 100'000;             // remembered; 100 to 10,000,000 (about 1 KB each)
  std::size_t max_refused = 10'000;             // tokens that were refused a moment ago
  std::chrono::milliseconds poll_every{1'000};  // 100 ms to 60 s
};

// What a token gives, as of now. Immutable; shared with requests in flight.
struct Access {
  AccessClaims claims;
  // Of a session of ours; or by another issuer: then `claims.session` is its provider, and there is no
  // session.
  enum class Via { session, issuer } via = Via::session;
  std::string email, name;  // of the user
  std::string role;         // at this moment, not in the token; kPlatformAdminRole for a platform admin
  enum class RoleOf { pack, tenant, platform } role_of = RoleOf::pack;
  // Of a role of the tenant's own, and everything for a platform admin. Null for a role of the pack: look
  // `role` up in Manifest::roles of the tenant's pack (gone there: it permits nothing).
  std::shared_ptr<const tenancy::Permissions> permissions;
  tenancy::RowScope rows = tenancy::RowScope::all;  // the same
};

class AccessDirectory {
 public:
  AccessDirectory(const tenancy::Cluster& cluster, pg::Pool& identity, SigningKeys& keys, Outbox& outbox,
                  const Clock& clock, AccessDirectoryOptions options);
  ~AccessDirectory();

  // Whose tokens are taken beside our own; before the first request.
  void accept_external(ExternalTokens& tokens);

  // Reads the revision and the keys, and listens. stop() may be called twice, also inside the loop; destroy
  // it outside.
  Task<Result<void>> start(CallOptions options);
  void stop();

  // Remembered, and not expired; or null: then find() must be awaited. The hot path.
  std::shared_ptr<const Access> cached(std::string_view token);
  // Errors: credential_unknown (always one message: forged, expired, session ended, user or membership
  // disabled or gone), database_unavailable, … Several who ask for one token at the same time may each run
  // the query.
  Task<Result<std::shared_ptr<const Access>>> find(std::string token, CallOptions options);

  // A user, session or tenant has changed; nil: all.
  void forget(const Uuid& subject);
  std::size_t size() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::identity
