// Where in a document something stands, kept as a chain on the stack while a document is walked:
// the text of a JSON pointer (RFC 6901) is only made when there is something to report.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bulkhead::json {

//
// A place points to its parent, so a place that has a name must have a parent that has one, too.
class Place {
 public:
  Place() = default;  // the whole document
  Place(const Place& parent, std::string_view key) : parent_(&parent), key_(key) {}
  Place(const Place& parent, std::size_t index) : parent_(&parent), index_(index) {}

  // "/mounts/3/destination"; "" for the whole document. Each key is cut after 128 bytes and its
  // control characters are escaped, so that a hostile document can neither fill a log nor steer a
  // terminal.
  std::string pointer() const;
  // As pointer(), but "the document" for the whole.
  std::string text() const;

 private:
  void append_to(std::string& out) const;

  const Place* parent_ = nullptr;
  std::string_view key_;
  std::size_t index_ = kNoIndex;
  static constexpr std::size_t kNoIndex = static_cast<std::size_t>(-1);
};

// "/" and the key as one step of a JSON pointer, cut and escaped as above.
void append_pointer_step(std::string& out, std::string_view key);
void append_pointer_step(std::string& out, std::size_t index);

}  // namespace bulkhead::json
