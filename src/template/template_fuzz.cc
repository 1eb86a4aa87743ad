// A template from the command line over a document: whatever it is, it ends, within its bounds, and
// what is refused when it is carried out as a list is refused before, if its text is wrong.
#include <cstdlib>
#include <string>

#include "json/parse.h"
#include "template/template.h"
#include "template/testing.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead;
  static const auto document = json::parse(templates::testing::kDocument);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto printed = templates::render(text, document->root());
  if (printed && !templates::check(text)) std::abort();
  // Nothing is an answer, and an error says where.
  if (!printed && printed.error().message().find("template, ") != 0) std::abort();
  const json::Value rows[] = {document->root()};
  const auto listed = templates::render_list(text, rows, document->root());
  if (listed && !templates::check_list(text)) std::abort();
  return 0;
}
