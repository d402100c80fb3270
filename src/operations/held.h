// An operation that this engine holds a lease on. Private to src/operations; belongs to the executor's
// thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/call.h"
#include "operations/store.h"

namespace rowhouse::operations {

struct Held {
  Held(Stored claimed, const Kind& its_kind, Deadline valid)
      : stored(std::move(claimed)), kind(its_kind), valid_until(valid) {}

  // Nothing may be done any more under this lease: it is another's, or may be by now.
  bool lost() const { return stop == Stop::lost; }
  bool expired() const { return !in_transaction && std::chrono::steady_clock::now() >= valid_until; }
  // Ends what runs, at its next effect or sooner.
  void interrupt() {
    if (attempt != nullptr) attempt->cancel();
  }
  void lose() {
    stop = Stop::lost;
    interrupt();
  }
  void take_wishes(const Wishes& wishes) {
    stored.pause_requested = wishes.pause;
    if (!wishes.cancel) return;
    stored.cancel_requested_by = wishes.cancel_by;
    if (!std::exchange(stored.cancel_requested, true) && may_cancel()) interrupt();
  }
  bool may_cancel() const {
    return kind.on_failure != OnFailure::keep_trying && stored.status != OperationStatus::undoing;
  }

  Stored stored;
  const Kind& kind;
  // By our own clock, counted from before the statement that renewed it: never later than PostgreSQL's.
  Deadline valid_until;
  enum class Stop { none, lost, stopping } stop = Stop::none;
  // In the transaction of a record step, which holds the operation's row: nobody can take over.
  bool in_transaction = false;
  std::unique_ptr<CancelSource> attempt;  // what runs now; null between attempts
  int attempts_made = 0;                  // under this lease, for the label of sessions
};

}  // namespace rowhouse::operations
