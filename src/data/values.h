// Values on their way into PostgreSQL: from JSON, from a CSV cell, from a filter, to the text of a parameter.
//
// What can be judged here is judged here, so that all faults of a body are reported at once and with their
// places; the rest (calendar dates, network addresses, …) is PostgreSQL's to judge. Pure functions, any
// thread.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "pg/types.h"
#include "tenancy/pack.h"

namespace rowhouse::data {

// Either a value (nullopt is NULL) or a fault, a sentence for the user without the name of the column.
struct Converted {
  static Converted of(std::string text) {
    Converted result;
    result.value = std::move(text);
    return result;
  }
  static Converted null() { return Converted(); }
  static Converted fail(std::string why) {
    Converted result;
    result.fault = std::move(why);
    return result;
  }
  bool ok() const { return fault.empty(); }

  pg::Param value;
  std::string fault;
};

// The value of a member of a body. null is NULL for every type, JSON columns included.
Converted convert_json(const tenancy::Column& column, const json::Value& value);

// The text of a cell or of a filter's operand. Booleans may be true/false, t/f, yes/no, on/off, 1/0; arrays
// may be JSON ("[1,2]") or PostgreSQL's form ("{1,2}").
Converted convert_text(const tenancy::Column& column, std::string_view text);

// Why a converted value does not fit into the column ("" if it does): length, labels, precision. Not for
// filters: there such a value simply matches nothing.
std::string storage_fault(const tenancy::Column& column, std::string_view text);

// PostgreSQL's text form of an array, each element quoted: {"a","b"}. Elements that are nullopt become NULL.
std::string array_literal(const std::vector<pg::Param>& elements);

// "smallint[]" → "smallint"; "" if the type is no array.
std::string_view element_type(std::string_view type);

// The syntax of a decimal number, of NaN, or of an infinity ("Infinity", "-Infinity").
bool is_number_text(std::string_view text);

}  // namespace rowhouse::data
