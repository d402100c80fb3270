// Request bodies that MinIO's admin API wants encrypted, since they hold the secrets of users.
//
// Salt (32 bytes), algorithm (1), nonce (8), then AES-256-GCM in fragments of 16 KiB, numbered and with the
// last one marked ("DARE", as in madmin's EncryptData and the sio-go library). The key comes from the
// admin's secret key by PBKDF2-HMAC-SHA256 with 8,192 rounds: algorithm 2, the one of madmin's FIPS mode,
// which every server takes. (Algorithms 0 and 1 need argon2id with four lanes, which libsodium does not
// have.) Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rowhouse::storage {

inline constexpr std::size_t kMinioSaltBytes = 32;
inline constexpr std::size_t kMinioNonceBytes = 8;
inline constexpr std::size_t kMaxMinioPayload = 16 * 1024;  // one fragment: what we send is small

// `text`: at most kMaxMinioPayload; `salt` and `nonce`: random, of these sizes, never used again.
std::string seal_minio_payload(std::string_view secret_key, std::string_view text, std::string_view salt,
                               std::string_view nonce);

}  // namespace rowhouse::storage
