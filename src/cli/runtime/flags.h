// Command-line flags as Go programs take them, because callers of OCI runtimes expect that:
// "-name",
// "--name", "--name value", "--name=value", and single letters, also several in one ("-it").
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace bulkhead::cli {

// Where a flag's value goes. A bool takes none ("--detach", "--detach=false"); a list is given once
// for each of its values.
using FlagTarget =
    std::variant<bool*, std::optional<bool>*, std::string*, std::optional<std::string>*,
                 std::uint32_t*, std::vector<std::string>*>;

struct Flag {
  std::string_view name;
  char letter = 0;  // 0: none
  FlagTarget target;
  std::string_view value_name;  // "FILE"; for --help
  std::string_view help;        // empty: accepted, but not shown
};

enum class Order {
  kAnywhere,         // flags may stand after arguments, up to "--"
  kBeforeArguments,  // the first argument ends the flags
};

struct Parsed {
  std::vector<std::string_view> arguments;
  bool help = false;  // --help or -h was among the flags
};

// kUsage: "flag provided but not defined: -x", "flag needs an argument: -x", "invalid value …".
Result<Parsed> parse_flags(std::span<const Flag> flags, std::span<const std::string_view> words,
                           Order order);

// The lines of --help that list the flags.
std::string describe_flags(std::span<const Flag> flags);

}  // namespace bulkhead::cli
