// Reads "row_rule" of the resources in pack.json. A part of parse_manifest() (tenancy/pack.h), which calls
// it.
//
// Faults are added to `faults`, path as JSON Pointer.
#pragma once

#include <vector>

#include "base/json.h"
#include "tenancy/pack.h"

namespace rowhouse::tenancy {

// Resources must have been read: a rule may go through another one.
void read_row_rules(const json::Value& document, Manifest& manifest, std::vector<FieldError>& faults);

}  // namespace rowhouse::tenancy
