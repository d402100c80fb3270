// How often a password may be tried: counted in the identity database, so that the limits hold over all
// nodes.
//
// An attempt is counted before the password is looked at, so that many at the same time cannot slip through,
// and taken back when it was right or never got that far. Attempts that were refused count nothing: hammering
// one limit does not use up another. Belongs to the executor's thread.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "base/call.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"

namespace rowhouse::identity {

struct AttemptLimits {
  std::chrono::minutes window{15};
  int per_account_and_address = 5;
  int per_address = 300;
  int per_account = 100;  // from addresses that are new to it, together
};

// What counts as one address: an IPv4 address, the /64 of an IPv6 address, or "local" for what is neither.
// The port is dropped.
std::string address_key(std::string_view peer);
// The address for a column of type inet, or "".
std::string address_text(std::string_view peer);

// One that is under way, and what it was counted for.
struct Attempt {
  Attempt(std::string counted_pair, std::string counted_address, std::string counted_account)
      : pair(std::move(counted_pair)),
        address(std::move(counted_address)),
        account(std::move(counted_account)) {}
  std::string pair, address, account;  // keys; "" = not counted
};

class Attempts {
 public:
  Attempts(pg::Pool& identity, const Clock& clock, AttemptLimits limits)
      : identity_(identity), clock_(clock), limits_(limits) {}

  // Error rate_limited with the detail retry_after_s. `account`: an e-mail address, of an account or not.
  Task<Result<Attempt>> begin(std::string account, std::string address, CallOptions options);
  // It does not count after all. `right`: the pair starts anew.
  enum class Ending { right, given_up };
  Task<Result<void>> take_back(Ending ending, Attempt attempt, CallOptions options);

 private:
  pg::Pool& identity_;
  const Clock& clock_;
  const AttemptLimits limits_;
};

}  // namespace rowhouse::identity
