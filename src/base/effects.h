// Somebody who is asked around every effect outside this process: a statement, a file, a request to a store.
//
// Handed down in CallOptions by the engine of durable operations, so that code which knows nothing of
// operations is fenced (a node that lost its lease does nothing any more) and can be interrupted by tests at
// every effect. Belongs to one thread, and outlives every call that was handed its address.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"

namespace rowhouse {

class EffectGuard {
 public:
  virtual ~EffectGuard() = default;

  // What sessions that work for it are marked with (application_name), at most 63 bytes. Whoever takes the
  // work over first changes the lease and then ends every session with an older mark.
  virtual std::string label() const = 0;

  // Asked after a session was opened and before its first use. Error cancelled: another has taken over.
  // Together with the rule above no order of events lets two work at the same time: either the session was
  // there before the other looked, and was ended; or it asks after the lease had changed, and is refused.
  virtual Task<Result<void>> admit() = 0;

  enum class Moment { before, after };
  // `effect`: the first words of a statement, or the name of another effect; never a secret. An error takes
  // the place of the effect's own answer.
  virtual Task<Result<void>> around(Moment moment, std::string_view effect) = 0;
};

}  // namespace rowhouse
