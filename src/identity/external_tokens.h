// Access tokens of tenants' identity providers → who that is here.
//
// Issuer and audience of a token name one provider, and so one tenant; its signature is checked with that
// issuer's keys, whatever the token says about keys. The subject must have signed in by single sign-on
// before: tokens make no accounts. What such a token may do is that member's role, now. Belongs to the
// executor's thread.
#pragma once

#include <string>

#include "base/call.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/external_issuers.h"
#include "identity/external_users.h"
#include "identity/providers.h"
#include "identity/tokens.h"

namespace rowhouse::identity {

class ExternalTokens {
 public:
  ExternalTokens(ProviderService& providers, ExternalIssuers& issuers, ExternalUsers& users,
                 const Clock& clock, TokenOptions options)
      : providers_(providers),
        issuers_(issuers),
        users_(users),
        clock_(clock),
        options_(std::move(options)) {}

  // `session` of the claims is the provider's id, so that what concerns the provider is found like what
  // concerns a session; they end after some minutes at the latest, so that a key the issuer has withdrawn
  // counts. Errors: credential_unknown, identity_provider_failed, database_unavailable, …
  Task<Result<AccessClaims>> verify(std::string token, CallOptions options);

 private:
  ProviderService& providers_;
  ExternalIssuers& issuers_;
  ExternalUsers& users_;
  const Clock& clock_;
  const TokenOptions options_;
};

}  // namespace rowhouse::identity
