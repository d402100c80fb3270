// Reads "roles" and "admin_role" of pack.json. A part of parse_manifest() (tenancy/pack.h), which calls it.
//
// Faults are added to `faults`, path as JSON Pointer. A manifest without roles gets one, "admin", that may do
// everything.
#pragma once

#include <vector>

#include "base/json.h"
#include "tenancy/pack.h"

namespace rowhouse::tenancy {

// Does the pattern allow anything that there is in a tenant of this pack: an operation of its features, or
// one of Rowhouse's own? For whoever gives rights (roles, scopes of keys), so that mistakes are found.
bool is_permission_of(const Manifest& manifest, std::string_view pattern);

// Features must have been read: the operations of roles refer to them.
void read_roles(const json::Value& document, Manifest& manifest, std::vector<FieldError>& faults);

}  // namespace rowhouse::tenancy
