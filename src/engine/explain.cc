#include "engine/explain.h"

#include <algorithm>

#include "base/text.h"
#include "engine/image_choice.h"
#include "engine/prepare.h"
#include "isolation/cgroup/discover.h"
#include "isolation/lsm/default_profile.h"
#include "isolation/masked_paths/default_paths.h"
#include "isolation/pid/pid.h"
#include "isolation/rootfs/rootfs.h"
#include "isolation/user/id_pool.h"
#include "json/writer.h"
#include "launch/plan.h"
#include "oci/validate.h"
#include "policy/policy.h"
#include "runtime/warnings.h"

namespace bulkhead::engine {
namespace {

// What no flag and no layer changes.
constexpr std::string_view kNeverIsolated[] = {
    "the kernel: it is the host's own; a flaw in it that an allowed system call reaches is a way "
    "out",
    "wall-clock time: there is one for the whole host",
    "what /proc and /sys tell of the machine and common programs need: processors, total memory, "
    "load, "
    "kernel version",
    "caches of the processor: timing tells containers about each other",
};
constexpr std::string_view kPageCacheShared =
    "the page cache of the image's layers: containers that share one can tell which of its files "
    "another has read; --storage erofs --storage-opt directio gives each a page cache of its own";
constexpr std::string_view kPageCacheOwn =
    "the names of the image's files: their directories and inodes are read through a page cache "
    "that containers share; what is in the files is not";
constexpr std::string_view kSizeOpen =
    "the store's disk: the container may fill it; --storage-opt size= sets a limit, and of a "
    "volume "
    "volume create --opt size=";

Result<launch::ContainerPlan> plan_of(const Prepared& prepared, const Composed& composed,
                                      const isolation::HostFacts& host) {
  isolation::Request request{.spec = composed.spec,
                             .container_id = prepared.circumstances.id,
                             .bundle = prepared.store.path()};
  request.root_from_parent = true;
  request.defaults = composed.defaults;
  return launch::ContainerPlan::describe(request, host);
}

// In lines of at most `width` bytes, cut at spaces; `indent` before each but the first.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t width = 100) {
  std::string out;
  std::size_t column = indent;
  bool first = true;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    if (!first && column + 1 + word.size() > width) {
      out.append("\n").append(indent, ' ');
      column = indent;
    } else if (!first) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    first = false;
  }
  return out;
}

// How the root comes about is the store's affair; the layer only receives it.
void add_storage(const Prepared& prepared, isolation::Explanation& explanation) {
  const StorageChoices& choices = prepared.wish.storage;
  const bool erofs = choices.layers.form == storage::LayerForm::kErofs;
  const bool direct = choices.layers.reading == storage::Layers::Reading::kDirect;
  explanation.facts.push_back(
      {"storage", storage::describe(choices.layers),
       std::to_string(storage::lower_paths(prepared.record).size()) +
           (erofs ? " layers as EROFS images, each mounted for this container alone"
                  : " layers as directories, one copy for all containers") +
           (direct ? ", read around the page cache of the images" : "")});
  if (prepared.limit)
    explanation.facts.push_back({"size limit", prepared.circumstances.size_limit,
                                 "a write beyond it fails in the container"});
}

std::vector<std::string> open_in_storage(const Prepared& prepared) {
  const bool direct = prepared.wish.storage.layers.reading == storage::Layers::Reading::kDirect;
  std::vector<std::string> open{std::string(direct ? kPageCacheOwn : kPageCacheShared)};
  const bool fills_volumes = std::ranges::any_of(prepared.wish.volumes, [](const Volume& volume) {
    return volume.kept_here && !volume.read_only && !volume.driver_options.contains("size");
  });
  if ((!prepared.limit && !prepared.wish.read_only) || fills_volumes) open.emplace_back(kSizeOpen);
  return open;
}

// The masks of a specification carry no reasons; those that are defaults of ours have one.
void add_reasons(isolation::Explanation& explanation) {
  const auto look_up = [](const auto& paths, isolation::Fact& fact) {
    for (const isolation::DefaultPath& path : paths)
      if (path.path == fact.name) fact.why = path.reason;
  };
  for (isolation::Fact& fact : explanation.facts) {
    if (!fact.why.empty()) continue;
    look_up(isolation::kDefaultMaskedPaths, fact);
    look_up(isolation::kDefaultReadonlyPaths, fact);
  }
}

std::string fact_text(const isolation::Fact& fact) {
  std::string text = fact.name;
  if (!fact.value.empty()) text.append(": ").append(fact.value);
  if (!fact.why.empty()) text.append(" (").append(fact.why).append(")");
  return text;
}

std::string in_words(const std::vector<std::string>& arguments) {
  std::string text;
  for (const std::string& argument : arguments) {
    if (!text.empty()) text += ' ';
    text += argument.find_first_of(" \t\n'\"\\$") == std::string::npos && !argument.empty()
                ? argument
                : quoted(argument, 80);
  }
  return text;
}

}  // namespace

std::string_view name_of(isolation::Standing standing) {
  switch (standing) {
    case isolation::Standing::kApplied: return "applied";
    case isolation::Standing::kNotApplicable: return "not applicable";
    case isolation::Standing::kLeftOut: return "left out";
    case isolation::Standing::kOpened: return "opened";
  }
  return "";
}

Result<ExplainedRun> explain_run(const RunOptions& options) {
  // Nothing is done that the run would do: neither is an image fetched.
  TRY(pull_policy(options.pull));
  RunOptions without_pull = options;
  without_pull.pull = "never";
  TRY_ASSIGN(Prepared prepared, prepare(without_pull));
  // Any range of the pool stands for the one that a container would get.
  TRY_ASSIGN(const isolation::IdRange pool, isolation::configured_id_pool());
  const std::uint32_t first = ids_for(prepared).shared_first.value_or(HostUid(pool.first)).value();
  prepared.circumstances.first_uid = HostUid(first);
  prepared.circumstances.first_gid = HostGid(first);
  TRY_ASSIGN(const Composed composed,
             compose(prepared.wish, prepared.image, prepared.circumstances));
  TRY(oci::validate(composed.spec));
  TRY_ASSIGN(isolation::HostFacts host, isolation::gather_host_facts());
  TRY_ASSIGN(host.cgroups, isolation::discover_cgroup_hierarchies());
  host.apparmor_mode = isolation::mode_of_wanted_profile(composed.spec, host);
  TRY_ASSIGN(const launch::ContainerPlan plan, plan_of(prepared, composed, host));

  ExplainedRun run;
  TRY_ASSIGN(const auto policy, policy::read_policy());
  if (policy)
    run.forbidden = policy::violations(*policy, {.spec = composed.spec,
                                                 .container = prepared.circumstances.id,
                                                 .image = prepared.circumstances.image,
                                                 .own_mounts = own_mounts_of(prepared)});
  run.image = prepared.circumstances.image;
  run.arguments = composed.spec.process->args;
  run.user = std::to_string(prepared.circumstances.user.uid.value()) + ":" +
             std::to_string(prepared.circumstances.user.gid.value());
  plan.for_each([&]<class Layer>(const typename Layer::Plan& layer) {
    run.layers.push_back({Layer::kName, &Layer::kCard, Layer::explain(layer)});
  });
  for (ExplainedLayer& layer : run.layers)
    if (layer.name == isolation::MaskedPaths::kName) add_reasons(layer.explanation);
  for (ExplainedLayer& layer : run.layers)
    if (layer.name == isolation::Rootfs::kName) add_storage(prepared, layer.explanation);
  for (ExplainedLayer& layer : run.layers)
    if (layer.name == isolation::PidNamespace::kName && prepared.wish.init)
      layer.explanation.facts.push_back(
          {"process 1", "bulkhead-init, from a read-only mount",
           "it reaps orphans, passes signals on, and ends the container when the program ends"});
  run.not_isolated.assign(std::begin(kNeverIsolated), std::end(kNeverIsolated));
  for (std::string& open : open_in_storage(prepared)) run.not_isolated.push_back(std::move(open));
  run.not_isolated.insert(run.not_isolated.end(), composed.opened.begin(), composed.opened.end());
  for (const ExplainedLayer& layer : run.layers)
    if (layer.explanation.standing == isolation::Standing::kLeftOut)
      run.not_isolated.push_back(std::string(layer.name) + ": left out, " +
                                 layer.explanation.reason);
  run.warnings = prepared.warnings;
  const std::vector<std::string> further = runtime::warnings_of(plan);
  run.warnings.insert(run.warnings.end(), further.begin(), further.end());
  return run;
}

std::string explain_as_text(const ExplainedRun& run) {
  std::string out = quoted(run.image) + " would run: " + in_words(run.arguments) + "\nas user " +
                    run.user + " of the container, behind these layers, in this order:\n";
  int number = 0;
  for (const ExplainedLayer& layer : run.layers) {
    const isolation::Explanation& explanation = layer.explanation;
    ++number;
    out += "\n" + std::string(number < 10 ? " " : "") + std::to_string(number) + ". " +
           std::string(layer.name) + ": " + std::string(name_of(explanation.standing));
    if (!explanation.reason.empty()) out += ", " + wrapped(explanation.reason, 4);
    out += '\n';
    if (explanation.standing == isolation::Standing::kApplied) {
      out += "    stops: " + wrapped(layer.card->stops, 11) + "\n";
      out += "    does not stop: " + wrapped(layer.card->does_not_stop, 19) + "\n";
    } else {
      out += "    would stop: " + wrapped(layer.card->stops, 16) + "\n";
    }
    for (const isolation::Fact& fact : explanation.facts)
      out += "    - " + wrapped(fact_text(fact), 6) + "\n";
  }
  if (!run.forbidden.empty()) out += "\nForbidden by the host's policy:\n";
  for (const std::string& line : run.forbidden) out += "  - " + wrapped(line, 4) + "\n";
  out += "\nNot isolated:\n";
  for (const std::string& line : run.not_isolated) out += "  - " + wrapped(line, 4) + "\n";
  return out;
}

std::string explain_as_json(const ExplainedRun& run) {
  std::string out;
  json::Writer writer(out, json::Style::kIndented);
  const auto strings = [&](std::string_view name, const std::vector<std::string>& values) {
    writer.key(name);
    writer.begin_array();
    for (const std::string& value : values) writer.string(value);
    writer.end_array();
  };
  writer.begin_object();
  writer.member("image", run.image);
  strings("arguments", run.arguments);
  writer.member("user", run.user);
  writer.key("layers");
  writer.begin_array();
  for (const ExplainedLayer& layer : run.layers) {
    writer.begin_object();
    writer.member("name", layer.name);
    writer.member("standing", name_of(layer.explanation.standing));
    writer.member("reason", layer.explanation.reason);
    writer.member("stops", layer.card->stops);
    writer.member("doesNotStop", layer.card->does_not_stop);
    writer.member("kernel", layer.card->kernel);
    writer.member("order", layer.card->order);
    writer.key("facts");
    writer.begin_array();
    for (const isolation::Fact& fact : layer.explanation.facts) {
      writer.begin_object();
      writer.member("name", fact.name);
      writer.member("value", fact.value);
      if (!fact.why.empty()) writer.member("why", fact.why);
      writer.end_object();
    }
    writer.end_array();
    writer.end_object();
  }
  writer.end_array();
  strings("notIsolated", run.not_isolated);
  strings("warnings", run.warnings);
  strings("forbidden", run.forbidden);
  writer.end_object();
  out += '\n';
  return out;
}

}  // namespace bulkhead::engine
