#include "engine/inspect.h"
#include "engine/volume_store.h"

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/docker_words.h"
#include "cli/bulkhead/each_container.h"
#include "cli/bulkhead/inspect_image.h"
#include "cli/bulkhead/options.h"
#include "json/parse.h"
#include "json/writer.h"
#include "template/template.h"

namespace bulkhead::cli::engine {
namespace {

bool is_image(const Invocation& invocation, const std::string& name) {
  const auto store = storage::Store::open(invocation.store.root);
  return store && inspect_image(*store, name);
}

// A container, else an image of that name, else a volume.
Result<std::string> look_up(const Invocation& invocation, const std::string& name,
                            std::string_view type) {
  if (type != "image" && type != "volume") {
    const auto container = bulkhead::engine::find(invocation.store, name);
    if (container) return bulkhead::engine::inspect(invocation.store, *container);
    if (type == "container" || container.error().kind() != ErrorKind::kNotFound)
      return std::unexpected(container.error());
  }
  if (type.empty() || type == "volume") {
    const auto volume = bulkhead::engine::find_volume(invocation.store, name);
    if (volume && (type == "volume" || !is_image(invocation, name)))
      return bulkhead::engine::inspect_volume(*volume);
    if (type == "volume") return std::unexpected(volume.error());
  }
  TRY_ASSIGN(const storage::Store store, storage::Store::open(invocation.store.root));
  auto image = inspect_image(store, name);
  if (!image && type.empty() && image.error().kind() == ErrorKind::kNotFound)
    return fail(ErrorKind::kNotFound, "there is no container, image or volume " + quoted(name));
  return image;
}

Result<int> inspect(const Invocation& invocation) {
  std::string format;
  std::string type;
  const Option options[] = {
      {"format", 'f', &format, "FORMAT", "json (default), or a template such as {{.State.Pid}}"},
      {"type", 0, &type, "TYPE", "container, image or volume (default: the first that there is)"},
  };
  TRY_ASSIGN(const Words words,
             parse({options, docker_options("inspect")}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead inspect [OPTIONS] NAME...\n\nTells all that is known of containers and "
        "images, under Docker's names; of a container in the\nsection \"Bulkhead\" what was asked "
        "of its layers, and what the kernel says of them.\n\nOptions:\n" +
        describe(options) +
        "\nExamples:\n  bulkhead inspect --format '{{.State.Status}} {{json .Mounts}}' web\n");
    return 0;
  }
  TRY(want_containers(words.positional, "inspect"));
  if (!type.empty() && type != "container" && type != "image" && type != "volume")
    return fail(ErrorKind::kUsage,
                "--type " + quoted(type) + ": container, image or volume is expected");
  const bool as_json = format.empty() || format == "json";
  if (!as_json) TRY_WITHIN("--format", templates::check(format));
  int code = 0;
  std::string all;
  json::Writer writer(all, json::Style::kIndented);
  writer.begin_array();
  for (const std::string& name : words.positional) {
    const auto text = look_up(invocation, name, type);
    if (!text) {
      print_error(text.error());
      code = kSomeFailed;
      continue;
    }
    TRY_ASSIGN(const json::Document document, json::parse(*text));
    if (as_json) {
      writer.value(document.root());
      continue;
    }
    auto line = templates::render(format, document.root());
    if (!line) return std::unexpected(std::move(line).error().within("--format"));
    print(*line + "\n");
  }
  writer.end_array();
  if (as_json) print(all + "\n");
  return code;
}

}  // namespace

const Command kInspectCommand{
    "inspect", "[OPTIONS] NAME...", "tell all that is known of containers and images",
    inspect,   kSomeFailed,         true};

}  // namespace bulkhead::cli::engine
