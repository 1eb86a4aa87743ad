// A hostile configuration: decoding, validating and encoding neither crash nor hang, and what was
// decoded is decoded from its own encoding to the same.
#include <cstdlib>
#include <string>

#include "oci/decode.h"
#include "oci/encode.h"
#include "oci/state.h"
#include "oci/validate.h"

namespace {

// Both verdicts, so that a field that gets lost on the way is noticed.
std::string verdict(const bulkhead::oci::Spec& spec) {
  const auto valid = bulkhead::oci::validate(spec);
  if (valid) return "valid";
  if (valid.error().message().empty() || valid.error().hint().empty()) std::abort();
  return valid.error().message();
}

template <class T, class Decode>
void check_round_trip(const T& object, Decode decode) {
  const std::string once = bulkhead::oci::encode(object);
  const auto back = decode(once);
  if (!back || bulkhead::oci::encode(*back) != once) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead::oci;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto spec = decode_spec(text)) {
    const std::string once = encode(*spec, bulkhead::json::Style::kIndented);
    auto back = decode_spec(once);
    if (!back || !back->unknown_fields.empty()) std::abort();
    if (encode(*back, bulkhead::json::Style::kIndented) != once) std::abort();
    back->unknown_fields = spec->unknown_fields;
    if (verdict(*back) != verdict(*spec)) std::abort();
  } else if (spec.error().message().empty()) {
    std::abort();
  }
  if (const auto process = decode_process(text)) {
    check_round_trip(*process, [](const std::string& encoded) { return decode_process(encoded); });
  }
  if (const auto resources = decode_resources(text)) {
    check_round_trip(*resources,
                     [](const std::string& encoded) { return decode_resources(encoded); });
  }
  if (const auto state = decode_state(text)) check_round_trip(*state, decode_state);
  return 0;
}
