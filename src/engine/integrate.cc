#include "engine/integrate.h"

#include <algorithm>

#include "base/text.h"
#include "engine/toml_text.h"
#include "json/edit.h"
#include "json/parse.h"
#include "json/writer.h"

namespace bulkhead::engine {
namespace {

using Path = std::vector<std::string>;

constexpr std::string_view kCreated =
    "# Made by `bulkhead system integrate`; `--remove` takes it away.\n";
// What podman 4.3 has without configuration; a list of one's own stands in its place.
constexpr std::string_view kJsonRuntimes =
    R"(["crun", "runc", "kata", "runsc", "krun", "bulkhead"])";
constexpr std::string_view kNoCgroupsRuntimes = R"(["crun", "krun", "bulkhead"])";

std::string as_string(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

Result<void> check_runtime(const std::string& runtime) {
  for (std::string_view rest = runtime; !rest.empty();) {
    const std::size_t length = utf8_length(rest);
    if (length == 0)
      return fail(ErrorKind::kUsage, "the path of the runtime " + quoted(runtime) +
                                         " is not UTF-8, which these files are written in");
    rest.remove_prefix(length);
  }
  return {};
}

// ---- docker: daemon.json

std::string docker_member(const std::string& runtime) {
  return as_string(kRuntimeName) + R"(: {"path": )" + as_string(runtime) + "}";
}

constexpr std::string_view kDockerDefault = R"("default-runtime": "bulkhead")";

// On one line, as nothing else is written here: so it is known again as a file of our own.
std::string docker_file(const Registration& registration) {
  std::string out = "{ ";
  if (registration.default_runtime == DefaultRuntime::kBulkhead)
    out.append(kDockerDefault).append(", ");
  return out + R"("runtimes": {)" + docker_member(registration.runtime) + "} }\n";
}

Result<json::Document> parse_docker(const std::string& text) {
  auto document = json::parse(text);
  if (!document)
    return std::unexpected(std::move(document).error().with_hint(
        "it must be JSON for docker to read it: mend it first"));
  if (document->root().type() != json::Type::kObject)
    return fail(ErrorKind::kInvalid, "the document is not an object", "docker wants {...}");
  if (const json::Value* runtimes = document->root().find("runtimes");
      runtimes != nullptr && runtimes->type() != json::Type::kObject)
    return fail(ErrorKind::kInvalid, "/runtimes: not an object",
                "docker wants \"runtimes\": {\"NAME\": {\"path\": \"...\"}}");
  return document;
}

Result<std::string> with_docker_runtime(const std::string& text, const json::Value& root,
                                        const std::string& runtime) {
  const auto object = json::object_at(text, 0);
  const json::Value* const runtimes = root.find("runtimes");
  if (runtimes == nullptr)
    return json::with_first_member(text, *object, "\n  ",
                                   R"("runtimes": {)" + docker_member(runtime) + "}");
  const auto registered = json::object_at(text, object->find("runtimes")->value);
  const json::Value* const ours = runtimes->find(kRuntimeName);
  if (ours == nullptr)
    return json::with_first_member(text, *registered, "\n    ", docker_member(runtime));
  const json::Value* const path = ours->find("path");
  if (path != nullptr && path->as_string() == runtime) return text;
  if (ours->members().size() != 1 || path == nullptr)
    return fail(ErrorKind::kExists, "/runtimes/bulkhead: registered with other settings",
                "--remove takes it out, with those settings; then register it again");
  const auto entry = json::object_at(text, registered->find(kRuntimeName)->value);
  return json::with_value(text, *entry->find("path"), as_string(runtime));
}

Result<std::string> with_docker(const std::string& before, const Registration& registration) {
  TRY_ASSIGN(const auto document, parse_docker(before));
  TRY_ASSIGN(std::string text, with_docker_runtime(before, document.root(), registration.runtime));
  if (registration.default_runtime == DefaultRuntime::kAsItIs) return text;
  const json::Value* const chosen = document.root().find("default-runtime");
  if (chosen == nullptr)
    return json::with_first_member(text, *json::object_at(text, 0), "\n  ", kDockerDefault);
  if (chosen->as_string() == kRuntimeName) return text;
  return fail(ErrorKind::kExists,
              "/default-runtime: set already, to " + quoted(chosen->as_string()),
              "take it out, or leave --default out");
}

// Whether the registration made the whole file.
bool is_docker_file(std::string_view text, std::string_view runtime) {
  for (const auto kind : {DefaultRuntime::kAsItIs, DefaultRuntime::kBulkhead}) {
    if (text == docker_file({OtherEngine::kDocker, std::string(runtime), kind})) return true;
  }
  return false;
}

Result<std::optional<std::string>> without_docker(std::string text) {
  TRY_ASSIGN(const auto document, parse_docker(text));
  const json::Value& root = document.root();
  const json::Value* const runtimes = root.find("runtimes");
  const json::Value* const ours = runtimes == nullptr ? nullptr : runtimes->find(kRuntimeName);
  const json::Value* const path = ours == nullptr ? nullptr : ours->find("path");
  if (path != nullptr && is_docker_file(text, path->as_string())) return std::nullopt;
  // A default that names no runtime would keep docker from starting.
  if (const json::Value* const chosen = root.find("default-runtime");
      chosen != nullptr && chosen->as_string() == kRuntimeName) {
    const auto object = json::object_at(text, 0);
    text = json::without_member(text, *object, *object->find("default-runtime"));
    if (path != nullptr && is_docker_file(text, path->as_string())) return std::nullopt;
  }
  if (ours == nullptr) return text;
  const auto object = json::object_at(text, 0);
  const json::MemberSpan& member = *object->find("runtimes");
  const auto registered = json::object_at(text, member.value);
  // A "runtimes" that came with the registration has nothing between the brace and the name.
  if (registered->members.size() == 1 && registered->members[0].begin == registered->brace + 1)
    return json::without_member(text, *object, member);
  return json::without_member(text, *registered, *registered->find(kRuntimeName));
}

// ---- podman: containers.conf

std::vector<TomlAddition> podman_additions(const Registration& registration) {
  TomlAddition engine{{"engine"}, {}};
  if (registration.default_runtime == DefaultRuntime::kBulkhead)
    engine.keys.emplace_back("runtime", as_string(kRuntimeName));
  // Without these podman reads the runtime's errors as bare text, and keeps --cgroups=disabled from it.
  engine.keys.emplace_back("runtime_supports_json", kJsonRuntimes);
  // The key is written thus in podman's code, with an s more in its manual.
  engine.keys.emplace_back("runtime_supports_nocgroup", kNoCgroupsRuntimes);
  return {engine,
          {{"engine", "runtimes"},
           {{std::string(kRuntimeName), "[" + as_string(registration.runtime) + "]"}}}};
}

// ---- containerd: config.toml

// The settings of the CRI plugin, which have moved with the version of the file.
Result<Path> containerd_table(const std::vector<TomlStatement>& statements) {
  std::string_view version = "1";
  for (const TomlStatement& statement : statements) {
    if (statement.path == Path{"version"}) version = statement.value;
  }
  if (version == "1") return Path{"plugins", "cri", "containerd"};
  if (version == "2") return Path{"plugins", "io.containerd.grpc.v1.cri", "containerd"};
  if (version == "3") return Path{"plugins", "io.containerd.cri.v1.runtime", "containerd"};
  return fail(ErrorKind::kUnsupported, "version = " + quoted(version) + " of the file is not known",
              "versions 1, 2 and 3 are");
}

TomlAddition containerd_runtime(const Path& containerd, std::string_view name) {
  TomlAddition runtime{containerd, {{"runtime_type", as_string("io.containerd.runc.v2")}}};
  runtime.table.insert(runtime.table.end(), {"runtimes", std::string(name)});
  return runtime;
}

Result<std::vector<TomlAddition>> containerd_additions(const Registration& registration,
                                                       const std::string& text) {
  TRY_ASSIGN(const auto statements, scan_toml(text));
  TRY_ASSIGN(const Path table, containerd_table(statements));
  std::vector<TomlAddition> additions;
  if (registration.default_runtime == DefaultRuntime::kBulkhead)
    additions.push_back({table, {{"default_runtime_name", as_string(kRuntimeName)}}});
  Path runtimes = table;
  runtimes.emplace_back("runtimes");
  const bool has_runtimes = std::ranges::any_of(statements, [&](const TomlStatement& statement) {
    return statement.path.size() > runtimes.size() &&
           std::equal(runtimes.begin(), runtimes.end(), statement.path.begin());
  });
  // The first runtime in the file takes the place of runc, which containerd has without any.
  if (!has_runtimes) additions.push_back(containerd_runtime(table, "runc"));
  additions.push_back(containerd_runtime(table, kRuntimeName));
  TomlAddition options{additions.back().table, {{"BinaryName", as_string(registration.runtime)}}};
  options.table.emplace_back("options");
  additions.push_back(std::move(options));
  return additions;
}

// ---- both

constexpr std::string_view kContainerdVersion = "version = 2\n";

std::string new_toml_file(OtherEngine engine) {
  std::string text(kCreated);
  if (engine == OtherEngine::kContainerd) text += kContainerdVersion;
  return text;
}

Result<std::vector<TomlAddition>> toml_additions(const Registration& registration,
                                                 const std::string& text) {
  if (registration.engine == OtherEngine::kPodman) return podman_additions(registration);
  return containerd_additions(registration, text);
}

bool says_default(std::string_view lines) {
  return lines.find("runtime = \"bulkhead\"\n") != std::string_view::npos ||
         lines.find("default_runtime_name = \"bulkhead\"\n") != std::string_view::npos;
}

}  // namespace

std::optional<OtherEngine> other_engine(std::string_view name) {
  if (name == "docker") return OtherEngine::kDocker;
  if (name == "podman") return OtherEngine::kPodman;
  if (name == "containerd") return OtherEngine::kContainerd;
  return std::nullopt;
}

std::string_view how_to_reload(OtherEngine engine) {
  switch (engine) {
    case OtherEngine::kDocker: return "systemctl reload docker";
    case OtherEngine::kPodman:
      return "nothing to restart, but for a `podman system service` that runs";
    case OtherEngine::kContainerd: return "systemctl restart containerd (containers go on)";
  }
  return "";
}

Result<std::string> registration_text(const Registration& registration) {
  TRY(check_runtime(registration.runtime));
  if (registration.engine == OtherEngine::kDocker) {
    std::string out;
    json::Writer writer(out, json::Style::kIndented);
    writer.begin_object();
    if (registration.default_runtime == DefaultRuntime::kBulkhead)
      writer.member("default-runtime", kRuntimeName);
    writer.key("runtimes");
    writer.begin_object();
    writer.key(kRuntimeName);
    writer.begin_object();
    writer.member("path", registration.runtime);
    writer.end_object();
    writer.end_object();
    writer.end_object();
    return out + "\n";
  }
  const std::string before =
      registration.engine == OtherEngine::kContainerd ? std::string(kContainerdVersion) : "";
  TRY_ASSIGN(const auto additions, toml_additions(registration, before));
  return before + as_toml(additions);
}

Result<std::string> with_registration(const std::optional<std::string>& before,
                                      const Registration& registration) {
  TRY(check_runtime(registration.runtime));
  if (registration.engine == OtherEngine::kDocker)
    return before ? with_docker(*before, registration) : docker_file(registration);
  Registration wanted = registration;
  std::string text = new_toml_file(registration.engine);
  if (before) {
    // A default that was asked for earlier stays.
    TRY_ASSIGN(const std::string earlier, additions_in(*before));
    if (says_default(earlier)) wanted.default_runtime = DefaultRuntime::kBulkhead;
    TRY_ASSIGN(text, without_additions(*before));
  }
  TRY_ASSIGN(const auto additions, toml_additions(wanted, text));
  return with_additions(text, additions);
}

Result<std::optional<std::string>> without_registration(const std::string& text,
                                                        OtherEngine engine) {
  if (engine == OtherEngine::kDocker) return without_docker(text);
  TRY_ASSIGN(std::string without, without_additions(text));
  if (without == new_toml_file(engine)) return std::nullopt;
  return without;
}

}  // namespace bulkhead::engine
