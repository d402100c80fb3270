// An operation as a stream of server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
//
//   id: 7                        the operation's revision
//   data: {"id": "…", …}         the operation, whenever something of it has changed since the event before
//   : still here                 a comment, when nothing has happened for a while
//   event: end                   the last one; its data is the operation, too
//
// Changes that follow each other quickly may come as one event. The stream ends without `end` when the server
// stops, when the connection has lived long enough, or when the database is away: the client asks again, with
// Last-Event-ID.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/call.h"
#include "base/uuid.h"
#include "net/executor.h"
#include "net/http_message.h"
#include "operations/engine.h"

namespace rowhouse::http {

// Counts the streams of one worker, which each ask the database now and then. Outlives them.
class WatcherCount {
 public:
  explicit WatcherCount(std::size_t most) : most_(most) {}
  WatcherCount(const WatcherCount&) = delete;
  WatcherCount& operator=(const WatcherCount&) = delete;

  class Seat {
   public:
    explicit Seat(WatcherCount& owner) : owner_(owner) { ++owner_.taken_; }
    ~Seat() { --owner_.taken_; }
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;

   private:
    WatcherCount& owner_;
  };
  std::unique_ptr<Seat> take() {
    return taken_ < most_ ? std::make_unique<Seat>(*this) : nullptr;
  }  // null: full

 private:
  std::size_t most_;
  std::size_t taken_ = 0;
};

struct OperationEventsOptions {
  Deadline until;  // the stream ends then; the client may ask for another
  std::chrono::milliseconds query_timeout{30'000};
  std::int64_t seen_revision = -1;  // Last-Event-ID; -1: none
  CancelSource* gone = nullptr;     // the client went away
  CancelSource* closing = nullptr;  // the server stops
};

// Errors of the first event: not_found, and those of the database.
std::unique_ptr<net::BodySource> watch_operation(net::Executor& executor, operations::Engine& engine,
                                                 Uuid operation, OperationEventsOptions options,
                                                 std::unique_ptr<WatcherCount::Seat> seat);

}  // namespace rowhouse::http
