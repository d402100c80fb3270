// The keys of access tokens, in one worker's memory: which one signs now, which ones are accepted.
//
// The table holds public keys alone; a private one is derived from the master key and its kid, so every node
// has it. A new key is published (accepted, and in the JWKS) kPublishedAhead before it signs; the old one is
// accepted until the last token that it may have signed has expired: nobody has to sign in again. A key whose
// private half cannot be derived (the master key is another one now) still verifies and never signs. Belongs
// to the executor's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/tokens.h"
#include "pg/pool.h"
#include "tenancy/tenants.h"

namespace rowhouse::identity {

// Nodes know of a new key within a second; those who keep a JWKS are told to ask again after this time.
inline constexpr std::chrono::seconds kPublishedAhead{300};

struct SigningKeyInfo {
  std::string kid;
  WallTime not_before;
  std::optional<WallTime> retired_at;
  enum class State { announced, signing, accepted } state = State::accepted;
};

class SigningKeys {
 public:
  // `derive`: 32 bytes out of the master key, for one purpose ("token key KID").
  using Derive = std::function<std::string(std::string_view purpose)>;
  SigningKeys(pg::Pool& identity, Derive derive, const Clock& clock, TokenOptions options);
  ~SigningKeys();

  // Reads the keys; makes one if none can sign. Before the first use, and whenever AccessDirectory tells of a
  // change.
  Task<Result<void>> refresh(CallOptions options);
  // Makes a new key, which signs from kPublishedAhead on (`now`: at once, when the old one is not to be
  // trusted any more: then the old ones are retired at once, too, and clients must refresh).
  enum class Rotation { overlapping, now };
  Task<Result<SigningKeyInfo>> rotate(Rotation rotation, tenancy::Actor actor, CallOptions options);

  // Error: database_unavailable if refresh() has not succeeded yet.
  Result<std::string> sign(const AccessClaims& claims) const;
  Result<AccessClaims> verify(std::string_view token) const;  // credential_unknown
  json::Value jwks() const;
  std::vector<SigningKeyInfo> list() const;  // newest first
  const TokenOptions& options() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::identity
