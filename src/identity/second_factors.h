// Second factors of people: codes of an authenticator app (crypto/totp.h), and recovery codes.
//
// A secret counts from the moment its user has confirmed it by a code of it. Secrets are kept sealed
// (crypto/seal.h), of recovery codes only hashes are. Each code is good once, over all nodes. How often
// somebody may try is SessionService's business, and so is who may ask for what here. Every change is
// recorded in the outbox in its own statement. Belongs to the executor's thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "pg/pool.h"
#include "tenancy/tenants.h"

namespace rowhouse::identity {

// Credentials::derive() of this makes the key that seals the secrets.
inline constexpr std::string_view kSecondFactorKeyPurpose = "second factor";
inline constexpr std::size_t kRecoveryCodes = 10;

struct SecondFactorStatus {
  std::string confirmed_at;  // RFC 3339; "" = there is none
  std::size_t recovery_codes_left = 0;
};

struct NewSecondFactor {
  std::string secret;  // base32, for typing
  std::string uri;     // otpauth://…, for a QR code
};

class SecondFactors {
 public:
  // `place`: what authenticator apps show beside the account, "rows.example". `key`: kSealKeyBytes.
  SecondFactors(pg::Pool& identity, const Clock& clock, std::string place, std::string key);
  ~SecondFactors();  // wipes the key
  SecondFactors(const SecondFactors&) = delete;
  SecondFactors& operator=(const SecondFactors&) = delete;

  Task<Result<SecondFactorStatus>> status(Uuid user, CallOptions options);
  // A secret that is not confirmed yet; one from before that was not is forgotten. `email` is what the app
  // shows. Error: conflict (there is a confirmed one).
  Task<Result<NewSecondFactor>> begin(Uuid user, std::string email, tenancy::Actor actor,
                                      CallOptions options);
  // Returns the recovery codes. Errors: validation_failed (/code), conflict (nothing to confirm).
  Task<Result<std::vector<std::string>>> confirm(Uuid user, std::string code, tenancy::Actor actor,
                                                 CallOptions options);
  // The old ones are no longer good. Error: conflict (there is no confirmed second factor).
  Task<Result<std::vector<std::string>>> renew_recovery_codes(Uuid user, tenancy::Actor actor,
                                                              CallOptions options);
  // Recovery codes go, too. Error: not_found.
  Task<Result<void>> remove(Uuid user, tenancy::Actor actor, CallOptions options);

  // A code of the app or a recovery code, as people type it: spaces, dashes and case do not count. One that
  // is right is spent.
  enum class Answer { right, wrong };
  Task<Result<Answer>> spend(Uuid user, std::string code, tenancy::Actor actor, CallOptions options);

 private:
  Task<Result<Answer>> spend_totp(Uuid user, std::string code, CallOptions options);
  Task<Result<Answer>> spend_recovery(Uuid user, const std::string& code, const tenancy::Actor& actor,
                                      CallOptions options);

  pg::Pool& identity_;
  const Clock& clock_;
  const std::string place_;
  std::string key_;
};

}  // namespace rowhouse::identity
