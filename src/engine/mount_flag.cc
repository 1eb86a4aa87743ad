#include "engine/mount_flag.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "engine/flag_error.h"
#include "engine/values.h"

namespace bulkhead::engine {
namespace {

constexpr std::string_view kFlag = "--mount";

std::optional<bool> parse_bool(std::string_view text) {
  if (text.empty() || text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return std::nullopt;
}

class MountReader {
 public:
  explicit MountReader(std::string_view text) : text_(text) {}

  Result<std::variant<Volume, TmpfsMount>> read() {
    TRY_ASSIGN(const std::vector<std::string> fields, split_fields(kFlag, text_));
    for (const std::string& text : fields) {
      const std::size_t equals = text.find('=');
      std::string key = text.substr(0, equals);
      for (char& c : key)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      const bool has_value = equals != std::string::npos;
      TRY(field(key, has_value, has_value ? std::string_view(text).substr(equals + 1) : ""));
    }
    if (target_.empty()) return refuse("the field target is missing");
    TRY(check_container_path(kFlag, target_));
    if (target_.find_first_not_of('/') == std::string::npos)
      return refuse("the target must not be /");
    if (type_ == "tmpfs") return tmpfs();
    if (type_ == "volume") return volume();
    return bind();
  }

 private:
  std::unexpected<Error> refuse(std::string_view why, std::string hint = {}) const {
    return refuse_flag(kFlag, text_, why, std::move(hint));
  }

  Result<void> only_for(std::string_view type, std::string_view key) {
    if (needs_.empty()) {
      needs_ = type;
      needed_by_ = key;
    }
    if (needs_ != type)
      return refuse("the fields " + needed_by_ + " and " + std::string(key) +
                    " belong to different types");
    return {};
  }

  Result<bool> boolean(std::string_view key, std::string_view value) const {
    const auto parsed = parse_bool(value);
    if (!parsed) return refuse("true or false is expected for " + std::string(key));
    return *parsed;
  }

  Result<void> field(const std::string& key, bool has_value, std::string_view value) {
    if (key == "readonly" || key == "ro") {
      TRY_ASSIGN(read_only_, boolean(key, value));
      return {};
    }
    if (key == "idmap" || key == "noidmap") {
      id_map_said_ = true;
      TRY_ASSIGN(const bool said, boolean(key, value));
      id_mapped_ = said == (key == "idmap");
      return {};
    }
    if (key == "bind-nonrecursive") {
      TRY(only_for("bind", key));
      TRY_ASSIGN(const bool said, boolean(key, value));
      recursive_ = !said;
      return {};
    }
    if (key == "volume-nocopy") {
      TRY(only_for("volume", key));
      TRY_ASSIGN(no_copy_, boolean(key, value));
      return {};
    }
    if (!has_value || value.empty()) return refuse("the field " + quoted(key) + " needs a value");
    return valued(key, value);
  }

  Result<void> valued(const std::string& key, std::string_view value) {
    if (key == "type") {
      if (value != "bind" && value != "tmpfs" && value != "volume")
        return refuse("the type " + quoted(value) + " is not supported",
                      "there are bind, tmpfs and volume");
      type_ = value;
    } else if (key == "source" || key == "src") {
      source_ = value;
    } else if (key == "target" || key == "destination" || key == "dst") {
      target_ = value;
    } else if (key == "bind-propagation") {
      TRY(only_for("bind", key));
      constexpr std::array kKnown{"private", "rprivate", "slave", "rslave"};
      if (std::ranges::find(kKnown, value) == kKnown.end())
        return refuse("the propagation " + quoted(value) + " is not supported",
                      "there are private, rprivate, slave and rslave: nothing that is mounted in a "
                      "container shows up on the host");
      propagation_ = value;
    } else if (key == "bind-recursive") {
      TRY(only_for("bind", key));
      // "writable": what lies beneath a read-only bind would stay writable.
      if (value != "enabled" && value != "disabled" && value != "readonly")
        return refuse("bind-recursive=" + std::string(value) + " is not supported",
                      "there are enabled (read-only then means all of it), disabled and readonly");
      recursive_ = value != "disabled";
    } else if (key == "tmpfs-size") {
      TRY(only_for("tmpfs", key));
      const auto size = parse_bytes(value);
      if (!size || *size == 0) return refuse("a size such as 64m is expected for tmpfs-size");
      size_ = *size;
    } else if (key == "tmpfs-mode") {
      TRY(only_for("tmpfs", key));
      mode_ = parse_number<std::uint32_t>(value, 8);
      if (!mode_ || *mode_ > 07777) return refuse("octal digits are expected for tmpfs-mode");
    } else if (key.starts_with("volume-")) {
      TRY(only_for("volume", key));
      return volume_field(key, value);
    } else if (key == "consistency") {
      return refuse("consistency has no meaning on Linux", "leave it out");
    } else {
      return refuse("there is no field " + quoted(key),
                    "there are type, source, target, readonly, bind-propagation, bind-recursive, "
                    "idmap, tmpfs-size, tmpfs-mode, volume-nocopy, volume-subpath, volume-label, "
                    "volume-driver and volume-opt");
    }
    return {};
  }

  Result<void> volume_field(const std::string& key, std::string_view value) {
    if (key == "volume-subpath") {
      if (value.starts_with('/')) return refuse("volume-subpath must be relative to the volume");
      for (const std::string_view part : split(value, '/'))
        if (part == ".." || part.find('\0') != std::string_view::npos)
          return refuse("volume-subpath leads out of the volume");
      subpath_ = value;
    } else if (key == "volume-label") {
      std::string_view text = value;
      const std::string_view name = next_field(text, '=');
      if (name.empty()) return refuse("NAME=VALUE is expected for volume-label");
      labels_[std::string(name)] = text;
    } else if (key == "volume-opt") {
      std::string_view text = value;
      const std::string_view name = next_field(text, '=');
      if (name.empty() || name.size() == value.size())
        return refuse("NAME=VALUE is expected for volume-opt");
      driver_options_[std::string(name)] = text;
    } else if (key == "volume-driver") {
      if (value != "local") return refuse("there is no driver " + quoted(value), "there is local");
    } else {
      return refuse("there is no field " + quoted(key),
                    "of volumes there are volume-nocopy, volume-subpath, volume-label, "
                    "volume-driver and volume-opt");
    }
    return {};
  }

  Result<void> check_type(std::string_view type) const {
    if (needs_.empty() || needs_ == type) return {};
    return refuse("the field " + needed_by_ + " is for type=" + needs_);
  }

  Result<std::variant<Volume, TmpfsMount>> tmpfs() {
    TRY(check_type("tmpfs"));
    if (!source_.empty()) return refuse("a tmpfs has no source");
    if (id_map_said_) return refuse("the field idmap is for type=bind and type=volume");
    TmpfsMount made;
    made.destination = target_;
    if (size_) made.options.push_back("size=" + std::to_string(*size_));
    if (mode_) {
      char digits[8];
      const int length = std::snprintf(digits, sizeof digits, "%o", *mode_);
      made.options.push_back("mode=" + std::string(digits, static_cast<std::size_t>(length)));
    }
    if (read_only_) made.options.emplace_back("ro");
    return made;
  }

  Result<std::variant<Volume, TmpfsMount>> volume() {
    TRY(check_type("volume"));
    if (!id_mapped_)
      return refuse("a volume is always idmapped",
                    "its files have the ids that containers see; bind a directory of the host");
    if (source_.starts_with('/') || source_.starts_with('.'))
      return refuse("the source of a volume is a name", "give type=bind for a path of the host");
    if (!source_.empty() && !volumes::is_volume_name(source_))
      return refuse("the source is not the name of a volume",
                    "a letter or digit, then letters, digits and _ . -; two at least");
    if (source_.empty() && !subpath_.empty())
      return refuse("volume-subpath needs a source: a new volume is empty");
    if (const auto meaning = volumes::read_options(driver_options_); !meaning)
      return refuse(meaning.error().message(), meaning.error().hint());
    Volume made;
    made.is_volume = true;
    made.anonymous = source_.empty();
    made.name = source_;
    made.destination = target_;
    made.read_only = read_only_;
    made.no_copy = no_copy_;
    made.subpath = subpath_;
    made.labels = labels_;
    made.driver_options = driver_options_;
    return made;
  }

  Result<std::variant<Volume, TmpfsMount>> bind() {
    TRY(check_type("bind"));
    if (!source_.starts_with('/'))
      return refuse("the source of a bind must be an absolute path on the host");
    Volume made;
    made.source = source_;
    made.destination = target_;
    made.read_only = read_only_;
    made.recursive = recursive_;
    made.id_mapped = id_mapped_;
    if (!propagation_.empty()) made.further_options.push_back(propagation_);
    return made;
  }

  std::string_view text_;
  std::string type_ = "volume";  // Docker's default
  std::string source_;
  std::string target_;
  bool read_only_ = false;
  bool recursive_ = true;
  bool id_mapped_ = true;
  bool id_map_said_ = false;
  bool no_copy_ = false;
  std::string subpath_;
  volumes::Words labels_;
  volumes::Words driver_options_;
  std::string propagation_;
  std::optional<std::int64_t> size_;
  std::optional<std::uint32_t> mode_;
  std::string needs_;  // the type that fields which were given belong to
  std::string needed_by_;
};

}  // namespace

Result<std::vector<std::string>> split_fields(std::string_view flag, std::string_view text) {
  std::vector<std::string> fields(1);
  bool inside = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' && !inside && fields.back().empty()) {
      inside = true;
    } else if (c == '"' && inside) {
      const bool doubled = i + 1 < text.size() && text[i + 1] == '"';
      if (doubled) fields.back() += text[i++];
      inside = doubled;
      if (!inside && i + 1 < text.size() && text[i + 1] != ',')
        return refuse_flag(flag, text, "a comma is expected after a closing quotation mark");
    } else if (c == '"') {
      return refuse_flag(flag, text, "a quotation mark within a field",
                         "put the whole field into quotation marks");
    } else if (c == ',' && !inside) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (inside) return refuse_flag(flag, text, "a quotation mark is not closed");
  return fields;
}

Result<std::variant<Volume, TmpfsMount>> parse_mount(std::string_view text) {
  return MountReader(text).read();
}

}  // namespace bulkhead::engine
