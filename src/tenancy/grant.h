// What a credential gives: which operations, until when, from where. A value, shared parts immutable.
//
// Nobody gives more than they have: whoever makes or rotates a credential passes their own grant to
// check_within().
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "tenancy/networks.h"
#include "tenancy/permissions.h"

namespace rowhouse::tenancy {

struct Grant {
  std::shared_ptr<const Permissions> permissions = all_permissions();  // never null
  std::optional<WallTime> expires_at;                                  // none: never
  std::shared_ptr<const Networks> networks;                            // null: from everywhere; never empty

  bool has_expired(WallTime now) const { return expires_at && *expires_at <= now; }
  bool admits(std::string_view peer) const { return networks == nullptr || networks->contains_peer(peer); }
};

// Nothing, or permission_missing that names the first thing that `wanted` has and `own` lacks.
Result<void> check_within(const Grant& own, const Grant& wanted);

}  // namespace rowhouse::tenancy
