#include "oci/decode.h"

#include "json/parse.h"
#include "oci/fields.h"
#include "oci/object_reader.h"

namespace bulkhead::oci {
namespace {

template <class T>
Result<T> decode(std::string_view text, std::vector<std::string>* unknown_fields) {
  TRY_ASSIGN(const json::Document document, json::parse(text));
  Decoding decoding;
  T out;
  read_object(decoding, document.root(), json::Place(), out);
  if (decoding.failed()) return std::unexpected(std::move(*decoding.error));
  if (unknown_fields != nullptr) *unknown_fields = std::move(decoding.unknown_fields);
  return out;
}

}  // namespace

Result<Spec> decode_spec(std::string_view text) {
  std::vector<std::string> unknown_fields;
  auto spec = decode<Spec>(text, &unknown_fields);
  if (spec) spec->unknown_fields = std::move(unknown_fields);
  return spec;
}

Result<Process> decode_process(std::string_view text, std::vector<std::string>* unknown_fields) {
  return decode<Process>(text, unknown_fields);
}

Result<Resources> decode_resources(std::string_view text,
                                   std::vector<std::string>* unknown_fields) {
  return decode<Resources>(text, unknown_fields);
}

}  // namespace bulkhead::oci
