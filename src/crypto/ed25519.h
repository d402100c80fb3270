// Ed25519 signatures (RFC 8032), by way of OpenSSL. Any thread; a library without Ed25519 ends the process.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rowhouse::crypto {

inline constexpr std::size_t kEd25519KeyBytes = 32;  // private (the seed) and public alike
inline constexpr std::size_t kEd25519SignatureBytes = 64;

// `seed`: the private key, kEd25519KeyBytes.
std::string ed25519_public_key(std::string_view seed);
std::string ed25519_sign(std::string_view seed, std::string_view message);
// False for a signature that does not fit, also for a key or signature of another size or an invalid key.
bool ed25519_verify(std::string_view public_key, std::string_view message, std::string_view signature);

}  // namespace rowhouse::crypto
