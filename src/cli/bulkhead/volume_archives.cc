// `bulkhead volume export` and `volume import`.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/bulkhead/volume_options.h"
#include "engine/volume_store.h"
#include "sys/file.h"

namespace bulkhead::cli::engine {
namespace {

// A regular file gets its name when it is whole; what else is there (a pipe, a device) is written to.
Result<void> export_to(const Invocation& invocation, const std::string& name,
                       const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    TRY_ASSIGN(const Fd file, open_at(AT_FDCWD, path.c_str(), O_WRONLY | O_NOCTTY));
    return bulkhead::engine::export_volume(invocation.store, name, file.get());
  }
  const std::string unfinished = path + ".unfinished-" + std::to_string(::getpid());
  auto file = open_at(AT_FDCWD, unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!file) return std::unexpected(Error(file.error()).within("--output"));
  auto done = bulkhead::engine::export_volume(invocation.store, name, file->get());
  if (done && ::rename(unfinished.c_str(), path.c_str()) != 0)
    done = std::unexpected(Error(SysError{"rename", errno, path.c_str()}));
  if (!done) (void)::unlink(unfinished.c_str());
  return done;
}

}  // namespace

Result<int> export_volume(const Invocation& invocation) {
  VolumeExportOptions options;
  const std::vector<Option> table = volume_export_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead volume export [OPTIONS] VOLUME\n"
        "\n"
        "Writes what is in a volume as a tar, to the standard output or a file, with the owners "
        "that\n"
        "containers see. What a container changes meanwhile is in it as it was, or as it is.\n"
        "\n"
        "Options:\n" +
        describe(table) +
        "\nExamples:\n"
        "  bulkhead volume export --output data.tar data\n"
        "  bulkhead volume export data | zstd | ssh other 'bulkhead volume import data'\n");
    return 0;
  }
  if (words.positional.size() != 1) return fail(ErrorKind::kUsage, "one volume is expected");
  const std::string& name = words.positional.front();
  if (!options.output.empty() && options.output != "-") {
    TRY(export_to(invocation, name, options.output));
    return 0;
  }
  if (::isatty(STDOUT_FILENO) == 1)
    return fail(ErrorKind::kUsage, "an archive is nothing for a terminal",
                "give --output FILE, or direct the output into a file or a pipe");
  TRY(bulkhead::engine::export_volume(invocation.store, name, STDOUT_FILENO));
  return 0;
}

Result<int> import_volume(const Invocation& invocation) {
  TRY_ASSIGN(const Words words, parse({}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead volume import VOLUME [FILE|-]\n"
        "\n"
        "Fills an empty volume from a tar (plain, gzip or zstd): a file, or the standard input. "
        "What reads\n"
        "the tar is locked in to the volume. It comes whole or not at all.\n"
        "\n"
        "Example:\n"
        "  bulkhead volume create copy && bulkhead volume import copy data.tar\n");
    return 0;
  }
  if (words.positional.empty() || words.positional.size() > 2)
    return fail(ErrorKind::kUsage, "a volume and a tar (or - for the standard input) are expected");
  Fd file;
  if (words.positional.size() == 2 && words.positional[1] != "-") {
    TRY_ASSIGN(file, open_at(AT_FDCWD, words.positional[1].c_str(), O_RDONLY | O_NOCTTY));
  } else if (::isatty(STDIN_FILENO) == 1) {
    return fail(ErrorKind::kUsage, "the standard input is a terminal",
                "name a file, or give the tar as the standard input");
  }
  TRY_ASSIGN(const auto notes,
             bulkhead::engine::import_volume(invocation.store, words.positional.front(),
                                             file ? file.get() : STDIN_FILENO));
  for (const std::string& note : notes) print_warning(note);
  return 0;
}

}  // namespace bulkhead::cli::engine
