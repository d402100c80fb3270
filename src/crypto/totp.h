// Time-based one-time passwords (RFC 6238): HMAC-SHA-1, six digits, a new one every 30 seconds, as every
// authenticator app computes them. Pure; any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rowhouse::crypto {

inline constexpr std::size_t kTotpSecretBytes = 20;  // as long as the hash: RFC 4226, section 4
inline constexpr std::size_t kTotpDigits = 6;
inline constexpr std::chrono::seconds kTotpStep{30};

// Number of the step that holds this time.
std::int64_t totp_step_at(std::chrono::system_clock::time_point time);
// The code of one step. `digits`: 6 to 9.
std::string totp_code(std::string_view secret, std::int64_t step, std::size_t digits = kTotpDigits);
// The step whose code this is: the one at `time`, the one before or the one after, for clocks that are a
// little off; none that is not after `last_step`, so that each code is good once. nullopt: it is no such
// code. Takes the same time for every code of the right form.
std::optional<std::int64_t> find_totp_step(std::string_view secret, std::string_view code,
                                           std::chrono::system_clock::time_point time,
                                           std::optional<std::int64_t> last_step);

// RFC 4648, upper case, without padding.
std::string to_base32(std::string_view bytes);
// What an authenticator app reads from a QR code:
// "otpauth://totp/ISSUER:ACCOUNT?secret=…&issuer=ISSUER". Names are percent-encoded.
std::string totp_uri(std::string_view secret, std::string_view issuer, std::string_view account);

}  // namespace rowhouse::crypto
