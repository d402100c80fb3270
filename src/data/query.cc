#include "data/query.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "data/filter_operand.h"

namespace rowhouse::data {
namespace {

using tenancy::Column;
using tenancy::ColumnKind;
using tenancy::Resource;

constexpr std::size_t kMaxOrderTerms = 8;
constexpr std::size_t kMaxNameShown = 80;

Error fault(ErrorCode code, std::string_view parameter, std::string message) {
  Error error(code, "\"" + std::string(parameter) + "\": " + message);
  error.fields.emplace_back(std::string(parameter), std::move(message));
  return error;
}

// A name from the query in a message: cut, since the client may send anything.
std::string shown(std::string_view name) {
  if (name.size() <= kMaxNameShown) return std::string(name);
  std::size_t end = kMaxNameShown;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80) --end;
  return std::string(name.substr(0, end)) + "…";
}

Error unknown_column(const Resource& resource, std::string_view parameter, std::string_view name) {
  return Error(ErrorCode::unknown_column, resource.name + " has no column \"" + shown(name) + "\"")
      .with_field(shown(parameter), "there is no column \"" + shown(name) + "\"");
}

Result<Filter> parse_filter(const Resource& resource, std::string_view name, std::string_view text) {
  const Column* column = resource.find_column(name);
  if (column == nullptr) return unknown_column(resource, name, name);
  Polarity polarity = Polarity::plain;
  std::string_view rest = text;
  if (rest.starts_with("not.")) {
    polarity = Polarity::negated;
    rest.remove_prefix(4);
  }
  const auto dot = rest.find('.');
  const auto operation = parse_operator(rest.substr(0, dot));
  if (dot == std::string_view::npos || !operation) {
    const std::string word = dot == std::string_view::npos ? shown(text) : shown(rest.substr(0, dot));
    return fault(ErrorCode::unknown_operator, name,
                 "\"" + word + "\" is not OPERATOR.VALUE with one of the operators " + operator_list());
  }
  auto operand = parse_operand(*column, *operation, rest.substr(dot + 1));
  if (!operand.ok()) return fault(ErrorCode::invalid_parameter, name, operand.fault);
  return Filter(column, operand.operation, polarity, std::move(operand.text));
}

Result<std::vector<const Column*>> parse_select(const Resource& resource, std::string_view text) {
  std::vector<const Column*> columns;
  for (const std::string_view part : split(text, ',')) {
    const std::string_view name = trim(part);
    const Column* column = resource.find_column(name);
    if (column == nullptr) return unknown_column(resource, "select", name);
    if (std::find(columns.begin(), columns.end(), column) != columns.end()) {
      return fault(ErrorCode::invalid_parameter, "select",
                   "the column \"" + shown(name) + "\" is named twice");
    }
    columns.push_back(column);
  }
  return columns;
}

Result<SortTerm> parse_sort_term(const Resource& resource, std::string_view text) {
  bool descending = false;
  std::optional<NullPlace> nulls;
  std::string_view name = text;
  if (name.starts_with('-')) {
    descending = true;
    name.remove_prefix(1);
  }
  const auto parts = split(name, '.');
  for (std::size_t i = 1; i < parts.size(); ++i) {
    if (parts[i] == "asc" || parts[i] == "desc") {
      if (i != 1 || text.starts_with('-')) {
        return fault(ErrorCode::invalid_parameter, "order", "the direction is given twice");
      }
      descending = parts[i] == "desc";
    } else if (parts[i] == "nullsfirst" || parts[i] == "nullslast") {
      if (nulls) return fault(ErrorCode::invalid_parameter, "order", "the place of NULL is given twice");
      nulls = parts[i] == "nullsfirst" ? NullPlace::first : NullPlace::last;
    } else {
      return fault(ErrorCode::invalid_parameter, "order",
                   "\"" + shown(parts[i]) + "\" is none of asc, desc, nullsfirst, nullslast");
    }
  }
  const Column* column = resource.find_column(parts[0]);
  if (column == nullptr) return unknown_column(resource, "order", parts[0]);
  if (column->kind == ColumnKind::json) {
    return fault(ErrorCode::invalid_parameter, "order", "JSON has no order: \"" + column->name + "\"");
  }
  // PostgreSQL's own default: NULL counts as larger than everything.
  return SortTerm(column, descending, nulls.value_or(descending ? NullPlace::first : NullPlace::last));
}

Result<std::vector<SortTerm>> parse_order(const Resource& resource, std::string_view text) {
  std::vector<SortTerm> order;
  for (const std::string_view part : split(text, ',')) {
    TRY(SortTerm term, parse_sort_term(resource, trim(part)));
    const auto same = [&](const SortTerm& other) { return other.column == term.column; };
    if (std::any_of(order.begin(), order.end(), same)) {
      return fault(ErrorCode::invalid_parameter, "order", "\"" + term.column->name + "\" is named twice");
    }
    if (order.size() == kMaxOrderTerms) {
      return fault(ErrorCode::invalid_parameter, "order",
                   "there are more than " + std::to_string(kMaxOrderTerms) + " terms");
    }
    order.push_back(term);
  }
  return order;
}

std::vector<SortTerm> default_order(const Resource& resource) {
  std::vector<SortTerm> order;
  for (const auto& term : resource.default_order) {
    if (const Column* column = resource.find_column(term.column)) {
      order.emplace_back(column, term.descending, term.descending ? NullPlace::first : NullPlace::last);
    }
  }
  return order;
}

// Ends the order with id, in the direction of the last term: rows that are equal otherwise have a fixed
// order, and an index on (column, id) serves it in both directions. What follows id can never matter.
void complete_order(const Resource& resource, std::vector<SortTerm>& order) {
  const Column* id = resource.find_column("id");
  const auto found =
      std::find_if(order.begin(), order.end(), [&](const auto& term) { return term.column == id; });
  if (found != order.end()) {
    order.erase(found + 1, order.end());
  } else if (id != nullptr) {
    const bool descending = !order.empty() && order.back().descending;
    order.emplace_back(id, descending, descending ? NullPlace::first : NullPlace::last);
  }
}

Result<std::size_t> parse_limit(std::string_view text, const DataOptions& options) {
  const auto number = parse_int64(text);
  if (!number || *number < 1 || static_cast<std::uint64_t>(*number) > options.max_limit) {
    return fault(ErrorCode::invalid_parameter, "limit",
                 "must be a number from 1 to " + std::to_string(options.max_limit));
  }
  return static_cast<std::size_t>(*number);
}

// The words that are no columns. They are reserved: no pack has columns of these names.
enum class Word { select, order, limit, cursor, count, format };

std::optional<Word> parse_word(std::string_view name) {
  if (name == "select") return Word::select;
  if (name == "order") return Word::order;
  if (name == "limit") return Word::limit;
  if (name == "cursor") return Word::cursor;
  if (name == "count") return Word::count;
  if (name == "format") return Word::format;
  return std::nullopt;
}

bool is_offered(Word word, QueryUse use) {
  switch (use) {
    case QueryUse::list:
      return word != Word::format;
    case QueryUse::one_row:
      return word == Word::select;
    case QueryUse::export_rows:
      return word == Word::select || word == Word::order || word == Word::format;
  }
  return false;
}

Result<void> apply_word(Word word, const std::string& value, const Resource& resource,
                        const DataOptions& options, Query& query) {
  switch (word) {
    case Word::select: {
      TRY(query.select, parse_select(resource, value));
      break;
    }
    case Word::order: {
      TRY(query.order, parse_order(resource, value));
      break;
    }
    case Word::limit: {
      TRY(query.limit, parse_limit(value, options));
      break;
    }
    case Word::cursor:
      if (value.empty()) return fault(ErrorCode::invalid_parameter, "cursor", "must not be empty");
      query.cursor = value;
      break;
    case Word::count:
      if (value != "exact") return fault(ErrorCode::invalid_parameter, "count", "must be \"exact\"");
      query.count = Count::exact;
      break;
    case Word::format:
      break;
  }
  return {};
}

void append_part(std::string& out, std::string_view part) {
  out += std::to_string(part.size());
  out.push_back(':');
  out += part;
}

}  // namespace

Result<Query> parse_query(const Parameters& parameters, const Resource& resource, const DataOptions& options,
                          QueryUse use) {
  Query query;
  query.limit = options.default_limit;
  std::array<bool, 6> seen{};
  for (const auto& [name, value] : parameters) {
    const auto word = parse_word(name);
    if (word ? !is_offered(*word, use) : use == QueryUse::one_row) {
      return fault(ErrorCode::invalid_parameter, shown(name), "this route does not offer this parameter");
    }
    if (!word) {
      if (query.filters.size() == options.max_filters) {
        return fault(ErrorCode::invalid_parameter, shown(name),
                     "there are more than " + std::to_string(options.max_filters) + " filters");
      }
      TRY(Filter filter, parse_filter(resource, name, value));
      query.filters.push_back(std::move(filter));
      continue;
    }
    if (std::exchange(seen.at(static_cast<std::size_t>(*word)), true)) {
      return fault(ErrorCode::invalid_parameter, name, "is given twice");
    }
    TRY_DO(apply_word(*word, value, resource, options, query));
  }
  if (query.select.empty()) {
    query.select.reserve(resource.columns.size());
    for (const Column& column : resource.columns) query.select.push_back(&column);
  }
  if (query.order.empty()) query.order = default_order(resource);
  complete_order(resource, query.order);
  return query;
}

std::string fingerprint(const Resource& resource, const Query& query) {
  std::vector<std::string> filters;
  for (const Filter& filter : query.filters) {
    std::string text;
    append_part(text, filter.column->name);
    text += std::to_string(static_cast<int>(filter.operation));
    text.push_back(filter.polarity == Polarity::negated ? '!' : '=');
    append_part(text, filter.operand);
    filters.push_back(std::move(text));
  }
  std::sort(filters.begin(), filters.end());
  std::string out;
  append_part(out, resource.name);
  for (const std::string& filter : filters) append_part(out, filter);
  out.push_back(';');
  for (const SortTerm& term : query.order) {
    append_part(out, term.column->name);
    out.push_back(term.descending ? '-' : '+');
    out.push_back(term.nulls == NullPlace::first ? '<' : '>');
  }
  return out;
}

}  // namespace rowhouse::data
