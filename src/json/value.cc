#include "json/value.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace bulkhead::json {

std::string_view type_name(Type type) {
  switch (type) {
    case Type::kNull: return "null";
    case Type::kBoolean: return "a boolean";
    case Type::kInteger: return "a whole number";
    case Type::kFraction: return "a number";
    case Type::kString: return "a string";
    case Type::kArray: return "an array";
    case Type::kObject: return "an object";
  }
  return "a value";
}

Value Value::boolean(bool value) {
  Value out(Type::kBoolean, 0);
  out.unsigned_ = value ? 1 : 0;
  return out;
}

Value Value::integer(std::int64_t value) {
  Value out(Type::kInteger, 0);
  out.signed_ = value;
  out.negative_ = value < 0;
  return out;
}

Value Value::natural(std::uint64_t value) {
  Value out(Type::kInteger, 0);
  out.unsigned_ = value;
  return out;
}

// The reader limits a text to less than 4 GiB, so every size within it fits.
Value Value::fraction(std::string_view text) {
  Value out(Type::kFraction, static_cast<std::uint32_t>(text.size()));
  out.text_ = text.data();
  return out;
}

Value Value::string(std::string_view text) {
  Value out(Type::kString, static_cast<std::uint32_t>(text.size()));
  out.text_ = text.data();
  return out;
}

Value Value::array(std::span<const Value> items) {
  Value out(Type::kArray, static_cast<std::uint32_t>(items.size()));
  out.items_ = items.data();
  return out;
}

Value Value::object(std::span<const Member> members) {
  Value out(Type::kObject, static_cast<std::uint32_t>(members.size()));
  out.members_ = members.data();
  return out;
}

std::string_view Value::as_string() const {
  return type_ == Type::kString ? std::string_view(text_, size_) : std::string_view();
}

std::string_view Value::fraction_text() const {
  return type_ == Type::kFraction ? std::string_view(text_, size_) : std::string_view();
}

std::span<const Value> Value::items() const {
  return type_ == Type::kArray ? std::span<const Value>(items_, size_) : std::span<const Value>();
}

std::span<const Member> Value::members() const {
  return type_ == Type::kObject ? std::span<const Member>(members_, size_)
                                : std::span<const Member>();
}

const Value* Value::find(std::string_view key) const {
  for (const Member& member : members()) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

std::optional<std::int64_t> Value::as_int64() const {
  if (type_ != Type::kInteger) return std::nullopt;
  if (negative_) return signed_;
  if (unsigned_ > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(unsigned_);
}

std::optional<std::uint64_t> Value::as_uint64() const {
  if (type_ != Type::kInteger || negative_) return std::nullopt;
  return unsigned_;
}

void* Arena::allocate(std::size_t size, std::size_t alignment) {
  const std::size_t padding =
      (alignment - reinterpret_cast<std::uintptr_t>(next_) % alignment) % alignment;
  if (next_ == nullptr || left_ < size + padding) {
    constexpr std::size_t kChunk = 16 * 1024;
    const std::size_t chunk = std::max(kChunk, size);
    // operator new[] for char aligns for every fundamental type, which is enough for Value.
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(chunk));
    next_ = chunks_.back().get();
    left_ = chunk;
    return allocate(size, alignment);
  }
  char* const out = next_ + padding;
  next_ = out + size;
  left_ -= size + padding;
  return out;
}

std::string_view Arena::copy(std::string_view text) {
  if (text.empty()) return {};
  char* const out = static_cast<char*>(allocate(text.size(), 1));
  std::memcpy(out, text.data(), text.size());
  return {out, text.size()};
}

}  // namespace bulkhead::json
