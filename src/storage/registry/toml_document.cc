#include "storage/registry/toml_document.h"

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
// Its assertions are its developers': what trips one ("[!.") is reported as an error right after.
#define TOML_ASSERT(condition) static_cast<void>(0)
#define TOML_ENABLE_FORMATTERS 0
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#include <toml++/toml.h>
#pragma GCC diagnostic pop

#include <algorithm>

#include "base/text.h"

namespace bulkhead::storage {
namespace {

TomlValue convert(const toml::node& node);

TomlTable convert_table(const toml::table& table) {
  TomlTable converted;
  for (const auto& [key, node] : table) converted.emplace(std::string(key.str()), convert(node));
  return converted;
}

TomlValue convert(const toml::node& node) {
  TomlValue converted;
  converted.line = node.source().begin.line;
  if (const auto* const boolean = node.as_boolean()) {
    converted.value = boolean->get();
  } else if (const auto* const integer = node.as_integer()) {
    converted.value = integer->get();
  } else if (const auto* const text = node.as_string()) {
    converted.value = text->get();
  } else if (const auto* const array = node.as_array()) {
    TomlArray items;
    for (const toml::node& item : *array) items.push_back(convert(item));
    converted.value = std::move(items);
  } else if (const auto* const table = node.as_table()) {
    converted.value = convert_table(*table);
  }
  return converted;
}

}  // namespace

Result<TomlTable> parse_toml(std::string_view text, const std::string& file) {
  // Hosts, keys and paths are ASCII; the library has undefined behaviour for some of the rest.
  const auto is_plain = [](char c) {
    return (c >= 0x20 && c < 0x7f) || c == '\t' || c == '\n' || c == '\r';
  };
  if (!std::ranges::all_of(text, is_plain))
    return fail(ErrorKind::kInvalid,
                std::string(file) + ": a byte that is no printable ASCII character",
                "write it by ASCII alone, in comments too");
  const toml::parse_result result = toml::parse(text, file);
  if (!result)
    return fail(ErrorKind::kInvalid, quoted(file) + ", line " +
                                         std::to_string(result.error().source().begin.line) + ": " +
                                         std::string(result.error().description()));
  return convert_table(result.table());
}

}  // namespace bulkhead::storage
