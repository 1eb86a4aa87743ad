#include "engine/generated_name.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string_view>

#include "sys/error.h"

namespace bulkhead::engine {
namespace {

// How a good ship is, or its crew.
constexpr auto kAdjectives = std::to_array<std::string_view>({
    "able",      "agile",    "alert",    "amber",    "ample",    "ardent",  "astute",  "azure",
    "balanced",  "bold",     "bonny",    "brave",    "breezy",   "brief",   "bright",  "brisk",
    "buoyant",   "calm",     "candid",   "careful",  "cheerful", "civil",   "clear",   "clever",
    "coastal",   "composed", "constant", "coral",    "cordial",  "crisp",   "curious", "daring",
    "dauntless", "deft",     "diligent", "direct",   "eager",    "early",   "earnest", "easy",
    "even",      "exact",    "fair",     "faithful", "fearless", "firm",    "fleet",   "fluent",
    "frank",     "free",     "fresh",    "gallant",  "gentle",   "genuine", "glad",    "golden",
    "graceful",  "grand",    "handy",    "hardy",    "hearty",   "honest",  "humble",  "jolly",
    "keen",      "kind",     "lasting",  "level",    "light",    "lively",  "loyal",   "lucid",
    "merry",     "mild",     "modest",   "neat",     "nimble",   "noble",   "patient", "placid",
    "polite",    "prompt",   "quick",    "quiet",    "ready",    "robust",  "serene",  "sharp",
    "silent",    "sober",    "sound",    "steady",   "sturdy",   "swift",   "tidy",    "trusty",
});
// Who explored the seas, built ships, or found out how they float and find their way.
constexpr auto kSurnames = std::to_array<std::string_view>({
    "amundsen",     "archimedes",  "baffin",     "banks",      "barents",  "battuta",
    "beaufort",     "behaim",      "bering",     "bernoulli",  "bligh",    "boole",
    "bougainville", "bowditch",    "brunel",     "byron",      "cabot",    "cartier",
    "champlain",    "chichester",  "columbus",   "cook",       "coriolis", "cousteau",
    "dampier",      "darwin",      "davis",      "drake",      "earhart",  "edgerton",
    "ekman",        "ericson",     "euler",      "faraday",    "fitzroy",  "flinders",
    "franklin",     "frobisher",   "froude",     "gama",       "gilbert",  "halley",
    "hadley",       "harrison",    "henson",     "hillary",    "hooke",    "hudson",
    "humboldt",     "huygens",     "isherwood",  "jansz",      "joyon",    "kelvin",
    "kepler",       "krusenstern", "lovelace",   "macarthur",  "magellan", "maury",
    "mawson",       "mercator",    "moitessier", "nansen",     "napier",   "nelson",
    "newton",       "parry",       "pascal",     "peary",      "piccard",  "plimsoll",
    "polo",         "ptolemy",     "pytheas",    "raleigh",    "ross",     "sacagawea",
    "scott",        "shackleton",  "slocum",     "smeaton",    "stevin",   "stokes",
    "tasman",       "tharp",       "thomson",    "torricelli", "torres",   "turing",
    "vancouver",    "vespucci",    "wallis",     "weddell",    "zheng",
});

}  // namespace

Result<std::string> generated_name(int attempt) {
  std::array<std::uint16_t, 3> random{};
  if (::getrandom(random.data(), sizeof random, 0) != static_cast<ssize_t>(sizeof random))
    return std::unexpected(Error(SysError{"getrandom", errno}));
  std::string name(kAdjectives[random[0] % kAdjectives.size()]);
  name.append("_").append(kSurnames[random[1] % kSurnames.size()]);
  if (attempt >= 8) name += std::to_string(random[2] % 10'000);
  return name;
}

}  // namespace bulkhead::engine
