#include "engine/storage_options.h"

#include "base/text.h"
#include "engine/values.h"

namespace bulkhead::engine {
namespace {

std::unexpected<Error> refuse(std::string_view option, std::string_view why,
                              std::string hint = {}) {
  return fail(ErrorKind::kUsage, "--storage-opt " + quoted(option) + ": " + std::string(why),
              std::move(hint));
}

Result<void> read_size(std::string_view option, std::string_view value, StorageChoices& choices) {
  const auto bytes = parse_bytes(value);
  if (!bytes) return refuse(option, "a size such as 512m or 10g is expected");
  choices.size.reset();
  if (*bytes == 0) return {};
  if (static_cast<std::uint64_t>(*bytes) < storage::kLeastSizeLimit)
    return refuse(option, "too small for a file system of its own", "give at least 8m");
  // Whole blocks of every file system that may enforce it.
  choices.size = static_cast<std::uint64_t>(*bytes) & ~std::uint64_t{4095};
  return {};
}

Result<void> read_direct_io(std::string_view option, std::string_view value, bool has_value,
                            StorageChoices& choices) {
  using Reading = storage::Layers::Reading;
  if (!has_value || value == "true" || value == "1")
    choices.layers.reading = Reading::kDirect;
  else if (value == "false" || value == "0")
    choices.layers.reading = Reading::kCached;
  else
    return refuse(option, "true or false is expected");
  return {};
}

}  // namespace

Result<StorageChoices> read_storage_options(const std::string& storage,
                                            const std::vector<std::string>& options) {
  StorageChoices choices;
  if (storage == "erofs")
    choices.layers.form = storage::LayerForm::kErofs;
  else if (storage != "overlay")
    return fail(ErrorKind::kUsage, "--storage " + quoted(storage) + ": there is no such way",
                "there are overlay (layers as directories) and erofs (layers as EROFS images)");
  for (const std::string& option : options) {
    std::string_view value = option;
    const std::string_view name = next_field(value, '=');
    const bool has_value = name.size() != option.size();
    if (name == "size") {
      TRY(read_size(option, value, choices));
    } else if (name == "limit") {
      choices.size_method = storage::limit_method_named(value);
      if (!choices.size_method) return refuse(option, "quota, image or tmpfs is expected");
    } else if (name == "directio") {
      TRY(read_direct_io(option, value, has_value, choices));
    } else {
      return refuse(option, "there is no such option",
                    "there are size=SIZE, limit=quota|image|tmpfs and directio");
    }
  }
  if (choices.size_method && !choices.size)
    return fail(ErrorKind::kUsage, "--storage-opt limit= is of use only with size=");
  if (choices.layers.reading == storage::Layers::Reading::kDirect &&
      choices.layers.form != storage::LayerForm::kErofs)
    return fail(ErrorKind::kUsage, "--storage-opt directio is of use only with --storage erofs",
                "layers that are directories are read through the host's page cache");
  return choices;
}

}  // namespace bulkhead::engine
