#include "tenancy/upgrade_catch_up.h"

namespace rowhouse::tenancy {

namespace {

using namespace std::chrono_literals;

constexpr auto kLookDeadline = 2min;

}  // namespace

void UpgradeCatchUp::start() {
  if (state_ != State::idle) return;
  state_ = State::running;
  look_later();
}

void UpgradeCatchUp::look_later() {
  if (state_ != State::running) return;
  timer_ = executor_.after(every_, [this] {
    timer_.reset();
    tasks_.spawn(look());
  });
}

Task<void> UpgradeCatchUp::look() {
  const CallOptions options{deadline_in(kLookDeadline), &stopping_};
  const auto started = co_await upgrades_.catch_up(options);
  if (started.ok()) {
    for (const std::string& pack : *started) {
      log_.write(observe::Level::info, "pack_catching_up", {{"pack", pack}});
    }
  } else {
    tell("pack_not_caught_up", started.error());
  }
  const auto cleared = co_await upgrades_.clear_up(options);
  if (!cleared.ok()) tell("checks_not_cleared_up", cleared.error());
  look_later();
}

// Not when the server stops or PostgreSQL is away: others say so.
void UpgradeCatchUp::tell(std::string_view event, const Error& error) const {
  if (error.code == ErrorCode::cancelled || error.code == ErrorCode::database_unavailable) return;
  log_.write_error(event, error);
}

Task<void> UpgradeCatchUp::stop() {
  state_ = State::stopped;
  timer_.reset();
  stopping_.cancel();
  co_await tasks_.join();
}

}  // namespace rowhouse::tenancy
