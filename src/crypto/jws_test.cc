#include "crypto/jws.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/text.h"

namespace rowhouse::crypto {
namespace {

// Made with another implementation (the npm package jose), so that nothing is checked against itself. The
// payload is {"sub":"ada"}.
constexpr std::string_view kKeys =
    R"({"keys":[{"kty":"RSA","n":"pMbzO7YWfk2TVHlbcUX0yv7oHX_--6tRiuHG1BG7ncQwaaxz5dqQwUmk2Yc43kosFQskM)"
    R"(DQ5R86V5KgDaSR6zFm975JVtdQL_YoOHWLGurtNMxEwCInPFXUrWddrkMN9OEv0SLrIGDXi6j-Br0yUhMmqz16crzLqpUkM5)"
    R"(gszaKrSgkEbLHZNSwhraFzaCJ37smQi8mE9QFNPwRPaKB0UVgCqncxKncUgdijR6WDDG9QHj6Ojox1eYOibvWik4GrK59gKe)"
    R"(RxyImQL76GD9Ag5D5rVqirE-MwROAGHpUg4H4M8xzs4XeD4L7wpJhaK20Ze_QC94dQN4-BEft_QER8Syw","e":"AQAB","k)"
    R"(id":"rs256","use":"sig"},{"kty":"RSA","n":"zNx8IATvpYJpfwGnTITKFBrI45xm9ipdUpJk591fSQ9XddIxXS_ny)"
    R"(ufcn--9HAZ9gs-G73bhsDJJofSX09DJ9oSOQWiwAWnT-O3IonjdhhU4dVARSGg8NFSw3JJRotXOTHHyXe1CA5hMSwLQB9rqb)"
    R"(gc9myFPRKtDw1_y7cRVQ1BET9PdQEORiSTlSPzluWq6phAakaLLuspK4InpsgOW6TynCQej_r9krrwGD8B1EJiEuKoGiFf6w)"
    R"(nfMR4ALtcuk9lxzZzP_PYirCSLUGC-rHQPXNho0Y7F2xkYWHWu3BbehY8W-QdPVI4qPCgkKPCBKFQtU7BhyaFcqvJQdOEEDh)"
    R"(w","e":"AQAB","kid":"ps384","use":"sig"},{"kty":"EC","x":"qRoYt-Y1KL3jZbejiACFdkFoOoYSWLgq2AzTs9)"
    R"(_iiBE","y":"GzD6sv_TW19iOtCbY2abb7-B0lOB0mzy4FOwvaFO3nY","crv":"P-256","kid":"es256","use":"sig")"
    R"(},{"kty":"EC","x":"cT-5pEfl43gPYDFVwS6fmb_gvdqaJU3FqsJw4NxRxuKIklWK7ahCPDQgAU1b3XI2","y":"QY4RQq)"
    R"(NTO7T1DNIROqx2Rvu9QAMuXfn6AYfv9f4NjV4vLl1Dg8VGB8Da6nKCVD-D","crv":"P-384","kid":"es384","use":"s)"
    R"(ig"},{"crv":"Ed25519","x":"EP76UQZBm40FxhfC2ykKgTKI-KjrcWVOGRcaZm41abE","kty":"OKP","kid":"eddsa)"
    R"(","use":"sig"}]})";
constexpr std::string_view kShortRsaKey =
    R"({"kty":"RSA","n":"uSSu4s0HOWoC0QQvdGTN2YTrPTsN2WJkrzhznNVPbqabovs4BZPbHougwvMdGgCnnpMoZ76YYlYle8)"
    R"(4G_Y4CrqorZU4uiJ45ycUNqWDHb6YyeVOXS2PDBIRCnLLwSBqhDYarRrmoxyyu6ATQzQqhTpxtKlKfQGNOcQgczV_DSa8",")"
    R"(e":"AQAB","kid":"small"})";
constexpr std::string_view kRs256 =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzMjU2IiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZGEifQ.pH_up8_5522vtpZoSQ2ghyDnW"
    "-8AHKHFl0jDPP_JEH0GS69OxfLNiTzEeorY3PV07Dm_ZEcp9RuohmR19DuVwY9EimXoNjDASKBvRb_Z0Du_biEtOAfq6xj1LXlZf"
    "xhUeEFmmrxHNODybI5SWNx2MzJKUSNj3USGKvM2GDa9TbDyCBEscEvYW171_fP2gSTnM74bRUC1yd8VmgegJrWHvNUlLD7fxqL-V"
    "8SPoNE66HTE9jQbg1ZKn_oiMMAv6ek-eJ8NZQUNb9-my7BU66oj0ZrsBwK0Xb1f2f24Jq8teHSkJeO_QbZNbG1xNAXb30w0N09Y_"
    "78bozYMiUMTeODijw";
constexpr std::string_view kRs512 =
    "eyJhbGciOiJSUzUxMiIsImtpZCI6InJzMjU2In0.eyJzdWIiOiJhZGEifQ.i_7PE-_3XJzSJQGpBsRUtbVyfKLxvRmrva81z3R9f"
    "USzWVF_beB2ztCXCZ_U0rAfKi65tNR4kbVbh3LAqPJNKE9spKpZuMQIdGjy7elVNW2NUp-rwACq5TNHPDa8o0_-tCI1kVcMjH9zC"
    "rW3lM2FOHVbAgoITLT1sYNe54JSBrP5qxzMw2SPpKSz8MIoIp2XpRMJ9N4FF9SiA5cdWLuVXojKrGmS3X9wzce1Nhknh9w9ph58n"
    "ewWkaVqgU5t_WkJWkEIY4Q24Jkz6iO0XKs05yvUnPcDohzl5kR0pusC9tAqy0sIGr6_9vRJ3k7iShUs8g4wkP7FmOumWZ9EMuyRd"
    "w";
constexpr std::string_view kPs384 =
    "eyJhbGciOiJQUzM4NCIsImtpZCI6InBzMzg0IiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZGEifQ.bET77SbjuGTntq6EZ5igEXvOE"
    "l84vtuYQ7U9sNQkxqLFn-MUAOYWVoEy7ahrfevVB-IMA9hwUnFzKG4GOMPZShZGYZm4R0hAR3bKtTTicvmROCNv_O2T9_v-x73tE"
    "wQwJRSJmGmghoZH14lqm0cwLakIjek5dzwhvHYMQ_BwgyOC1zFi9HNw5k79lzJ4b8rTDnnK2M1tUfoInf5Tb2QDqZ4D4G4eqSzUQ"
    "q5FeyFVgszyKtXGPQVduZ6WQrO1eVV4e26QTysbh0iWOc_7QFfqftjtXVo3yA307zycQlbsUhiqFYWiXjm1t3pl3VeKT6GlDTLSJ"
    "urS6IL-k5crk9egPg";
constexpr std::string_view kEs256 =
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVzMjU2IiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZGEifQ.MoOy0yINu-WSJsVBuhUqSBC2d"
    "S6E8lxJNj7N_t4LV-USF_uCOwrv5kuN5OkE3PUHKuVYuL-MYY1yw_wMw2D5tg";
constexpr std::string_view kEs384 =
    "eyJhbGciOiJFUzM4NCIsImtpZCI6ImVzMzg0IiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZGEifQ.VtbAFq3CwqdUoyv1yiGe4Vuja"
    "oDBBg8zAuwgzN9e4ENjT8cZuFk-oa3-knDQHaY1wHcivjrpbVChg72DmC-mzYwJm2cVawXq0kimKenzUtCl2fEf0A7BsyUQCWby8"
    "Lgv";
constexpr std::string_view kEdDsa =
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImVkZHNhIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZGEifQ.D_YHIlhzrzvFzcGZjSlNfBM7V"
    "h164ZYeIoE0fnjB9B7l3z9qY37HMqwTM3AmpzTCV7pzzc_0Je0LGQ2mEoaZDQ";
constexpr std::string_view kHmacWithPublicKey =
    "eyJhbGciOiJIUzI1NiIsImtpZCI6InJzMjU2IiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZGEifQ.bve_TK5XMLex0ybqkA901sESN"
    "8KQ7MHFylLpI_8qgHo";
constexpr std::string_view kWithoutKid =
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.mfjebsZgukW4lF0Km69F7xC7C-vxej2Zu8hci4rsZVbE_8tLr8RMznTYVhCf"
    "qzu8TP9UJz7WrrXY5ZaB56JjImXVyYHsZZ6XdbOeT3N0p5cIBdPYN0BAnqUX0WjBjzW0ArDCLAJar9DtmROdC4LO2F0zObw_fJSd"
    "5PYVK3POBJEJ1K9jnGPhQmsp1qSnbhaTw38fy2CIYlNFIWBsQDWdg8GbKWX-IeaOr6G0dy-4H8VPG0Gf02jneRIP0dSwg2TVr8HY"
    "TkP0FQwyFfdAF-ck3R2YtYSoKprPsZ3tlptC66IzVAkzMPZT_NsTpKWNoOYLk3hRcxj26D-BOyFLlEbKQw";
constexpr std::string_view kOwnKeyInside =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzMjU2IiwiandrIjp7Imt0eSI6IlJTQSIsIm4iOiJxeEVtTEpVcUNqdjgyZTlpOVNGT2Mw"
    "anBqVS1yQktrdjlkXzhzQ0ZNb25IdUF5VjhhSHhHaXIyQUZKNEhKb3VielNtX1lOZGF6bm1Oa3ZHODd2MUtucDB3MlFJd1ZBS19T"
    "b3hnam5jOW51a3Y3UE94MFJkNFg5LS1HbHBteWVwVDZpemNtSGdUZEdYbm9nX1lMVFRMMjM1Y1FUVG12Q2tycnRmbU56aW81THZx"
    "R01tZHhPcUtrazZ0aUppdGhReVlBVVV6WmtFa3U5aFJTakxreXZBdENzZTR2LURiODBjX2tuU0xRSUF4X2tWV09zNGVtakc1bHRX"
    "d0NSTFQ4UnhxRzIwWllaZjM2MUE0ZWVleVdGam4zc255cHU5ejNKbzJEanhHTlR6N2c4SnBZZThVbjF6OV92c1hhc0pHMUlONWNJ"
    "MGNBdEMyR2ZDUlhQQmNCZEQ2SlEiLCJlIjoiQVFBQiJ9fQ.eyJzdWIiOiJhZGEifQ.ixAfRiV4yex98o7ubz40emfOPoH95vpRLu"
    "lPHw8YEPDiw_MBvYRw4hHP9LgFspaAV-xC_vzPf_RXOHXkPW0x7THGNvEEqkT4_YzoedQuvfFH0oiRohAdRoQxv78TAu8TAvY_ju"
    "chVZTkJ2wSI2gNN4xBiYcrhYIG6YJdhju1wTKei9HCPcWIQmK79SIC_4k9oMPRspvhcnB-MdF_3by1BRSguBeFdGQadTt9lya_N2"
    "iuJ4x-j4dIAzG_ikKzx09ZijEBV4CFPUVkPoZaPdbN7Tmfm9Kal1KQ2YIVXj7HF-Tb-iPwt0AyBQkvkuWXREEpSKBRM7Ozx0i-Q7"
    "NtesK90w";
constexpr std::string_view kForged =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzMjU2In0.eyJzdWIiOiJhZGEifQ.i4bxNgVIiwrAiJOEM52tm4-ZZ2epxyqGe0uS92qVL"
    "xAIUYsc61Y1kgKvM3bxK8O5UKk4VZ1E05B1TorABoDvgWYhc_9AbRx07tLcjfJvoLaEGtTjIDGxWdSF4P3pPS25uBLektpSDzDnf"
    "cfhamT1v25LcFK2kC-E6w3O0qL3UX9bdTalpJmcqhwej8oRJn_Xm9CdXLxdfpG4mb4poBNRE_k2RubTQGXECDq2f0eqDRWdI3Pzw"
    "Ta8udyknH-gWLwLw1-pfE7DMqMVkbcdJ-jZM2rQD55Tg90MUm9hpitnKIlzpw2qq99j-vvAIEZskysuB8EgJLMR-Qc1SrZR4k4IW"
    "g";
constexpr std::string_view kKeyElsewhere =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzMjU2Iiwiamt1IjoiaHR0cHM6Ly9ldmlsLmV4YW1wbGUvandrcyJ9.eyJzdWIiOiJhZGE"
    "ifQ.CHU-geryGIalPRBPwIhpsIncSssNEQpTyZEo-isS1w320HXEEHtqhtm4ku946wdowYkXQ3zaYZ9VaOIe6gxnmRdVsung_s4d"
    "bKlNZzRO8OuaJwQCIm8VMRunhXYWXzOS-K6pVcn7AA7Yfo9eHebdbuFmJpUBJIXzLLCoOoAJs3PskcD7R_nBZzIECXl4BLsS_WsE"
    "uExm4u6GL_gqh3cFOTRjMm6_ddbFuh_1rbee78iQpUM8cic1LwTk5PhZ-L6Vfqg_hW5GSbc1N1OoEZ-OiMnGxWnZb-u_eV5RP6mQ"
    "8yUCBh4GA1DZLRqoidZZtK7MkbVYfHzZFtdithvOKjADXw";

JwkSet set_of(std::string_view text) {
  const auto document = json::parse(text);
  EXPECT_TRUE(document.ok());
  return JwkSet::parse(*document).value_or(JwkSet());
}

const JwkSet& keys() {
  static const JwkSet set = set_of(kKeys);
  return set;
}

bool verifies(std::string_view token) {
  const auto jws = parse_jws(token);
  return jws && keys().verifies(*jws);
}

// A token with another header, and the signature of the first.
std::string with_header(std::string_view token, std::string_view header) {
  return to_base64url(header) + std::string(token.substr(token.find('.')));
}

TEST(Jws, EveryAcceptedAlgorithm) {
  EXPECT_EQ(keys().size(), 5u);
  for (const std::string_view token : {kRs256, kRs512, kPs384, kEs256, kEs384, kEdDsa}) {
    const auto jws = parse_jws(token);
    ASSERT_TRUE(jws.has_value());
    EXPECT_EQ(jws->payload, R"({"sub":"ada"})");
    EXPECT_TRUE(keys().verifies(*jws)) << jws_algorithm_name(jws->algorithm);
    EXPECT_TRUE(keys().has_key_for(*jws));
  }
}

TEST(Jws, AnyChangedCharacterBreaksIt) {
  for (const std::string_view token : {kRs256, kEs256, kEdDsa}) {
    for (std::size_t i = 0; i < token.size(); i += 7) {
      std::string changed(token);
      changed[i] = changed[i] == 'A' ? 'B' : 'A';
      EXPECT_FALSE(verifies(changed)) << i;
    }
    EXPECT_FALSE(verifies(token.substr(0, token.size() - 1)));
    EXPECT_FALSE(verifies(std::string(token) + "A"));
  }
}

TEST(Jws, KeysOfTheTokensOwnChoiceAreRefused) {
  EXPECT_FALSE(parse_jws(kOwnKeyInside).has_value());
  EXPECT_FALSE(parse_jws(kKeyElsewhere).has_value());
  EXPECT_FALSE(verifies(kForged));
}

TEST(Jws, NeitherNoneNorAnHmacWithThePublicKey) {
  EXPECT_FALSE(parse_jws(kHmacWithPublicKey).has_value());
  for (const char* algorithm :
       {"none", "nOnE", "None", "HS256", "hs256", "rs256", "RS256 ", "ES256K", "RSA-OAEP", ""}) {
    const std::string header = std::string(R"({"alg":")") + algorithm + R"(","kid":"rs256"})";
    EXPECT_FALSE(parse_jws(with_header(kRs256, header)).has_value()) << algorithm;
  }
  EXPECT_FALSE(parse_jws(to_base64url(R"({"alg":"none"})") + "." + to_base64url("{}") + ".").has_value());
}

TEST(Jws, AKeyChecksOnlyWhatItsTypeCan) {
  // The header names an algorithm of another type than the key that kid names.
  for (const char* header : {R"({"alg":"ES256","kid":"rs256"})", R"({"alg":"EdDSA","kid":"rs256"})",
                             R"({"alg":"RS256","kid":"es256"})", R"({"alg":"ES384","kid":"es256"})"}) {
    const auto jws = parse_jws(with_header(kRs256, header));
    ASSERT_TRUE(jws.has_value());
    EXPECT_FALSE(keys().verifies(*jws)) << header;
    EXPECT_FALSE(keys().has_key_for(*jws)) << header;
  }
}

TEST(Jws, HeadersThatDemandMoreAreRefused) {
  for (const char* extra : {R"("crit":["exp"])", R"("b64":false)", R"("zip":"DEF")", R"("enc":"A256GCM")",
                            R"("x5u":"https://evil.example")", R"("x5c":[])", R"("jwk":null)"}) {
    const std::string header = std::string(R"({"alg":"RS256","kid":"rs256",)") + extra + "}";
    EXPECT_FALSE(parse_jws(with_header(kRs256, header)).has_value()) << extra;
  }
  for (const char* header : {"[]", "1", "", "{", R"({"alg":"RS256","alg":"RS256"})", R"({"alg":["RS256"]})",
                             R"({"alg":"RS256","kid":7})", R"({"alg":"RS256","typ":{}})"}) {
    EXPECT_FALSE(parse_jws(with_header(kRs256, header)).has_value()) << header;
  }
  const std::string long_kid = R"({"alg":"RS256","kid":")" + std::string(257, 'k') + R"("})";
  EXPECT_FALSE(parse_jws(with_header(kRs256, long_kid)).has_value());
}

TEST(Jws, AHostileKidIsOnlyANameThatNobodyHas) {
  for (const char* kid :
       {"../../../../dev/null", "' OR 1=1 --", "rs256\\u0000", "RS256", "https://evil.example"}) {
    const auto jws = parse_jws(with_header(kRs256, std::string(R"({"alg":"RS256","kid":")") + kid + R"("})"));
    ASSERT_TRUE(jws.has_value()) << kid;
    EXPECT_FALSE(keys().has_key_for(*jws)) << kid;
    EXPECT_FALSE(keys().verifies(*jws)) << kid;
  }
}

TEST(Jws, WithoutAKidOneKeyAloneMustFit) {
  // Two RSA keys: it could be either.
  EXPECT_FALSE(verifies(kWithoutKid));
  auto document = json::parse(kKeys).value();
  json::Array& list = *document.as_object()->front().second.as_array();
  list.erase(list.begin() + 1);  // the one that signs by PSS
  const auto jws = parse_jws(kWithoutKid);
  ASSERT_TRUE(jws.has_value());
  EXPECT_TRUE(JwkSet::parse(document)->verifies(*jws));
}

TEST(Jws, OtherPartsAreRefused) {
  for (const std::string& text : std::vector<std::string>{
           "", ".", "..", "a.b", "a.b.c.d", std::string(kRs256) + ".", std::string(kMaxJwsBytes + 1, 'a')}) {
    EXPECT_FALSE(parse_jws(text).has_value()) << text.substr(0, 20);
  }
}

TEST(JwkSet, KeysThatCannotCheckAreLeftOut) {
  const std::string list =
      R"({"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"},{"kty":"RSA","n":"AQAB","e":"AQAB"},)"
      R"({"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},)"
      R"({"kty":"EC","crv":"P-521","x":"AA","y":"AA"},{"kty":"OKP","crv":"X25519","x":"AA"},)"
      R"({"kty":"OKP","crv":"Ed25519","x":"AAAA"},{"kty":"OKP","crv":"Ed25519","use":"enc","x":"AA"},7,null,)" +
      std::string(kShortRsaKey) + "]}";
  EXPECT_EQ(set_of(list).size(), 0u);
}

TEST(JwkSet, OtherDocumentsAreNone) {
  for (const char* text : {"{}", "[]", R"({"keys":{}})", R"({"keys":null})", "7"}) {
    EXPECT_FALSE(JwkSet::parse(json::parse(text).value()).has_value()) << text;
  }
  json::Array many(kMaxJwkSetKeys + 1, json::Value(json::Object{}));
  json::Value document;
  document.set("keys", json::Value(std::move(many)));
  EXPECT_FALSE(JwkSet::parse(document).has_value());
}

}  // namespace
}  // namespace rowhouse::crypto
