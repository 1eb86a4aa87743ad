#include "engine/systemd_units.h"

#include <algorithm>
#include <array>

namespace bulkhead::engine {
namespace {

// What stopping costs beside the container's own patience.
constexpr std::int64_t kStopMargin = 60;

std::string command_line(const UnitWish& wish, const std::vector<std::string>& words) {
  std::string line = unit_word(wish.program);
  for (const auto* list : {&wish.global, &words})
    for (const std::string& word : *list) line.append(" ").append(unit_word(word));
  return line;
}

}  // namespace

std::string unit_word(std::string_view word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@+";
  constexpr std::string_view kDigits = "0123456789abcdef";
  // A first character of these would be a prefix of the command's to systemd.
  constexpr std::string_view kPrefixes = "@:+";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos &&
      kPrefixes.find(word.front()) == std::string_view::npos)
    return std::string(word);
  std::string text = "\"";
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '%' || c == '$')
      text.append(2, c);
    else if (c == '"' || c == '\\')
      text.append("\\").append(1, c);
    else if (byte < 0x20 || byte == 0x7F)
      text.append("\\x").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
    else
      text += c;
  }
  return text + "\"";
}

bool is_unit_restart_policy(std::string_view text) {
  constexpr std::array<std::string_view, 7> kPolicies{
      "no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"};
  return std::ranges::find(kPolicies, text) != kPolicies.end();
}

std::string unit_text(const UnitWish& wish) {
  const std::string seconds = std::to_string(wish.stop_seconds);
  std::string text = "# container-" + wish.name +
                     ".service\n"
                     "# Made by bulkhead generate systemd.\n\n"
                     "[Unit]\n"
                     "Description=Bulkhead container-" +
                     wish.name +
                     ".service\n"
                     "Documentation=man:bulkhead(1)\n"
                     "Wants=network-online.target\n"
                     "After=network-online.target\n\n"
                     "[Service]\n"
                     "Type=exec\n"
                     "Restart=" +
                     wish.restart_policy + "\n";
  if (wish.start_seconds >= 0)
    text += "TimeoutStartSec=" + std::to_string(wish.start_seconds) + "\n";
  text += "TimeoutStopSec=" + std::to_string(wish.stop_seconds + kStopMargin) + "\n";
  const auto line = [&](std::string_view key, const std::vector<std::string>& words) {
    text.append(key).append(command_line(wish, words)).append("\n");
  };
  if (wish.run_words) {
    std::vector<std::string> words{"run", "--rm", "--name", wish.container};
    words.insert(words.end(), wish.run_words->begin(), wish.run_words->end());
    line("ExecStartPre=-", {"rm", "--force", wish.container});
    line("ExecStart=", words);
  } else {
    line("ExecStart=", {"start", "--attach", "--sig-proxy=false", wish.container});
  }
  line("ExecStop=-", {"stop", "--time", seconds, wish.container});
  if (wish.run_words) line("ExecStopPost=-", {"rm", "--force", wish.container});
  return text + "\n[Install]\nWantedBy=multi-user.target\n";
}

}  // namespace bulkhead::engine
