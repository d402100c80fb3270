// Whether a column's type or a CHECK was changed so that nobody can notice: whatever was allowed before still
// is, and what is there already reads as it did. Everything that is not known to be so is not.
//
// Texts are those of PostgreSQL: format_type() and pg_get_constraintdef(). Pure. Private to this folder.
#pragma once

#include <string_view>

namespace rowhouse::tenancy {

// The same type, a longer or unlimited varchar (text is one), a numeric with more digits before the point, a
// finer time; also arrays of these. Not int to bigint, which is another type to every client.
bool is_same_or_wider_type(std::string_view from, std::string_view to);

// The same, a list with more values (`status IN (…)`), a bound that lies further out (`char_length(x) <=
// 20`).
bool is_same_or_wider_check(std::string_view from, std::string_view to);

}  // namespace rowhouse::tenancy
