// A statement as an effect that somebody watches (base/effects.h).
#pragma once

#include <string>
#include <string_view>

#include "base/effects.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/types.h"

namespace rowhouse::pg {

// What it is called: its first words, never a value.
// "CREATE SCHEMA", "SELECT", "COMMIT": the keyword, and the kind of object when it is one of the statement's
// own words. Upper case. "SQL" when the text does not begin with a word.
std::string effect_name(std::string_view sql);

// The guard is asked before, and told after it has worked; `statement` does nothing before it is awaited.
Task<Result<Rows>> watched(Task<Result<Rows>> statement, std::string name, EffectGuard& guard);

}  // namespace rowhouse::pg
