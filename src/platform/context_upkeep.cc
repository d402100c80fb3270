#include "platform/context_upkeep.h"

#include <utility>

#include "pg/types.h"

namespace rowhouse::platform {
namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 1s;
// Databases that are behind are looked for once in so many ticks: those that were down, or restored. Sooner
// when there were some the last time.
constexpr int kTicksPerThoroughLook = 30;
constexpr int kTicksPerLookInTrouble = 3;
constexpr auto kAdvanceDeadline = 10min;
constexpr auto kRefreshDeadline = 5s;
constexpr auto kRefreshAgainAfter = 250ms;
constexpr auto kRefusalReportEvery = 60s;
constexpr std::size_t kMaxNamedDatabases = 5;

constexpr const char* kRefusedHint =
    "compare the clocks of this node and of the PostgreSQL server (contexts live one minute), and "
    "`rowhouse context-key list`: a database that is behind has other keys";

}  // namespace

void ContextUpkeep::start() {
  if (state_ != State::idle) return;
  state_ = State::running;
  if (duty_ == Duty::keys_and_databases) tick_later();
}

void ContextUpkeep::tick_later() {
  if (state_ != State::running) return;
  timer_ = executor_.after(kTick, [this] {
    timer_.reset();
    tasks_.spawn(tick());
  });
}

Task<void> ContextUpkeep::tick() {
  using Look = tenancy::ContextRotation::Look;
  const CallOptions options{deadline_in(kAdvanceDeadline), &stopping_};
  const int period = last_trouble_.empty() ? kTicksPerThoroughLook : kTicksPerLookInTrouble;
  const Look look = ticks_++ % period == 0 ? Look::thorough : Look::at_keys;
  const auto outcome = co_await rotation_.advance(look, options);
  if (!outcome.ok() || look == Look::thorough || !outcome->failed.empty()) report(outcome);
  tick_later();
}

// Trouble is told when it begins and when it is another one, not every second.
void ContextUpkeep::report(const Result<tenancy::GuardReport>& outcome) {
  if (!outcome.ok()) {
    const bool expected = outcome.error().code == ErrorCode::cancelled ||
                          outcome.error().code == ErrorCode::database_unavailable;
    if (expected || outcome.error().message == last_trouble_) return;
    last_trouble_ = outcome.error().message;
    log_.write_error("context_keys_not_advanced", outcome.error());
    return;
  }
  if (!outcome->brought.empty()) {
    log_.write(observe::Level::info, "databases_guarded", {{"databases", outcome->brought.size()}});
  }
  std::string names;
  for (std::size_t i = 0; i < outcome->failed.size() && i < kMaxNamedDatabases; ++i) {
    names += (names.empty() ? "" : ", ") + outcome->failed[i].first;
  }
  if (names == last_trouble_) return;
  last_trouble_ = names;
  if (names.empty()) return;
  log_.write(
      observe::Level::warning, "databases_behind",
      {{"databases", outcome->failed.size()}, {"names", names}, {"reason", outcome->failed[0].second}});
}

void ContextUpkeep::keys_changed() {
  if (state_ == State::stopped) return;
  if (refresh_ != Refresh::none) {
    refresh_ = Refresh::again;
    return;
  }
  refresh_ = Refresh::running;
  tasks_.spawn(refresh());
}

Task<void> ContextUpkeep::refresh() {
  while (state_ != State::stopped) {
    refresh_ = Refresh::running;
    const CallOptions options{deadline_in(kRefreshDeadline), &stopping_};
    const auto read = co_await keys_.refresh(options);
    if (read.ok() && refresh_ == Refresh::running) break;
    if (!read.ok()) co_await net::sleep_for(executor_, kRefreshAgainAfter);
  }
  refresh_ = Refresh::none;
}

void ContextUpkeep::refused(const Error& error) {
  ++refusals_;
  keys_changed();  // in case this worker alone has missed something
  const auto now = std::chrono::steady_clock::now();
  if (now < next_refusal_report_) return;
  next_refusal_report_ = now + kRefusalReportEvery;
  log_.write(observe::Level::error, "tenant_context_refused",
             {{"requests", std::exchange(refusals_, 0)},
              {"generation", keys_.generation()},
              {"server_message", error.detail(pg::kServerMessage)},
              {"hint", kRefusedHint}});
}

Task<void> ContextUpkeep::stop() {
  state_ = State::stopped;
  timer_.reset();
  stopping_.cancel();
  co_await tasks_.join();
}

}  // namespace rowhouse::platform
