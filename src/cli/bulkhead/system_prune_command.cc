// `bulkhead system prune`: containers that do not run, images and volumes that nobody uses.
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/system_options.h"
#include "cli/bulkhead/volume_options.h"
#include "engine/image_time.h"
#include "engine/images.h"
#include "engine/life.h"
#include "engine/volume_store.h"

namespace bulkhead::cli::engine {
namespace {

namespace stock = bulkhead::engine;

std::string warning(const PruneEverythingOptions& options) {
  std::string text =
      "WARNING! This will remove:\n"
      "  - all stopped containers\n";
  if (options.volumes) text += "  - all anonymous volumes not used by at least one container\n";
  text += options.all ? "  - all images without at least one container associated to them\n"
                      : "  - all dangling images\n";
  return text + "\nAre you sure you want to continue?";
}

Result<std::uint64_t> prune_volumes(const Invocation& invocation) {
  TRY_ASSIGN(const auto pruned, stock::prune_volumes(invocation.store, false, {}));
  if (!pruned.names.empty()) print("Deleted Volumes:\n");
  for (const std::string& name : pruned.names) print(name + "\n");
  if (!pruned.names.empty()) print("\n");
  return pruned.bytes;
}

}  // namespace

std::vector<Option> prune_everything_options(PruneEverythingOptions& options) {
  return {
      {"all", 'a', &options.all, "", "also images that have names"},
      {"force", 'f', &options.force, "", "do not ask first"},
      {"volumes", 0, &options.volumes, "", "also anonymous volumes"},
  };
}

Result<int> system_prune(const Invocation& invocation) {
  PruneEverythingOptions options;
  const std::vector<Option> table = prune_everything_options(options);
  constexpr Unsupported kUnsupported[] = {
      {"filter", 0, "it means something else for containers, images and volumes",
       "prune them one by one: image prune and volume prune have --filter"}};
  TRY_ASSIGN(const Words words,
             parse({table, kUnsupported}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead system prune [OPTIONS]\n"
        "\n"
        "Removes what is not in use: containers that do not run, and images that have no name and "
        "no\n"
        "container.\n"
        "\n"
        "Options:\n" +
        describe(table));
    return 0;
  }
  if (!words.positional.empty()) return fail(ErrorKind::kUsage, "system prune takes no arguments");
  if (!options.force && !is_confirmed(warning(options))) return 0;
  TRY_ASSIGN(const stock::PrunedContainers containers, stock::prune(invocation.store));
  if (!containers.ids.empty()) print("Deleted Containers:\n");
  for (const std::string& id : containers.ids) print(id + "\n");
  if (!containers.ids.empty()) print("\n");
  std::uint64_t bytes = containers.bytes;
  if (options.volumes) {
    TRY_ASSIGN(const std::uint64_t of_volumes, prune_volumes(invocation));
    bytes += of_volumes;
  }
  stock::PruneOptions images;
  images.all = options.all;
  TRY_ASSIGN(const stock::Pruned pruned, stock::prune_images(invocation.store, images));
  if (!pruned.lines.empty()) print("Deleted Images:\n");
  for (std::string line : pruned.lines) {
    if (!line.empty() && line.front() >= 'A' && line.front() <= 'Z')
      line.front() = static_cast<char>(line.front() | 0x20);
    print(line + "\n");
  }
  if (!pruned.lines.empty()) print("\n");
  print("Total reclaimed space: " + stock::describe_size(bytes + pruned.bytes) + "\n");
  return 0;
}

}  // namespace bulkhead::cli::engine
