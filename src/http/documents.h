// Services' values as the JSON documents of the control plane. Pure functions; docs: src/http/schemas.cc.
#pragma once

#include "base/json.h"
#include "identity/tenant_context.h"
#include "operations/operation.h"
#include "tenancy/pack_upgrade.h"
#include "tenancy/packs.h"
#include "tenancy/tenants.h"

namespace rowhouse::http {

json::Value tenant_document(const tenancy::Tenant& tenant);
// What a tenant may see of itself: no placement, but its plan's limits and features.
json::Value own_tenant_document(const identity::TenantContext& context);
json::Value pack_summary(const tenancy::Pack& pack);
json::Value pack_document(const tenancy::Pack& pack);
// Without `steps` when the operation has none, as in lists.
json::Value operation_document(const operations::Operation& operation);
json::Value install_report_document(const tenancy::InstallReport& report);
json::Value drift_document(const tenancy::DriftReport& report);
json::Value upgrade_target_document(const tenancy::UpgradeTarget& target);

// Reads the bodies of POST and PATCH /v1/tenants. Error validation_failed with one field per fault.
Result<tenancy::NewTenant> read_new_tenant(const json::Value& body);
Result<tenancy::TenantChange> read_tenant_change(const json::Value& body);

}  // namespace rowhouse::http
