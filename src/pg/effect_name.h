// What a statement is called where effects are watched (base/effects.h): its first words, never a value.
#pragma once

#include <string>
#include <string_view>

namespace rowhouse::pg {

// "CREATE SCHEMA", "SELECT", "COMMIT": the keyword, and the kind of object when it is one of the statement's
// own words. Upper case. "SQL" when the text does not begin with a word.
std::string effect_name(std::string_view sql);

}  // namespace rowhouse::pg
