#include "supervise/detach_keys.h"

#include "base/text.h"

namespace bulkhead::supervise {

Result<std::string> parse_detach_keys(std::string_view text) {
  std::string keys;
  if (text.empty()) return keys;
  for (const std::string_view key : split(text, ',')) {
    std::string_view name = key;
    const bool control = name.starts_with("ctrl-");
    if (control) name.remove_prefix(5);
    const char c = name.size() == 1 ? name[0] : '\0';
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    const bool letter = lower >= 'a' && lower <= 'z';
    if (control && (letter || std::string_view("@[\\]^_").find(c) != std::string_view::npos) &&
        c != '\0')
      keys += static_cast<char>((letter ? lower - 32 : c) & 0x1F);
    else if (!control && c > ' ' && c < 0x7F)
      keys += c;
    else
      return fail(ErrorKind::kUsage,
                  "--detach-keys " + quoted(text) + ": " + quoted(key) + " is no key",
                  "give single characters and ctrl-LETTER, with commas between: ctrl-p,ctrl-q");
  }
  return keys;
}

bool DetachKeys::filter(std::string_view typed, std::string& through) {
  through.clear();
  if (keys_.empty()) {
    through = typed;
    return false;
  }
  for (const char c : typed) {
    if (c == keys_[matched_]) {
      if (++matched_ == keys_.size()) return true;
      continue;
    }
    through.append(keys_, 0, matched_);
    matched_ = 0;
    if (c == keys_[0])
      matched_ = 1;
    else
      through += c;
  }
  return false;
}

}  // namespace bulkhead::supervise
