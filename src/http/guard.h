// What a route asks of its caller. Every RouteInfo names one in its constructor, so a route without a guard
// does not compile, and neither does one whose operation is not in tenancy/permissions.h.
//
// Who checks what: the API refuses before the handler runs for tenant() and platform(); resource() and
// function() are checked by data::DataService, which knows the pack's operation; open() and caller() need no
// right.
#pragma once

#include <span>
#include <string_view>

#include "tenancy/pack.h"
#include "tenancy/permissions.h"

namespace rowhouse::http {

// Which credential: none, one of a tenant, one of the platform.
enum class Audience { open, tenant, platform };

class Guard {
 public:
  enum class Kind { open, caller, tenant, resource, function, platform };

  // For everybody, without a credential.
  static consteval Guard open() { return Guard(Kind::open, Audience::open, ""); }
  // For every principal of a tenant, because the answer is about the principal itself.
  static consteval Guard caller() { return Guard(Kind::caller, Audience::tenant, ""); }
  // An operation of kTenantOperations.
  static consteval Guard tenant(std::string_view operation) {
    check(tenancy::kTenantOperations, operation);
    return Guard(Kind::tenant, Audience::tenant, operation);
  }
  // The operation that the pack names for this verb of the resource in the path.
  static consteval Guard resource(tenancy::Verb verb) {
    Guard guard(Kind::resource, Audience::tenant, "");
    guard.verb_ = verb;
    return guard;
  }
  // The operation that the pack names for the function in the path.
  static consteval Guard function() { return Guard(Kind::function, Audience::tenant, ""); }
  // An operation of kPlatformOperations.
  static consteval Guard platform(std::string_view operation) {
    check(tenancy::kPlatformOperations, operation);
    return Guard(Kind::platform, Audience::platform, operation);
  }

  constexpr Kind kind() const { return kind_; }
  constexpr Audience audience() const { return audience_; }
  constexpr std::string_view operation() const { return operation_; }  // of tenant() and platform(), else ""
  constexpr tenancy::Verb verb() const { return verb_; }               // of resource()

 private:
  constexpr Guard(Kind kind, Audience audience, std::string_view operation)
      : kind_(kind), audience_(audience), operation_(operation) {}
  static constexpr void check(std::span<const tenancy::OwnOperation> known, std::string_view operation) {
    for (const auto& own : known) {
      if (own.name == operation) return;
    }
    throw "the operation is not in tenancy/permissions.h";  // at compile time: the call is no constant then
  }

  Kind kind_;
  Audience audience_;
  std::string_view operation_;  // a literal
  tenancy::Verb verb_ = tenancy::Verb::read;
};

}  // namespace rowhouse::http
