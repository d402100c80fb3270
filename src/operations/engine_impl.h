// The inside of Engine. Private to src/operations.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "operations/engine.h"
#include "operations/held.h"
#include "operations/runner.h"
#include "operations/store.h"

namespace rowhouse::operations {

// Ids begin with the time at which they were made.
struct Earlier {
  bool operator()(const Uuid& one, const Uuid& other) const { return one.bytes() < other.bytes(); }
};

struct Engine::Impl {
  Impl(net::Executor& loop, pg::Pool& platform, const observe::Log& event_log, EndSessions end_sessions,
       EngineOptions engine_options, Observer* effect_observer);

  enum class State { idle, running, stopped };
  // Somebody who waits for a change of an operation.
  struct Watcher {
    explicit Watcher(Uuid operation) : id(operation) {}
    Uuid id;
    CancelSource changed;
  };

  // Keeps one in the list while it lives.
  class Watching {
   public:
    Watching(std::list<Watcher*>& all, Watcher& one) : all_(all), place_(all.insert(all.end(), &one)) {}
    ~Watching() { all_.erase(place_); }
    Watching(const Watching&) = delete;
    Watching& operator=(const Watching&) = delete;

   private:
    std::list<Watcher*>& all_;
    std::list<Watcher*>::iterator place_;
  };

  // leases
  void tick();
  void renew_now();
  Task<void> renew();
  Task<void> renew_once();
  void poll();
  Task<void> adopt();
  Task<void> claim(std::vector<Uuid> ids);
  void take(std::vector<Stored> claimed, Deadline valid_until);
  void launch(Stored stored, Deadline valid_until);
  Task<void> work(Held& held);
  void next_work();
  // Soon, here if there is room.
  void wake(Uuid id);
  std::size_t room() const;
  Held* held_of(const Uuid& id);
  std::vector<std::string> kind_names() const;
  void tell(const Uuid& id);

  // what is over
  Task<Result<std::size_t>> prune(CallOptions options);
  void prune_later();
  Task<void> prune_regularly();

  // submissions
  struct Draft;
  Task<Result<Submitted>> insert(Draft& draft, CallOptions options);
  Task<Result<bool>> insert_with_first(Draft& draft, CallOptions options);
  Task<Result<bool>> insert_alone(Draft& draft, CallOptions options);
  Task<Result<bool>> look_for(const Uuid& id, Error error, CallOptions options);
  Task<Result<Submitted>> earlier(const Submission& submission, CallOptions options);
  void begin(Draft& draft);

  // control
  const Kind* find_kind(const std::string& name) const;
  Task<void> watch(Watcher& watcher, std::chrono::milliseconds time, CancelSource* cancel);
  Task<Result<Operation>> changed(Uuid id, bool possible, CallOptions options);

  net::Executor& executor;
  const observe::Log& log;
  EngineOptions options;
  Store store;
  Workshop workshop;
  Observer* observer;
  std::map<std::string, Kind> kinds;
  State state = State::idle;
  Duty duty = Duty::own;
  std::list<Held> held;
  std::size_t reserved = 0;         // places for submissions under way
  std::set<Uuid, Earlier> waiting;  // submitted or woken here, when there was no room
  std::set<std::string> unable;     // have steps that this binary does not know
  enum class Adopting { idle, running, again } adopting = Adopting::idle;
  bool more_to_adopt = false;
  enum class Renewing { idle, running, again } renewing = Renewing::idle;
  std::list<Watcher*> watchers;
  std::unique_ptr<net::Timer> heartbeat_timer, poll_timer, prune_timer;
  CancelSource stopping;
  net::TaskGroup tasks;
};

}  // namespace rowhouse::operations
