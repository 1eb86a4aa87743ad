#include "json/pointer.h"

#include "base/text.h"

namespace bulkhead::json {

void append_pointer_step(std::string& out, std::string_view key) {
  constexpr std::size_t kLongestKey = 128;
  out += '/';
  const std::string safe = quoted(key, kLongestKey);
  // Without the quotation marks around it; the ellipsis of a cut key stands after the closing one.
  const std::string_view ellipsis = key.size() > kLongestKey ? "…" : "";
  for (const char c : std::string_view(safe).substr(1, safe.size() - 2 - ellipsis.size())) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  out += ellipsis;
}

void append_pointer_step(std::string& out, std::size_t index) {
  out += '/';
  out += std::to_string(index);
}

void Place::append_to(std::string& out) const {
  if (parent_ == nullptr) return;
  parent_->append_to(out);  // at most as deep as the reader's depth limit
  if (index_ != kNoIndex) {
    append_pointer_step(out, index_);
  } else {
    append_pointer_step(out, key_);
  }
}

std::string Place::pointer() const {
  std::string out;
  append_to(out);
  return out;
}

std::string Place::text() const {
  std::string out = pointer();
  if (out.empty()) out = "the document";
  return out;
}

}  // namespace bulkhead::json
