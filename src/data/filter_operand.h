// Operators of filters and what stands behind them. Part of the grammar in query.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "data/query.h"

namespace rowhouse::data {

// "gte" → greater_or_equal; "is" → is_null, which parse_operand() makes precise.
std::optional<Operator> parse_operator(std::string_view name);
const std::string& operator_list();  // "eq, neq, …" for messages

struct Operand {
  bool ok() const { return fault.empty(); }
  Operator operation = Operator::equal;
  std::string text;   // of the parameter
  std::string fault;  // a sentence without the column's name
};

// Checks that the operator suits the column and that the operand has the syntax of the column's type.
Operand parse_operand(const tenancy::Column& column, Operator operation, std::string_view text);

}  // namespace rowhouse::data
