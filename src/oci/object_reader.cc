#include "oci/object_reader.h"

#include "base/text.h"

namespace bulkhead::oci {
namespace {

std::string describe(const json::Value& value) {
  if (value.type() == json::Type::kString) return "the string " + quoted(value.as_string(), 64);
  if (value.type() == json::Type::kFraction)
    return std::string(value.fraction_text().substr(0, 40));
  if (const auto number = value.as_uint64()) return std::to_string(*number);
  if (const auto number = value.as_int64()) return std::to_string(*number);
  return std::string(json::type_name(value.type()));
}

template <class Number>
void fail_range(Decoding& decoding, const json::Place& place, Number least, Number greatest,
                const json::Value& found) {
  decoding.fail(place,
                "must be a whole number from " + std::to_string(least) + " to " +
                    std::to_string(greatest) + ", not " + describe(found),
                "write the number without quotes, fraction and exponent, and within the range");
}

}  // namespace

void Decoding::fail(const json::Place& place, std::string_view message, std::string_view hint) {
  if (error) return;
  error.emplace(ErrorKind::kInvalid, place.text().append(" ").append(message), std::string(hint));
}

void Decoding::fail_type(const json::Place& place, std::string_view expected,
                         const json::Value& found) {
  fail(place, std::string("must be ").append(expected).append(", not ").append(describe(found)),
       "change the value to the type that the specification gives it");
}

void Decoding::note_unknown(const json::Place& place) {
  // A hostile document may hold a million of them; nobody reads more than a few.
  constexpr std::size_t kMostUnknownFields = 256;
  if (unknown_fields.size() < kMostUnknownFields) unknown_fields.push_back(place.pointer());
}

void read_value(Decoding& decoding, const json::Value& value, const json::Place& place, bool& out) {
  if (value.type() != json::Type::kBoolean) {
    return decoding.fail_type(place, json::type_name(json::Type::kBoolean), value);
  }
  out = value.as_boolean();
}

void read_text(Decoding& decoding, const json::Value& value, const json::Place& place, Nul nul,
               std::string& out) {
  if (value.type() != json::Type::kString) {
    return decoding.fail_type(place, json::type_name(json::Type::kString), value);
  }
  const std::string_view text = value.as_string();
  if (nul == Nul::kRefused && text.find('\0') != std::string_view::npos) {
    return decoding.fail(place, "holds a NUL character, at which the kernel would cut it off",
                         "remove \\u0000 from the string");
  }
  out = text;
}

bool check_key(Decoding& decoding, const json::Place& place, std::string_view key) {
  if (key.find('\0') == std::string_view::npos) return true;
  decoding.fail(place, "holds a NUL character in its name", "remove \\u0000 from the name");
  return false;
}

void read_value(Decoding& decoding, const json::Value& value, const json::Place& place,
                NamespaceType& out) {
  std::string name;
  read_text(decoding, value, place, Nul::kRefused, name);
  if (decoding.failed()) return;
  if (const auto type = namespace_type_of(name)) {
    out = *type;
    return;
  }
  decoding.fail(place, "is " + quoted(name, 64) + ", which is no type of namespace",
                "use one of pid, network, mount, ipc, uts, user, cgroup, time");
}

std::int64_t read_signed(Decoding& decoding, const json::Value& value, const json::Place& place,
                         std::int64_t least, std::int64_t greatest) {
  const auto number = value.as_int64();
  if (number && *number >= least && *number <= greatest) return *number;
  fail_range(decoding, place, least, greatest, value);
  return 0;
}

std::uint64_t read_unsigned(Decoding& decoding, const json::Value& value, const json::Place& place,
                            std::uint64_t greatest) {
  const auto number = value.as_uint64();
  if (number && *number <= greatest) return *number;
  fail_range(decoding, place, std::uint64_t{0}, greatest, value);
  return 0;
}

void ObjectReader::text(std::string_view name, std::map<std::string, std::string>& field) {
  if (decoding_.failed()) return;
  const json::Value* const value = take(name);
  if (value == nullptr) return;
  const json::Place place(place_, name);
  if (value->type() != json::Type::kObject) {
    return decoding_.fail_type(place, json::type_name(json::Type::kObject), *value);
  }
  for (const json::Member& member : value->members()) {
    read_text(decoding_, member.value, json::Place(place, member.key), Nul::kKept,
              field[std::string(member.key)]);
    if (decoding_.failed()) return;
  }
}

}  // namespace bulkhead::oci
