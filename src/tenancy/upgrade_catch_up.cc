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
  } else if (started.error().code != ErrorCode::cancelled &&
             started.error().code != ErrorCode::database_unavailable) {
    log_.write_error("pack_not_caught_up", started.error());
  }
  look_later();
}

Task<void> UpgradeCatchUp::stop() {
  state_ = State::stopped;
  timer_.reset();
  stopping_.cancel();
  co_await tasks_.join();
}

}  // namespace rowhouse::tenancy
