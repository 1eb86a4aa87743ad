// --filter of the commands on images, as Docker has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/images.h"

namespace bulkhead::engine {

class ImageFilter {
 public:
  // "reference=PATTERN", "dangling=true", "label=KEY[=VALUE]", "before=IMAGE", "since=IMAGE",
  // "until=TIME" of `images`. Several of one kind: any of them, of labels all of them.
  static Result<ImageFilter> for_list(const storage::Store& store,
                                      const std::vector<std::string>& texts);
  // "label", "label!", "until", "dangling".
  static Result<ImageFilter> for_prune(const std::vector<PruneFilter>& filters);

  Result<bool> matches(const storage::StoredImage& image) const;
  // Of `images`: only names that match reference= are shown.
  bool shows(const storage::Reference& name) const;

 private:
  struct Label {
    std::string key;
    std::optional<std::string> value;
    bool wanted = true;
  };
  static Label label_of(std::string_view text, bool wanted);
  Result<bool> matches_labels(const storage::StoredImage& image) const;

  std::vector<std::string> references_;
  std::vector<Label> labels_;
  std::optional<bool> dangling_;
  std::optional<std::int64_t> made_before_;
  std::optional<std::int64_t> made_after_;
};

// "KEY=VALUE" as a filter of prune. kUsage when it is none.
Result<PruneFilter> parse_prune_filter(std::string_view text);

}  // namespace bulkhead::engine
