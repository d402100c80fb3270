#include "tenancy/grant.h"

namespace rowhouse::tenancy {

namespace {

Error more_than_own(std::string path, std::string what) {
  Error error(ErrorCode::permission_missing, "nobody can give more than they have: " + what);
  return std::move(error).with_field(std::move(path), std::move(what));
}

}  // namespace

Result<void> check_within(const Grant& own, const Grant& wanted) {
  const std::string missing = own.permissions->first_not_covered(*wanted.permissions);
  if (!missing.empty()) return more_than_own("/scopes", "the caller has no permission for " + missing);
  if (own.expires_at && (!wanted.expires_at || *wanted.expires_at > *own.expires_at)) {
    return more_than_own("/expires_at",
                         "must not be after the caller's own end, " + to_rfc3339(*own.expires_at));
  }
  const bool is_bound = wanted.networks != nullptr && own.networks != nullptr;
  if (own.networks != nullptr && (!is_bound || !own.networks->covers(*wanted.networks))) {
    return more_than_own("/allowed_networks", "must be inside the networks that the caller is bound to");
  }
  return {};
}

}  // namespace rowhouse::tenancy
