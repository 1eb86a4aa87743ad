#include <time.h>

#include "cli/bulkhead/command.h"
#include "cli/bulkhead/docker_words.h"
#include "cli/bulkhead/image_options.h"
#include "cli/bulkhead/listing.h"
#include "engine/image_filter.h"
#include "engine/image_time.h"
#include "storage/store.h"

namespace bulkhead::cli::engine {
namespace {

using bulkhead::engine::ImageFilter;
using storage::Reference;
using storage::StoredImage;

constexpr std::string_view kNone = "<none>";

std::string id_text(const std::string& hex, const ImagesOptions& options) {
  return options.no_trunc ? "sha256:" + hex : hex.substr(0, 12);
}

class Rows {
 public:
  Rows(const ImagesOptions& options, const ImageFilter& filter)
      : options_(options),
        filter_(filter),
        listing_({{"Containers", "CONTAINERS"},
                  {"CreatedAt", "CREATED AT"},
                  {"CreatedSince", "CREATED"},
                  {"Digest", "DIGEST"},
                  {"ID", "IMAGE ID"},
                  {"Repository", "REPOSITORY"},
                  {"SharedSize", "SHARED SIZE"},
                  {"Size", "SIZE"},
                  {"Tag", "TAG"},
                  {"UniqueSize", "UNIQUE SIZE"},
                  {"VirtualSize", "SIZE"}},
                 options.digests ? std::vector<std::string_view>{"Repository", "Tag", "Digest",
                                                                 "ID", "CreatedSince", "Size"}
                                 : std::vector<std::string_view>{"Repository", "Tag", "ID",
                                                                 "CreatedSince", "Size"}) {}

  void add(const StoredImage& image) {
    ids_ += id_text(image.record.config_digest, options_) + "\n";
    bool shown = false;
    for (const Reference& name : image.names) {
      if (!filter_.shows(name)) continue;
      if (!name.tag.empty()) {
        row(image, name.familiar_name(), name.tag, digest_in(image, name));
        shown = true;
      } else if (!has_tag_in(image, name)) {
        row(image, name.familiar_name(), std::string(kNone), name.digest);
        shown = true;
      }
    }
    if (!shown) row(image, std::string(kNone), std::string(kNone), std::string(kNone));
  }

  const std::string& ids() const { return ids_; }
  const Listing& listing() const { return listing_; }

 private:
  // By which digest the repository has it.
  static std::string digest_in(const StoredImage& image, const Reference& name) {
    for (const Reference& other : image.names)
      if (!other.digest.empty() && other.name() == name.name()) return other.digest;
    return std::string(kNone);
  }
  bool has_tag_in(const StoredImage& image, const Reference& name) const {
    for (const Reference& other : image.names)
      if (!other.tag.empty() && other.name() == name.name() && filter_.shows(other)) return true;
    return false;
  }

  void row(const StoredImage& image, std::string repository, std::string tag, std::string digest) {
    const auto time = bulkhead::engine::parse_time(image.record.created);
    const std::string size = bulkhead::engine::describe_size(image.record.size);
    listing_.add({"N/A", time ? bulkhead::engine::describe_time(*time) : "N/A",
                  time ? bulkhead::engine::describe_duration(now_ - *time) + " ago" : "N/A",
                  std::move(digest), id_text(image.record.config_digest, options_),
                  std::move(repository), "N/A", size, std::move(tag), "N/A", size});
  }

  const ImagesOptions& options_;
  const ImageFilter& filter_;
  Listing listing_;
  std::string ids_;
  std::int64_t now_ = ::time(nullptr);
};

Result<int> images(const Invocation& invocation) {
  ImagesOptions options;
  const std::vector<Option> table = images_options(options);
  TRY_ASSIGN(const Words words,
             parse({table, docker_options("images")}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead images [OPTIONS] [REPOSITORY[:TAG]]\n"
        "\n"
        "Lists the images of the store, the newest first. An image that is run by its path is not "
        "kept\n"
        "there and not listed: bulkhead load takes it in.\n"
        "\n"
        "Options:\n" +
        describe(table) +
        "\nFilters: reference=PATTERN, dangling=true|false, label=KEY[=VALUE], before=IMAGE, "
        "since=IMAGE,\nuntil=TIME. Fields of templates: ID, Repository, Tag, Digest, CreatedSince, "
        "CreatedAt, Size,\nContainers, SharedSize, UniqueSize, VirtualSize.\n"
        "\n"
        "Examples:\n"
        "  bulkhead images --filter dangling=true --quiet\n"
        "  bulkhead images --format 'table {{.Repository}}:{{.Tag}}\\t{{.Size}}'\n");
    return 0;
  }
  if (words.positional.size() > 1) return fail(ErrorKind::kUsage, "images takes one name at most");
  std::vector<std::string> filters = options.filters;
  for (const std::string& name : words.positional) filters.push_back("reference=" + name);
  TRY_ASSIGN(const storage::Store store, storage::Store::open(invocation.store.root));
  TRY_ASSIGN(const ImageFilter filter, ImageFilter::for_list(store, filters));
  TRY_ASSIGN(const std::vector<StoredImage> all, storage::list_images(store));
  Rows rows(options, filter);
  for (const StoredImage& image : all) {
    TRY_ASSIGN(const bool wanted, filter.matches(image));
    if (wanted) rows.add(image);
  }
  if (options.quiet && options.format.empty()) {
    print(rows.ids());
    return 0;
  }
  TRY_ASSIGN(const std::string text, rows.listing().text(options.format));
  print(text);
  return 0;
}

}  // namespace

const Command kImagesCommand{"images", "[OPTIONS] [REPOSITORY[:TAG]]", "list images", images, 1};

}  // namespace bulkhead::cli::engine
