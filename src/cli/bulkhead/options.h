// Command-line options as Docker's users type them: "--name value", "--name=value", "-n value",
// "-nvalue", "-it". One table gives parsing, help and completion. Nothing is built that is not used:
// a start pays for one walk over one table.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace bulkhead::cli::engine {

// A bool takes no value (or "=true", "=false"); a list is given once for each of its values.
using Target =
    std::variant<bool*, std::string*, std::optional<std::string>*, std::vector<std::string>*>;

// What a value is, for completion.
enum class ValueKind { kNone, kText, kFile, kDirectory };

struct Option {
  std::string_view name;
  char letter = 0;  // 0: none
  Target target;
  std::string_view value_name = {};  // "SIZE"; empty for a bool
  std::string_view help = {};
  ValueKind kind = ValueKind::kText;
  // In --help: the heading above this option and those after it. Options without a help text are other
  // names of others, and are not listed.
  std::string_view heading = {};
};

// A word that is an option of Docker's and not one of ours: why, and what to do instead.
struct Unsupported {
  std::string_view name;
  char letter = 0;
  std::string_view why = {};
  std::string_view instead = {};
};

struct OptionTable {
  std::span<const Option> options;
  std::span<const Unsupported> unsupported = {};
};

enum class Positionals {
  kAnywhere,
  kEndOptions,  // what follows the first one belongs to somebody else
};

struct Words {
  std::vector<std::string> positional;
  bool help = false;
};

// kUsage names the option; unknown ones get the nearest known name as a hint.
Result<Words> parse(const OptionTable& table, std::span<const std::string_view> words,
                    Positionals positionals);

bool takes_value(const Option& option);

// The lines of --help, one option each.
std::string describe(std::span<const Option> options);

}  // namespace bulkhead::cli::engine
