#include "secrets/wrapping_keys.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::secrets {

namespace {

constexpr std::size_t kFingerprintBytes = 8;

}  // namespace

std::string fingerprint_of(std::string_view key) {
  return to_hex(crypto::derive_key(key, "rowhouse wrapping key fingerprint", kFingerprintBytes));
}

WrappingKeys::WrappingKeys(std::string current, std::vector<std::string> others) {
  std::string fingerprint = fingerprint_of(current);
  keys_.reserve(1 + others.size());
  keys_.emplace_back(std::move(current), std::move(fingerprint));
  for (std::string& other : others) {
    fingerprint = fingerprint_of(other);
    if (find(fingerprint) == nullptr) {
      keys_.emplace_back(std::move(other), std::move(fingerprint));
    } else {
      crypto::wipe(other);
    }
  }
}

WrappingKeys::~WrappingKeys() {
  for (Key& key : keys_) crypto::wipe(key.bytes);
}

const WrappingKeys::Key* WrappingKeys::find(std::string_view fingerprint) const {
  const auto found =
      std::ranges::find_if(keys_, [&](const Key& key) { return key.fingerprint == fingerprint; });
  return found == keys_.end() ? nullptr : &*found;
}

}  // namespace rowhouse::secrets
