// Signing in through a tenant's identity provider: OpenID Connect, authorization code with PKCE.
//
//   start()   makes state, nonce and verifier, keeps them sealed, and says where to send the browser
//   finish()  takes the provider's answer from the browser that began, exchanges the code, checks the ID
//   token,
//             finds or makes the member, and starts a session at that tenant and no other
//
// A state is good once, for kSignInLife, in the browser that holds its secret, and for the provider that it
// was made for: the code goes to that provider's token endpoint, and the token must be of that issuer, for
// that client, with that nonce. Every refusal has one answer (credential_unknown) and is a security event
// that says why. Belongs to the executor's thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "audit/trail.h"
#include "base/call.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/external_issuers.h"
#include "identity/external_users.h"
#include "identity/providers.h"
#include "identity/sessions.h"
#include "pg/pool.h"
#include "tenancy/registry.h"

namespace rowhouse::identity {

inline constexpr std::chrono::minutes kSignInLife{10};
inline constexpr std::string_view kSsoCallbackPath = "/v1/auth/sso/callback";
inline constexpr std::string_view kSsoDefaultReturn = "/account/";

struct SsoOptions {
  std::string base_url;  // TokenOptions::issuer: providers send browsers back below it
  std::chrono::seconds clock_skew{30};
};

// Where browsers may go afterwards: a path here, nowhere else.
bool is_local_path(std::string_view path);

class SingleSignOn {
 public:
  SingleSignOn(pg::Pool& identity, tenancy::Registry& registry, audit::Trail& trail,
               ProviderService& providers, ExternalIssuers& issuers, ExternalUsers& users,
               SessionService& sessions, const Clock& clock, SsoOptions options, std::string seal_key);

  // By e-mail address (its domain) or by tenant (slug or id); one of them is "".
  struct Wanted {
    std::string email, tenant;
  };
  struct Found {
    std::shared_ptr<const tenancy::Tenant> tenant;
    Provider provider;
  };
  // Nobody: no such tenant or domain, no active provider, not in its plan, suspended: all the same.
  Task<Result<std::optional<Found>>> find(Wanted wanted, CallOptions options);

  struct Started {
    std::string url;      // of the provider
    std::string browser;  // secret for a cookie
  };
  // Errors: not_found (see find()), rate_limited, identity_provider_failed, validation_failed (/return_to).
  Task<Result<Started>> start(Wanted wanted, std::string return_to, Origin origin, CallOptions options);

  struct Answer {  // of the provider, in the query; "" where a member is missing
    std::string state, code, error, issuer;
  };
  struct Finished {
    SignedIn signed_in;
    std::string return_to;
  };
  // Errors: credential_unknown; after the provider has vouched: limit_reached, tenant_suspended,
  // feature_missing; identity_provider_failed, …
  Task<Result<Finished>> finish(Answer answer, std::string browser, Origin origin, CallOptions options);

  // Is the provider there, and does it say what is needed? Errors: not_found, identity_provider_failed.
  Task<Result<ExternalIssuers::Report>> test(std::shared_ptr<const tenancy::Tenant> tenant,
                                             CallOptions options);
  std::string redirect_uri() const { return options_.base_url + std::string(kSsoCallbackPath); }

 private:
  struct Begun;
  Task<Result<Begun>> take(const Answer& answer, const std::string& browser, CallOptions options);
  Task<Result<json::Value>> id_token_claims(const Begun& begun, const Answer& answer, CallOptions options);
  Task<Result<ExternalPerson>> person(const Begun& begun, const Answer& answer, CallOptions options);
  Task<Result<Finished>> admit(const Begun& begun, const Answer& answer, const Origin& origin,
                               CallOptions options);
  Error refuse(Error error, const std::optional<Uuid>& tenant, const Origin& origin);

  pg::Pool& identity_;
  tenancy::Registry& registry_;
  audit::Trail& trail_;
  ProviderService& providers_;
  ExternalIssuers& issuers_;
  ExternalUsers& users_;
  SessionService& sessions_;
  const Clock& clock_;
  const SsoOptions options_;
  const std::string seal_key_;
};

// Removes sign-ins that nobody has come back from.
Task<Result<void>> prune_sso_logins(pg::Pool& identity, WallTime now, CallOptions options);

}  // namespace rowhouse::identity
