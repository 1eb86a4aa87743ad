// `bulkhead system df` and `system check`.
#include <time.h>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/listing.h"
#include "cli/bulkhead/system_options.h"
#include "engine/image_time.h"
#include "engine/images.h"
#include "engine/volume_store.h"
#include "storage/unpacker.h"

namespace bulkhead::cli::engine {
namespace {

namespace images = bulkhead::engine;

std::string share(std::uint64_t part, std::uint64_t whole) {
  std::string text = images::describe_size(part);
  if (whole != 0) text += " (" + std::to_string(part * 100 / whole) + "%)";
  return text;
}

Listing summary(const images::DiskUse& use, const std::vector<images::VolumeUse>& volumes) {
  Listing listing({{"Type", "TYPE"},
                   {"TotalCount", "TOTAL"},
                   {"Active", "ACTIVE"},
                   {"Size", "SIZE"},
                   {"Reclaimable", "RECLAIMABLE"}},
                  {"Type", "TotalCount", "Active", "Size", "Reclaimable"});
  std::size_t active = 0;
  for (const auto& image : use.images) active += image.containers != 0;
  listing.add({"Images", std::to_string(use.images.size()), std::to_string(active),
               images::describe_size(use.images_bytes),
               share(use.reclaimable_bytes, use.images_bytes)});
  std::size_t running = 0;
  std::uint64_t size = 0;
  std::uint64_t stopped = 0;
  for (const auto& container : use.containers) {
    running += container.running;
    size += container.size;
    if (!container.running) stopped += container.size;
  }
  listing.add({"Containers", std::to_string(use.containers.size()), std::to_string(running),
               images::describe_size(size), share(stopped, size)});
  std::size_t used = 0;
  std::uint64_t of_volumes = 0;
  std::uint64_t unused = 0;
  for (const auto& volume : volumes) {
    used += volume.listed.containers != 0;
    of_volumes += volume.bytes;
    if (volume.listed.containers == 0) unused += volume.bytes;
  }
  listing.add({"Local Volumes", std::to_string(volumes.size()), std::to_string(used),
               images::describe_size(of_volumes), share(unused, of_volumes)});
  listing.add({"Images by path", std::to_string(use.path_images), "N/A",
               images::describe_size(use.path_bytes), share(use.path_bytes, use.path_bytes)});
  listing.add({"Broken downloads", "N/A", "N/A", images::describe_size(use.partial_bytes),
               share(use.partial_bytes, use.partial_bytes)});
  return listing;
}

std::string ago(std::string_view time, std::int64_t now) {
  const auto parsed = images::parse_time(time);
  return parsed ? images::describe_duration(now - *parsed) + " ago" : "N/A";
}

Result<std::string> details(const images::DiskUse& use,
                            const std::vector<images::VolumeUse>& volumes) {
  const std::int64_t now = ::time(nullptr);
  Listing of_images({{"Repository", "REPOSITORY"},
                     {"Tag", "TAG"},
                     {"ID", "IMAGE ID"},
                     {"CreatedSince", "CREATED"},
                     {"Size", "SIZE"},
                     {"SharedSize", "SHARED SIZE"},
                     {"UniqueSize", "UNIQUE SIZE"},
                     {"Containers", "CONTAINERS"}},
                    {"Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize",
                     "Containers"});
  for (const auto& each : use.images) {
    const auto add = [&](const std::string& repository, const std::string& tag) {
      of_images.add({repository, tag, each.image.record.config_digest.substr(0, 12),
                     ago(each.image.record.created, now), images::describe_size(each.size),
                     images::describe_size(each.shared),
                     images::describe_size(each.size - each.shared),
                     std::to_string(each.containers)});
    };
    bool named = false;
    for (const storage::Reference& name : each.image.names) {
      if (name.tag.empty()) continue;
      add(name.familiar_name(), name.tag);
      named = true;
    }
    if (!named) add("<none>", "<none>");
  }
  Listing of_containers({{"ID", "CONTAINER ID"},
                         {"Image", "IMAGE"},
                         {"Size", "SIZE"},
                         {"Created", "CREATED"},
                         {"Status", "STATUS"},
                         {"Names", "NAMES"}},
                        {"ID", "Image", "Size", "Created", "Status", "Names"});
  for (const auto& each : use.containers)
    of_containers.add({each.id.substr(0, 12), each.image, images::describe_size(each.size),
                       ago(each.started, now), each.status, each.name});
  Listing of_volumes({{"Name", "VOLUME NAME"}, {"Links", "LINKS"}, {"Size", "SIZE"}},
                     {"Name", "Links", "Size"});
  for (const auto& each : volumes)
    of_volumes.add({each.listed.volume.name, std::to_string(each.listed.containers),
                    images::describe_size(each.bytes)});
  TRY_ASSIGN(const std::string third, of_volumes.text("table"));
  TRY_ASSIGN(const std::string first, of_images.text("table"));
  TRY_ASSIGN(const std::string second, of_containers.text("table"));
  return "Images space usage:\n\n" + first + "\nContainers space usage:\n\n" + second +
         "\nLocal Volumes space usage:\n\n" + third;
}

}  // namespace

Result<int> system_df(const Invocation& invocation) {
  DfOptions options;
  const std::vector<Option> table = df_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead system df [OPTIONS]\n\nPrints how much room the store "
        "takes.\n\nOptions:\n" +
        describe(table));
    return 0;
  }
  if (!words.positional.empty()) return fail(ErrorKind::kUsage, "system df takes no arguments");
  if (options.verbose && !options.format.empty())
    return fail(ErrorKind::kUsage, "--verbose and --format exclude each other");
  TRY_ASSIGN(const images::DiskUse use, images::disk_use(invocation.store));
  TRY_ASSIGN(const auto volumes, images::measure_volumes(invocation.store));
  if (options.verbose) {
    TRY_ASSIGN(const std::string text, details(use, volumes));
    print(text);
    return 0;
  }
  TRY_ASSIGN(const std::string text, summary(use, volumes).text(options.format));
  print(text);
  return 0;
}

Result<int> system_check(const Invocation& invocation) {
  CheckOptions options;
  const std::vector<Option> table = check_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead system check [OPTIONS]\n"
        "\n"
        "Looks whether the store is whole: each blob is hashed, each layer compared with what was "
        "recorded\n"
        "when it had been unpacked, each image and name followed to what it needs. Ends with 1 "
        "when\n"
        "something is wrong that was not put right. What processes have left that were killed is "
        "nobody's\n"
        "and harmless: it is counted, and a repair removes it.\n"
        "\n"
        "Options:\n" +
        describe(table));
    return 0;
  }
  if (!words.positional.empty()) return fail(ErrorKind::kUsage, "system check takes no arguments");
  TRY_ASSIGN(const storage::Store store, storage::Store::open(invocation.store.root));
  storage::UnpackerCall call;
  call.context = "system check";
  call.words = {"--check", store.path()};
  if (options.repair) call.words.emplace_back("repair");
  if (options.contents) call.words.emplace_back("contents");
  TRY_ASSIGN(const storage::UnpackerAnswer answer, storage::run_unpacker(call));
  std::size_t left = 0;
  std::size_t unrepaired = 1;  // without the last line nothing is known
  for (std::string_view line : split(answer.output, '\n')) {
    const std::string_view kind = next_field(line, ' ');
    if (kind == "problem") print(std::string(line) + "\n");
    if (kind == "left") ++left;
    if (kind != "sum") continue;
    const std::vector<std::string_view> numbers = split(line, ' ');
    if (numbers.size() != 5) break;
    unrepaired = parse_number<std::size_t>(numbers[4]).value_or(1);
    print(std::string(numbers[0]) + " images, " + std::string(numbers[1]) + " blobs, " +
          std::string(numbers[2]) + " layers; " +
          images::describe_size(parse_number<std::uint64_t>(numbers[3]).value_or(0)) + " hashed\n");
  }
  if (left != 0)
    print(std::to_string(left) + " things left over" +
          (options.repair ? " removed" : ": bulkhead image prune removes them") + "\n");
  if (unrepaired != 0) return 1;
  print("The store is whole.\n");
  return 0;
}

}  // namespace bulkhead::cli::engine
