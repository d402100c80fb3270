#include "identity/tenant_context.h"

namespace rowhouse::identity {

namespace {

Error lacks(std::string_view operation) {
  return Error(ErrorCode::permission_missing, "the caller has no permission for " + std::string(operation))
      .with_detail("operation", std::string(operation));
}

}  // namespace

Result<void> TenantContext::require(std::string_view operation) const {
  // Plans are about what the pack offers; Rowhouse's own operations come with every plan.
  if (!plan().features.contains(operation) && !tenancy::is_tenant_operation(operation)) {
    return Error(ErrorCode::feature_missing,
                 "the plan \"" + plan().title + "\" does not include " + std::string(operation))
        .with_detail("operation", std::string(operation));
  }
  if (permissions().contains(operation)) return {};
  return lacks(operation);
}

Result<void> PlatformContext::require(std::string_view operation) const {
  if (permissions().contains(operation)) return {};
  return lacks(operation);
}

}  // namespace rowhouse::identity
