// Identity providers as JSON documents, the bodies of their routes, and their JSON Schemas. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "identity/external_issuers.h"
#include "identity/providers_model.h"

namespace rowhouse::http {

// A JSON object, name → schema: a part of component_schemas().
std::string_view sso_schemas();

// Without the secret.
json::Value provider_document(const identity::Provider& provider, const std::string& redirect_uri);
json::Value provider_report_document(const identity::ExternalIssuers::Report& report);

// Error: validation_failed, one field for each fault of form.
Result<identity::ProviderSettings> read_provider(const json::Value& body);
struct SsoQuestion {
  std::string email, tenant;
};
Result<SsoQuestion> read_sso_question(const json::Value& body);

}  // namespace rowhouse::http
