// Checks what a caller says of a tenant: names, addresses, settings. Pure functions; every fault is reported
// at once, as fields of one validation_failed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/result.h"
#include "tenancy/pack.h"
#include "tenancy/tenants.h"

namespace rowhouse::tenancy {

inline constexpr std::size_t kMaxDocumentBytes = 64 * 1024;  // of settings, branding, contact each
inline constexpr std::size_t kMaxKeyNameCharacters = 200;

using Faults = std::vector<FieldError>;
// validation_failed with these fields; asks for at least one.
Error error_of(Faults faults);

void check_name(std::string_view path, std::string_view name, Faults& faults);
void check_domain(std::string_view path, std::string_view domain, Faults& faults);  // lower case by then
void check_subdomain(std::string_view path, std::string_view subdomain, Faults& faults);  // one label
// Only what mail servers agree on: ASCII, one '@', a domain of letters, digits, '-' and '.'.
bool is_email(std::string_view text);
void check_email(std::string_view path, std::string_view email, Faults& faults);
// null (which stands for {}) or an object of bounded size without NUL characters.
void check_document(std::string_view path, const json::Value& document, Faults& faults);

// `current` with the members of `given` put in; a member that is null goes back to the pack's default. What
// is missing in both gets the default.
json::Value merge_settings(const Manifest& manifest, const json::Value& current, const json::Value& given,
                           Faults& faults);

// The plan's name, or the fault at /plan that lists the pack's plans.
std::string choose_plan(const Manifest& manifest, const std::string& wanted, Faults& faults);

// Everything of a NewTenant that needs no look-up. Settings are merged, domains lowered, documents made
// objects.
void check_new_tenant(NewTenant& request, const Manifest& manifest, Faults& faults);

}  // namespace rowhouse::tenancy
