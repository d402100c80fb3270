// Wall-clock time as a dependency, so that tests decide what time it is.
#pragma once

#include <chrono>
#include <string>

namespace rowhouse {

using WallTime = std::chrono::system_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime now() const = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime now() const override { return std::chrono::system_clock::now(); }
};

class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime start) : now_(start) {}
  WallTime now() const override { return now_; }
  void advance(std::chrono::milliseconds duration) { now_ += duration; }

 private:
  WallTime now_;
};

// RFC 3339 with milliseconds, UTC: "2026-11-21T05:40:00.123Z".
std::string to_rfc3339(WallTime time);

}  // namespace rowhouse
