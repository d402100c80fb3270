#include "mail/templates.h"

#include <gtest/gtest.h>

namespace rowhouse::mail {
namespace {

constexpr Kind kKinds[] = {Kind::invitation, Kind::welcome, Kind::password_reset, Kind::email_verification,
                           Kind::test};

Content content_of(Kind kind, Locale locale) {
  Content content;
  content.kind = kind;
  content.locale = locale;
  content.branding = default_branding();
  if (kind != Kind::test) content.link = "https://rows.example/account/#/invitation/rhl_x";
  content.role = "Administrator";
  content.life = valid_for(locale, 7 * 24);
  return content;
}

TEST(MailTemplates, EveryKindHasWordsInEveryLanguage) {
  for (const Kind kind : kKinds) {
    const Written english = write(content_of(kind, Locale::en));
    const Written german = write(content_of(kind, Locale::de));
    EXPECT_FALSE(english.subject.empty());
    EXPECT_NE(english.text, german.text) << kind_name(kind);
    for (const Written& written : {english, german}) {
      EXPECT_EQ(written.text.find('{'), std::string::npos) << written.text;
      EXPECT_EQ(written.html.find('{'), std::string::npos) << written.html;
      const bool has_link = written.text.find("rhl_x") != std::string::npos;
      EXPECT_EQ(has_link, kind != Kind::test);
      EXPECT_EQ(
          written.html.find("href=\"https://rows.example/account/#/invitation/rhl_x\"") != std::string::npos,
          has_link);
    }
  }
}

TEST(MailTemplates, WhatATenantTypedIsTextAndShort) {
  Content content = content_of(Kind::invitation, Locale::en);
  json::Value branding;
  branding.set("name", "<script>alert(1)</script> {life} " + std::string(200, 'x'));
  branding.set("color", "red;background:url(x)");
  branding.set("logo_url", "javascript:alert(1)");
  content.branding = branding_of(branding, "Acme");
  content.role = "\"><img src=x>";
  EXPECT_EQ(content.branding.color, default_branding().color);
  EXPECT_EQ(content.branding.logo_url, "");
  const Written written = write(content);
  EXPECT_EQ(written.html.find("<script>"), std::string::npos);
  EXPECT_EQ(written.html.find("<img"), std::string::npos);
  EXPECT_NE(written.html.find("&lt;script&gt;"), std::string::npos);
  EXPECT_NE(written.text.find("{life}"), std::string::npos) << "what is put in is no template";
  EXPECT_LT(written.subject.size(), 120U);
}

TEST(MailTemplates, BrandingOfATenant) {
  json::Value branding;
  branding.set("color", "#A1b2C3");
  branding.set("logo_url", "https://acme.example/logo.png");
  const Branding found = branding_of(branding, "Müller & Söhne");
  EXPECT_EQ(found.name, "Müller & Söhne");
  EXPECT_EQ(found.color, "#A1b2C3");
  EXPECT_EQ(found.logo_url, "https://acme.example/logo.png");
  EXPECT_EQ(branding_of(json::Value(), "").name, "Rowhouse");
  branding.set("name", "Acme\r\nBcc: x");
  EXPECT_EQ(branding_of(branding, "y").name, "AcmeBcc: x");
}

TEST(MailTemplates, Languages) {
  EXPECT_EQ(parse_locale("de-AT"), Locale::de);
  EXPECT_EQ(parse_locale("fr;q=0.9, DE;q=0.8, en"), Locale::de);
  EXPECT_EQ(parse_locale("en_US"), Locale::en);
  EXPECT_EQ(parse_locale("dek"), Locale::en);
  EXPECT_EQ(parse_locale(""), Locale::en);
  EXPECT_EQ(valid_for(Locale::en, 1), "one hour");
  EXPECT_EQ(valid_for(Locale::de, 24), "24 Stunden");
  EXPECT_EQ(valid_for(Locale::en, 7 * 24), "7 days");
}

}  // namespace
}  // namespace rowhouse::mail
