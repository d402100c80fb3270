// Goes on looking for databases that an upgrade had to leave behind, and brings them up when they are back;
// and for those of checks whose process died.
//
// In one worker of each node. Belongs to the executor's thread; stop() before it is destroyed.
#pragma once

#include <chrono>
#include <memory>
#include <string_view>

#include "base/call.h"
#include "base/task.h"
#include "net/executor.h"
#include "observe/log.h"
#include "tenancy/pack_upgrade.h"

namespace rowhouse::tenancy {

class UpgradeCatchUp {
 public:
  // All must outlive this.
  UpgradeCatchUp(net::Executor& executor, PackUpgrades& upgrades, const observe::Log& log,
                 std::chrono::milliseconds every = std::chrono::seconds(30))
      : executor_(executor), upgrades_(upgrades), log_(log), every_(every) {}

  void start();
  // Waits for what runs; may be called without start().
  Task<void> stop();

 private:
  void look_later();
  Task<void> look();
  void tell(std::string_view event, const Error& error) const;

  net::Executor& executor_;
  PackUpgrades& upgrades_;
  const observe::Log& log_;
  const std::chrono::milliseconds every_;
  enum class State { idle, running, stopped } state_ = State::idle;
  std::unique_ptr<net::Timer> timer_;
  CancelSource stopping_;
  net::TaskGroup tasks_;
};

}  // namespace rowhouse::tenancy
