// What sessions.cc and session_changes.cc share. For these files alone.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "identity/attempts.h"
#include "identity/sessions.h"
#include "identity/users_impl.h"

namespace rowhouse::identity {

inline pg::Param id_param(const std::optional<Uuid>& id) {
  return id ? pg::Param(id->to_string()) : std::nullopt;
}

inline tenancy::Actor user_actor(const std::string& email, const Origin& origin) {
  return tenancy::Actor("user " + email, origin.address);
}

struct Account {
  struct Place {
    Uuid tenant;
    std::string role;
  };
  std::optional<Uuid> id;  // nullopt: there is none
  std::string email, name, password_hash;
  AccountStatus status = AccountStatus::disabled;
  User::PlatformAdmin platform_admin = User::PlatformAdmin::no;
  enum class SecondFactor { none, set } second_factor = SecondFactor::none;
  std::vector<Place> places;
};

// Where somebody signs in to: a tenant, or the platform.
struct Destination {
  std::shared_ptr<const tenancy::Tenant> tenant;
  std::string role;
};

struct SessionService::Impl {
  Impl(net::Executor& loop, pg::Pool& pool, tenancy::Registry& tenants, audit::Trail& events,
       Passwords& hashing, SigningKeys& signing_keys, const Clock& wall_clock, SessionOptions session_options)
      : executor(loop),
        identity(pool),
        registry(tenants),
        trail(events),
        passwords(hashing),
        keys(signing_keys),
        clock(wall_clock),
        options(session_options),
        attempts(pool, wall_clock, limits_of(session_options)) {}

  static AttemptLimits limits_of(const SessionOptions& options) {
    AttemptLimits limits;
    limits.window = options.attempt_window;
    limits.per_account_and_address = options.attempts_per_account_and_address;
    limits.per_address = options.attempts_per_address;
    limits.per_account = options.attempts_per_account;
    return limits;
  }

  Task<Result<Account>> account(std::optional<std::string> email, std::optional<Uuid> user, CallOptions call);
  Task<Result<std::shared_ptr<const tenancy::Tenant>>> named_tenant(const std::string& name,
                                                                    CallOptions call);
  Task<Result<Destination>> destination(const Account& account, std::shared_ptr<const tenancy::Tenant> named,
                                        const std::string& name, CallOptions call);
  Task<Result<SignedIn>> admit(const Login& login, const Origin& origin, CallOptions call);
  // Error second_factor_required: it has one, and no code is given; or `refusal`: the code is wrong.
  Task<Result<void>> check_second_factor(const Account& account, const std::string& code, Error refusal,
                                         const Origin& origin, CallOptions call);
  // The password, and if `code` is not null the second factor, of somebody who is signed in.
  Task<Result<void>> check_again(const Account& account, std::string password, const std::string* code,
                                 Error refusal, const Origin& origin, CallOptions call);
  Task<Result<SignedIn>> start(const Account& account, const Destination& to, std::string new_hash,
                               const Origin& origin, CallOptions call);
  Task<Result<void>> end_reused(const tenancy::KeyHash& hash, const Origin& origin, CallOptions call);
  // Ends the sessions `s` for which the condition holds, whose parameters are the first ones.
  Task<Result<std::size_t>> end_where(std::string_view condition, pg::Params params, std::string reason,
                                      const tenancy::Actor& actor, CallOptions call);
  Result<void> grant(SignedIn& signed_in, const std::optional<Uuid>& tenant) const;
  void record(audit::SecurityEventKind kind, const Account& who, std::optional<Uuid> tenant,
              const Error& error, const Origin& origin);
  void announce(const Uuid& subject) const {
    if (changed) changed(subject);
  }

  net::Executor& executor;
  pg::Pool& identity;
  tenancy::Registry& registry;
  audit::Trail& trail;
  Passwords& passwords;
  SigningKeys& keys;
  const Clock& clock;
  const SessionOptions options;
  Attempts attempts;
  SecondFactors* second_factors = nullptr;
  Changed changed;
};

}  // namespace rowhouse::identity
