// One-time links of accounts: to choose a password, to confirm an e-mail address. See invitations.h for the
// others.
//
// A link is ISSUER/account/#/KIND/rhl_…: what follows the '#' reaches no server's log. Only the hash of the
// token is kept; it is good once and for a while. Whatever is wrong with one (unknown, used, expired,
// replaced, of another kind, of an account that is disabled or has another address by now) has one answer,
// credential_unknown, and is a security event. Only a link that went by mail proves that the address is the
// user's. Belongs to the executor's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "audit/trail.h"
#include "base/call.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/mail_queue.h"
#include "identity/passwords.h"
#include "identity/sessions.h"
#include "net/executor.h"
#include "pg/pool.h"

namespace rowhouse::identity {

inline constexpr std::string_view kLinkTokenPrefix = "rhl_";

struct LinkOptions {
  std::string base_url;                        // of the installation, without a slash at the end
  std::chrono::hours invitation_life{7 * 24};  // 1 hour to 90 days
};

// A link that was made: mailed (then `url` is ""), or to be shown once to whoever made it.
struct HandedOver {
  std::string url;
  WallTime expires_at;
};

// `kind`: "invitation", "password", "email".
std::string link_url(const LinkOptions& options, std::string_view kind, std::string_view token);
// The one answer to a token that is not good.
Error link_refused();
void record_refused_link(audit::Trail& trail, std::string_view kind, const Origin& origin);

// How often something may be asked for, counted in the identity database over all nodes: `what` names it, and
// for whom. Returns how long to wait when it was more than `most` in the window, which begins with the first;
// zero: go on.
Task<Result<std::chrono::seconds>> count_request(pg::Pool& identity, std::string what, int most,
                                                 std::chrono::minutes window, WallTime now,
                                                 CallOptions options);

class LinkService {
 public:
  using Changed = std::function<void(const Uuid& subject)>;  // as of UserService

  LinkService(net::Executor& executor, pg::Pool& identity, MailQueue& mail, audit::Trail& trail,
              Passwords& passwords, const Clock& clock, LinkOptions options);
  ~LinkService();
  void wire(Changed changed);

  // Mails a link to choose a password, if there is such an account, it is active and has one. The answer and
  // the work are the same whether or not, and also when too many were asked for this account: then none is
  // mailed. Error: rate_limited, by address alone.
  Task<Result<void>> forgot_password(std::string email, mail::Locale locale, Origin origin,
                                     CallOptions options);
  // Ends all sessions of the user. Errors: credential_unknown; validation_failed (/password; the link stays
  // good).
  Task<Result<void>> reset_password(std::string token, std::string password, Origin origin,
                                    CallOptions options);
  // A link that the platform makes for somebody. Errors: not_found, conflict (the account is disabled).
  Task<Result<HandedOver>> password_link(Uuid user, tenancy::Actor actor, CallOptions options);

  // Mails a link that confirms the user's address; nothing if it is confirmed. Where a tenant's admin made
  // the account and so may know its password, it is a link to choose another one: an address that is
  // confirmed lets the account into further tenants. Errors: conflict (there is no mail here), rate_limited.
  Task<Result<void>> request_verification(Uuid user, mail::Locale locale, CallOptions options);
  Task<Result<void>> verify_email(std::string token, Origin origin,
                                  CallOptions options);  // credential_unknown

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::identity
