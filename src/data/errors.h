// PostgreSQL's refusals in the words of the data API: which field, and what is wrong with it.
//
// Only names of columns and constraints are passed on, never values and never PostgreSQL's own sentences.
// Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/query.h"
#include "tenancy/pack.h"

namespace rowhouse::data {

// Which row and column a parameter of a write belongs to.
struct ParameterOrigin {
  ParameterOrigin(std::size_t origin_row, const tenancy::Column* origin_column)
      : row(origin_row), column(origin_column) {}
  std::size_t row;
  const tenancy::Column* column;
};

// Whether the content of a row is to blame, so that other rows may still succeed.
bool is_row_fault(const Error& error);

// The parameter that PostgreSQL could not read, if that was the fault.
const ParameterOrigin* refused_parameter(const Error& error, const std::vector<ParameterOrigin>& origins);

// Whether PostgreSQL could not read the parameter behind all of `origins`: the id of the row.
bool is_refused_id(const Error& error, const std::vector<ParameterOrigin>& origins);

// `origin`: of the refused parameter, or null. `prefix`: path of the row in the body ("" or "/3").
Error explain_write(Error error, const tenancy::Resource& resource, const ParameterOrigin* origin,
                    const std::string& prefix);
// A row that others refer to cannot go: conflict.
Error explain_remove(Error error, const tenancy::Resource& resource);
// A filter that PostgreSQL could not read, or that its type does not offer: invalid_parameter.
Error explain_read(Error error, const Query& query);

}  // namespace rowhouse::data
