// Import of a file of rows: one transaction for the whole file, in constant memory.
//
// Rows are collected in batches and written with insert_each(). Whatever ends the import early (a broken
// upload, a database error, on_error=abort) leaves nothing behind, because the transaction is dropped.
#pragma once

#include <memory>
#include <string_view>

#include "data/import_report.h"
#include "data/row_decoder.h"

namespace rowhouse::data {

enum class OnError { skip, abort };

struct ImportOptions {
  OnConflict on_conflict = OnConflict::error;
  OnError on_error = OnError::skip;
  std::size_t batch_rows = 500;
  std::size_t max_row_bytes = 1U << 20;
};

// on_conflict=error|update|ignore (ignore where the resource has a natural key, otherwise error) and
// on_error=skip|abort.
Result<ImportOptions> parse_import_options(const Parameters& parameters, const tenancy::Resource& resource,
                                           const DataOptions& data_options);

class Import {
 public:
  Import(session::TenantTransaction& transaction, Target target, RowFormat format, ImportOptions options)
      : transaction_(transaction),
        target_(target),
        options_(options),
        decoder_(make_row_decoder(target.resource, format, options.max_row_bytes)) {}

  // First of all: lets the transaction wait for slow uploads.
  Task<Result<void>> start(CallOptions options);
  // Errors end the import: validation_failed (header, or a row with on_error=abort), disk_full, the
  // database's own.
  Task<Result<void>> feed(std::string_view piece, CallOptions options);
  Task<Result<void>> finish(CallOptions options);
  ImportReport take_report() { return std::move(report_); }

 private:
  Task<Result<void>> take_rows(CallOptions options);
  Task<Result<void>> write_batch(CallOptions options);
  Result<void> record(const DecodedRow& row, const RowOutcome& outcome);

  session::TenantTransaction& transaction_;
  Target target_;
  ImportOptions options_;
  std::unique_ptr<RowDecoder> decoder_;
  std::vector<DecodedRow> batch_;
  std::size_t batch_bytes_ = 0;
  ImportReport report_;
};

}  // namespace rowhouse::data
