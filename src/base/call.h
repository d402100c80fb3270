// How long a call may take, how its caller says that it no longer wants the answer, and who watches its
// effects.
//
// Every function that waits takes a CallOptions by value. A CancelSource belongs to the request (or test)
// that made it and outlives every call that was handed its address. Everything here belongs to one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

namespace rowhouse {

class EffectGuard;

using Deadline = std::chrono::steady_clock::time_point;

inline Deadline deadline_in(std::chrono::milliseconds duration) {
  return std::chrono::steady_clock::now() + duration;
}

class CancelSource {
 public:
  // Keeps a callback registered while it lives.
  class Registration {
   public:
    Registration() = default;
    Registration(CancelSource* source, std::uint64_t id) : source_(source), id_(id) {}
    Registration(Registration&& other) noexcept
        : source_(std::exchange(other.source_, nullptr)), id_(other.id_) {}
    Registration& operator=(Registration&& other) noexcept {
      if (this != &other) {
        release();
        source_ = std::exchange(other.source_, nullptr);
        id_ = other.id_;
      }
      return *this;
    }
    ~Registration() { release(); }
    void release() {
      if (source_ != nullptr) source_->callbacks_.erase(id_);
      source_ = nullptr;
    }

   private:
    CancelSource* source_ = nullptr;
    std::uint64_t id_ = 0;
  };

  CancelSource() = default;
  CancelSource(const CancelSource&) = delete;
  CancelSource& operator=(const CancelSource&) = delete;

  bool cancelled() const { return cancelled_; }
  // Runs every registered callback once; later registrations are not called (ask cancelled() first).
  void cancel() {
    if (std::exchange(cancelled_, true)) return;
    auto callbacks = std::exchange(callbacks_, {});
    for (auto& [id, callback] : callbacks) callback();
  }
  Registration on_cancel(std::function<void()> callback) {
    callbacks_.emplace(++last_id_, std::move(callback));
    return Registration(this, last_id_);
  }

 private:
  bool cancelled_ = false;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::function<void()>> callbacks_;
};

struct CallOptions {
  Deadline deadline;
  CancelSource* cancel = nullptr;  // may be null: the call cannot be cancelled
  EffectGuard* effects = nullptr;  // null unless the call is part of an operation; see base/effects.h
};

}  // namespace rowhouse
