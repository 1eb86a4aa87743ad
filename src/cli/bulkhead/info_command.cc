// info and version.
#include "engine/information.h"

#include "cli/bulkhead/command.h"
#include "cli/bulkhead/options.h"
#include "cli/bulkhead/system_options.h"
#include "engine/image_time.h"
#include "json/parse.h"
#include "json/writer.h"
#include "template/template.h"

namespace bulkhead::cli::engine {
namespace {

Result<void> print_formatted(const std::string& text, const std::string& format) {
  if (format == "json") {
    print(text + "\n");
    return {};
  }
  TRY_ASSIGN(const json::Document document, json::parse(text));
  auto line = templates::render(format, document.root());
  if (!line) return std::unexpected(std::move(line).error().within("--format"));
  print(*line + "\n");
  return {};
}

std::string words_of(const json::Value* list) {
  std::string text;
  if (list != nullptr)
    for (const json::Value& item : list->items())
      text.append(text.empty() ? "" : " ").append(item.as_string());
  return text;
}

// As Docker has it: "Name: value" in a fixed order.
std::string info_text(const json::Value& info) {
  std::string text;
  const auto line = [&](std::string_view name, std::string_view value) {
    text.append(name).append(": ").append(value).append("\n");
  };
  const auto string = [&](std::string_view key) {
    const json::Value* const value = info.find(key);
    return value == nullptr ? std::string_view() : value->as_string();
  };
  const auto number = [&](std::string_view key) {
    const json::Value* const value = info.find(key);
    return value == nullptr ? std::int64_t{0} : value->as_int64().value_or(0);
  };
  const auto count = [&](std::string_view name, std::string_view key) {
    line(name, std::to_string(number(key)));
  };
  count("Containers", "Containers");
  count(" Running", "ContainersRunning");
  count(" Paused", "ContainersPaused");
  count(" Stopped", "ContainersStopped");
  count("Images", "Images");
  line("Server Version", string("ServerVersion"));
  line("Storage Driver", string("Driver"));
  line("Logging Driver", string("LoggingDriver"));
  line("Cgroup Driver", string("CgroupDriver"));
  line("Cgroup Version", string("CgroupVersion"));
  if (const json::Value* const plugins = info.find("Plugins")) {
    text += "Plugins:\n";
    line(" Volume", words_of(plugins->find("Volume")));
    line(" Network", words_of(plugins->find("Network")));
    line(" Log", words_of(plugins->find("Log")));
  }
  line("Default Runtime", string("DefaultRuntime"));
  line("Init Binary", string("InitBinary"));
  text += "Security Options:\n";
  if (const json::Value* const options = info.find("SecurityOptions"))
    for (const json::Value& option : options->items())
      text.append(" ").append(option.as_string()).append("\n");
  line("Kernel Version", string("KernelVersion"));
  line("Operating System", string("OperatingSystem"));
  line("OSType", string("OSType"));
  line("Architecture", string("Architecture"));
  count("CPUs", "NCPU");
  line("Total Memory",
       bulkhead::engine::describe_size(static_cast<std::uint64_t>(number("MemTotal"))));
  line("Name", string("Name"));
  line("Root Dir", string("DockerRootDir"));
  line("Run Root", string("RunRoot"));
  return text;
}

Result<int> info(const Invocation& invocation) {
  std::string format;
  const Option options[] = {
      {"format", 'f', &format, "FORMAT", "json, or a template such as {{.CgroupVersion}}"}};
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead info [OPTIONS]\n\nTells how many containers and images there are, and "
        "what this installation and its host\noffer, under Docker's names. Also bulkhead system "
        "info.\n\nOptions:\n" +
        describe(options));
    return 0;
  }
  if (!words.positional.empty()) return fail(ErrorKind::kUsage, "info takes no arguments");
  if (!format.empty() && format != "json") TRY_WITHIN("--format", templates::check(format));
  TRY_ASSIGN(const std::string text, bulkhead::engine::information(invocation.store));
  if (!format.empty()) {
    TRY(print_formatted(text, format));
    return 0;
  }
  TRY_ASSIGN(const json::Document document, json::parse(text));
  print(info_text(document.root()));
  return 0;
}

Result<int> version(const Invocation& invocation) {
  std::string format;
  const Option options[] = {
      {"format", 'f', &format, "FORMAT", "json, or a template such as {{.Server.Version}}"}};
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead version [OPTIONS]\n\nPrints the version. There is no daemon: what scripts "
        "ask of a server is this program, too.\n\nOptions:\n" +
        describe(options));
    return 0;
  }
  if (!words.positional.empty()) return fail(ErrorKind::kUsage, "version takes no arguments");
  const std::string text = bulkhead::engine::version_information();
  if (!format.empty()) {
    TRY(print_formatted(text, format));
    return 0;
  }
  TRY_ASSIGN(const json::Document document, json::parse(text));
  const json::Value* const client = document.root().find("Client");
  for (const auto& [name, key] : {std::pair("Version:      ", "Version"),
                                  {"OCI version:  ", "OCIVersion"},
                                  {"OS/Arch:      linux/", "Arch"},
                                  {"Kernel:       ", "KernelVersion"}})
    print(std::string(name).append(client->find(key)->as_string()).append("\n"));
  return 0;
}

}  // namespace

Result<int> system_info(const Invocation& invocation) { return info(invocation); }

const Command kInfoCommand{"info", "[OPTIONS]", "tell about this installation and its host", info};
const Command kVersionCommand{"version", "[OPTIONS]", "print the version", version};

}  // namespace bulkhead::cli::engine
