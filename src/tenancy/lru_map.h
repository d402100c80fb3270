// A map of bounded size that forgets what was used least recently. Not thread-safe; every operation is O(1).
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>

namespace rowhouse::tenancy {

template <class Key, class Value, class Hash = std::hash<Key>>
class LruMap {
 public:
  using Entry = std::pair<const Key, Value>;
  explicit LruMap(std::size_t capacity) : capacity_(capacity) {}

  // Null if it is not there; otherwise now the most recently used. Valid until the next change of the map.
  Value* find(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->second;
  }

  // Puts or replaces; returns what had to go for it.
  std::optional<std::pair<Key, Value>> put(const Key& key, Value value) {
    if (Value* old = find(key)) {
      *old = std::move(value);
      return std::nullopt;
    }
    std::optional<std::pair<Key, Value>> evicted;
    if (index_.size() >= capacity_ && !entries_.empty()) {
      evicted.emplace(entries_.back().first, std::move(entries_.back().second));
      index_.erase(evicted->first);
      entries_.pop_back();
    }
    entries_.emplace_front(key, std::move(value));
    index_.emplace(key, entries_.begin());
    return evicted;
  }

  std::optional<Value> take(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return std::nullopt;
    std::optional<Value> value(std::move(found->second->second));
    entries_.erase(found->second);
    index_.erase(found);
    return value;
  }

  void clear() {
    index_.clear();
    entries_.clear();
  }
  std::size_t size() const { return index_.size(); }

 private:
  std::size_t capacity_;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<Key, typename std::list<Entry>::iterator, Hash> index_;
};

}  // namespace rowhouse::tenancy
