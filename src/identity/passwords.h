// Hashing and checking of passwords off the event loops, and the rules that a new password must keep.
//
// A Passwords belongs to a node and is shared by its workers: a few threads of low priority with one bounded
// queue, so that a flood of logins can neither take the processors from other requests nor pile up.
// Everything here is thread-safe; the coroutines resume on the executor they were given.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "crypto/password.h"
#include "net/executor.h"

namespace rowhouse::identity {

struct PasswordOptions {
  crypto::PasswordCost cost;        // memory: 8 MiB to 1 GiB; passes: 1 to 20
  std::size_t threads = 2;          // 1 to 64; each needs the memory of `cost`
  std::size_t max_queued = 64;      // 1 to 10,000; further ones: overloaded
  std::size_t min_characters = 10;  // 8 to 64
};

inline constexpr std::size_t kMaxPasswordBytes = 512;

// Error validation_failed with the field "/password": too short, too long, no text, contains the e-mail
// address, or one of those that everybody tries first.
Result<void> check_new_password(std::string_view password, std::string_view email,
                                const PasswordOptions& options);

class Passwords {
 public:
  explicit Passwords(PasswordOptions options);
  // Work under way ends, what waits is given up; nobody may be waiting for either.
  ~Passwords();
  Passwords(const Passwords&) = delete;
  Passwords& operator=(const Passwords&) = delete;

  struct Checked {
    enum class Answer { right, wrong } answer = Answer::wrong;
    std::string new_hash;  // when it was right and the hash had another cost; otherwise ""
  };
  // `hash` "": there is no such user, or one without a password. The same work is done, and the answer is
  // wrong. Errors: overloaded (the queue is full, or the deadline passed in it).
  Task<Result<Checked>> check(net::Executor& executor, std::string hash, std::string password,
                              CallOptions options);
  // The hash of a password that check_new_password() has let through. Errors: overloaded.
  Task<Result<std::string>> hash(net::Executor& executor, std::string password, CallOptions options);

  const PasswordOptions& options() const;
  // How many were hashed or checked since the start. Any thread.
  std::uint64_t done() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::identity
