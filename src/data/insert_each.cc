#include "data/insert_each.h"

namespace rowhouse::data {
namespace {

const std::string kSavepoint = "SAVEPOINT part";
const std::string kKeep = "RELEASE SAVEPOINT part";
const std::string kUndo = "ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part";

struct Range {
  Range(std::size_t range_start, std::size_t range_count) : start(range_start), count(range_count) {}
  std::size_t start;
  std::size_t count;
};

// Ranges still to do; the last one is next, so that rows are written in order.
class Work {
 public:
  explicit Work(std::vector<std::pair<std::size_t, std::size_t>> runs) {
    for (auto run = runs.rbegin(); run != runs.rend(); ++run) ranges_.emplace_back(run->first, run->second);
  }
  bool done() const { return ranges_.empty(); }
  Range take() {
    const Range range = ranges_.back();
    ranges_.pop_back();
    return range;
  }
  void halve(Range range) {
    const std::size_t half = range.count / 2;
    ranges_.emplace_back(range.start + half, range.count - half);
    ranges_.emplace_back(range.start, half);
  }
  // Everything of `range` but one row.
  void leave_out(Range range, std::size_t row) {
    const std::size_t end = range.start + range.count;
    if (row + 1 < end) ranges_.emplace_back(row + 1, end - row - 1);
    if (row > range.start) ranges_.emplace_back(range.start, row - range.start);
  }

 private:
  std::vector<Range> ranges_;
};

enum class Verdict { settled, split };

// What an INSERT that succeeded says of its rows. DO NOTHING returns the new rows without saying which they
// are: unless it was all or none, the rows must be tried in smaller groups.
Verdict record_success(const pg::Rows& rows, Range range, OnConflict on_conflict,
                       std::vector<RowOutcome>& outcomes) {
  if (on_conflict == OnConflict::ignore && rows.size() != range.count) {
    if (rows.size() != 0) return Verdict::split;
    for (std::size_t i = 0; i < range.count; ++i) outcomes[range.start + i].fate = RowFate::duplicate;
    return Verdict::settled;
  }
  for (std::size_t i = 0; i < range.count; ++i) {
    const bool is_new = rows.text(i, 0) == "t";
    outcomes[range.start + i].fate = is_new ? RowFate::inserted : RowFate::updated;
  }
  return Verdict::settled;
}

void record_refusal(Error error, const tenancy::Resource& resource, const ParameterOrigin* origin,
                    RowOutcome& outcome) {
  Error explained = explain_write(std::move(error), resource, origin, "");
  outcome.fate = RowFate::rejected;
  outcome.errors = std::move(explained.fields);
  if (outcome.errors.empty()) outcome.errors.emplace_back("", explained.message);
}

}  // namespace

Task<Result<std::vector<RowOutcome>>> insert_each(session::TenantTransaction& transaction, Target target,
                                                  std::span<const RowInput> rows, OnConflict on_conflict,
                                                  CallOptions options) {
  std::vector<RowOutcome> outcomes(rows.size());
  Work work(split_rows(rows, on_conflict));
  while (!work.done()) {
    const Range range = work.take();
    const auto part = rows.subspan(range.start, range.count);
    const InsertStatement insert =
        build_insert(target.resource, target.schema, part, on_conflict, Returning::outcome);
    CO_TRY_DO(co_await transaction.script(kSavepoint, options));
    auto result = co_await transaction.query(insert.statement, options);
    if (result.ok()) {
      const Verdict verdict = record_success(*result, range, on_conflict, outcomes);
      if (verdict == Verdict::split) work.halve(range);
      const std::string& next = verdict == Verdict::split ? kUndo : kKeep;
      CO_TRY_DO(co_await transaction.script(next, options));
      continue;
    }
    if (!is_row_fault(result.error())) co_return std::move(result).error();
    CO_TRY_DO(co_await transaction.script(kUndo, options));
    const ParameterOrigin* origin = refused_parameter(result.error(), insert.origins);
    if (origin == nullptr && range.count > 1) {
      work.halve(range);
      continue;
    }
    const std::size_t guilty = range.start + (origin != nullptr ? origin->row : 0);
    record_refusal(std::move(result).error(), target.resource, origin, outcomes[guilty]);
    work.leave_out(range, guilty);
  }
  co_return outcomes;
}

Task<Error> locate_faults(session::TenantDatabase& database, const identity::TenantContext& context,
                          Target target, const Body& body, OnConflict on_conflict, Error refusal,
                          CallOptions options) {
  auto transaction = co_await database.begin(context, options);
  if (!transaction.ok()) co_return refusal;
  auto outcomes = co_await insert_each(*transaction, target, body.rows, on_conflict, options);
  co_await roll_back(*transaction, options);
  if (!outcomes.ok()) co_return refusal;
  Faults faults;
  for (std::size_t i = 0; i < outcomes->size(); ++i) {
    for (FieldError& field : (*outcomes)[i].errors) {
      faults.add("/" + std::to_string(i) + field.path, std::move(field.message));
    }
  }
  // Alone, every row was fine: somebody else's row was in the way and has gone, or two rows of the body
  // clash.
  if (!faults.empty()) refusal.fields = faults.take();
  co_return refusal;
}

}  // namespace rowhouse::data
