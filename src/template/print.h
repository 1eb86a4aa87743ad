// Values as Go's fmt prints them.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "json/value.h"

namespace bulkhead::templates {

// A member whose name ends in "()" is a method: it is called, and never printed.
bool is_method(std::string_view name);

// %v: "a", 12, [a b], map[a:1 b:2], <nil>.
void append_value(std::string& out, const json::Value& value);
// As JSON, without methods.
std::string to_json(const json::Value& value);
// "int", "string", "map": how the user may know it.
std::string_view go_type(const json::Value& value);
double to_double(const json::Value& number);

// Sprint, Sprintln and Sprintf. The text of a format that asks for too wide a field is cut.
std::string print(std::span<const json::Value> values);
std::string print_line(std::span<const json::Value> values);
std::string print_format(std::string_view format, std::span<const json::Value> values);

}  // namespace bulkhead::templates
