#include "data/filter_operand.h"

#include <array>

#include "data/values.h"

namespace rowhouse::data {
namespace {

using tenancy::Column;
using tenancy::ColumnKind;

constexpr std::size_t kMaxListItems = 1'000;

struct NamedOperator {
  std::string_view name;
  Operator operation;
};

constexpr std::array kOperators = {
    NamedOperator{"eq", Operator::equal},
    NamedOperator{"neq", Operator::not_equal},
    NamedOperator{"lt", Operator::less},
    NamedOperator{"lte", Operator::less_or_equal},
    NamedOperator{"gt", Operator::greater},
    NamedOperator{"gte", Operator::greater_or_equal},
    NamedOperator{"like", Operator::like},
    NamedOperator{"ilike", Operator::ilike},
    NamedOperator{"in", Operator::in},
    NamedOperator{"is", Operator::is_null},
    NamedOperator{"contains", Operator::contains},
    NamedOperator{"contained", Operator::contained},
};

Operand failed(std::string why) {
  Operand operand;
  operand.fault = std::move(why);
  return operand;
}

Operand done(Operator operation, std::string text) {
  Operand operand;
  operand.operation = operation;
  operand.text = std::move(text);
  return operand;
}

bool is_enum(const Column& column) { return !column.labels.empty(); }

// `json` (not jsonb) has no operators at all; only IS NULL works.
bool is_plain_json(const Column& column) { return column.kind == ColumnKind::json && column.type != "jsonb"; }

// One value of the column's type. Text needs no check: whatever is not there matches nothing. Labels do,
// since an unknown one is an error for PostgreSQL.
Converted operand_value(const Column& column, std::string_view text) {
  Converted converted = convert_text(column, text);
  if (converted.ok() && is_enum(column) && column.kind != ColumnKind::array) {
    converted.fault = storage_fault(column, text);
  }
  return converted;
}

Operand parse_is(const Column& column, std::string_view text) {
  if (text == "null") return done(Operator::is_null, "");
  if (text == "not_null") return done(Operator::is_not_null, "");
  if (text == "true" || text == "false") {
    if (column.kind != ColumnKind::boolean) return failed("is.true and is.false need a boolean column");
    return done(text == "true" ? Operator::is_true : Operator::is_false, "");
  }
  return failed("is needs null, not_null, true or false");
}

Operand parse_pattern(const Column& column, Operator operation, std::string_view text) {
  if (column.kind != ColumnKind::text || is_enum(column)) return failed("like and ilike need a text column");
  std::string pattern;
  pattern.reserve(text.size());
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') pattern.push_back('\\');
    pattern.push_back(c == '*' ? '%' : c);
  }
  return done(operation, std::move(pattern));
}

// Reads one item of a list at the front of `rest`, up to the comma or the end; nullopt for a broken quote.
std::optional<std::string> take_item(std::string_view& rest) {
  if (!rest.starts_with('"')) {
    const auto comma = rest.find(',');
    std::string item(rest.substr(0, comma));
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma);
    return item;
  }
  std::string item;
  for (std::size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] == '\\' && i + 1 < rest.size()) {
      item.push_back(rest[++i]);
    } else if (rest[i] == '"') {
      rest.remove_prefix(i + 1);
      if (!rest.empty() && rest.front() != ',') return std::nullopt;
      return item;
    } else {
      item.push_back(rest[i]);
    }
  }
  return std::nullopt;
}

Operand parse_list(const Column& column, std::string_view text) {
  if (column.kind == ColumnKind::array || column.kind == ColumnKind::json) {
    return failed("in does not work on arrays and JSON");
  }
  if (!text.starts_with('(') || !text.ends_with(')') || text.size() < 2) {
    return failed("in needs a list such as (a,b)");
  }
  std::string_view rest = text.substr(1, text.size() - 2);
  std::vector<pg::Param> items;
  bool more = !rest.empty();
  while (more) {
    auto item = take_item(rest);
    if (!item) return failed("the list has a quote that is not closed or not followed by a comma");
    if (items.size() == kMaxListItems) {
      return failed("the list has more than " + std::to_string(kMaxListItems) + " items");
    }
    Converted converted = operand_value(column, *item);
    if (!converted.ok()) return failed("each item " + converted.fault);
    items.push_back(std::move(converted.value));
    more = !rest.empty();
    if (more) rest.remove_prefix(1);  // the comma; what follows it is an item, if only an empty one
  }
  return done(Operator::in, array_literal(items));
}

Operand parse_containment(const Column& column, Operator operation, std::string_view text) {
  if ((column.kind != ColumnKind::json && column.kind != ColumnKind::array) || is_plain_json(column)) {
    return failed("contains and contained need a jsonb or array column");
  }
  Converted converted = convert_text(column, text);
  if (!converted.ok()) return failed(converted.fault);
  return done(operation, std::move(*converted.value));
}

}  // namespace

std::optional<Operator> parse_operator(std::string_view name) {
  for (const NamedOperator& known : kOperators) {
    if (known.name == name) return known.operation;
  }
  return std::nullopt;
}

const std::string& operator_list() {
  static const std::string list = [] {
    std::string text;
    for (const NamedOperator& known : kOperators) {
      if (!text.empty()) text += ", ";
      text += known.name;
    }
    return text;
  }();
  return list;
}

Operand parse_operand(const Column& column, Operator operation, std::string_view text) {
  switch (operation) {
    case Operator::is_null:
    case Operator::is_not_null:
    case Operator::is_true:
    case Operator::is_false:
      return parse_is(column, text);
    case Operator::like:
    case Operator::ilike:
      return parse_pattern(column, operation, text);
    case Operator::in:
      return parse_list(column, text);
    case Operator::contains:
    case Operator::contained:
      return parse_containment(column, operation, text);
    case Operator::equal:
    case Operator::not_equal:
    case Operator::less:
    case Operator::less_or_equal:
    case Operator::greater:
    case Operator::greater_or_equal:
      break;
  }
  if (is_plain_json(column)) return failed("a json column offers only is.null and is.not_null");
  if (column.kind == ColumnKind::json && operation != Operator::equal && operation != Operator::not_equal) {
    return failed("JSON has no order");
  }
  Converted converted = operand_value(column, text);
  if (!converted.ok()) return failed(std::move(converted.fault));
  return done(operation, std::move(*converted.value));
}

}  // namespace rowhouse::data
