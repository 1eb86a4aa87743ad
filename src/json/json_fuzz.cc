// Any text: the reader neither crashes nor reads out of bounds, what it accepts is written back to
// something that it accepts again, and it reads what the reference reads.
#include <cstdlib>
#include <string>

#include "json/parse.h"
#include "json/testing.h"
#include "json/writer.h"

namespace {

std::string write(const bulkhead::json::Value& value, bulkhead::json::Style style) {
  std::string out;
  bulkhead::json::Writer writer(out, style);
  writer.value(value);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using bulkhead::json::Style;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!bulkhead::json::agrees_with_reference(text)) std::abort();
  const auto document = bulkhead::json::parse(text);
  if (!document) {
    if (document.error().message().empty()) std::abort();
    return 0;
  }
  const std::string once = write(document->root(), Style::kCompact);
  for (const Style style : {Style::kCompact, Style::kIndented}) {
    const auto again = bulkhead::json::parse(write(document->root(), style));
    if (!again || write(again->root(), Style::kCompact) != once) std::abort();
  }
  return 0;
}
