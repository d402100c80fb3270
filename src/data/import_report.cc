#include "data/import_report.h"

#include <optional>

#include "base/json.h"

namespace rowhouse::data {
namespace {

constexpr std::size_t kPieceBytes = 64U << 10;

std::string row_json(std::uint64_t row, std::uint64_t line, const RowOutcome& outcome) {
  std::string text = "{\"row\":" + std::to_string(row) + ",\"line\":" + std::to_string(line);
  if (outcome.fate == RowFate::duplicate) return text + ",\"status\":\"duplicate\"}";
  text += ",\"status\":\"rejected\",\"errors\":[";
  for (std::size_t i = 0; i < outcome.errors.size(); ++i) {
    if (i > 0) text.push_back(',');
    text += "{\"path\":";
    json::append_string(text, outcome.errors[i].path);
    text += ",\"message\":";
    json::append_string(text, outcome.errors[i].message);
    text += "}";
  }
  return text + "]}";
}

}  // namespace

Result<void> ImportReport::add(std::uint64_t row, std::uint64_t line, const RowOutcome& outcome) {
  switch (outcome.fate) {
    case RowFate::inserted:
      ++inserted_;
      return {};
    case RowFate::updated:
      ++updated_;
      return {};
    case RowFate::duplicate:
      ++duplicates_;
      break;
    case RowFate::rejected:
      ++rejected_;
      break;
  }
  const bool is_first = file_ == nullptr;
  if (is_first) file_.reset(std::tmpfile());
  const std::string text = (is_first ? "" : ",") + row_json(row, line, outcome);
  if (file_ == nullptr || std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size()) {
    return Error(ErrorCode::disk_full, "there is no space for the report of the import");
  }
  return {};
}

class ReportSource final : public net::BodySource {
 public:
  explicit ReportSource(ImportReport report) : report_(std::move(report)) {}

  Task<Result<std::optional<std::string>>> next() override {
    std::optional<std::string> piece;
    switch (step_) {
      case Step::head:
        piece = head();
        step_ = report_.file_ ? Step::rows : Step::tail;
        if (report_.file_) std::rewind(report_.file_.get());
        break;
      case Step::rows:
        piece.emplace(kPieceBytes, '\0');
        piece->resize(std::fread(piece->data(), 1, piece->size(), report_.file_.get()));
        if (std::ferror(report_.file_.get()) != 0) {
          co_return Error(ErrorCode::internal, "the report of the import cannot be read");
        }
        if (!piece->empty()) break;
        [[fallthrough]];
      case Step::tail:
        piece = "]}";
        step_ = Step::end;
        break;
      case Step::end:
        break;
    }
    co_return piece;
  }

 private:
  enum class Step { head, rows, tail, end };

  std::string head() const {
    return "{\"inserted\":" + std::to_string(report_.inserted_) +
           ",\"updated\":" + std::to_string(report_.updated_) +
           ",\"duplicates\":" + std::to_string(report_.duplicates_) +
           ",\"rejected\":" + std::to_string(report_.rejected_) + ",\"rows\":[";
  }

  ImportReport report_;
  Step step_ = Step::head;
};

std::unique_ptr<net::BodySource> ImportReport::stream(ImportReport report) {
  return std::make_unique<ReportSource>(std::move(report));
}

}  // namespace rowhouse::data
