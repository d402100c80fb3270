// Secrets at rest: authenticated encryption of what a database keeps, with a key that it does not have.
// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) by way of libsodium. Any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace rowhouse::crypto {

inline constexpr std::size_t kSealKeyBytes = 32;

// Random nonce, then ciphertext and tag: 40 bytes more than the text. `key`: kSealKeyBytes, of derive_key().
// `context` is not in the result and must be the same to open it: what the secret belongs to ("totp USER"),
// so that a row copied over another one does not open.
std::string seal(std::string_view key, std::string_view context, std::string_view text);
// nullopt: another key or context, or not what seal() made.
std::optional<std::string> open_sealed(std::string_view key, std::string_view context,
                                       std::string_view sealed);

}  // namespace rowhouse::crypto
