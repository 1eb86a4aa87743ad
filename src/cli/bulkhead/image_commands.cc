#include <unistd.h>

#include <cstdio>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/docker_words.h"
#include "cli/bulkhead/image_options.h"
#include "engine/image_filter.h"
#include "engine/image_time.h"
#include "engine/images.h"
#include "sys/file.h"

namespace bulkhead::cli::engine {
namespace {

namespace images = bulkhead::engine;

Result<int> tag(const Invocation& invocation) {
  TRY_ASSIGN(const Words words, parse({}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead tag IMAGE NAME[:TAG]\n"
        "\n"
        "Gives an image of the store another name. A name that another image has is taken from "
        "it.\n"
        "\n"
        "Example:\n"
        "  bulkhead tag busybox registry.example/tools/busybox:1.36\n");
    return 0;
  }
  if (words.positional.size() != 2)
    return fail(ErrorKind::kUsage, "an image and a name for it are expected");
  TRY(images::tag_image(invocation.store, words.positional[0], words.positional[1]));
  return 0;
}

Result<int> rmi(const Invocation& invocation) {
  RmiOptions options;
  const std::vector<Option> table = rmi_options(options);
  TRY_ASSIGN(const Words words,
             parse({table, docker_options("rmi")}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead rmi [OPTIONS] IMAGE...\n"
        "\n"
        "Takes names away from images, and removes images that have no name left. By its id an "
        "image "
        "goes\n"
        "with all of its names. What a container uses is never removed.\n"
        "\n"
        "Options:\n" +
        describe(table) +
        "\nExamples:\n"
        "  bulkhead rmi alpine:3.18\n"
        "  bulkhead rmi --force 1d34ffeaf190\n");
    return 0;
  }
  if (words.positional.empty()) return fail(ErrorKind::kUsage, "no image is named");
  // One that fails does not keep the others.
  int code = 0;
  for (const std::string& name : words.positional) {
    const auto lines = images::remove_image(
        invocation.store, name,
        options.force ? images::ForceRemoval::kYes : images::ForceRemoval::kNo);
    if (!lines) {
      print_error(lines.error());
      code = 1;
      continue;
    }
    for (const std::string& line : *lines) print(line + "\n");
  }
  return code;
}

// "y" on the terminal; everything else is no.
bool confirmed(const std::string& question) {
  print(question + " [y/N] ");
  char answer[16] = {};
  const ssize_t size = ::read(STDIN_FILENO, answer, sizeof answer - 1);
  return size > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

Result<int> prune(const Invocation& invocation) {
  ImagePruneOptions options;
  const std::vector<Option> table = image_prune_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead image prune [OPTIONS]\n"
        "\n"
        "Removes images without a name that no container uses, downloads that broke off, and what "
        "was\n"
        "unpacked of images that were run by their path.\n"
        "\n"
        "Options:\n" +
        describe(table) +
        "\nExamples:\n"
        "  bulkhead image prune --force\n"
        "  bulkhead image prune --all --filter until=240h\n");
    return 0;
  }
  if (!words.positional.empty()) return fail(ErrorKind::kUsage, "image prune takes no arguments");
  images::PruneOptions prune_options;
  prune_options.all = options.all;
  for (const std::string& text : options.filters) {
    TRY_ASSIGN(images::PruneFilter filter, images::parse_prune_filter(text));
    prune_options.filters.push_back(std::move(filter));
  }
  // What is wrong is said before anything is asked.
  TRY(images::ImageFilter::for_prune(prune_options.filters));
  if (!options.force &&
      !confirmed(options.all
                     ? "This will remove all images that no container uses. Go on?"
                     : "This will remove all images without a name that no container uses. Go on?"))
    return 0;
  TRY_ASSIGN(const images::Pruned pruned, images::prune_images(invocation.store, prune_options));
  if (!pruned.lines.empty()) print("Deleted Images:\n");
  for (const std::string& line : pruned.lines) {
    // Docker's spelling here differs from that of rmi.
    std::string text = line;
    if (!text.empty() && text.front() >= 'A' && text.front() <= 'Z')
      text.front() = static_cast<char>(text.front() | 0x20);
    print(text + "\n");
  }
  if (!pruned.lines.empty()) print("\n");
  print("Total reclaimed space: " + images::describe_size(pruned.bytes) + "\n");
  return 0;
}

}  // namespace

const Command kTagCommand{"tag", "IMAGE NAME[:TAG]", "give an image another name", tag, 1};
const Command kRmiCommand{"rmi", "[OPTIONS] IMAGE...", "remove images", rmi, 1};
const Command kImagePruneCommand{"prune", "[OPTIONS]", "remove images that nobody uses", prune, 1};

}  // namespace bulkhead::cli::engine
