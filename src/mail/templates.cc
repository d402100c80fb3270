#include "mail/templates.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace rowhouse::mail {
namespace {

constexpr std::string_view kProduct = "Rowhouse";
constexpr std::string_view kColor = "#2f4f4f";
constexpr std::size_t kMaxShownCharacters = 80;
constexpr std::size_t kMaxLogoBytes = 500;

// {name}, {role}, {life} are put in; the link stands alone.
struct Words {
  std::string_view subject, title, body, button, ignore;
};

constexpr std::array<Words, 5> kEnglish = {{
    {"Invitation to {name}", "You are invited to {name}",
     "You can join {name}{role}. The link below takes you there. It works once, and is good for {life}.",
     "Accept the invitation", "If you do not expect this invitation, do nothing: it ends by itself."},
    {"Welcome to {name}", "{name} is ready",
     "Your installation of {name} has been set up, and you are its administrator. The link below lets you "
     "choose a "
     "password. It works once, and is good for {life}.",
     "Begin", "If you do not expect this mail, do nothing: the link ends by itself."},
    {"Choose a new password for {name}", "Choose a new password",
     "Somebody, probably you, has asked for a new password for your account. The link below lets you choose "
     "one. It "
     "works once, and is good for {life}. All your sessions end when you do.",
     "Choose a password", "If it was not you, do nothing: your password stays as it is."},
    {"Confirm your e-mail address", "Confirm your e-mail address",
     "The link below confirms that this address is yours. It works once, and is good for {life}.",
     "Confirm the address", "If you have not asked for this, do nothing."},
    {"Test of {name}", "It works", "This message says that {name} can send mail.", "", ""},
}};

constexpr std::array<Words, 5> kGerman = {{
    {"Einladung zu {name}", "Sie sind zu {name} eingeladen",
     "Sie können {name} beitreten{role}. Der Link unten führt Sie dorthin. Er gilt einmal und {life} lang.",
     "Einladung annehmen",
     "Wenn Sie diese Einladung nicht erwarten, tun Sie nichts: Sie verfällt von selbst."},
    {"Willkommen bei {name}", "{name} ist bereit",
     "{name} wurde für Sie eingerichtet, und Sie verwalten es. Mit dem Link unten wählen Sie ein Passwort. "
     "Er gilt "
     "einmal und {life} lang.",
     "Beginnen", "Wenn Sie diese Nachricht nicht erwarten, tun Sie nichts: Der Link verfällt von selbst."},
    {"Neues Passwort für {name}", "Neues Passwort wählen",
     "Jemand, vermutlich Sie, hat ein neues Passwort für Ihr Konto angefordert. Mit dem Link unten wählen "
     "Sie eines. "
     "Er gilt einmal und {life} lang. Dabei werden Sie überall abgemeldet.",
     "Passwort wählen", "Wenn Sie das nicht waren, tun Sie nichts: Ihr Passwort bleibt, wie es ist."},
    {"Bestätigen Sie Ihre E-Mail-Adresse", "Bestätigen Sie Ihre E-Mail-Adresse",
     "Der Link unten bestätigt, dass diese Adresse Ihnen gehört. Er gilt einmal und {life} lang.",
     "Adresse bestätigen", "Wenn Sie das nicht angefordert haben, tun Sie nichts."},
    {"Test von {name}", "Es funktioniert", "Diese Nachricht zeigt, dass {name} E-Mails senden kann.", "", ""},
}};

const Words& words_of(Kind kind, Locale locale) {
  const auto& all = locale == Locale::de ? kGerman : kEnglish;
  return all.at(static_cast<std::size_t>(kind));
}

std::string role_words(const Content& content) {
  if (content.role.empty()) return "";
  return (content.locale == Locale::de ? " (Rolle: " : " (role: ") + content.role + ")";
}

// The template is ours; what is put in is looked at no further, so that a name with braces stays a name.
std::string filled(std::string_view words, const Content& content) {
  std::string text;
  while (!words.empty()) {
    const auto open = words.find('{');
    text += words.substr(0, open);
    if (open == std::string_view::npos) break;
    const auto close = words.find('}', open);
    const std::string_view field = words.substr(open + 1, close - open - 1);
    if (field == "name") text += content.branding.name;
    if (field == "role") text += role_words(content);
    if (field == "life") text += content.life;
    words.remove_prefix(close + 1);
  }
  return text;
}

std::string escaped(std::string_view text) {
  std::string html;
  for (const char c : text) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\'':
        html += "&#39;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

// Without control characters, and not so long that it takes the mail over.
std::string shown(std::string_view text) {
  std::string clean;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= ' ' && c != '\x7f') clean += c;
  }
  if (!is_valid_utf8(clean)) return "";
  std::size_t characters = 0;
  std::size_t end = 0;
  while (end < clean.size()) {
    const bool begins = (static_cast<unsigned char>(clean[end]) & 0xC0U) != 0x80U;
    if (begins && ++characters > kMaxShownCharacters) break;
    ++end;
  }
  return std::string(trim(clean.substr(0, end)));
}

bool is_color(std::string_view text) {
  return text.size() == 7 && text.front() == '#' && from_hex(to_lower_ascii(text.substr(1))).has_value();
}

bool is_logo(std::string_view text) {
  constexpr std::string_view kScheme = "https://";
  return text.starts_with(kScheme) && text.size() > kScheme.size() && text.size() <= kMaxLogoBytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return c > ' ' && c <= '~' && c != '"' && c != '<' && c != '>' && c != '\'' && c != '\\';
         });
}

std::string text_in(const json::Value& document, const char* member) {
  const json::Value* value = document.as_object() == nullptr ? nullptr : document.find(member);
  return value != nullptr && value->as_string() != nullptr ? *value->as_string() : std::string();
}

constexpr std::string_view kHtml = R"(<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title></head>
<body style="margin:0;padding:24px;background:#f4f5f7;font-family:Helvetica,Arial,sans-serif;color:#1c1e21">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center">
<table role="presentation" width="520" cellpadding="0" cellspacing="0" style="max-width:520px;background:#ffffff;border-top:4px solid {color}">
<tr><td style="padding:28px">
{logo}<h1 style="font-size:20px;margin:0 0 16px">{title}</h1>
<p style="font-size:15px;line-height:1.5;margin:0 0 20px">{body}</p>
{action}</td></tr></table>
</td></tr></table>
</body></html>
)";

constexpr std::string_view kAction =
    R"(<p style="margin:0 0 20px"><a href="{link}" style="display:inline-block;padding:12px 20px;background:{color};color:#ffffff;text-decoration:none;border-radius:4px">{button}</a></p>
<p style="font-size:13px;color:#5b6068;margin:0 0 12px;word-break:break-all">{link}</p>
<p style="font-size:13px;color:#5b6068;margin:0">{ignore}</p>
)";

}  // namespace

Locale parse_locale(std::string_view text) {
  for (const std::string_view entry : split(text, ',')) {
    const std::string tag = to_lower_ascii(trim(entry.substr(0, entry.find(';'))));
    const std::string_view language = std::string_view(tag).substr(0, tag.find_first_of("-_"));
    if (language == "de") return Locale::de;
    if (language == "en") return Locale::en;
  }
  return Locale::en;
}

std::string_view kind_name(Kind kind) {
  static constexpr std::array<std::string_view, 5> kNames = {"invitation", "welcome", "password_reset",
                                                             "email_verification", "test"};
  return kNames.at(static_cast<std::size_t>(kind));
}

Branding default_branding() {
  Branding branding;
  branding.name = kProduct;
  branding.color = kColor;
  return branding;
}

Branding branding_of(const json::Value& document, std::string_view tenant_name) {
  Branding branding = default_branding();
  const std::string named = shown(text_in(document, "name"));
  const std::string tenant = shown(tenant_name);
  if (!tenant.empty()) branding.name = tenant;
  if (!named.empty()) branding.name = named;
  for (const char* member : {"color", "primary_color"}) {
    const std::string color = text_in(document, member);
    if (is_color(color)) branding.color = color;
  }
  for (const char* member : {"logo_url", "logo"}) {
    const std::string logo = text_in(document, member);
    if (is_logo(logo) && branding.logo_url.empty()) branding.logo_url = logo;
  }
  return branding;
}

std::string valid_for(Locale locale, long hours) {
  constexpr long kDay = 24;
  const bool german = locale == Locale::de;
  if (hours == 1) return german ? "eine Stunde" : "one hour";
  if (hours < 2 * kDay) return std::to_string(hours) + (german ? " Stunden" : " hours");
  return std::to_string(hours / kDay) + (german ? " Tage" : " days");
}

Written write(const Content& content) {
  const Words& words = words_of(content.kind, content.locale);
  Written written;
  written.subject = filled(words.subject, content);
  const std::string title = filled(words.title, content);
  const std::string body = filled(words.body, content);
  written.text = title + "\n\n" + body + "\n";
  std::string action;
  if (!content.link.empty()) {
    const std::string link = escaped(content.link);
    const std::string button = escaped(words.button);
    const std::string ignore = escaped(words.ignore);
    written.text += "\n" + content.link + "\n\n" + std::string(words.ignore) + "\n";
    action = fmt::format(kAction, fmt::arg("link", link), fmt::arg("color", content.branding.color),
                         fmt::arg("button", button), fmt::arg("ignore", ignore));
  }
  written.text += "\n-- \n" + content.branding.name + "\n";
  std::string logo;
  if (!content.branding.logo_url.empty()) {
    logo = "<img src=\"" + escaped(content.branding.logo_url) + "\" alt=\"" + escaped(content.branding.name) +
           "\" height=\"40\" style=\"display:block;margin:0 0 20px\">\n";
  }
  const std::string html_title = escaped(title);
  const std::string html_body = escaped(body);
  written.html = fmt::format(kHtml, fmt::arg("lang", content.locale == Locale::de ? "de" : "en"),
                             fmt::arg("title", html_title), fmt::arg("color", content.branding.color),
                             fmt::arg("logo", logo), fmt::arg("body", html_body), fmt::arg("action", action));
  return written;
}

}  // namespace rowhouse::mail
