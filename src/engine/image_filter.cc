#include "engine/image_filter.h"

#include <fnmatch.h>
#include <time.h>

#include <algorithm>

#include "base/text.h"
#include "engine/image_time.h"
#include "engine/values.h"
#include "oci/image.h"

namespace bulkhead::engine {
namespace {

std::unexpected<Error> refuse(std::string_view text, std::string why, std::string hint) {
  return fail(ErrorKind::kUsage, "--filter " + quoted(text) + ": " + std::move(why),
              std::move(hint));
}

std::optional<bool> truth(std::string_view text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return std::nullopt;
}

// A moment, or how long ago it was.
std::optional<std::int64_t> moment(std::string_view text) {
  if (const auto time = parse_time(text)) return time;
  if (text.size() >= 9)
    if (const auto seconds = parse_number<std::int64_t>(text)) return seconds;
  if (const auto ago = parse_duration(text)) return ::time(nullptr) - *ago / 1000;
  return std::nullopt;
}

bool matches_pattern(const std::string& pattern, const std::string& text) {
  return ::fnmatch(pattern.c_str(), text.c_str(), FNM_PATHNAME) == 0;
}

// When the image was made, which is how Docker orders images.
Result<std::int64_t> time_of_image(const storage::Store& store, std::string_view filter,
                                   std::string_view name) {
  TRY_ASSIGN(const storage::FoundImage image, storage::find_image_here(store, name));
  const auto time = parse_time(image.record.created);
  if (!time)
    return refuse(filter, "nobody has written down when that image was made", "use until=TIME");
  return *time;
}

}  // namespace

ImageFilter::Label ImageFilter::label_of(std::string_view text, bool wanted) {
  Label label;
  const std::size_t equals = text.find('=');
  label.key = text.substr(0, equals);
  if (equals != std::string_view::npos) label.value = text.substr(equals + 1);
  label.wanted = wanted;
  return label;
}

Result<ImageFilter> ImageFilter::for_list(const storage::Store& store,
                                          const std::vector<std::string>& texts) {
  ImageFilter filter;
  for (const std::string& text : texts) {
    std::string_view value = text;
    const std::string_view key = next_field(value, '=');
    if (key == "reference") {
      filter.references_.emplace_back(value);
    } else if (key == "label") {
      filter.labels_.push_back(label_of(value, true));
    } else if (key == "dangling") {
      filter.dangling_ = truth(value);
      if (!filter.dangling_) return refuse(text, "true or false is expected", "");
    } else if (key == "before") {
      TRY_ASSIGN(filter.made_before_, time_of_image(store, text, value));
    } else if (key == "since") {
      TRY_ASSIGN(filter.made_after_, time_of_image(store, text, value));
    } else if (key == "until") {
      filter.made_before_ = moment(value);
      if (!filter.made_before_)
        return refuse(text, "not a time", "a date, an RFC 3339 time, or how long ago: 24h");
    } else {
      return refuse(text, "there is no such filter",
                    "reference=, dangling=, label=, before=, since= and until= are known");
    }
  }
  return filter;
}

Result<ImageFilter> ImageFilter::for_prune(const std::vector<PruneFilter>& filters) {
  ImageFilter filter;
  for (const PruneFilter& each : filters) {
    const std::string text = each.key + "=" + each.value;
    if (each.key == "label" || each.key == "label!") {
      filter.labels_.push_back(label_of(each.value, each.key == "label"));
    } else if (each.key == "until") {
      filter.made_before_ = moment(each.value);
      if (!filter.made_before_)
        return refuse(text, "not a time", "a date, an RFC 3339 time, or how long ago: 24h");
    } else {
      return refuse(text, "there is no such filter", "label=, label!= and until= are known");
    }
  }
  return filter;
}

Result<PruneFilter> parse_prune_filter(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return refuse(text, "KEY=VALUE is expected", "label=, label!= and until= are known");
  return PruneFilter{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

Result<bool> ImageFilter::matches_labels(const storage::StoredImage& image) const {
  if (labels_.empty()) return true;
  TRY_ASSIGN(const oci::ImageConfig config, oci::decode_image_config(image.record.config));
  return std::ranges::all_of(labels_, [&](const Label& label) {
    const auto found = config.config.labels.find(label.key);
    const bool has =
        found != config.config.labels.end() && (!label.value || *label.value == found->second);
    return has == label.wanted;
  });
}

bool ImageFilter::shows(const storage::Reference& name) const {
  if (references_.empty()) return true;
  return std::ranges::any_of(references_, [&](const std::string& pattern) {
    return matches_pattern(pattern, name.familiar()) ||
           matches_pattern(pattern, name.familiar_name()) ||
           matches_pattern(pattern, name.canonical()) || matches_pattern(pattern, name.name());
  });
}

Result<bool> ImageFilter::matches(const storage::StoredImage& image) const {
  if (dangling_ && *dangling_ != image.names.empty()) return false;
  if (!references_.empty() &&
      std::ranges::none_of(image.names, [&](const auto& name) { return shows(name); }))
    return false;
  if (made_before_ || made_after_) {
    const auto time = parse_time(image.record.created);
    if (!time) return false;
    if (made_before_ && *time >= *made_before_) return false;
    if (made_after_ && *time <= *made_after_) return false;
  }
  return matches_labels(image);
}

}  // namespace bulkhead::engine
