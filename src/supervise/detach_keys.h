// --detach-keys: a sequence of keys that leaves a container running behind one.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::supervise {

inline constexpr std::string_view kDefaultDetachKeys = "ctrl-p,ctrl-q";

// "ctrl-p,ctrl-q", "a,b": letters and ctrl- with a letter or one of @ [ \ ] ^ _. Empty: none at all.
Result<std::string> parse_detach_keys(std::string_view text);

// Takes the sequence out of what is typed.
class DetachKeys {
 public:
  explicit DetachKeys(std::string keys) : keys_(std::move(keys)) {}
  // What of `typed` goes on, together with what was held back of a sequence that was not finished after
  // all. True: the whole sequence was typed; what came after it is dropped.
  bool filter(std::string_view typed, std::string& through);

 private:
  std::string keys_;
  std::size_t matched_ = 0;
};

}  // namespace bulkhead::supervise
