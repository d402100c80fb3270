// Access tokens: JWTs (RFC 7519, profile of RFC 9068) signed with Ed25519 (RFC 8037). Pure; any thread.
//
// Header, exactly: {"alg":"EdDSA","kid":KEY,"typ":"at+jwt"}. Claims: iss, aud, sub (user), sid (session),
// jti, iat, exp, role; and tid (tenant), which is there if and only if aud is kTenantAudience. The role is
// for people: what it permits is looked up at each use (access_directory.h).
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "base/uuid.h"

namespace rowhouse::identity {

inline constexpr std::string_view kTenantAudience = "rowhouse";
inline constexpr std::string_view kPlatformAudience = "rowhouse-platform";
inline constexpr std::string_view kAccessTokenType = "at+jwt";
inline constexpr std::string_view kPlatformAdminRole = "platform_admin";
inline constexpr std::size_t kMaxAccessTokenBytes = 4'096;  // those of other issuers are long

struct TokenOptions {
  std::string issuer = "rowhouse";        // the base URL under which this installation is reached
  std::chrono::seconds access_life{600};  // 60 s to 1 hour
  std::chrono::seconds clock_skew{30};    // between nodes: 0 to 300 s
};

struct AccessClaims {
  Uuid token, user, session;
  std::optional<Uuid> tenant;  // nullopt: a platform admin's
  std::string role;
  WallTime issued_at, expires_at;  // whole seconds
  bool operator==(const AccessClaims&) const = default;
};

struct SigningKey {
  std::string kid, seed;
};

struct VerificationKey {
  VerificationKey(std::string key_id, std::string key, std::optional<WallTime> until = std::nullopt)
      : kid(std::move(key_id)), public_key(std::move(key)), accepted_until(until) {}
  std::string kid, public_key;
  std::optional<WallTime> accepted_until;  // nullopt: no end is set
};

// [a-z0-9-], 1 to 64 of them.
bool is_key_id(std::string_view text);

class TokenSigner {
 public:
  TokenSigner(TokenOptions options, SigningKey key);
  ~TokenSigner();  // wipes the seed
  TokenSigner(const TokenSigner&) = delete;
  TokenSigner& operator=(const TokenSigner&) = delete;

  std::string sign(const AccessClaims& claims) const;

 private:
  TokenOptions options_;
  SigningKey key_;
};

inline constexpr std::string_view kTokenExpired = "token_expired";  // detail of an error

class TokenVerifier {
 public:
  TokenVerifier(TokenOptions options, const std::vector<VerificationKey>& keys);

  // Error credential_unknown, always with the same message; with the detail kTokenExpired if all is right
  // with the token but its time.
  Result<AccessClaims> verify(std::string_view token, WallTime now) const;

 private:
  TokenOptions options_;
  std::map<std::string, VerificationKey, std::less<>> keys_;
};

// Cheap: could this be an access token? (Three parts, of a size that is allowed.) Tells them from "rha_…".
bool has_access_token_form(std::string_view text);

// A JWK Set (RFC 7517): {"keys": [{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":…,"x":…}]}.
json::Value jwks(const std::vector<VerificationKey>& keys);

}  // namespace rowhouse::identity
