#include "tenancy/isolation_sql.h"

#include <utility>

namespace rowhouse::tenancy {

Task<Result<void>> use_catalog_search_path(pg::Session& session, CallOptions options) {
  static const std::string kSql = "SET LOCAL search_path = pg_catalog, pg_temp";
  return session.script(kSql, options);
}

pg::Params three_params(std::string first, std::string second, std::string third) {
  pg::Params params;
  params.emplace_back(std::move(first));
  params.emplace_back(std::move(second));
  params.emplace_back(std::move(third));
  return params;
}

}  // namespace rowhouse::tenancy
