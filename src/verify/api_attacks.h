// The API, out of its own OpenAPI document: every route, with the attacker's key against everything of the
// victim's.
#pragma once

#include <string>

#include "verify/arena.h"

namespace rowhouse::verify {

// `url`: of a node, "http://127.0.0.1:8080"; "" = it is not known, which the report says.
void attack_api(Arena& arena, const std::string& url, const std::string& ca_file);

}  // namespace rowhouse::verify
