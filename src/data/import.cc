#include "data/import.h"

#include <algorithm>

namespace rowhouse::data {
namespace {

using namespace std::chrono_literals;

// A batch ends early when its rows are long, to keep memory constant.
constexpr std::size_t kMaxBatchBytes = 4U << 20;
// An import may run for hours; what must not is a single statement of it.
constexpr auto kStatementPatience = 60s;
const std::string kPrepare =
    "SET LOCAL statement_timeout = '50s'; SET LOCAL idle_in_transaction_session_timeout = '10min'";

CallOptions for_one_statement(CallOptions options) {
  options.deadline = std::max(options.deadline, deadline_in(kStatementPatience));
  return options;
}

Error bad_word(std::string_view parameter, std::string_view words) {
  const std::string message = "must be one of " + std::string(words);
  return Error(ErrorCode::invalid_parameter, "\"" + std::string(parameter) + "\": " + message)
      .with_field(std::string(parameter), message);
}

}  // namespace

Result<ImportOptions> parse_import_options(const Parameters& parameters, const tenancy::Resource& resource,
                                           const DataOptions& data_options) {
  ImportOptions options;
  options.batch_rows = data_options.import_batch_rows;
  options.max_row_bytes = data_options.max_import_row_bytes;
  options.on_conflict = resource.natural_key.empty() ? OnConflict::error : OnConflict::ignore;
  for (const auto& [name, value] : parameters) {
    if (name == "on_conflict") {
      if (value != "error" && value != "update" && value != "ignore") {
        return bad_word(name, "error, update, ignore");
      }
      options.on_conflict = value == "update"   ? OnConflict::update
                            : value == "ignore" ? OnConflict::ignore
                                                : OnConflict::error;
    } else if (name == "on_error") {
      if (value != "skip" && value != "abort") return bad_word(name, "skip, abort");
      options.on_error = value == "abort" ? OnError::abort : OnError::skip;
    } else if (name != "format") {
      return Error(ErrorCode::invalid_parameter, "an import offers only on_conflict and on_error")
          .with_field(name, "this route does not offer this parameter");
    }
  }
  return options;
}

Task<Result<void>> Import::start(CallOptions options) { return transaction_.script(kPrepare, options); }

Task<Result<void>> Import::feed(std::string_view piece, CallOptions options) {
  CO_TRY_DO(decoder_->feed(piece));
  co_return co_await take_rows(options);
}

Task<Result<void>> Import::finish(CallOptions options) {
  CO_TRY_DO(decoder_->finish());
  CO_TRY_DO(co_await take_rows(options));
  co_return co_await write_batch(options);
}

Task<Result<void>> Import::take_rows(CallOptions options) {
  while (true) {
    auto row = decoder_->next();
    if (!row) co_return Result<void>();
    batch_bytes_ += row->bytes;
    batch_.push_back(std::move(*row));
    if (batch_.size() >= options_.batch_rows || batch_bytes_ >= kMaxBatchBytes) {
      CO_TRY_DO(co_await write_batch(options));
    }
  }
}

Task<Result<void>> Import::write_batch(CallOptions options) {
  std::vector<RowInput> inputs;
  for (DecodedRow& row : batch_) {
    if (row.errors.empty()) inputs.push_back(std::move(row.input));
  }
  const CallOptions statement_options = for_one_statement(options);
  CO_TRY(std::vector<RowOutcome> outcomes,
         co_await insert_each(transaction_, target_, inputs, options_.on_conflict, statement_options));
  auto outcome = outcomes.begin();
  for (DecodedRow& row : batch_) {
    if (row.errors.empty()) {
      CO_TRY_DO(record(row, *outcome++));
      continue;
    }
    RowOutcome rejected;
    rejected.fate = RowFate::rejected;
    rejected.errors = std::move(row.errors);
    CO_TRY_DO(record(row, rejected));
  }
  batch_.clear();
  batch_bytes_ = 0;
  co_return Result<void>();
}

Result<void> Import::record(const DecodedRow& row, const RowOutcome& outcome) {
  if (options_.on_error == OnError::abort && outcome.fate == RowFate::rejected) {
    const std::string number = std::to_string(row.row);
    Error error(ErrorCode::validation_failed,
                "row " + number + " of the file is not valid; nothing was imported");
    for (const FieldError& field : outcome.errors) {
      error.fields.emplace_back("/" + number + field.path, field.message);
    }
    return error;
  }
  return report_.add(row.row, row.line, outcome);
}

}  // namespace rowhouse::data
