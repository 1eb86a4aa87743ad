// `bulkhead volume`: create, inspect, ls, prune and rm; export and import are in volume_archives.cc.
#include <unistd.h>

#include <array>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/image_options.h"
#include "cli/bulkhead/listing.h"
#include "cli/bulkhead/volume_options.h"
#include "engine/image_time.h"
#include "engine/volume_store.h"
#include "json/parse.h"
#include "json/writer.h"
#include "template/template.h"

namespace bulkhead::cli::engine {
namespace {

namespace stock = bulkhead::engine;

// "NAME=VALUE"; a name alone has an empty value.
Result<bulkhead::volumes::Words> read_words(std::string_view flag,
                                            const std::vector<std::string>& texts) {
  bulkhead::volumes::Words words;
  for (const std::string& text : texts) {
    std::string_view value = text;
    const std::string_view name = next_field(value, '=');
    if (name.empty())
      return fail(ErrorKind::kUsage,
                  std::string(flag) + " " + quoted(text) + ": NAME=VALUE is expected");
    words[std::string(name)] = value;
  }
  return words;
}

Result<int> create(const Invocation& invocation) {
  VolumeCreateOptions options;
  const std::vector<Option> table = volume_create_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead volume create [OPTIONS] [NAME]\n"
        "\n"
        "Makes a volume, and prints its name. One that is there already stays as it is, if nothing "
        "else is\n"
        "asked for. Without a name it is anonymous: volume prune removes it once no container uses "
        "it.\n"
        "\n"
        "Options:\n" +
        describe(table) +
        "\nExamples:\n"
        "  bulkhead volume create data\n"
        "  bulkhead volume create --opt size=2g cache\n"
        "  bulkhead volume create --opt type=none --opt o=bind --opt device=/srv/www www\n");
    return 0;
  }
  if (words.positional.size() > 1 || (!words.positional.empty() && !options.name.empty()))
    return fail(ErrorKind::kUsage, "volume create takes one name at most");
  if (options.driver != "local")
    return fail(ErrorKind::kUsage,
                "--driver " + quoted(options.driver) + ": there is no such driver",
                "there is local; mount what others bring on the host, and name the place: --opt "
                "type=none --opt o=bind --opt device=/PATH");
  bulkhead::volumes::Volume wanted;
  wanted.name = words.positional.empty() ? options.name : words.positional.front();
  TRY_ASSIGN(wanted.labels, read_words("--label", options.labels));
  TRY_ASSIGN(wanted.options, read_words("--opt", options.driver_options));
  TRY_ASSIGN(const std::string name, stock::create_volume(invocation.store, std::move(wanted)));
  print(name + "\n");
  return 0;
}

std::string joined(const bulkhead::volumes::Words& words) {
  std::string text;
  for (const auto& [key, value] : words)
    text.append(text.empty() ? "" : ",").append(key).append("=").append(value);
  return text;
}

Result<int> list(const Invocation& invocation) {
  VolumeListOptions options;
  const std::vector<Option> table = volume_list_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print("Usage: bulkhead volume ls [OPTIONS]\n\nLists the volumes.\n\nOptions:\n" +
          describe(table) +
          "\nFields of templates: Driver, Labels, Links, Mountpoint, Name, Scope, Size.\n"
          "\nExample:\n  bulkhead volume ls --quiet --filter dangling=true\n");
    return 0;
  }
  if (!words.positional.empty()) return fail(ErrorKind::kUsage, "volume ls takes no arguments");
  TRY_ASSIGN(const auto filter,
             stock::VolumeFilter::read(options.filters, stock::VolumeFilter::Use::kList));
  TRY_ASSIGN(const auto all, stock::list_volumes(invocation.store));
  Listing listing({{"Driver", "DRIVER"},
                   {"Labels", "LABELS"},
                   {"Links", "LINKS"},
                   {"Mountpoint", "MOUNTPOINT"},
                   {"Name", "VOLUME NAME"},
                   {"Scope", "SCOPE"},
                   {"Size", "SIZE"}},
                  {"Driver", "Name"});
  std::string names;
  for (const stock::ListedVolume& each : all) {
    if (!filter.matches(each)) continue;
    names.append(each.volume.name).append("\n");
    listing.add({"local", joined(each.volume.labels), std::to_string(each.containers),
                 each.mountpoint, each.volume.name, "local", "N/A"});
  }
  if (options.quiet && options.format.empty()) {
    print(names);
    return 0;
  }
  TRY_ASSIGN(const std::string text, listing.text(options.format));
  print(text);
  return 0;
}

Result<int> inspect(const Invocation& invocation) {
  InspectOptions options;
  const std::vector<Option> table = inspect_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead volume inspect [OPTIONS] VOLUME...\n\nTells all that is known of "
        "volumes.\n\nOptions:\n" +
        describe(table) +
        "\nExample:\n  bulkhead volume inspect --format '{{.Mountpoint}}' data\n");
    return 0;
  }
  if (words.positional.empty()) return fail(ErrorKind::kUsage, "no volume is named");
  const bool as_json = options.format.empty() || options.format == "json";
  if (!as_json) TRY_WITHIN("--format", templates::check(options.format));
  int code = 0;
  std::string all;
  json::Writer writer(all, json::Style::kIndented);
  writer.begin_array();
  for (const std::string& name : words.positional) {
    const auto found = stock::find_volume(invocation.store, name);
    if (!found) {
      print_error(found.error());
      code = 1;
      continue;
    }
    const std::string text = stock::inspect_volume(*found);
    TRY_ASSIGN(const json::Document document, json::parse(text));
    if (as_json) {
      writer.value(document.root());
      continue;
    }
    auto line = templates::render(options.format, document.root());
    if (!line) return std::unexpected(std::move(line).error().within("--format"));
    print(*line + "\n");
  }
  writer.end_array();
  if (as_json) print(all + "\n");
  return code;
}

Result<int> remove(const Invocation& invocation) {
  VolumeRemoveOptions options;
  const std::vector<Option> table = volume_remove_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead volume rm [OPTIONS] VOLUME...\n"
        "\n"
        "Removes volumes with what is in them. One that a container uses, running or not, is never "
        "removed.\n"
        "\n"
        "Options:\n" +
        describe(table));
    return 0;
  }
  if (words.positional.empty()) return fail(ErrorKind::kUsage, "no volume is named");
  int code = 0;
  for (const std::string& name : words.positional) {
    const auto removed = stock::remove_volume(invocation.store, name);
    if (removed || (options.force && removed.error().kind() == ErrorKind::kNotFound)) {
      print(name + "\n");
      continue;
    }
    print_error(removed.error());
    code = 1;
  }
  return code;
}

Result<int> prune(const Invocation& invocation) {
  VolumePruneOptions options;
  const std::vector<Option> table = volume_prune_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead volume prune [OPTIONS]\n"
        "\n"
        "Removes anonymous volumes that no container uses, running or not.\n"
        "\n"
        "Options:\n" +
        describe(table));
    return 0;
  }
  if (!words.positional.empty()) return fail(ErrorKind::kUsage, "volume prune takes no arguments");
  TRY_ASSIGN(const auto filter,
             stock::VolumeFilter::read(options.filters, stock::VolumeFilter::Use::kPrune));
  const bool all = options.all || filter.all();
  if (!options.force &&
      !is_confirmed(std::string("WARNING! This will remove ") + (all ? "all" : "anonymous") +
                    " local volumes not used by at least one container.\nAre you sure you want to "
                    "continue?"))
    return 0;
  TRY_ASSIGN(const auto pruned, stock::prune_volumes(invocation.store, all, filter));
  if (!pruned.names.empty()) print("Deleted Volumes:\n");
  for (const std::string& name : pruned.names) print(name + "\n");
  if (!pruned.names.empty()) print("\n");
  print("Total reclaimed space: " + stock::describe_size(pruned.bytes) + "\n");
  return 0;
}

struct Subcommand {
  std::string_view name;
  std::string_view summary;
  Result<int> (*run)(const Invocation& invocation);
};

constexpr std::array kSubcommands{
    Subcommand{"create", "make a volume", create},
    Subcommand{"export", "write a volume as a tar", export_volume},
    Subcommand{"import", "fill an empty volume from a tar", import_volume},
    Subcommand{"inspect", "tell all that is known of volumes", inspect},
    Subcommand{"ls", "list volumes", list},
    Subcommand{"prune", "remove anonymous volumes that nobody uses", prune},
    Subcommand{"rm", "remove volumes", remove},
};

std::string help() {
  std::string text =
      "Usage: bulkhead volume COMMAND\n\nVolumes: directories that outlive containers, and that "
      "containers share.\n\nCommands:\n";
  for (const Subcommand& each : kSubcommands) {
    std::string line = "  " + std::string(each.name);
    line.append(line.size() < 14 ? 14 - line.size() : 1, ' ').append(each.summary);
    text += line + "\n";
  }
  return text + "\nbulkhead volume COMMAND --help says more about each.\n";
}

Result<int> volume(const Invocation& invocation) {
  if (invocation.words.empty())
    return fail(ErrorKind::kUsage, "say what to do: bulkhead volume COMMAND",
                "bulkhead volume --help lists the commands");
  std::string_view name = invocation.words.front();
  if (name == "--help" || name == "-h" || name == "help") {
    print(help());
    return 0;
  }
  if (name == "list") name = "ls";
  if (name == "remove") name = "rm";
  for (const Subcommand& each : kSubcommands)
    if (each.name == name) return each.run({invocation.store, invocation.words.subspan(1)});
  return fail(ErrorKind::kUsage, "there is no command \"volume " + std::string(name) + "\"",
              "bulkhead volume --help lists the commands");
}

}  // namespace

bool is_confirmed(std::string_view question) {
  print(std::string(question) + " [y/N] ");
  char answer[16] = {};
  const ssize_t size = ::read(STDIN_FILENO, answer, sizeof answer - 1);
  return size > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

std::vector<std::string_view> volume_subcommands() {
  std::vector<std::string_view> names;
  for (const Subcommand& each : kSubcommands) names.push_back(each.name);
  return names;
}

const Command kVolumeCommand{"volume", "COMMAND", "commands on volumes", volume, 1};

}  // namespace bulkhead::cli::engine
