#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/docker_words.h"
#include "cli/bulkhead/image_options.h"
#include "engine/image_archives.h"
#include "sys/file.h"

namespace bulkhead::cli::engine {
namespace {

namespace archives = bulkhead::engine;

Result<int> save(const Invocation& invocation) {
  SaveOptions options;
  const std::vector<Option> table = save_options(options);
  TRY_ASSIGN(const Words words,
             parse({table, docker_options("save")}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead save [OPTIONS] IMAGE...\n"
        "\n"
        "Writes images as an archive, to the standard output or a file. Of a name without a tag "
        "all "
        "tags\n"
        "are saved. The Docker format is an OCI archive as well, unless an image has zstd layers, "
        "which\n"
        "older Dockers do not read: these are decompressed.\n"
        "\n"
        "Options:\n" +
        describe(table) +
        "\nExamples:\n"
        "  bulkhead save --output busybox.tar busybox:latest\n"
        "  bulkhead save busybox | ssh other docker load\n"
        "  bulkhead save --format oci-dir --output ./layout busybox\n");
    return 0;
  }
  if (words.positional.empty()) return fail(ErrorKind::kUsage, "no image is named");
  if (options.output.empty() && options.format == "oci-dir")
    return fail(ErrorKind::kUsage, "--format oci-dir needs --output DIRECTORY");
  if (options.output.empty() && ::isatty(STDOUT_FILENO) == 1)
    return fail(ErrorKind::kUsage, "an archive is nothing for a terminal",
                "give --output FILE, or direct the output into a file or a pipe");
  TRY(archives::save_images(invocation.store, words.positional, options.format, options.output));
  return 0;
}

Result<int> load(const Invocation& invocation) {
  LoadOptions options;
  const std::vector<Option> table = load_options(options);
  TRY_ASSIGN(const Words words,
             parse({table, docker_options("load")}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead load [OPTIONS]\n"
        "\n"
        "Takes images into the store from an archive: a Docker archive, an OCI archive (both also\n"
        "compressed by gzip or zstd) or the directory of an OCI layout.\n"
        "\n"
        "Options:\n" +
        describe(table) +
        "\nExamples:\n"
        "  bulkhead load --input busybox.tar.zst\n"
        "  docker save alpine | bulkhead load\n");
    return 0;
  }
  if (!words.positional.empty())
    return fail(ErrorKind::kUsage, "load takes no arguments", "give the archive as --input FILE");
  if (options.input.empty() && ::isatty(STDIN_FILENO) == 1)
    return fail(ErrorKind::kUsage, "the standard input is a terminal",
                "give --input FILE, or the archive as the standard input");
  const int progress = !options.quiet && ::isatty(STDERR_FILENO) == 1 ? STDERR_FILENO : -1;
  TRY_ASSIGN(const archives::LoadResult loaded,
             archives::load_images(invocation.store, options.input, progress));
  for (const std::string& note : loaded.notes) print_warning(note);
  print(loaded.text);
  return 0;
}

Result<int> import(const Invocation& invocation) {
  ImportOptions options;
  const std::vector<Option> table = import_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead import [OPTIONS] FILE|- [NAME[:TAG]]\n"
        "\n"
        "Makes an image of one layer out of a tar of a root file system (plain, gzip or zstd), and "
        "prints\n"
        "its id.\n"
        "\n"
        "Options:\n" +
        describe(table) +
        "\nExample:\n"
        "  tar -C rootfs -c . | bulkhead import --change 'CMD [\"/bin/sh\"]' - mine:latest\n");
    return 0;
  }
  if (words.positional.empty() || words.positional.size() > 2)
    return fail(ErrorKind::kUsage, "a tar (or - for the standard input) and a name are expected");
  archives::ImportWish wish;
  wish.file = words.positional[0];
  if (words.positional.size() == 2) wish.name = words.positional[1];
  wish.changes = options.changes;
  wish.message = options.message;
  wish.platform = options.platform;
  TRY_ASSIGN(const archives::LoadResult made, archives::import_tree(invocation.store, wish));
  for (const std::string& note : made.notes) print_warning(note);
  print(made.text);
  return 0;
}

}  // namespace

const Command kSaveCommand{"save", "[OPTIONS] IMAGE...", "write images as an archive", save, 1};
const Command kLoadCommand{"load", "[OPTIONS]", "take in the images of an archive", load, 1};
const Command kImportCommand{"import", "[OPTIONS] FILE|- [NAME[:TAG]]",
                             "make an image out of a root file system", import, 1};

}  // namespace bulkhead::cli::engine
