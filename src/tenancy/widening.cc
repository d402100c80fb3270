#include "tenancy/widening.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/text.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kText = "text";
constexpr std::string_view kVarchar = "character varying";
constexpr std::string_view kVarbit = "bit varying";
constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kFinestTime = 6;  // digits of a second

// "timestamp(3) with time zone[]": name "timestamp with time zone[]", modifiers 3.
struct TypeWords {
  std::string name;
  std::vector<std::int64_t> modifiers;
  bool is_understood = true;
};

TypeWords split_type(std::string_view type) {
  TypeWords words;
  const std::size_t open = type.find('(');
  const std::size_t close = type.find(')', open);
  if (open == std::string_view::npos || close == std::string_view::npos) {
    words.name = type;
    return words;
  }
  words.name = std::string(type.substr(0, open)) + std::string(type.substr(close + 1));
  std::string_view rest = type.substr(open + 1, close - open - 1);
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const auto number = parse_int64(rest.substr(0, comma));
    words.is_understood = words.is_understood && number.has_value();
    words.modifiers.push_back(number.value_or(0));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return words;
}

bool starts_with_time(std::string_view name) {
  return name.starts_with("time ") || name.starts_with("timestamp ") || name.starts_with("interval");
}

std::int64_t first_or(const TypeWords& words, std::int64_t otherwise) {
  return words.modifiers.empty() ? otherwise : words.modifiers.front();
}

// Takes the ends of array types away as long as both have them.
void strip_arrays(TypeWords& from, TypeWords& to) {
  constexpr std::string_view kArray = "[]";
  while (from.name.ends_with(kArray) && to.name.ends_with(kArray)) {
    from.name.resize(from.name.size() - kArray.size());
    to.name.resize(to.name.size() - kArray.size());
  }
}

// What stands before the last comparison of a CHECK, if that is all the CHECK says: no other comparison, no
// function around it that could turn it into its opposite.
bool is_plain_beginning(std::string_view text) {
  constexpr std::array<std::string_view, 5> kTurning = {" AND ", " OR ", "NOT ", "CASE ", " IS "};
  constexpr std::string_view kOperators = "=<>!~@#&|^%?'\"";  // and quotes: their text could hold anything
  if (text.find_first_of(kOperators) != std::string_view::npos) return false;
  const auto is_in_text = [text](std::string_view word) { return text.find(word) != std::string_view::npos; };
  if (std::ranges::any_of(kTurning, is_in_text)) return false;
  std::vector<bool> calls;  // for each open parenthesis: whether a function's
  char before = ' ';
  for (const char c : text) {
    if (c == '(') calls.push_back(before != '(' && before != ' ');
    if (c == ')' && !calls.empty()) calls.pop_back();
    before = c;
  }
  return std::ranges::find(calls, true) == calls.end();
}

// "CHECK ((beginning operator bound))"
struct Bound {
  std::string_view beginning, end;
  std::string_view comparison;
  std::int64_t limit = 0;
};

std::optional<Bound> find_bound(std::string_view check) {
  constexpr std::array<std::string_view, 4> kComparisons = {" <= ", " < ", " >= ", " > "};
  Bound bound;
  const std::size_t end = check.find_last_not_of(')') + 1;
  bound.end = check.substr(end);
  const std::size_t space = check.rfind(' ', end);
  if (space == std::string_view::npos) return std::nullopt;
  const auto limit = parse_int64(check.substr(space + 1, end - space - 1));
  if (!limit) return std::nullopt;
  bound.limit = *limit;
  for (const std::string_view comparison : kComparisons) {
    if (!check.substr(0, space + 1).ends_with(comparison)) continue;
    bound.comparison = comparison;
    bound.beginning = check.substr(0, space + 1 - comparison.size());
    return bound;
  }
  return std::nullopt;
}

bool is_further_out(std::string_view from, std::string_view to) {
  const auto old_bound = find_bound(from);
  const auto new_bound = find_bound(to);
  if (!old_bound || !new_bound || old_bound->beginning != new_bound->beginning ||
      old_bound->comparison != new_bound->comparison || old_bound->end != new_bound->end ||
      !is_plain_beginning(old_bound->beginning)) {
    return false;
  }
  const bool is_upper = old_bound->comparison.starts_with(" <");
  return is_upper ? new_bound->limit >= old_bound->limit : new_bound->limit <= old_bound->limit;
}

// "CHECK ((beginning = ANY (ARRAY[values])))"
struct ValueList {
  std::string_view beginning, end;
  std::vector<std::string_view> values;
};

std::optional<ValueList> find_list(std::string_view check) {
  constexpr std::string_view kList = "ARRAY[";
  const std::size_t begin = check.find(kList);
  if (begin == std::string_view::npos) return std::nullopt;
  ValueList list;
  list.beginning = check.substr(0, begin);
  std::size_t value = begin + kList.size();
  bool is_quoted = false;
  for (std::size_t at = value; at < check.size(); ++at) {
    if (check[at] == '\'') is_quoted = !is_quoted;
    if (is_quoted || (check[at] != ',' && check[at] != ']')) continue;
    list.values.push_back(trim(check.substr(value, at - value)));
    value = at + 1;
    if (check[at] == ',') continue;
    list.end = check.substr(at + 1);
    return list;
  }
  return std::nullopt;
}

bool is_longer_list(std::string_view from, std::string_view to) {
  const auto old_list = find_list(from);
  const auto new_list = find_list(to);
  if (!old_list || !new_list || old_list->beginning != new_list->beginning || old_list->end != new_list->end)
    return false;
  constexpr std::string_view kCast = ")::text[]";
  constexpr std::array<std::string_view, 2> kAny = {" = ANY (", " = ANY (("};
  std::string_view end = old_list->end;
  if (end.starts_with(kCast)) end.remove_prefix(kCast.size());
  if (end.find_first_not_of(')') != std::string_view::npos) return false;
  for (const std::string_view any : kAny) {
    if (!old_list->beginning.ends_with(any)) continue;
    std::string_view beginning = old_list->beginning;
    beginning.remove_suffix(any.size());
    return is_plain_beginning(beginning) &&
           std::ranges::all_of(old_list->values, [&](std::string_view value) {
             return std::ranges::find(new_list->values, value) != new_list->values.end();
           });
  }
  return false;
}

}  // namespace

bool is_same_or_wider_type(std::string_view from, std::string_view to) {
  if (from == to) return true;
  TypeWords before = split_type(from);
  TypeWords after = split_type(to);
  if (!before.is_understood || !after.is_understood) return false;
  strip_arrays(before, after);
  if (before.name == kText) before.name = kVarchar;
  if (after.name == kText) after.name = kVarchar;
  if (before.name != after.name) return false;
  if (before.name == kVarchar || before.name == kVarbit)
    return first_or(before, kUnlimited) <= first_or(after, kUnlimited);
  if (starts_with_time(before.name)) return first_or(before, kFinestTime) <= first_or(after, kFinestTime);
  constexpr std::size_t kPrecisionAndScale = 2;
  return before.name == "numeric" && before.modifiers.size() == kPrecisionAndScale &&
         after.modifiers.size() == kPrecisionAndScale && before.modifiers[1] == after.modifiers[1] &&
         before.modifiers[0] <= after.modifiers[0];
}

bool is_same_or_wider_check(std::string_view from, std::string_view to) {
  return from == to || is_further_out(from, to) || is_longer_list(from, to);
}

}  // namespace rowhouse::tenancy
