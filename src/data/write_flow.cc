#include "data/write_flow.h"

namespace rowhouse::data {
namespace {

// One kept answer in this many tidies up behind itself: often enough to keep the table small.
constexpr unsigned kTidyEvery = 16;

bool is_time_to_tidy(const std::string& fingerprint) {
  return static_cast<unsigned char>(fingerprint.front()) % kTidyEvery == 0;
}

// The part inside the transaction; the caller ends it.
Task<Result<Reply>> run_in(session::TenantTransaction& transaction, WriteWork& work, const std::string& key,
                           const std::string& fingerprint, CallOptions options) {
  if (!key.empty()) {
    CO_TRY(std::optional<Reply> kept, co_await claim_key(transaction, key, fingerprint, options));
    if (kept) co_return std::move(*kept);
  }
  TransactionRunner runner(transaction);
  CO_TRY(Reply reply, co_await work.run(runner, options));
  if (!key.empty()) {
    CO_TRY_DO(co_await store_reply(transaction, key, reply, options));
    if (is_time_to_tidy(fingerprint)) {
      CO_TRY_DO(co_await forget_expired_keys(transaction, options));
    }
  }
  co_return reply;
}

}  // namespace

Task<Result<Reply>> carry_out(session::TenantDatabase& database, const identity::TenantContext& context,
                              WriteWork& work, Lane lane, const std::string& key,
                              const std::string& fingerprint, CallOptions options) {
  if (key.empty() && lane == Lane::shared) {
    SharedRunner runner(database, context);
    co_return co_await work.run(runner, options);
  }
  CO_TRY(session::TenantTransaction transaction, co_await database.begin(context, options));
  auto reply = co_await run_in(transaction, work, key, fingerprint, options);
  if (!reply.ok()) {
    co_await roll_back(transaction, options);
    co_return reply;
  }
  CO_TRY_DO(co_await transaction.commit(options));
  co_return reply;
}

}  // namespace rowhouse::data
