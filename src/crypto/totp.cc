#include "crypto/totp.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::crypto {
namespace {

constexpr std::size_t kSha1Bytes = 20;
constexpr std::int64_t kStepsOff = 1;  // before and after
constexpr unsigned kBitsOfByte = 8;
constexpr unsigned kBitsOfSign = 5;

std::array<unsigned char, kSha1Bytes> hmac_sha1(std::string_view key, std::string_view data) {
  std::array<unsigned char, kSha1Bytes> digest{};
  unsigned int size = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
  const void* made =
      HMAC(EVP_sha1(), key.data(), static_cast<int>(key.size()), bytes, data.size(), digest.data(), &size);
  if (made == nullptr || size != kSha1Bytes) std::abort();  // as everything in crypto.h
  return digest;
}

}  // namespace

std::int64_t totp_step_at(std::chrono::system_clock::time_point time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch() / kTotpStep;
}

std::string totp_code(std::string_view secret, std::int64_t step, std::size_t digits) {
  std::string counter(sizeof(step), '\0');
  auto left = static_cast<std::uint64_t>(step);
  for (auto byte = counter.rbegin(); byte != counter.rend(); ++byte) {
    *byte = static_cast<char>(left & 0xffU);
    left >>= kBitsOfByte;
  }
  const auto digest = hmac_sha1(secret, counter);
  // Dynamic truncation: RFC 4226, section 5.3.
  const std::size_t offset = digest[kSha1Bytes - 1] & 0x0fU;
  std::uint32_t number = digest[offset] & 0x7fU;
  for (std::size_t i = 1; i < sizeof(number); ++i) number = (number << kBitsOfByte) | digest[offset + i];
  std::string code(digits, '0');
  for (auto digit = code.rbegin(); digit != code.rend(); ++digit) {
    *digit = static_cast<char>('0' + number % 10);
    number /= 10;
  }
  return code;
}

std::optional<std::int64_t> find_totp_step(std::string_view secret, std::string_view code,
                                           std::chrono::system_clock::time_point time,
                                           std::optional<std::int64_t> last_step) {
  if (code.size() != kTotpDigits) return std::nullopt;
  const std::int64_t now = totp_step_at(time);
  std::optional<std::int64_t> found;
  for (std::int64_t step = now - kStepsOff; step <= now + kStepsOff; ++step) {
    const bool same = constant_time_equal(totp_code(secret, step), code);
    if (same && (!last_step || step > *last_step)) found = step;
  }
  return found;
}

std::string to_base32(std::string_view bytes) {
  constexpr std::string_view kSigns = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string text;
  std::uint32_t held = 0;
  unsigned bits = 0;
  for (const char byte : bytes) {
    held = (held << kBitsOfByte) | static_cast<unsigned char>(byte);
    for (bits += kBitsOfByte; bits >= kBitsOfSign;) {
      bits -= kBitsOfSign;
      text += kSigns[(held >> bits) & 31U];
    }
    held &= (1U << bits) - 1;
  }
  if (bits > 0) text += kSigns[(held << (kBitsOfSign - bits)) & 31U];
  return text;
}

std::string totp_uri(std::string_view secret, std::string_view issuer, std::string_view account) {
  const std::string name = percent_encode(issuer);
  return "otpauth://totp/" + name + ":" + percent_encode(account) + "?secret=" + to_base32(secret) +
         "&issuer=" + name + "&algorithm=SHA1&digits=6&period=30";
}

}  // namespace rowhouse::crypto
