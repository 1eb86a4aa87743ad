#include "json/edit.h"

#include <algorithm>

#include "json/parse.h"

namespace bulkhead::json {
namespace {

std::size_t skip_space(std::string_view text, std::size_t at) {
  return std::min(text.find_first_not_of(" \t\r\n", at), text.size());
}

// Behind the string whose quotation mark stands at `at`.
std::size_t skip_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

std::size_t skip_value(std::string_view text, std::size_t at) {
  std::size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = skip_string(text, at);
    } else if (c == '{' || c == '[') {
      ++depth;
      ++at;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;
      --depth;
      ++at;
    } else if (depth == 0) {
      return std::min(text.find_first_of(",]} \t\r\n", at), text.size());
    } else {
      ++at;
      continue;
    }
    if (depth == 0) return at;
  }
  return at;
}

std::string decoded(std::string_view quoted_key) {
  const auto document = parse(quoted_key);
  return document ? std::string(document->root().as_string()) : std::string(quoted_key);
}

}  // namespace

const MemberSpan* ObjectSpan::find(std::string_view key) const {
  const auto found = std::ranges::find(members, key, &MemberSpan::key);
  return found == members.end() ? nullptr : &*found;
}

std::optional<ObjectSpan> object_at(std::string_view text, std::size_t at) {
  ObjectSpan object;
  object.brace = skip_space(text, at);
  if (object.brace >= text.size() || text[object.brace] != '{') return std::nullopt;
  at = skip_space(text, object.brace + 1);
  while (at < text.size() && text[at] == '"') {
    MemberSpan member;
    member.begin = at;
    const std::size_t key_end = skip_string(text, at);
    member.key = decoded(text.substr(at, key_end - at));
    member.value = skip_space(text, skip_space(text, key_end) + 1);  // behind the colon
    member.end = skip_value(text, member.value);
    at = skip_space(text, member.end);
    if (at < text.size() && text[at] == ',') at = skip_space(text, at + 1);
    object.members.push_back(std::move(member));
  }
  return object;
}

std::string with_first_member(std::string_view text, const ObjectSpan& object,
                              std::string_view lead, std::string_view member) {
  std::string out(text);
  std::string added(lead);
  added += member;
  if (!object.members.empty()) added += ',';
  return out.insert(object.brace + 1, added);
}

std::string without_member(std::string_view text, const ObjectSpan& object,
                           const MemberSpan& member) {
  std::string out(text);
  const auto at = static_cast<std::size_t>(&member - object.members.data());
  if (at == 0) {
    // Back to the brace, and to the comma that came with the member.
    const std::size_t comma =
        object.members.size() > 1 ? text.find(',', member.end) + 1 : member.end;
    return out.erase(object.brace + 1, comma - object.brace - 1);
  }
  const std::size_t before = object.members[at - 1].end;
  return out.erase(before, member.end - before);
}

std::string with_value(std::string_view text, const MemberSpan& member, std::string_view value) {
  std::string out(text);
  return out.replace(member.value, member.end - member.value, value);
}

}  // namespace bulkhead::json
