// POST /v1/rpc/NAME: a pack's SQL function, called with named arguments.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "data/data_service.h"
#include "data/errors.h"
#include "pg/types.h"
#include "tenancy/pack.h"

namespace rowhouse::data {

// A set with more rows is refused rather than cut.
inline constexpr std::size_t kMaxFunctionRows = 10'000;

struct CallStatement {
  pg::Statement statement;
  std::vector<ParameterOrigin> origins;
  std::vector<tenancy::Column> columns;  // what `origins` points to
};

// `arguments` in declaration order; nullopt = the function's own default.
CallStatement build_call(const tenancy::Function& function, std::string_view schema,
                         const std::vector<std::optional<pg::Param>>& arguments);

// The scalar, the row (null if there is none), or {"data": […]} of a set. Error: validation_failed for too
// many rows.
Result<Reply> render_call(const tenancy::Function& function, const pg::Rows& rows);

// validation_failed with the argument's path where it is known.
Error explain_call(Error error, const CallStatement& call);

}  // namespace rowhouse::data
