// The words of each mail, in each language, with the branding of the tenant it is about. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace rowhouse::mail {

enum class Locale { en, de };
// The first language of a tag or of an Accept-Language header that there are words for: "de-AT" is de;
// otherwise en.
Locale parse_locale(std::string_view text);

enum class Kind { invitation, welcome, password_reset, email_verification, test };
std::string_view kind_name(Kind kind);  // "password_reset"

// How a tenant's mails look. Out of its branding document {"name", "color", "logo_url"}: what is not there or
// not right is left out.
struct Branding {
  std::string name;      // "Acme", or the product's
  std::string color;     // "#1f6feb"
  std::string logo_url;  // https; "" = none
};
Branding default_branding();
Branding branding_of(const json::Value& branding, std::string_view tenant_name);

struct Content {
  Kind kind = Kind::test;
  Locale locale = Locale::en;
  Branding branding;
  std::string link;  // "" of a test
  std::string role;  // title of the role, of an invitation; may be ""
  std::string life;  // from valid_for()
};

// "7 days", "24 hours", in words of the language.
std::string valid_for(Locale locale, long hours);

struct Written {
  std::string subject, text, html;
};
Written write(const Content& content);

}  // namespace rowhouse::mail
