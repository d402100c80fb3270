#include "data/export.h"

#include <algorithm>
#include <optional>

#include "data/csv.h"
#include "data/row_json.h"
#include "data/sql_builder.h"

namespace rowhouse::data {
namespace {

using namespace std::chrono_literals;
using tenancy::Column;

// Rows are fetched in numbers that make pieces of about this size.
constexpr std::size_t kPieceBytes = 256U << 10;
constexpr std::size_t kFirstRows = 100;
// The client may be slow for hours; a single FETCH may not.
constexpr auto kFetchPatience = 10min;
const std::string kPrepare =
    "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '9min'; "
    "SET LOCAL idle_in_transaction_session_timeout = '10min'";

class RowWriter {
 public:
  RowWriter(const std::vector<const Column*>& columns, RowFormat format)
      : format_(format), renderer_(columns) {
    for (const Column* column : columns) formats_.push_back(cell_format(*column));
  }

  void append(std::string& out, const pg::Rows& rows, std::size_t row) {
    if (format_ == RowFormat::ndjson) {
      renderer_.append_row(out, rows, row);
      out.push_back('\n');
      return;
    }
    for (std::size_t i = 0; i < formats_.size(); ++i) {
      if (i > 0) out.push_back(',');
      if (!rows.is_null(row, i)) append_cell_text(out, formats_[i], rows.text(row, i));
    }
    out += "\r\n";
  }

 private:
  // The cell's JSON, without the quotes where it is a string.
  void append_cell_text(std::string& out, CellFormat format, std::string_view text) {
    if (format.form == CellForm::text || format.form == CellForm::number || format.form == CellForm::json) {
      append_csv_cell(out, text);
      return;
    }
    cell_.clear();
    append_cell(cell_, format, text);
    std::string_view shown = cell_;
    if (format.form == CellForm::timestamp) shown = shown.substr(1, shown.size() - 2);
    append_csv_cell(out, shown);
  }

  RowFormat format_;
  RowRenderer renderer_;
  std::vector<CellFormat> formats_;
  std::string cell_;
};

class ExportSource final : public net::BodySource {
 public:
  // The context keeps the catalog alive that the columns point into.
  ExportSource(identity::TenantContext context, session::TenantTransaction transaction, Query query,
               RowFormat format, std::size_t max_rows, CancelSource* cancel)
      : context_(std::move(context)),
        transaction_(std::move(transaction)),
        query_(std::move(query)),
        writer_(query_.select, format),
        max_rows_(std::max<std::size_t>(1, max_rows)),
        rows_to_fetch_(std::min(kFirstRows, max_rows_)),
        cancel_(cancel) {
    if (format == RowFormat::csv) write_header();
  }

  Task<Result<void>> open(const pg::Statement& declare, CallOptions options) {
    CO_TRY_DO(co_await transaction_->script(kPrepare, options));
    CO_TRY_DO(co_await transaction_->query(declare, options));
    co_return co_await fetch(options);
  }

  const Query& query() const { return query_; }

  Task<Result<std::optional<std::string>>> next() override {
    if (piece_.empty() && !ended_) {
      CallOptions options;
      options.deadline = deadline_in(kFetchPatience);
      options.cancel = cancel_;
      CO_TRY_DO(co_await fetch(options));
    }
    std::optional<std::string> piece;
    if (!piece_.empty()) piece = std::exchange(piece_, {});
    co_return piece;
  }

 private:
  void write_header() {
    for (std::size_t i = 0; i < query_.select.size(); ++i) {
      if (i > 0) piece_.push_back(',');
      append_csv_cell(piece_, query_.select[i]->name);
    }
    piece_ += "\r\n";
  }

  Task<Result<void>> fetch(CallOptions options) {
    pg::Statement statement("FETCH " + std::to_string(rows_to_fetch_) + " FROM exported", pg::Params(),
                            pg::Access::read, pg::Reuse::once);
    CO_TRY(const pg::Rows rows, co_await transaction_->query(statement, options));
    const std::size_t before = piece_.size();
    for (std::size_t row = 0; row < rows.size(); ++row) writer_.append(piece_, rows, row);
    if (rows.size() < rows_to_fetch_) {
      ended_ = true;
      CO_TRY_DO(co_await transaction_->commit(options));
      transaction_.reset();  // others may have the connection while the client reads on
    } else {
      const std::size_t row_bytes = std::max<std::size_t>(1, (piece_.size() - before) / rows.size());
      rows_to_fetch_ = std::clamp<std::size_t>(kPieceBytes / row_bytes, 1, max_rows_);
    }
    co_return Result<void>();
  }

  identity::TenantContext context_;
  std::optional<session::TenantTransaction> transaction_;
  Query query_;
  RowWriter writer_;
  std::size_t max_rows_;
  std::size_t rows_to_fetch_;
  CancelSource* cancel_;
  std::string piece_;
  bool ended_ = false;
};

}  // namespace

Task<Result<std::unique_ptr<net::BodySource>>> open_export(session::TenantDatabase& database,
                                                           identity::TenantContext context, Target target,
                                                           Query query, RowFormat format,
                                                           std::size_t batch_rows, CallOptions options) {
  const pg::Statement declare = build_export(target.resource, target.schema, query);
  CO_TRY(session::TenantTransaction transaction, co_await database.begin(context, options));
  auto source = std::make_unique<ExportSource>(context, std::move(transaction), std::move(query), format,
                                               batch_rows, options.cancel);
  auto opened = co_await source->open(declare, options);
  if (!opened.ok()) co_return explain_read(std::move(opened).error(), source->query());
  co_return std::unique_ptr<net::BodySource>(std::move(source));
}

}  // namespace rowhouse::data
