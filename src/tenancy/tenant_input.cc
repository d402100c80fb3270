#include "tenancy/tenant_input.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/text.h"
#include "tenancy/names.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::size_t kMaxDomainBytes = 253;
constexpr std::size_t kMaxLabelBytes = 63;
constexpr std::size_t kMinEmailBytes = 3;
constexpr std::size_t kMaxEmailBytes = 254;  // RFC 5321, section 4.5.3.1.3, without the brackets
constexpr std::size_t kMaxLocalPartBytes = 64;

void add(Faults& faults, std::string_view path, std::string what) {
  faults.emplace_back(std::string(path), std::move(what));
}

bool is_label(std::string_view label) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (label.empty() || label.size() > kMaxLabelBytes) return false;
  if (!alphanumeric(label.front()) || !alphanumeric(label.back())) return false;
  return std::all_of(label.begin(), label.end(), [&](char c) { return alphanumeric(c) || c == '-'; });
}

// jsonb cannot hold U+0000 anywhere.
bool holds_nul(const json::Value& value) {
  if (const auto* text = value.as_string()) return text->find('\0') != std::string::npos;
  if (const auto* array = value.as_array()) return std::any_of(array->begin(), array->end(), holds_nul);
  if (const auto* object = value.as_object()) {
    return std::any_of(object->begin(), object->end(), [](const json::Member& member) {
      return member.first.find('\0') != std::string::npos || holds_nul(member.second);
    });
  }
  return false;
}

bool is_of_type(const json::Value& value, std::string_view type) {
  if (type == "integer") return value.as_int64().has_value();
  return value.type_name() == type;
}

// nullopt when the value is fine.
std::optional<std::string> fault_of_setting(const Setting& setting, const json::Value& value) {
  if (!is_of_type(value, setting.type)) {
    return "must be of type " + setting.type + ", not " + std::string(value.type_name());
  }
  if (!setting.allowed.empty() &&
      std::find(setting.allowed.begin(), setting.allowed.end(), value) == setting.allowed.end()) {
    std::string list;
    for (const auto& allowed : setting.allowed) list += (list.empty() ? "" : ", ") + json::serialize(allowed);
    return "must be one of " + list;
  }
  if (const auto* number = value.as_number()) {
    const double amount = std::strtod(number->text.c_str(), nullptr);
    if (setting.minimum && amount < static_cast<double>(*setting.minimum)) {
      return "must be at least " + std::to_string(*setting.minimum);
    }
    if (setting.maximum && amount > static_cast<double>(*setting.maximum)) {
      return "must be at most " + std::to_string(*setting.maximum);
    }
  }
  return std::nullopt;
}

// A JSON Pointer escapes two characters (RFC 6901).
std::string pointer_part(std::string_view name) {
  std::string part;
  for (const char c : name) {
    if (c == '~') {
      part += "~0";
    } else if (c == '/') {
      part += "~1";
    } else {
      part += c;
    }
  }
  return part;
}

}  // namespace

Error error_of(Faults faults) {
  std::string message = faults.front().path + " " + faults.front().message;
  if (faults.size() > 1) message += " (and " + std::to_string(faults.size() - 1) + " more)";
  Error error(ErrorCode::validation_failed, std::move(message));
  error.fields = std::move(faults);
  return error;
}

void check_name(std::string_view path, std::string_view name, Faults& faults) {
  if (auto fault = fault_of_tenant_name(name)) add(faults, path, *std::move(fault));
}

void check_domain(std::string_view path, std::string_view domain, Faults& faults) {
  const auto labels = split(domain, '.');
  if (domain.size() > kMaxDomainBytes || labels.size() < 2 ||
      !std::all_of(labels.begin(), labels.end(), is_label)) {
    add(faults, path,
        "must be a domain name such as \"crm.example.com\" (international names in their xn-- form)");
  }
}

void check_subdomain(std::string_view path, std::string_view subdomain, Faults& faults) {
  if (!is_label(subdomain)) {
    add(faults, path, "must be 1 to 63 letters a to z, digits and dashes, with no dash at either end");
  }
}

bool is_email(std::string_view text) {
  const auto at = text.find('@');
  if (text.size() < kMinEmailBytes || text.size() > kMaxEmailBytes) return false;
  if (at == std::string_view::npos || at == 0 || at > kMaxLocalPartBytes) return false;
  const std::string_view domain = text.substr(at + 1);
  if (domain.empty() || domain.front() == '.' || domain.back() == '.' || domain.front() == '-') return false;
  if (domain.find("..") != std::string_view::npos) return false;
  const auto in_domain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  const auto in_local_part = [](char c) {
    return c > ' ' && c < '\x7f' && std::string_view("\"(),:;<>[]\\@").find(c) == std::string_view::npos;
  };
  const std::string_view local_part = text.substr(0, at);
  return std::all_of(domain.begin(), domain.end(), in_domain) &&
         std::all_of(local_part.begin(), local_part.end(), in_local_part);
}

void check_email(std::string_view path, std::string_view email, Faults& faults) {
  if (!is_email(email)) add(faults, path, "must be an e-mail address");
}

void check_document(std::string_view path, const json::Value& document, Faults& faults) {
  if (document.is_null()) return;
  if (document.as_object() == nullptr) {
    add(faults, path, "must be an object");
  } else if (holds_nul(document)) {
    add(faults, path, "must not contain the character U+0000");
  } else if (json::serialize(document).size() > kMaxDocumentBytes) {
    add(faults, path, "must have at most " + std::to_string(kMaxDocumentBytes) + " bytes");
  }
}

json::Value merge_settings(const Manifest& manifest, const json::Value& current, const json::Value& given,
                           Faults& faults) {
  const auto before = faults.size();
  check_document("/settings", given, faults);
  if (faults.size() > before) return current;
  if (const auto* members = given.as_object()) {
    for (const json::Member& member : *members) {
      const std::string& name = member.first;
      const json::Value& value = member.second;
      const auto known = std::find_if(manifest.settings.begin(), manifest.settings.end(),
                                      [&](const Setting& setting) { return setting.name == name; });
      const std::string path = "/settings/" + pointer_part(name);
      if (known == manifest.settings.end()) {
        add(faults, path, "is no setting of the pack " + manifest.name);
      } else if (!value.is_null()) {
        if (auto fault = fault_of_setting(*known, value)) add(faults, path, *std::move(fault));
      }
    }
  }
  json::Value merged{json::Object{}};
  for (const auto& setting : manifest.settings) {
    const json::Value* value = given.find(setting.name);
    if (value == nullptr) value = current.find(setting.name);
    merged.set(setting.name, value == nullptr || value->is_null() ? setting.default_value : *value);
  }
  return merged;
}

std::string choose_plan(const Manifest& manifest, const std::string& wanted, Faults& faults) {
  const std::string& plan = wanted.empty() ? manifest.default_plan : wanted;
  if (manifest.find_plan(plan) == nullptr) {
    std::string list;
    for (const auto& candidate : manifest.plans) list += (list.empty() ? "" : ", ") + candidate.name;
    add(faults, "/plan", "must be one of the pack's plans: " + list);
  }
  return plan;
}

void check_new_tenant(NewTenant& request, const Manifest& manifest, Faults& faults) {
  request.plan = choose_plan(manifest, request.plan, faults);
  if (!request.tier) request.tier = manifest.default_tier;
  request.domain = to_lower_ascii(request.domain);
  request.subdomain = to_lower_ascii(request.subdomain);
  if (!request.domain.empty()) check_domain("/domain", request.domain, faults);
  if (!request.subdomain.empty()) check_subdomain("/subdomain", request.subdomain, faults);
  if (!request.admin_email.empty()) check_email("/admin_email", request.admin_email, faults);
  check_document("/branding", request.branding, faults);
  check_document("/contact", request.contact, faults);
  request.settings = merge_settings(manifest, json::Value(), request.settings, faults);
  for (json::Value* document : {&request.branding, &request.contact}) {
    if (document->is_null()) *document = json::Value(json::Object{});
  }
  if (!request.admin_email.empty() && request.contact.as_object() != nullptr) {
    request.contact.set("admin_email", request.admin_email);
  }
}

}  // namespace rowhouse::tenancy
