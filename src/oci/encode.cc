#include "oci/encode.h"

#include "oci/fields.h"
#include "oci/object_writer.h"

namespace bulkhead::oci {
namespace {

template <class T>
std::string encode_object(const T& object, json::Style style) {
  std::string out;
  json::Writer writer(out, style);
  write_value(writer, object);
  return out;
}

}  // namespace

std::string encode(const Spec& spec, json::Style style) { return encode_object(spec, style); }
std::string encode(const Process& process, json::Style style) {
  return encode_object(process, style);
}
std::string encode(const Resources& resources, json::Style style) {
  return encode_object(resources, style);
}

}  // namespace bulkhead::oci
