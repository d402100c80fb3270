// The data API: tenant rows as REST, from nothing but the pack's catalog and manifest.
//
// Every call takes the TenantContext first. In order: does the resource exist (unknown_resource), is the verb
// offered (method_not_allowed), does the plan include its operation (feature_missing, naming it), is the
// input valid, then the work. Another tenant's id behaves as one that does not exist. JSON is built here,
// from text results.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/call.h"
#include "base/json.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/tenant_context.h"
#include "net/http_message.h"
#include "session/tenant_database.h"

namespace rowhouse::data {

// Decoded query parameters in order; one name may come twice (two filters on one column).
using Parameters = std::vector<std::pair<std::string, std::string>>;
// Errors: invalid_parameter (bad escape, invalid UTF-8, NUL, more than 100 parameters).
Result<Parameters> parse_parameters(std::string_view query);

struct Reply {
  int status = 200;
  std::string body;       // JSON; "" with 204 and 304
  std::string etag;       // quoted, "" if none
  std::string location;   // of a created row
  bool replayed = false;  // answered from a stored Idempotency-Key
};

// What a write may carry beside its body.
struct WriteOptions {
  std::string idempotency_key;  // "" = none; at most 255 printable ASCII characters
  std::string if_match;         // "" = none
  enum class OnConflict { error, update, ignore } on_conflict = OnConflict::error;
};

enum class RowFormat { csv, ndjson };

struct DataOptions {
  std::size_t default_limit = 50;
  std::size_t max_limit = 1'000;
  std::size_t max_batch_rows = 1'000;  // of one POST
  std::size_t max_filters = 32;
  std::uint64_t max_import_bytes = std::uint64_t{16} << 30;
  std::size_t max_import_row_bytes = 1U << 20;
  std::size_t import_batch_rows = 500;
  std::size_t export_batch_rows = 1'000;
};

class DataService {
 public:
  // `cursor_key`: 32 bytes, the same on every node.
  DataService(session::TenantDatabase& database, std::string cursor_key, DataOptions options);
  ~DataService();

  // GET /v1/data/RESOURCE → {"data": […], "next_cursor": "…" | null, "count": n if count=exact}
  Task<Result<Reply>> list(const identity::TenantContext& context, std::string_view resource,
                           std::string_view query, CallOptions options);
  // GET /v1/data/RESOURCE/ID; 304 when `if_none_match` is the current ETag.
  Task<Result<Reply>> get(const identity::TenantContext& context, std::string_view resource,
                          std::string_view id, std::string_view query, std::string_view if_none_match,
                          CallOptions options);
  // POST: an object → 201 with the row; an array → 201 with {"data": […]}, all or nothing.
  Task<Result<Reply>> create(const identity::TenantContext& context, std::string_view resource,
                             std::string_view body, WriteOptions write, CallOptions options);
  Task<Result<Reply>> update(const identity::TenantContext& context, std::string_view resource,
                             std::string_view id, std::string_view body, WriteOptions write,
                             CallOptions options);
  Task<Result<Reply>> remove(const identity::TenantContext& context, std::string_view resource,
                             std::string_view id, WriteOptions write, CallOptions options);
  // POST /v1/rpc/NAME with {"argument": value} → the scalar, the row, or {"data": […]} of a set.
  Task<Result<Reply>> call(const identity::TenantContext& context, std::string_view function,
                           std::string_view body, CallOptions options);

  // POST /v1/import/RESOURCE. Reads the body in constant memory. Valid rows are written in batches of one
  // transaction (all or nothing for the whole file); invalid ones are reported and skipped unless
  // `on_error=abort`; duplicates of the natural key follow on_conflict (default ignore). The answer streams:
  // {"inserted", "updated", "duplicates", "rejected", "rows": [{"row": 3, "status": "rejected", "errors":
  // […]}]}
  struct ImportReply {
    int status = 200;
    std::unique_ptr<net::BodySource> body;  // application/json
  };
  Task<Result<ImportReply>> import_rows(const identity::TenantContext& context, std::string_view resource,
                                        RowFormat format, std::string_view query, net::BodyReader& body,
                                        CallOptions options);
  // The same without HTTP, for sample data: returns the number of rows written; any rejected row is an error.
  Task<Result<std::size_t>> import_text(const identity::TenantContext& context, std::string_view resource,
                                        std::string_view csv, CallOptions options);

  // GET /v1/export/RESOURCE?format=csv|ndjson + filters, select, order. Constant memory; one snapshot.
  Task<Result<std::unique_ptr<net::BodySource>>> export_rows(const identity::TenantContext& context,
                                                             std::string_view resource, RowFormat format,
                                                             std::string_view query, CallOptions options);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::data
