#include "tenancy/context_keys.h"

#include <utility>

#include "base/text.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kSigningSql =
    "SELECT generation FROM platform.context_keys WHERE activated_at IS NOT NULL AND retired_at IS NULL "
    "ORDER BY generation DESC LIMIT 1";

}  // namespace

pg::ContextKey derive_context_key(const Credentials& credentials, std::int32_t generation,
                                  const std::string& database) {
  pg::ContextKey key;
  key.id = generation;
  key.bytes = credentials.derive("context key " + std::to_string(generation) + " of database " + database,
                                 pg::kContextKeyBytes);
  return key;
}

Task<Result<std::int32_t>> signing_generation(pg::Pool& platform, CallOptions options) {
  const pg::Statement statement{std::string(kSigningSql)};
  CO_TRY(const auto rows, co_await platform.run(nullptr, statement, options));
  if (rows.size() == 0) {
    co_return Error(ErrorCode::internal, "the platform database holds no key for tenant contexts");
  }
  co_return static_cast<std::int32_t>(parse_int64(rows.text(0, 0)).value_or(0));
}

Task<Result<void>> ContextKeys::refresh(CallOptions options) {
  CO_TRY(const std::int32_t signing, co_await signing_generation(platform_, options));
  // Of two answers that cross, the younger generation is right: there is no way back.
  if (signing > generation_) {
    generation_ = signing;
    keys_.clear();
  }
  co_return Result<void>();
}

std::shared_ptr<const pg::ContextKey> ContextKeys::current(const std::string& database) {
  if (const auto* known = keys_.find(database)) return *known;
  auto key = std::make_shared<const pg::ContextKey>(derive_context_key(credentials_, generation_, database));
  keys_.put(database, key);
  return key;
}

}  // namespace rowhouse::tenancy
