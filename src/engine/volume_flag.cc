// --volume: a path of the host, a volume of the store, or a new one that nobody names.
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "engine/flag_error.h"
#include "engine/wish.h"
#include "sys/error.h"

namespace bulkhead::engine {
namespace {

constexpr std::string_view kFlag = "--volume";

bool is_passed_on(std::string_view option) {
  return option == "noexec" || option == "nosuid" || option == "nodev";
}

Result<void> read_option_of_volume(std::string_view text, std::string_view option, Volume& volume) {
  if (option == "ro" || option == "rw") {
    volume.read_only = option == "ro";
  } else if (option == "nocopy") {
    volume.no_copy = true;
  } else if (is_passed_on(option)) {
    volume.further_options.emplace_back(option);
  } else if (option != "idmap") {
    return refuse_flag(kFlag, text, "the option " + quoted(option) + " is not supported",
                       "of a volume there are ro, rw, nocopy, idmap (always on), noexec, nosuid "
                       "and nodev");
  }
  return {};
}

Result<void> read_option_of_bind(std::string_view text, std::string_view option, Volume& volume) {
  if (option == "ro" || option == "rw") {
    volume.read_only = option == "ro";
  } else if (option == "idmap" || option == "noidmap") {
    volume.id_mapped = option == "idmap";
  } else if (option == "bind" || option == "rbind") {
    volume.recursive = option == "rbind";
  } else if (is_passed_on(option) || option == "private" || option == "rprivate" ||
             option == "slave" || option == "rslave") {
    volume.further_options.emplace_back(option);
  } else {
    return refuse_flag(
        kFlag, text, "the option " + quoted(option) + " is not supported",
        "there are ro, rw, idmap, noidmap, bind, rbind, noexec, nosuid, nodev, [r]private "
        "and [r]slave; a bind never lets devices or setuid bits through");
  }
  return {};
}

Result<void> read_source(std::string_view text, Volume& volume) {
  if (volume.source.empty()) return refuse_flag(kFlag, text, "the source is empty");
  if (volume.source.starts_with("./") || volume.source.starts_with("../") || volume.source == "." ||
      volume.source == "..") {
    char here[4096];
    if (::getcwd(here, sizeof here) == nullptr)
      return std::unexpected(Error(SysError{"getcwd", errno}));
    volume.source = std::string(here) + "/" + volume.source;
  }
  if (volume.source.starts_with('/')) return {};
  if (!volumes::is_volume_name(volume.source))
    return refuse_flag(kFlag, text, "the source is neither a path nor the name of a volume",
                       "a path begins with / or ./; a name has letters, digits and _ . -, two at "
                       "least, and begins with a letter or digit");
  volume.is_volume = true;
  volume.name = std::move(volume.source);
  volume.source.clear();
  return {};
}

}  // namespace

Result<Volume> parse_volume(std::string_view text) {
  const std::vector<std::string_view> parts = split(text, ':');
  if (parts.empty() || parts.size() > 3)
    return refuse_flag(kFlag, text, "SOURCE:DESTINATION[:OPTIONS] is expected");
  Volume volume;
  if (parts.size() == 1) {
    volume.is_volume = volume.anonymous = true;
    volume.destination = parts[0];
  } else {
    volume.source = parts[0];
    volume.destination = parts[1];
    TRY(read_source(text, volume));
  }
  TRY(check_container_path(kFlag, volume.destination));
  if (volume.destination.find_first_not_of('/') == std::string::npos)
    return refuse_flag(kFlag, text, "the destination must not be /");
  if (parts.size() < 3) return volume;
  for (const std::string_view option : split(parts[2], ','))
    TRY(volume.is_volume ? read_option_of_volume(text, option, volume)
                         : read_option_of_bind(text, option, volume));
  return volume;
}

}  // namespace bulkhead::engine
