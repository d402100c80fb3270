#include "operations/engine.h"

#include <algorithm>
#include <utility>

#include "operations/engine_impl.h"
#include "operations/nap.h"

namespace rowhouse::operations {
namespace {

using namespace std::chrono_literals;

constexpr auto kStoreDeadline = 5s;
// More than these are left to whoever polls.
constexpr std::size_t kMaxWaiting = 10'000;
constexpr std::size_t kMaxUnable = 1'000;

}  // namespace

Engine::Impl::Impl(net::Executor& loop, pg::Pool& platform, const observe::Log& event_log,
                   EndSessions end_sessions, EngineOptions engine_options, Observer* effect_observer)
    : executor(loop),
      log(event_log),
      options(std::move(engine_options)),
      store(platform, options.node, options.lease),
      workshop{loop, event_log, store, std::move(end_sessions), effect_observer},
      observer(effect_observer) {}

Engine::Engine(net::Executor& executor, pg::Pool& platform, const observe::Log& log, EndSessions end_sessions,
               EngineOptions options, Observer* observer)
    : impl_(std::make_unique<Impl>(executor, platform, log, std::move(end_sessions), std::move(options),
                                   observer)) {}

Engine::~Engine() = default;

void Engine::add(Kind kind) {
  if (impl_->observer != nullptr) impl_->observer->knows(kind);
  std::string name = kind.name;
  impl_->kinds.insert_or_assign(std::move(name), std::move(kind));
}

void Engine::start(Duty duty) {
  if (impl_->state != Impl::State::idle) return;
  impl_->state = Impl::State::running;
  impl_->duty = duty;
  impl_->tick();
  if (duty == Duty::adopt) {
    impl_->poll();
    impl_->prune_later();
    impl_->tasks.spawn(impl_->adopt());
  }
}

Task<Result<void>> Engine::release_all_leases(CallOptions options) {
  return impl_->store.release_all(options);
}

void Engine::notice(std::string_view payload) {
  Impl& impl = *impl_;
  if (impl.state != Impl::State::running) return;
  const auto id = Uuid::parse(payload);
  const bool here = id && impl.held_of(*id) != nullptr;
  // Requests to one that runs come with the renewal of its lease.
  if (here || !id) impl.renew_now();
  if (!here && impl.duty == Duty::adopt) impl.tasks.spawn(impl.adopt());
}

Task<void> Engine::stop() {
  Impl& impl = *impl_;
  impl.state = Impl::State::stopped;
  impl.heartbeat_timer.reset();
  impl.poll_timer.reset();
  impl.prune_timer.reset();
  for (Held& held : impl.held) {
    if (held.stop == Held::Stop::none) held.stop = Held::Stop::stopping;
    held.interrupt();
  }
  impl.stopping.cancel();
  for (Impl::Watcher* watcher : std::list<Impl::Watcher*>(impl.watchers)) watcher->changed.cancel();
  co_await impl.tasks.join();
}

// ----------------------------------------------------------------------------------------------------------
// leases

std::size_t Engine::Impl::room() const {
  const std::size_t used = held.size() + reserved;
  return used < options.max_running ? options.max_running - used : 0;
}

Held* Engine::Impl::held_of(const Uuid& id) {
  Held* newest = nullptr;
  for (Held& one : held) {
    if (one.stored.lease.operation != id || one.lost()) continue;
    if (newest == nullptr || one.stored.lease.epoch > newest->stored.lease.epoch) newest = &one;
  }
  return newest;
}

std::vector<std::string> Engine::Impl::kind_names() const {
  std::vector<std::string> names;
  for (const auto& [name, kind] : kinds) names.push_back(name);
  return names;
}

void Engine::Impl::tick() {
  if (state != State::running) return;
  heartbeat_timer = executor.after(options.heartbeat, [this] { tick(); });
  for (Held& one : held) {
    if (!one.lost() && one.expired()) one.lose();
  }
  if (renewing == Renewing::idle) renew_now();
}

void Engine::Impl::renew_now() {
  const bool any = std::any_of(held.begin(), held.end(), [](const Held& one) { return !one.lost(); });
  if (!any) return;
  if (renewing == Renewing::idle) {
    tasks.spawn(renew());
  } else {
    renewing = Renewing::again;
  }
}

Task<void> Engine::Impl::renew() {
  do {
    renewing = Renewing::running;
    co_await renew_once();
  } while (renewing == Renewing::again && state == State::running);
  renewing = Renewing::idle;
}

Task<void> Engine::Impl::renew_once() {
  std::vector<LeaseId> leases;
  for (const Held& one : held) {
    if (!one.lost()) leases.push_back(one.stored.lease);
  }
  const auto before = std::chrono::steady_clock::now();
  const CallOptions call{std::min(deadline_in(kStoreDeadline), before + options.lease)};
  const auto renewed = co_await store.renew(leases, call);
  if (!renewed.ok()) co_return;  // tick() sees when they have run out
  for (const LeaseId& lease : leases) {
    const auto found =
        std::find_if(held.begin(), held.end(), [&](const Held& one) { return one.stored.lease == lease; });
    if (found == held.end()) continue;  // given back meanwhile
    const auto answer = std::find_if(renewed->begin(), renewed->end(), [&](const Store::Renewed& one) {
      return one.operation == lease.operation;
    });
    if (answer == renewed->end()) {
      found->lose();
      continue;
    }
    if (answer->outcome == Store::Renewed::Outcome::renewed) {
      found->valid_until = std::max(found->valid_until, before + options.lease);
    }
    found->take_wishes(answer->wishes);
  }
}

void Engine::Impl::poll() {
  if (state != State::running) return;
  poll_timer = executor.after(options.poll, [this] {
    tasks.spawn(adopt());
    poll();
  });
}

Task<void> Engine::Impl::adopt() {
  if (adopting != Adopting::idle) {
    adopting = Adopting::again;
    co_return;
  }
  do {
    adopting = Adopting::running;
    const std::size_t places = room();
    if (state != State::running || places == 0 || kinds.empty()) {
      more_to_adopt = places == 0;
      break;
    }
    const auto before = std::chrono::steady_clock::now();
    const CallOptions call{deadline_in(kStoreDeadline)};
    std::vector<std::string> names = kind_names();
    std::vector<std::string> except(unable.begin(), unable.end());
    const std::optional<Uuid> any;
    auto claimed = co_await store.claim(std::move(names), places, any, std::move(except), call);
    more_to_adopt = claimed.ok() && claimed->size() == places;
    if (claimed.ok()) take(std::move(claimed).value(), before + options.lease);
  } while (adopting == Adopting::again || (more_to_adopt && room() > 0));
  adopting = Adopting::idle;
  next_work();
}

Task<void> Engine::Impl::claim(std::vector<Uuid> ids) {
  for (const Uuid& id : ids) {
    if (state != State::running) co_return;
    if (room() == 0) {
      if (waiting.size() < kMaxWaiting) waiting.insert(id);
      more_to_adopt = true;
      continue;
    }
    ++reserved;
    const auto before = std::chrono::steady_clock::now();
    const CallOptions call{deadline_in(kStoreDeadline)};
    std::vector<std::string> names = kind_names();
    std::vector<std::string> except;
    const std::optional<Uuid> only = id;
    auto claimed = co_await store.claim(std::move(names), 1, only, std::move(except), call);
    --reserved;
    if (claimed.ok()) take(std::move(claimed).value(), before + options.lease);
  }
  next_work();
}

void Engine::Impl::take(std::vector<Stored> claimed, Deadline valid_until) {
  for (Stored& stored : claimed) launch(std::move(stored), valid_until);
}

void Engine::Impl::launch(Stored stored, Deadline valid_until) {
  const Kind* kind = find_kind(stored.kind);
  if (kind == nullptr) return;  // only known ones are asked for
  Held& one = held.emplace_back(std::move(stored), *kind, valid_until);
  if (state == State::stopped) one.stop = Held::Stop::stopping;
  tasks.spawn(work(one));
}

Task<void> Engine::Impl::work(Held& one) {
  Runner runner(workshop, one);
  const Runner::End end = co_await runner.run();
  const Uuid id = one.stored.lease.operation;
  if (end == Runner::End::unknown) {
    // Before it is free again, so that it is not taken again.
    const std::string operation = id.to_string();
    const bool is_new = unable.size() < kMaxUnable && unable.insert(operation).second;
    if (is_new) {
      log.write(observe::Level::error, "operation_step_unknown",
                {{"operation", operation}, {"kind", one.kind.name}});
    }
    co_await runner.leave();
  }
  held.remove_if([&one](const Held& other) { return &other == &one; });
  tell(id);
  next_work();
}

void Engine::Impl::next_work() {
  if (state != State::running) return;
  if (!waiting.empty() && room() > 0) {
    const Uuid id = *waiting.begin();
    waiting.erase(waiting.begin());
    tasks.spawn(claim({id}));
  }
  if (duty == Duty::adopt && more_to_adopt && room() > 0) tasks.spawn(adopt());
}

void Engine::Impl::wake(Uuid id) {
  if (state != State::running) return;
  tasks.spawn(claim({id}));
}

void Engine::Impl::tell(const Uuid& id) {
  // A watcher that goes on changes the list.
  const std::list<Watcher*> all = watchers;
  for (Watcher* watcher : all) {
    if (watcher->id == id) watcher->changed.cancel();
  }
}

// ----------------------------------------------------------------------------------------------------------
// what is over

Task<Result<std::size_t>> Engine::prune(CallOptions options) { return impl_->prune(options); }

// In small pieces: none holds locks for long, and a node that stops has lost nothing.
Task<Result<std::size_t>> Engine::Impl::prune(CallOptions call) {
  std::vector<Store::KeptWhile> those;
  for (const auto& [name, kind] : kinds) {
    Store::KeptWhile& one = those.emplace_back();
    one.name = name;
    one.condition = kind.kept_while;
  }
  std::size_t all = 0;
  while (state != State::stopped) {
    CO_TRY(const std::size_t pruned,
           co_await store.prune(those, options.retention, options.prune_batch, call));
    all += pruned;
    if (pruned < options.prune_batch) break;
  }
  co_return all;
}

void Engine::Impl::prune_later() {
  if (state != State::running) return;
  prune_timer = executor.after(options.prune_every, [this] { tasks.spawn(prune_regularly()); });
}

Task<void> Engine::Impl::prune_regularly() {
  const CallOptions call{deadline_in(options.prune_every)};
  const auto pruned = co_await prune(call);
  if (!pruned.ok()) {
    log.write_error("operations_not_pruned", pruned.error());
  } else if (*pruned > 0) {
    log.write(observe::Level::info, "operations_pruned", {{"operations", *pruned}});
  }
  prune_later();
}

}  // namespace rowhouse::operations
