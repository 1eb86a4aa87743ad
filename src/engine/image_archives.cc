#include "engine/image_archives.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "engine/events.h"
#include "engine/image_changes.h"
#include "engine/image_choice.h"
#include "oci/image.h"
#include "storage/images.h"
#include "storage/unpacker.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

using storage::FoundImage;
using storage::Reference;

// What the unpacker is told of one image: its manifest, and the names that it shall have.
struct Wanted {
  std::string manifest;
  std::vector<std::string> names;
  std::string word() const {
    std::string text = manifest;
    for (std::size_t i = 0; i < names.size(); ++i) text.append(i == 0 ? "=" : ",").append(names[i]);
    return text;
  }
};

void add(std::vector<Wanted>& all, const std::string& manifest, const std::string& name) {
  auto found = std::ranges::find(all, manifest, &Wanted::manifest);
  if (found == all.end()) {
    all.push_back({manifest, {}});
    found = all.end() - 1;
  }
  if (!name.empty() && std::ranges::find(found->names, name) == found->names.end())
    found->names.push_back(name);
}

// A name without a tag stands for all tags of its repository, as in Docker.
bool has_version(std::string_view text) {
  return text.find('@') != std::string_view::npos ||
         text.substr(text.rfind('/') + 1).find(':') != std::string_view::npos;
}

Result<void> add_all_tags(const storage::Store& store, std::string_view repository,
                          std::vector<Wanted>& all) {
  TRY_ASSIGN(const storage::ImageNames named, storage::list_image_names(store.get()));
  for (const storage::ImageName& each : named.names)
    if (each.reference.name() == repository && !each.reference.tag.empty())
      add(all, each.manifest, each.reference.canonical());
  return {};
}

Result<std::vector<Wanted>> find_images(const storage::Store& store,
                                        const std::vector<std::string>& texts) {
  std::vector<Wanted> all;
  for (const std::string& text : texts) {
    TRY(take_builtin_image(store, text));
    const auto name = storage::parse_reference(text);
    if (name && !has_version(text)) {
      const std::size_t before = all.size();
      TRY(add_all_tags(store, name->name(), all));
      if (all.size() != before) continue;
    }
    TRY_ASSIGN(const FoundImage found, storage::find_image_here(store, text));
    if (found.name && !has_version(text))
      TRY(add_all_tags(store, found.name->name(), all));
    else
      add(all, found.record.manifest_digest,
          found.name && !found.name->tag.empty() ? found.name->canonical() : "");
  }
  return all;
}

Result<std::string> absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  char here[PATH_MAX];
  if (::getcwd(here, sizeof here) == nullptr)
    return std::unexpected(Error(SysError{"getcwd", errno}));
  return std::string(here) + "/" + path;
}

// A regular file gets its name when it is whole; what else is there (a pipe, a device) is written to.
Result<void> save_to_file(storage::UnpackerCall call, const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    if (S_ISDIR(status.st_mode))
      return fail(ErrorKind::kUsage, "--output " + quoted(path) + " is a directory",
                  "name a file, or give --format oci-dir and a directory that is not there yet");
    TRY_ASSIGN(const Fd file, open_at(AT_FDCWD, path.c_str(), O_WRONLY | O_NOCTTY));
    call.output = file.get();
    TRY(storage::run_unpacker(call));
    return {};
  }
  const std::string unfinished = path + ".unfinished-" + std::to_string(::getpid());
  auto file = open_at(AT_FDCWD, unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!file) return std::unexpected(Error(file.error()).within("--output"));
  call.output = file->get();
  auto done = storage::run_unpacker(call);
  if (done && ::rename(unfinished.c_str(), path.c_str()) != 0)
    done = std::unexpected(Error(SysError{"rename", errno, path.c_str()}));
  if (done) return {};
  (void)::unlink(unfinished.c_str());
  return std::unexpected(std::move(done).error());
}

std::string now_rfc3339() {
  struct timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  struct tm parts{};
  char text[64];
  if (::gmtime_r(&now.tv_sec, &parts) == nullptr ||
      ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
    return "1970-01-01T00:00:00Z";
  char fraction[16];
  (void)std::snprintf(fraction, sizeof fraction, ".%09ldZ", now.tv_nsec);
  return std::string(text) + fraction;
}

// What the unpacker says that it has taken in: names, or the ids of images without one.
void record_loaded(const StoreOptions& options, const storage::Store& store,
                   std::string_view said) {
  constexpr std::string_view kNamed = "Loaded image: ";
  constexpr std::string_view kUnnamed = "Loaded image ID: ";
  for (const std::string_view line : split(said, '\n')) {
    if (line.starts_with(kUnnamed)) {
      const std::string id(line.substr(kUnnamed.size()));
      record_image_event(options, id, id, "load");
    } else if (line.starts_with(kNamed)) {
      const std::string name(line.substr(kNamed.size()));
      const auto found = storage::find_image_here(store, name);
      if (found) record_image_event(options, "sha256:" + found->record.config_digest, name, "load");
    }
  }
}

void record_saved(const StoreOptions& options, const storage::Store& store,
                  const std::vector<Wanted>& images) {
  for (const Wanted& image : images) {
    const auto record = store.find_manifest(image.manifest);
    if (!record || !*record) continue;
    const std::string id = "sha256:" + (*record)->config_digest;
    record_image_event(options, id, id, "save");
  }
}

Result<void> save_to(storage::UnpackerCall call, const std::string& format,
                     const std::string& output) {
  if (format != "oci-dir" && !output.empty()) return save_to_file(std::move(call), output);
  if (format != "oci-dir") call.output = STDOUT_FILENO;
  TRY(storage::run_unpacker(call));
  return {};
}

}  // namespace

Result<void> save_images(const StoreOptions& options, const std::vector<std::string>& names,
                         const std::string& format, const std::string& output) {
  if (format != "docker-archive" && format != "oci-archive" && format != "oci-dir")
    return fail(ErrorKind::kUsage, "--format " + quoted(format) + ": no such format",
                "there are docker-archive, oci-archive and oci-dir");
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const std::vector<Wanted> images, find_images(store, names));
  storage::UnpackerCall call;
  call.context = "save";
  call.words = {"--save", store.path(), format, ""};
  if (format == "oci-dir") {
    TRY_ASSIGN(call.words[3], absolute(output));
  }
  for (const Wanted& image : images) call.words.push_back(image.word());
  TRY(save_to(std::move(call), format, output));
  record_saved(options, store, images);
  return {};
}

Result<LoadResult> load_images(const StoreOptions& options, const std::string& input,
                               int progress) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  storage::UnpackerCall call;
  call.context = input.empty() ? "load" : "load " + quoted(input);
  call.words = {"--load", store.path()};
  call.progress = progress;
  if (input.empty()) {
    call.input = STDIN_FILENO;
  } else {
    TRY_ASSIGN(std::string path, absolute(input));
    call.words.push_back(std::move(path));
  }
  TRY_ASSIGN(storage::UnpackerAnswer answer, storage::run_unpacker(call));
  record_loaded(options, store, answer.output);
  return LoadResult{std::move(answer.output), std::move(answer.notes)};
}

Result<LoadResult> import_tree(const StoreOptions& options, const ImportWish& wish) {
  if (wish.file.starts_with("http://") || wish.file.starts_with("https://"))
    return fail(ErrorKind::kUsage, "import does not fetch from " + quoted(wish.file),
                "fetch it first: curl -fL URL | bulkhead import - NAME");
  std::string name;
  if (!wish.name.empty()) {
    TRY_ASSIGN(const Reference reference, storage::parse_reference(wish.name));
    if (!reference.digest.empty())
      return fail(ErrorKind::kInvalid, "image name " + quoted(wish.name) + ": has a digest",
                  "the digest is what the image gets: give NAME:TAG");
    name = reference.canonical();
  }
  oci::ImageConfig config;
  config.os = "linux";
  config.created = now_rfc3339();
  if (!wish.platform.empty()) {
    std::string_view rest = wish.platform;
    config.os = next_field(rest, '/');
    config.architecture = next_field(rest, '/');
    config.variant = rest;
    if (config.os != "linux" || config.architecture.empty())
      return fail(ErrorKind::kUsage, "--platform " + quoted(wish.platform) +
                                         ": linux/ARCHITECTURE[/VARIANT] is expected");
  }
  for (const std::string& change : wish.changes) TRY(apply_change(change, config.config));
  oci::HistoryEntry entry;
  entry.created = config.created;
  entry.comment = wish.message.empty() ? "Imported from " + wish.file : wish.message;
  config.history.push_back(std::move(entry));

  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  storage::UnpackerCall call;
  call.context = "import " + quoted(wish.file);
  call.words = {"--import", store.path(), oci::encode(config), name};
  Fd file;
  if (wish.file == "-") {
    call.input = STDIN_FILENO;
  } else {
    TRY_ASSIGN(file, open_at(AT_FDCWD, wish.file.c_str(), O_RDONLY | O_NOCTTY));
    call.input = file.get();
  }
  TRY_ASSIGN(storage::UnpackerAnswer answer, storage::run_unpacker(call));
  record_image_event(options, std::string(trim(answer.output)), wish.file, "import");
  return LoadResult{std::move(answer.output), std::move(answer.notes)};
}

}  // namespace bulkhead::engine
