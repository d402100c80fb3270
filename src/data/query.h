// The grammar of a query: "status=eq.NEW&order=-created_at&limit=20" → Query.
//
//   COLUMN=[not.]OPERATOR.OPERAND   eq neq lt lte gt gte like ilike in is contains contained
//   select=COLUMN,…   order=[-]COLUMN[.asc|.desc][.nullsfirst|.nullslast],…   limit=N   cursor=TEXT
//   count=exact
//
// like and ilike: '*' stands for any characters, everything else for itself. in: (a,"b,c"). is: null,
// not_null, true, false. contains and contained: JSON, or a JSON array for array columns. Comparisons never
// match NULL. Pointers in a Query point into the Resource it was parsed for. Pure functions, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/data_service.h"
#include "tenancy/pack.h"

namespace rowhouse::data {

enum class Operator {
  equal,
  not_equal,
  less,
  less_or_equal,
  greater,
  greater_or_equal,
  like,
  ilike,
  in,
  is_null,
  is_not_null,
  is_true,
  is_false,
  contains,
  contained,
};
enum class Polarity { plain, negated };

struct Filter {
  Filter(const tenancy::Column* filter_column, Operator filter_operation, Polarity filter_polarity,
         std::string filter_operand)
      : column(filter_column),
        operation(filter_operation),
        polarity(filter_polarity),
        operand(std::move(filter_operand)) {}
  const tenancy::Column* column;
  Operator operation;
  Polarity polarity;
  std::string operand;  // text of the parameter, ready for PostgreSQL; "" for the is… operators
};

enum class NullPlace { first, last };

struct SortTerm {
  SortTerm(const tenancy::Column* term_column, bool is_descending, NullPlace null_place)
      : column(term_column), descending(is_descending), nulls(null_place) {}
  const tenancy::Column* column;
  bool descending;
  NullPlace nulls;
};

enum class Count { none, exact };

struct Query {
  std::vector<Filter> filters;
  std::vector<const tenancy::Column*> select;  // in the order asked for; all columns by default
  std::vector<SortTerm> order;                 // ends with id, so that it is total
  std::size_t limit = 0;
  std::string cursor;  // "" = from the start
  Count count = Count::none;
};

// Which parameters a route offers.
enum class QueryUse {
  list,
  one_row,      // select alone
  export_rows,  // filters, select, order; `format` is the route's own and is passed over
};

// Errors: unknown_column, unknown_operator, invalid_parameter; each names the parameter, also as a field.
Result<Query> parse_query(const Parameters& parameters, const tenancy::Resource& resource,
                          const DataOptions& options, QueryUse use);

// Everything a cursor is bound to besides the tenant: filters (in any order) and order. Equal for equal
// meaning.
std::string fingerprint(const tenancy::Resource& resource, const Query& query);

}  // namespace rowhouse::data
