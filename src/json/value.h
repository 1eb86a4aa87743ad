// A JSON text as a tree of small values. A Document owns the bytes that its values point into, so
// it must outlive them; values are copied freely (16 bytes each).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace bulkhead::json {

enum class Type : std::uint8_t {
  kNull,
  kBoolean,
  kInteger,   // written without fraction and exponent, and within int64 or uint64
  kFraction,  // every other number, kept as it was written
  kString,
  kArray,
  kObject,
};

// "a string", "an object": for error messages.
std::string_view type_name(Type type);

struct Member;

class Value {
 public:
  constexpr Value() : unsigned_(0) {}

  static Value null() { return Value(); }
  static Value boolean(bool value);
  static Value integer(std::int64_t value);
  static Value natural(std::uint64_t value);
  static Value fraction(std::string_view text);
  static Value string(std::string_view text);
  static Value array(std::span<const Value> items);
  static Value object(std::span<const Member> members);

  Type type() const { return type_; }
  bool is_null() const { return type_ == Type::kNull; }

  // Each of these is meant for its own type; for another type it answers empty, false or nothing.
  bool as_boolean() const { return type_ == Type::kBoolean && unsigned_ != 0; }
  std::string_view as_string() const;
  std::span<const Value> items() const;
  std::span<const Member> members() const;  // in the order of the text; the keys are distinct
  const Value* find(std::string_view key) const;

  // The integer, when this is one and it fits.
  std::optional<std::int64_t> as_int64() const;
  std::optional<std::uint64_t> as_uint64() const;
  // A kFraction as it was written.
  std::string_view fraction_text() const;

 private:
  Value(Type type, std::uint32_t size) : unsigned_(0), size_(size), type_(type) {}

  union {
    std::uint64_t unsigned_;
    std::int64_t signed_;
    const char* text_;
    const Value* items_;
    const Member* members_;
  };
  std::uint32_t size_ = 0;
  Type type_ = Type::kNull;
  bool negative_ = false;
};

struct Member {
  std::string_view key;
  Value value;
};

// Memory for the values and strings of one document, freed at once.
class Arena {
 public:
  void* allocate(std::size_t size, std::size_t alignment);
  std::string_view copy(std::string_view text);

 private:
  std::vector<std::unique_ptr<char[]>> chunks_;
  char* next_ = nullptr;
  std::size_t left_ = 0;
};

class Document {
 public:
  Document(Arena arena, Value root) : arena_(std::move(arena)), root_(root) {}
  const Value& root() const { return root_; }

 private:
  Arena arena_;
  Value root_;
};

}  // namespace bulkhead::json
