// The keys that wrap the data keys of tenants: one that wraps, and others that can still unwrap.
//
// A key is known by its fingerprint: 16 hexadecimal digits derived from it one way, which are safe to show.
// Immutable after it was made; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rowhouse::secrets {

inline constexpr std::size_t kWrappingKeyBytes = 32;

// Of a key of kWrappingKeyBytes.
std::string fingerprint_of(std::string_view key);

class WrappingKeys {
 public:
  struct Key {
    Key(std::string key_bytes, std::string key_fingerprint)
        : bytes(std::move(key_bytes)), fingerprint(std::move(key_fingerprint)) {}
    std::string bytes;
    std::string fingerprint;
  };

  // Each kWrappingKeyBytes long. One that is there twice counts once.
  WrappingKeys(std::string current, std::vector<std::string> others);
  ~WrappingKeys();  // wipes them
  WrappingKeys(const WrappingKeys&) = delete;
  WrappingKeys& operator=(const WrappingKeys&) = delete;

  const Key& current() const { return keys_.front(); }
  const std::vector<Key>& all() const { return keys_; }  // the current one first
  const Key* find(std::string_view fingerprint) const;

 private:
  std::vector<Key> keys_;
};

}  // namespace rowhouse::secrets
