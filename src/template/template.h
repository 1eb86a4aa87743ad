// Templates as users of Docker write them for --format: Go's text/template over a JSON value, with
// Docker's functions. Pure.
//
//   {{.Id}} {{.State.Pid}}   fields; a name that begins with an upper-case letter must be there, any
//                            other is a map's key and may be absent ("<no value>")
//   {{range}} {{if}} {{with}} {{else}} {{else if}} {{else with}} {{break}} {{continue}} {{end}}
//   {{$x := ...}} {{$x = ...}} {{... | ...}} {{- ... -}} {{/* ... */}}
//   and or not eq ne lt le gt ge index slice len print printf println html urlquery
//   json join split lower upper title pad truncate
//
// Not there: define, template, block, call, js. Errors are kUsage, name the line and column, and say
// what was expected.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "json/value.h"

namespace bulkhead::templates {

// What `inspect --format` prints for one value (without a newline at the end).
//
// A member whose name ends in "()" is a method of one argument: {{.Label "x"}} looks "x" up in the
// object "Label()"; `json` and a printed object leave it out.
Result<std::string> render(std::string_view text, const json::Value& value);

// What `ps --format` prints: each row on a line of its own. As in Docker, the two characters \t and
// the two characters \n stand for a tab and a newline; "json" is short for "{{json .}}"; and
// "table TEMPLATE" prints a line of headers first and sets the cells between the tabs in columns.
// `headers` is an object that has a header for each field; a field without one is headed by its own
// name in upper case.
Result<std::string> render_list(std::string_view text, std::span<const json::Value> rows,
                                const json::Value& headers);

// Whether the text could be rendered at all: for a command that wants to know before it begins.
Result<void> check(std::string_view text);
// For a list also whether its rows have the fields that are asked for: those of `headers`, so that a
// wrong name is an error of an empty list, too.
Result<void> check_list(std::string_view text);
Result<void> check_list(std::string_view text, const json::Value& headers);

}  // namespace bulkhead::templates
