// What happened to people, written in the identity database in the transaction of the change, then carried to
// the audit and the events of the platform database: each entry once, in order, whichever node carries it.
//
// Belongs to the executor's thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "audit/trail.h"
#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"

namespace rowhouse::identity {

// "INSERT INTO identity.outbox … SELECT $first, … FROM source": as audit::insert_sql(); its parameters are
// appended by audit::append_parameters(). The action is also the type of the event: [a-z][a-z0-9_.]*, at
// most 63.
std::string outbox_insert_sql(int first_parameter, std::string_view source);

class Outbox {
 public:
  Outbox(pg::Pool& identity, pg::Pool& platform) : identity_(identity), platform_(platform) {}

  // Carries what is there now, at most kMaxCarried; returns how many.
  static constexpr std::size_t kMaxCarried = 500;
  Task<Result<std::size_t>> carry(CallOptions options);
  // Forgets which ones were carried more than a day ago.
  Task<Result<void>> prune(CallOptions options);

 private:
  pg::Pool& identity_;
  pg::Pool& platform_;
};

}  // namespace rowhouse::identity
