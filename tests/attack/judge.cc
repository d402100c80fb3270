#include "attack/judge.h"

#include <algorithm>

#include "base/json.h"

namespace rowhouse::attack {

namespace {

constexpr int kControlTries = 50;
constexpr std::size_t kShownBytes = 2'000;

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  if (what.empty()) return;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

// An answer without what differs from request to request and from attacker to attacker.
std::string signature(const Answer& answer, std::string_view secret) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : answer.headers) {
    const bool own = name == "date" || name == "x-request-id" || name == "x-tenant-id" ||
                     name == "x-tenant-name" || name == "content-length" || name == "connection" ||
                     name == "keep-alive";
    if (!own) lines.push_back(name + ": " + value);
  }
  std::sort(lines.begin(), lines.end());
  std::string body = answer.body;
  replace_all(body, answer.header("x-request-id"), "REQUEST");
  std::string made = std::to_string(answer.status) + "\n";
  for (const auto& line : lines) made += line + "\n";
  made += body;
  replace_all(made, secret, "SECRET");
  return made;
}

std::string show(const Answer& answer) {
  std::string text = std::to_string(answer.status) + "\n";
  for (const auto& [name, value] : answer.headers) text += name + ": " + value + "\n";
  return text + "\n" + answer.body;
}

json::Object counts(const std::map<std::string, std::uint64_t>& some) {
  json::Object made;
  for (const auto& [name, count] : some) made.emplace_back(name, static_cast<std::int64_t>(count));
  return made;
}

}  // namespace

std::string Judge::foreign_marker(const Attempt& attempt, std::string_view text) const {
  for (auto at = text.find(job_.marker_prefix); at != std::string_view::npos;
       at = text.find(job_.marker_prefix, at + 1)) {
    const std::string marker(text.substr(at, job_.marker_digits));
    if (marker != attempt.attacker->marker && job_.by_marker.contains(marker)) return marker;
  }
  return "";
}

std::string Judge::ask_control(const Attempt& attempt) {
  for (int tries = 0; tries < kControlTries; ++tries) {
    const auto answer = alone_.ask(attempt.control);
    if (answer && answer->status != 503) return signature(*answer, attempt.ghost_secret);
  }
  return "";
}

const std::string& Judge::control_of(const Attempt& attempt) {
  auto known = controls_.find(attempt.control_name);
  if (known == controls_.end()) known = controls_.emplace(attempt.control_name, ask_control(attempt)).first;
  return known->second;
}

void Judge::find(const Attempt& attempt, std::string what, const Answer& answer, std::string control) {
  if (enough()) return;
  Finding finding;
  finding.number = attempt.number;
  finding.what = std::move(what);
  finding.technique = attempt.technique->name + " (" + attempt.technique->route + ")";
  finding.attacker = attempt.attacker->pack + " " + attempt.attacker->tier + " " + attempt.attacker->id;
  finding.victim = attempt.victim->pack + " " + attempt.victim->tier + " " + attempt.victim->id;
  finding.request = attempt.request.substr(0, kShownBytes);
  replace_all(finding.request, attempt.attacker->key, "KEY");
  finding.answer = show(answer).substr(0, kShownBytes);
  finding.control = control.substr(0, kShownBytes);
  findings_.push_back(std::move(finding));
}

void Judge::judge(const Attempt& attempt, const Answer& answer) {
  ++answered_;
  ++statuses_[answer.status];
  ++techniques_[attempt.technique->name];
  ++routes_[attempt.technique->route];
  std::string marker = foreign_marker(attempt, answer.body);
  for (const auto& [name, value] : answer.headers) {
    if (marker.empty()) marker = foreign_marker(attempt, value);
  }
  if (!marker.empty())
    return find(attempt, "the answer holds a row of another tenant: " + marker, answer, "");
  const auto tenant = answer.header("x-tenant-id");
  if (!tenant.empty() && tenant != attempt.attacker->id) {
    return find(attempt, "X-Tenant-ID is another's", answer, "");
  }
  if (answer.status == 503) {
    ++unavailable_;
    return;
  }
  if (answer.status >= 500) return find(attempt, "an error of the server", answer, "");
  if (!attempt.technique->control) {
    const auto& expect = attempt.technique->expect;
    if (std::find(expect.begin(), expect.end(), answer.status) == expect.end()) {
      find(attempt, "a status that is not expected", answer, "");
    }
    return;
  }
  ++compared_;
  const std::string& control = control_of(attempt);
  if (signature(answer, attempt.secret) == control) return;
  // Once more, both alone.
  const auto again = alone_.ask(attempt.request);
  std::string fresh = ask_control(attempt);
  if (again && (again->status == 503 || signature(*again, attempt.secret) == fresh)) {
    ++unstable_[attempt.technique->name];
    controls_[attempt.control_name] = std::move(fresh);
    return;
  }
  if (!again && faults_ == Faults::expected) return lost(attempt);
  find(attempt, "it is told from one that nobody has", again ? *again : answer, std::move(fresh));
}

void Judge::unanswered(const Attempt& attempt) {
  Answer none;
  find(attempt, "the connection ended without an answer", none, "");
}

std::string Judge::report(std::uint64_t seed, double seconds) const {
  const auto integer = [](std::uint64_t value) { return json::Value(static_cast<std::int64_t>(value)); };
  json::Value root;
  root.set("seed", integer(seed));
  root.set("answered", integer(answered_));
  root.set("compared", integer(compared_));
  root.set("controls", integer(controls_.size()));
  root.set("unavailable", integer(unavailable_));
  root.set("unstable", counts(unstable_));
  root.set("lost", integer(lost_));
  root.set("seconds", integer(static_cast<std::uint64_t>(seconds)));
  root.set("per_second",
           integer(static_cast<std::uint64_t>(static_cast<double>(answered_) / std::max(seconds, 0.001))));
  json::Object statuses;
  for (const auto& [status, count] : statuses_) statuses.emplace_back(std::to_string(status), integer(count));
  root.set("statuses", std::move(statuses));
  root.set("techniques", counts(techniques_));
  root.set("routes", counts(routes_));
  json::Array findings;
  for (const auto& finding : findings_) {
    json::Value one;
    one.set("attempt", integer(finding.number));
    one.set("what", finding.what);
    one.set("technique", finding.technique);
    one.set("attacker", finding.attacker);
    one.set("victim", finding.victim);
    one.set("request", finding.request);
    one.set("answer", finding.answer);
    one.set("control", finding.control);
    findings.push_back(std::move(one));
  }
  root.set("findings", std::move(findings));
  return json::serialize_pretty(root);
}

}  // namespace rowhouse::attack
