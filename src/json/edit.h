// Changes to a JSON text that leave every byte of the rest as it is: people's files keep their order and
// their indentation. Only for texts that parse() takes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::json {

// Where a member of an object stands in the text.
struct MemberSpan {
  std::string key;
  std::size_t begin = 0;  // of the key's quotation mark
  std::size_t value = 0;
  std::size_t end = 0;  // after the value
};

struct ObjectSpan {
  std::size_t brace = 0;  // of "{"
  std::vector<MemberSpan> members;

  const MemberSpan* find(std::string_view key) const;
};

// The object whose first byte, or the space before it, stands at `at`; nothing for another value.
std::optional<ObjectSpan> object_at(std::string_view text, std::size_t at);

// `member` ("\"key\": value") and, before it, `lead` (space) as the first of `object`.
std::string with_first_member(std::string_view text, const ObjectSpan& object,
                              std::string_view lead, std::string_view member);

// Takes out what with_first_member put in, to the byte; any other member with one comma beside it.
std::string without_member(std::string_view text, const ObjectSpan& object,
                           const MemberSpan& member);

// The value of a member replaced.
std::string with_value(std::string_view text, const MemberSpan& member, std::string_view value);

}  // namespace bulkhead::json
