#include "cli/operation_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <ostream>

#include "base/text.h"
#include "cli/api_client.h"
#include "cli/table.h"

namespace rowhouse::cli {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kFallbackWidth = 80;
constexpr std::size_t kBarColumns = 24;
constexpr std::size_t kTitleColumns = 22;  // longer ones push the rest to the right

const json::Array& steps_of(const json::Value& operation) {
  static const json::Array kNone;
  const json::Value* steps = operation.find("steps");
  return steps != nullptr && steps->as_array() != nullptr ? *steps->as_array() : kNone;
}

std::int64_t number_of(const json::Value& object, std::string_view member) {
  const json::Value* value = object.find(member);
  return value == nullptr ? 0 : value->as_int64().value_or(0);
}

std::string message_of(const json::Value& object) {
  const json::Value* error = object.find("error");
  return error == nullptr ? "" : printable(text_of(*error, "message"));
}

bool is_working(std::string_view status) { return status == "running" || status == "undoing"; }

struct Mark {
  std::string_view status, text;
  std::optional<Style> style;
};
constexpr std::array kMarks = {Mark{"pending", "·", Style::dim},    Mark{"running", "▸", Style::bold},
                               Mark{"done", "✓", Style::green},     Mark{"failed", "✗", Style::red},
                               Mark{"undoing", "◂", Style::yellow}, Mark{"undone", "↩", Style::yellow}};

std::string mark_of(const Terminal& terminal, std::string_view status) {
  for (const Mark& mark : kMarks) {
    if (mark.status == status)
      return mark.style ? styled(terminal, *mark.style, mark.text) : std::string(mark.text);
  }
  return "?";
}

// Microseconds since 1970 of "2026-11-21T05:40:00.123456Z".
std::optional<std::int64_t> parse_time(std::string_view text) {
  constexpr std::int64_t kMicros = 1'000'000;
  std::tm parts{};
  const std::string copy(text);
  const char* rest = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  std::int64_t micros = 0;
  if (*rest == '.') {
    std::int64_t unit = kMicros / 10;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10) micros += (*rest - '0') * unit;
  }
  if (std::string_view(rest) != "Z") return std::nullopt;
  return static_cast<std::int64_t>(timegm(&parts)) * kMicros + micros;
}

// What a step's line says behind its title.
std::string step_detail(const json::Value& step) {
  const std::string status = text_of(step, "status");
  std::string text;
  const auto attempts = number_of(step, "attempts");
  if (attempts > 1 && is_working(status)) text += fmt::format("  attempt {}", attempts);
  const std::string message = message_of(step);
  if (!message.empty() && status != "done" && status != "undone") text += "  " + message;
  return text;
}

std::string progress_text(const json::Value& operation) {
  const json::Value* progress = operation.find("progress");
  if (progress == nullptr || progress->is_null()) return "";
  const auto done = number_of(*progress, "done"), total = number_of(*progress, "total");
  std::string text = total > 0 ? fmt::format("{}  {} of {}", progress_bar(done, total, kBarColumns),
                                             grouped(done), grouped(total))
                               : grouped(done);
  const std::string what = printable(text_of(*progress, "what"));
  if (!what.empty()) text += "  " + what;
  return text;
}

// What the operation as a whole is doing, beyond its steps.
std::string status_text(const json::Value& operation) {
  const std::string status = text_of(operation, "status"), message = message_of(operation);
  const auto because = [&](std::string text) { return message.empty() ? text : text + ": " + message; };
  const auto asked = [&](std::string_view member) {
    const json::Value* value = operation.find(member);
    return value != nullptr && value->as_bool() != nullptr && *value->as_bool();
  };
  if (status == "pending") return "waits for a node";
  if (status == "paused") return "paused; `rowhouse operation resume` goes on";
  if (status == "undoing")
    return asked("cancel_requested") ? "cancelled: taking back what was done"
                                     : because("failed: taking back what was done");
  if (status == "undone") return because("failed, and nothing is left of it");
  if (status == "cancelled") return "cancelled";
  if (status == "failed") return because("stopped, and needs you");
  if (status == "running" && asked("pause_requested")) return "pausing";
  if (status == "running" && asked("cancel_requested")) return "cancelling";
  return "";
}

}  // namespace

std::string step_title(std::string_view name) {
  std::string title(printable(name));
  std::replace(title.begin(), title.end(), '_', ' ');
  return title;
}

std::string duration_text(milliseconds duration) {
  const auto ms = std::max<std::int64_t>(0, duration.count());
  const auto seconds = ms / 1000;
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (seconds < 60) return fmt::format("{}.{} s", seconds, ms % 1000 / 100);
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} min", seconds / 3600, seconds % 3600 / 60);
}

std::optional<milliseconds> time_between(std::string_view from, std::string_view to) {
  const auto start = parse_time(from), end = parse_time(to);
  if (!start || !end) return std::nullopt;
  return milliseconds((*end - *start) / 1000);
}

std::string progress_bar(std::int64_t done, std::int64_t total, std::size_t columns) {
  if (total <= 0 || done < 0) return "";
  const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto filled = static_cast<std::size_t>(part * static_cast<double>(columns));
  std::string bar;
  for (std::size_t i = 0; i < columns; ++i) bar += i < filled ? "━" : "─";
  return fmt::format("{} {:3} %", bar, static_cast<int>(part * 100));
}

bool operation_succeeded(const json::Value& operation) { return text_of(operation, "status") == "succeeded"; }

bool operation_ended(const json::Value& operation) {
  const std::string status = text_of(operation, "status");
  return status == "succeeded" || status == "undone" || status == "cancelled" || status == "failed";
}

void OperationView::show(const json::Value& operation, Time now) {
  operation_ = operation;
  remark_.clear();
  for (const json::Value& step : steps_of(operation_)) {
    const std::string name = text_of(step, "name");
    if (is_working(text_of(step, "status"))) {
      since_.emplace(name, now);
    } else {
      since_.erase(name);
    }
  }
  if (terminal_.err_is_terminal) {
    draw(now);
  } else {
    print_news(operation_);
  }
}

void OperationView::tick(Time now) {
  if (terminal_.err_is_terminal && !operation_.is_null()) draw(now);
}

void OperationView::say(std::string_view what, Time now) {
  if (remark_ == what) return;
  remark_ = what;
  if (terminal_.err_is_terminal) {
    draw(now);
  } else {
    terminal_.err << printable(what) << '\n' << std::flush;
  }
}

std::string OperationView::step_line(const json::Value& step, Time now) {
  const std::string name = text_of(step, "name"), status = text_of(step, "status");
  std::string time;
  if (const auto found = since_.find(name); found != since_.end()) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - found->second);
    if (seconds.count() > 0) time = fmt::format("{} s", seconds.count());
  } else if (const auto took = time_between(text_of(step, "started_at"), text_of(step, "finished_at"))) {
    time = duration_text(*took);
  }
  const std::string title = step_title(name);
  const std::string padding(title.size() < kTitleColumns ? kTitleColumns - title.size() : 0, ' ');
  return fmt::format("{}{}{:>9}{}", title, padding, time, step_detail(step));
}

std::vector<std::string> OperationView::lines(Time now) {
  const std::size_t width = (terminal_.err_width == 0 ? kFallbackWidth : terminal_.err_width) - 1;
  std::vector<std::string> all;
  const std::string progress = progress_text(operation_);
  for (const json::Value& step : steps_of(operation_)) {
    const std::string status = text_of(step, "status");
    all.push_back(
        fmt::format("  {} {}", mark_of(terminal_, status), cut_to_width(step_line(step, now), width - 4)));
    if (is_working(status) && !progress.empty()) all.push_back("    " + cut_to_width(progress, width - 4));
  }
  for (const std::string& text : {status_text(operation_), remark_}) {
    if (!text.empty()) all.push_back("  " + cut_to_width(printable(text), width - 2));
  }
  return all;
}

void OperationView::draw(Time now) {
  std::string text;
  if (drawn_lines_ > 0) text += fmt::format("\r\x1b[{}A", drawn_lines_);
  const auto all = lines(now);
  for (const std::string& line : all) text += "\x1b[K" + line + "\n";
  text += "\x1b[J";  // what the block before had more
  drawn_lines_ = all.size();
  terminal_.err << text << std::flush;
}

void OperationView::print_news(const json::Value& operation) {
  const auto tell = [this](const std::string& about, const std::string& text) {
    if (std::exchange(told_[about], text) == text || text.empty()) return;
    terminal_.err << text << '\n' << std::flush;
  };
  for (const json::Value& step : steps_of(operation)) {
    const std::string name = text_of(step, "name"), status = text_of(step, "status"),
                      message = message_of(step);
    const auto took = time_between(text_of(step, "started_at"), text_of(step, "finished_at"));
    const std::string time = took ? fmt::format(" ({})", duration_text(*took)) : "";
    if (status == "done" || status == "undone") {
      tell(name, fmt::format("{}: {}{}", step_title(name), status, time));
    } else if (!message.empty()) {
      tell(name,
           fmt::format("{}: {}{}", step_title(name), message,
                       status == "failed" ? "" : fmt::format(" (attempt {})", number_of(step, "attempts"))));
    }
  }
  tell("", status_text(operation));
}

}  // namespace rowhouse::cli
