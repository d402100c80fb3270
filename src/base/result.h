// Result<T>: a value or an Error, and the TRY macros that hand an Error to the caller.
//
//   TRY(auto tenant, find_tenant(id));        // in a function that returns a Result
//   CO_TRY(auto rows, co_await query(...));   // in a coroutine that returns Task<Result<...>>
//   TRY_DO(check(input));                     // when there is no value
//
// The macros are statements, not expressions: gcc 12 miscompiles statement expressions in coroutines.
#pragma once

#include <cstdlib>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/error.h"

namespace rowhouse {

template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Asking for a value that is not there is a bug and ends the process.
  T& value() & { return ok() ? *std::get_if<0>(&state_) : fail(); }
  const T& value() const& { return ok() ? *std::get_if<0>(&state_) : fail(); }
  T&& value() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }

  Error& error() & { return *std::get_if<1>(&state_); }
  const Error& error() const& { return *std::get_if<1>(&state_); }
  Error&& error() && { return std::move(*std::get_if<1>(&state_)); }

 private:
  [[noreturn]] static T& fail() { std::abort(); }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const {
    if (!ok()) std::abort();
  }
  Error& error() & { return *error_; }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

}  // namespace rowhouse

#define ROWHOUSE_JOIN_INNER(a, b) a##b
#define ROWHOUSE_JOIN(a, b) ROWHOUSE_JOIN_INNER(a, b)
#define ROWHOUSE_TRY(return_keyword, temporary, declaration, ...)   \
  auto temporary = (__VA_ARGS__);                                   \
  if (!temporary.ok()) return_keyword std::move(temporary).error(); \
  declaration = std::move(temporary).value()
#define ROWHOUSE_TRY_DO(return_keyword, ...)                                        \
  do {                                                                              \
    auto rowhouse_outcome = (__VA_ARGS__);                                          \
    if (!rowhouse_outcome.ok()) return_keyword std::move(rowhouse_outcome).error(); \
  } while (false)

#define TRY(declaration, ...) \
  ROWHOUSE_TRY(return, ROWHOUSE_JOIN(rowhouse_try_, __COUNTER__), declaration, __VA_ARGS__)
#define CO_TRY(declaration, ...) \
  ROWHOUSE_TRY(co_return, ROWHOUSE_JOIN(rowhouse_try_, __COUNTER__), declaration, __VA_ARGS__)
#define TRY_DO(...) ROWHOUSE_TRY_DO(return, __VA_ARGS__)
#define CO_TRY_DO(...) ROWHOUSE_TRY_DO(co_return, __VA_ARGS__)
