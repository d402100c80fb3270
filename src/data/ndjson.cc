#include "data/ndjson.h"

#include <utility>

#include "base/text.h"

namespace rowhouse::data {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

void NdjsonReader::feed(std::string_view piece) {
  while (!piece.empty()) {
    const auto end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    if (!too_long_) {
      too_long_ = text_.size() + part.size() > max_line_bytes_;
      if (too_long_) {
        text_.clear();
      } else {
        text_ += part;
      }
    }
    if (end == std::string_view::npos) return;
    end_line();
    piece.remove_prefix(end + 1);
  }
}

void NdjsonReader::finish() {
  if (!text_.empty() || too_long_) end_line();
}

std::optional<NdjsonLine> NdjsonReader::next() {
  if (ready_.empty()) return std::nullopt;
  NdjsonLine line = std::move(ready_.front());
  ready_.pop_front();
  return line;
}

void NdjsonReader::end_line() {
  NdjsonLine line;
  line.line = line_++;
  if (std::exchange(too_long_, false)) {
    line.fault = "the row is longer than " + std::to_string(max_line_bytes_) + " bytes";
    ready_.push_back(std::move(line));
    return;
  }
  std::string text = std::exchange(text_, {});
  if (line.line == 1 && text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  const std::string_view trimmed = trim(text);
  if (trimmed.empty()) return;
  line.text = trimmed;
  ready_.push_back(std::move(line));
}

}  // namespace rowhouse::data
