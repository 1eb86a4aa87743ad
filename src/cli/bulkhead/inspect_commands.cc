// `image inspect` and `history`: what an image says of itself.
#include <time.h>

#include <ranges>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/docker_words.h"
#include "cli/bulkhead/image_options.h"
#include "cli/bulkhead/inspect_image.h"
#include "cli/bulkhead/listing.h"
#include "cli/bulkhead/table.h"
#include "engine/image_choice.h"
#include "engine/image_time.h"
#include "json/parse.h"
#include "json/writer.h"
#include "oci/image.h"
#include "storage/images.h"
#include "storage/tree_record.h"
#include "sys/file.h"
#include "template/template.h"

namespace bulkhead::cli::engine {
namespace {

using storage::FoundImage;
using storage::Reference;
using storage::Store;

constexpr std::size_t kCreatedByWidth = 45;  // as Docker cuts it
constexpr std::size_t kMostManifest = 4 << 20;

// --- inspect -------------------------------------------------------------------------------------

void write_texts(json::Writer& writer, std::string_view key, const std::vector<std::string>& list) {
  writer.key(key);
  writer.begin_array();
  for (const std::string& text : list) writer.string(text);
  writer.end_array();
}

// Of all that has the image's id: its layers may be here in several compressions.
void write_names(json::Writer& writer, const std::vector<storage::StoredImage>& images,
                 const storage::ImageRecord& record) {
  std::vector<std::string> tags;
  std::vector<std::string> digests;
  for (const storage::StoredImage& image : images) {
    if (image.record.config_digest != record.config_digest) continue;
    for (const Reference& name : image.names)
      (name.tag.empty() ? digests : tags).push_back(name.familiar());
  }
  write_texts(writer, "RepoTags", tags);
  write_texts(writer, "RepoDigests", digests);
}

// Docker's fields are there, whether an image says something of them or not.
void write_config(json::Writer& writer, const json::Value* config) {
  writer.begin_object();
  if (config != nullptr)
    for (const json::Member& member : config->members()) {
      writer.key(member.key);
      writer.value(member.value);
    }
  const auto missing = [&](std::string_view name) {
    return config == nullptr || config->find(name) == nullptr;
  };
  for (const std::string_view name : {"Hostname", "Domainname", "User", "Image", "WorkingDir"})
    if (missing(name)) writer.member(name, "");
  for (const std::string_view name :
       {"AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"})
    if (missing(name)) writer.member(name, false);
  for (const std::string_view name : {"Env", "Cmd", "Volumes", "Entrypoint", "OnBuild", "Labels"}) {
    if (!missing(name)) continue;
    writer.key(name);
    writer.null();
  }
  writer.end_object();
}

void write_member(json::Writer& writer, std::string_view key, const json::Value& root,
                  std::string_view from) {
  const json::Value* const value = root.find(from);
  writer.member(key, value == nullptr ? std::string_view() : value->as_string());
}

std::string last_comment(const json::Value& root) {
  const json::Value* const history = root.find("history");
  if (history == nullptr || history->items().empty()) return {};
  const json::Value* const comment = history->items().back().find("comment");
  return comment == nullptr ? std::string() : std::string(comment->as_string());
}

Result<void> write_descriptor(json::Writer& writer, const Store& store,
                              const storage::ImageRecord& record) {
  const std::string path = storage::blob_path(record.manifest_digest);
  TRY_ASSIGN(const std::string text, read_file_at(store.get(), path.c_str(), kMostManifest));
  TRY_ASSIGN(const oci::Manifest manifest, oci::decode_manifest(text));
  writer.key("Descriptor");
  writer.begin_object();
  writer.member("mediaType", manifest.media_type.empty() ? oci::kMediaTypeManifest
                                                         : std::string_view(manifest.media_type));
  writer.member("digest", "sha256:" + record.manifest_digest);
  writer.member("size", text.size());
  writer.end_object();
  return {};
}

Result<void> write_image(json::Writer& writer, const Store& store,
                         const storage::ImageRecord& record,
                         const std::vector<storage::StoredImage>& images) {
  TRY_ASSIGN(const json::Document document, json::parse(record.config));
  const json::Value& root = document.root();
  writer.begin_object();
  writer.member("Id", "sha256:" + record.config_digest);
  write_names(writer, images, record);
  writer.member("Parent", "");
  writer.member("Comment", last_comment(root));
  write_member(writer, "Created", root, "created");
  write_member(writer, "DockerVersion", root, "docker_version");
  write_member(writer, "Author", root, "author");
  writer.key("Config");
  write_config(writer, root.find("config"));
  write_member(writer, "Architecture", root, "architecture");
  write_member(writer, "Variant", root, "variant");
  write_member(writer, "Os", root, "os");
  writer.member("Size", record.size);
  writer.key("GraphDriver");
  writer.begin_object();
  writer.member("Name", "overlay");
  writer.key("Data");
  writer.begin_object();
  std::string lower;
  for (const std::string& layer : storage::lower_paths(record))
    lower.append(lower.empty() ? "" : ":").append(store.path()).append("/").append(layer);
  writer.member("LowerDir", lower);
  writer.end_object();
  writer.end_object();
  writer.key("RootFS");
  writer.begin_object();
  writer.member("Type", "layers");
  std::vector<std::string> layers;
  for (const std::string& layer : record.layers) layers.push_back("sha256:" + layer);
  write_texts(writer, "Layers", layers);
  writer.end_object();
  TRY(write_descriptor(writer, store, record));
  writer.end_object();
  return {};
}

Result<int> inspect(const Invocation& invocation) {
  InspectOptions options;
  const std::vector<Option> table = inspect_options(options);
  TRY_ASSIGN(const Words words, parse({table, docker_options("image inspect")}, invocation.words,
                                      Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead image inspect [OPTIONS] IMAGE...\n"
        "\n"
        "Prints what is known of images, as JSON with Docker's fields or by a template.\n"
        "\n"
        "Options:\n" +
        describe(table) +
        "\nExamples:\n"
        "  bulkhead image inspect busybox | jq '.[0].Config.Env'\n"
        "  bulkhead image inspect --format '{{.Id}} {{json .Config.Cmd}}' busybox\n");
    return 0;
  }
  if (words.positional.empty()) return fail(ErrorKind::kUsage, "no image is named");
  const bool as_json = options.format.empty() || options.format == "json";
  if (!as_json) TRY_WITHIN("--format", templates::check(options.format));
  TRY_ASSIGN(const Store store, Store::open(invocation.store.root));
  TRY_ASSIGN(const auto images, storage::list_images(store));
  std::string out;
  json::Writer writer(out, json::Style::kIndented);
  if (as_json) writer.begin_array();
  int code = 0;
  for (const std::string& name : words.positional) {
    TRY(bulkhead::engine::take_builtin_image(store, name));
    const auto found = storage::find_image_here(store, name);
    if (!found) {
      print_error(found.error());
      code = 1;
      continue;
    }
    if (as_json) {
      TRY(write_image(writer, store, found->record, images));
      continue;
    }
    std::string text;
    json::Writer one(text);
    TRY(write_image(one, store, found->record, images));
    TRY_ASSIGN(const json::Document document, json::parse(text));
    auto line = templates::render(options.format, document.root());
    if (!line) return std::unexpected(std::move(line).error().within("--format"));
    out.append(*line).append("\n");
  }
  if (as_json) {
    writer.end_array();
    out += '\n';
  }
  print(out);
  return code;
}

// --- history -------------------------------------------------------------------------------------

std::string cut(const std::string& text, std::size_t width) {
  std::string out;
  std::string_view rest = text;
  std::size_t count = 0;
  while (!rest.empty() && count < width) {
    const std::size_t length = std::max<std::size_t>(1, utf8_length(rest));
    out.append(rest.substr(0, length));
    rest.remove_prefix(length);
    ++count;
  }
  if (rest.empty()) return text;
  const std::size_t last = out.size();
  std::size_t at = last - 1;
  while (at > 0 && (out[at] & 0xC0) == 0x80) --at;
  return out.substr(0, at) + "…";
}

Result<std::string> size_text(const Store& store, const std::string& layer, bool human) {
  TRY_ASSIGN(const auto tree, storage::read_tree_record(store.get(), layer));
  if (!tree) return std::string("N/A");
  return human ? bulkhead::engine::describe_size(tree->bytes) : std::to_string(tree->bytes);
}

Result<int> history(const Invocation& invocation) {
  HistoryOptions options;
  const std::vector<Option> table = history_options(options);
  TRY_ASSIGN(const Words words,
             parse({table, docker_options("history")}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead history [OPTIONS] IMAGE\n"
        "\n"
        "Prints how an image was made, the last step first, with what each step added to its "
        "size.\n"
        "\n"
        "Options:\n" +
        describe(table) +
        "\nFields of templates: ID, CreatedSince, CreatedAt, CreatedBy, Size, Comment.\n"
        "\nExample:\n"
        "  bulkhead history --no-trunc busybox\n");
    return 0;
  }
  if (words.positional.size() != 1) return fail(ErrorKind::kUsage, "one image is expected");
  TRY_ASSIGN(const Store store, Store::open(invocation.store.root));
  TRY(bulkhead::engine::take_builtin_image(store, words.positional.front()));
  TRY_ASSIGN(const FoundImage found, storage::find_image_here(store, words.positional.front()));
  TRY_ASSIGN(oci::ImageConfig config, oci::decode_image_config(found.record.config));
  std::size_t steps_with_layers = 0;
  for (const oci::HistoryEntry& entry : config.history) steps_with_layers += !entry.empty_layer;
  // An image whose history says nothing of some layers: these are its first steps.
  for (; steps_with_layers < found.record.layers.size(); ++steps_with_layers)
    config.history.insert(config.history.begin(), oci::HistoryEntry{});

  Listing listing(
      {{"ID", "IMAGE"},
       {"CreatedSince", "CREATED"},
       {"CreatedAt", "CREATED AT"},
       {"CreatedBy", "CREATED BY"},
       {"Size", "SIZE"},
       {"Comment", "COMMENT"}},
      {"ID", options.human ? "CreatedSince" : "CreatedAt", "CreatedBy", "Size", "Comment"});
  const std::int64_t now = ::time(nullptr);
  std::size_t layers = found.record.layers.size();
  std::string id = options.no_trunc ? "sha256:" + found.record.config_digest
                                    : found.record.config_digest.substr(0, 12);
  std::string ids;
  for (const oci::HistoryEntry& entry : std::views::reverse(config.history)) {
    std::string size = options.human ? "0B" : "0";
    if (!entry.empty_layer && layers > 0) {
      TRY_ASSIGN(size, size_text(store, found.record.layers[--layers], options.human));
    }
    const auto time = bulkhead::engine::parse_time(entry.created);
    std::string by = entry.created_by;
    for (char& c : by)
      if (c == '\t' || c == '\n') c = ' ';
    ids += id + "\n";
    listing.add({id, time ? bulkhead::engine::describe_duration(now - *time) + " ago" : "N/A",
                 entry.created.empty() ? "N/A" : entry.created,
                 options.no_trunc ? by : cut(by, kCreatedByWidth), size, entry.comment});
    id = "<missing>";
  }
  if (options.quiet && options.format.empty()) {
    print(ids);
    return 0;
  }
  TRY_ASSIGN(const std::string text, listing.text(options.format));
  print(text);
  return 0;
}

}  // namespace

Result<std::string> inspect_image(const Store& store, const std::string& name) {
  TRY(bulkhead::engine::take_builtin_image(store, name));
  TRY_ASSIGN(const FoundImage found, storage::find_image_here(store, name));
  TRY_ASSIGN(const auto images, storage::list_images(store));
  std::string text;
  json::Writer writer(text);
  TRY(write_image(writer, store, found.record, images));
  return text;
}

const Command kImageInspectCommand{"inspect", "[OPTIONS] IMAGE...", "print what is known of images",
                                   inspect, 1};
const Command kHistoryCommand{"history", "[OPTIONS] IMAGE", "print how an image was made", history,
                              1};

}  // namespace bulkhead::cli::engine
