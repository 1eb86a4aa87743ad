#include "cli/bulkhead/command.h"
#include "cli/bulkhead/image_options.h"
#include "cli/bulkhead/registry_options.h"
#include "cli/bulkhead/run_options.h"
#include "cli/bulkhead/system_options.h"
#include "cli/bulkhead/volume_options.h"

namespace bulkhead::cli::engine {
namespace {

constexpr std::string_view kHelp =
    "Usage: bulkhead completion bash\n"
    "\n"
    "Prints a script that completes the words of bulkhead's command line.\n"
    "\n"
    "Example:\n"
    "  source <(bulkhead completion bash)\n";

std::string joined(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) text.append(text.empty() ? "" : " ").append(word);
  return text;
}

std::string flags_of(const std::vector<Option>& options) {
  std::string text;
  for (const Option& option : options) text.append("--").append(option.name).append(" ");
  return text + "--help";
}

// The commands on images: their flags, and what their arguments are.
std::string image_cases() {
  struct Case {
    const char* pattern;
    std::string flags;
    const char* arguments;
  };
  constexpr const char* kNames = " $(_bulkhead_images)";
  constexpr const char* kFiles = "files";
  ImagesOptions images;
  RmiOptions rmi;
  HistoryOptions history;
  InspectOptions inspect;
  SaveOptions save;
  LoadOptions load;
  ImportOptions import;
  ImagePruneOptions prune;
  DfOptions df;
  CheckOptions check;
  PruneEverythingOptions everything;
  StopOptions stop;
  const Case cases[] = {
      {"images|'image ls'", flags_of(images_options(images)), kNames},
      {"rmi|'image rm'", flags_of(rmi_options(rmi)), kNames},
      {"tag|'image tag'", "--help", kNames},
      {"history|'image history'", flags_of(history_options(history)), kNames},
      {"'image inspect'", flags_of(inspect_options(inspect)), kNames},
      {"save|'image save'", flags_of(save_options(save)), kNames},
      {"load|'image load'", flags_of(load_options(load)), ""},
      {"import|'image import'", flags_of(import_options(import)), kFiles},
      {"'image prune'", flags_of(image_prune_options(prune)), ""},
      {"'system df'", flags_of(df_options(df)), ""},
      {"'system prune'", flags_of(prune_everything_options(everything)), ""},
      {"'system stop'", flags_of(stop_options(stop)), ""},
      {"'system start'", "--help", ""},
      {"info|version|'system info'", "--format --help", ""},
      {"'system check'", flags_of(check_options(check)), ""},
  };
  std::string text;
  for (const Case& each : cases) {
    const bool files = each.arguments == kFiles;
    text.append("    ").append(each.pattern).append(") COMPREPLY=($(compgen -W \"");
    text.append(each.flags).append(files ? "" : each.arguments).append("\" -- \"$word\")");
    text.append(files ? " $(compgen -f -- \"$word\")" : "").append(") ;;\n");
  }
  return text;
}

// "    pull) ... ;;": a command with these options, and images of the store as its arguments.
std::string registry_case(std::string_view name, std::span<const Option> options,
                          std::string_view arguments) {
  std::string words;
  for (const Option& option : options) words.append("--").append(option.name).append(" ");
  return "    " + std::string(name) +
         ")\n"
         "      if [[ $previous == --registries-conf ]]; then\n"
         "        COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "      else\n"
         "        COMPREPLY=($(compgen -W \"" +
         words + "--help " + std::string(arguments) +
         "\" -- \"$word\"))\n"
         "      fi ;;\n";
}

std::string registry_cases() {
  constexpr std::string_view kImages =
      "$(bulkhead images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null)";
  RegistryOptions ignored;
  return registry_case("pull", pull_options(ignored), kImages) +
         registry_case("push", push_options(ignored), kImages) +
         registry_case("login", login_options(ignored), "") +
         registry_case("logout", logout_options(ignored), "");
}

// The commands on containers: what their help says, and the names of containers.
std::string container_cases() {
  std::string patterns;
  for (const Command* command : commands())
    if (command->on_containers && command->name != "run" && command->name != "create")
      patterns.append(patterns.empty() ? "" : "|").append(command->name);
  return "    cp|'container cp') COMPREPLY=($(compgen -W \"$(_bulkhead_flags cp) "
         "$(_bulkhead_containers)\" -- \"$word\") $(compgen -f -- \"$word\")) ;;\n"
         "    events) COMPREPLY=($(compgen -W \"$(_bulkhead_flags events)\" -- \"$word\")) ;;\n"
         "    " +
         patterns +
         ") COMPREPLY=($(compgen -W \"$(_bulkhead_flags $command) $(_bulkhead_containers)\" -- "
         "\"$word\")) ;;\n"
         "    container) COMPREPLY=($(compgen -W 'ls prune " +
         patterns + "' -- \"$word\")) ;;\n";
}

// The commands on volumes.
std::string volume_cases() {
  struct Case {
    const char* name;
    std::string flags;
    const char* arguments;
  };
  VolumeCreateOptions create;
  VolumeListOptions list;
  VolumeRemoveOptions remove;
  VolumePruneOptions prune;
  VolumeExportOptions save;
  InspectOptions inspect;
  constexpr const char* kNames = " $(_bulkhead_volumes)";
  const Case cases[] = {
      {"create", flags_of(volume_create_options(create)), ""},
      {"ls", flags_of(volume_list_options(list)), ""},
      {"inspect", flags_of(inspect_options(inspect)), kNames},
      {"rm", flags_of(volume_remove_options(remove)), kNames},
      {"prune", flags_of(volume_prune_options(prune)), ""},
      {"export", flags_of(volume_export_options(save)), kNames},
      {"import", "--help", kNames},
  };
  std::string text = "    volume) COMPREPLY=($(compgen -W '";
  for (const std::string_view name : volume_subcommands()) text.append(name).append(" ");
  text += "--help' -- \"$word\")) ;;\n";
  for (const Case& each : cases) {
    text.append("    'volume ").append(each.name).append("') COMPREPLY=($(compgen -W \"");
    text.append(each.flags).append(each.arguments).append("\" -- \"$word\")");
    const bool files = std::string_view(each.name) == "import";
    text.append(files ? " $(compgen -f -- \"$word\")" : "").append(") ;;\n");
  }
  return text;
}

std::string bash_script() {
  bulkhead::engine::RunOptions ignored;
  std::vector<std::string> all;
  std::string with_value;
  std::string with_file;
  for (const Option& option : run_options(ignored)) {
    std::string word = "--" + std::string(option.name);
    if (takes_value(option)) {
      std::string& pattern = option.kind == ValueKind::kFile ? with_file : with_value;
      pattern.append(pattern.empty() ? "" : "|").append(word);
      if (option.letter != 0) pattern.append("|-").append(1, option.letter);
    }
    all.push_back(std::move(word));
  }
  IntegrateOptions also_ignored;
  const std::string of_integrate = flags_of(integrate_options(also_ignored));
  std::vector<std::string> names;
  for (const Command* command : commands()) names.emplace_back(command->name);
  std::vector<std::string> of_image;
  for (const std::string_view name : image_subcommands()) of_image.emplace_back(name);

  return "# bash completion for bulkhead: source <(bulkhead completion bash)\n"
         "_bulkhead_images() {\n"
         "  bulkhead images --format '{{.Repository}}:{{.Tag}} {{.ID}}' 2>/dev/null\n"
         "}\n"
         "_bulkhead_volumes() {\n"
         "  bulkhead volume ls --quiet 2>/dev/null\n"
         "}\n"
         "_bulkhead_containers() {\n"
         "  bulkhead ps --all --format '{{.Names}}' 2>/dev/null\n"
         "}\n"
         "_bulkhead_flags() {\n"
         "  bulkhead \"$1\" --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]+' | sort -u\n"
         "}\n"
         "_bulkhead() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= i\n"
         "  COMPREPLY=()\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case ${COMP_WORDS[i]} in\n"
         "      --root|--runroot) ((i++)) ;;\n"
         "      -*) ;;\n"
         "      image|system|volume|generate) command=${COMP_WORDS[i]}\n"
         "        ((i + 1 < COMP_CWORD)) && command+=\" ${COMP_WORDS[i+1]}\"; break ;;\n"
         "      *) command=${COMP_WORDS[i]}; [[ $command == explain ]] || break ;;\n"
         "    esac\n"
         "  done\n"
         "  case $previous in\n"
         "    --root|--runroot) COMPREPLY=($(compgen -d -- \"$word\")); return ;;\n"
         "    --network) COMPREPLY=($(compgen -W 'none host' -- \"$word\")); return ;;\n"
         "    --storage) COMPREPLY=($(compgen -W 'overlay erofs' -- \"$word\")); return ;;\n"
         "    --storage-opt) COMPREPLY=($(compgen -W 'size= limit=quota limit=image limit=tmpfs "
         "directio' -- \"$word\"));\n"
         "      compopt -o nospace; return ;;\n"
         "    -i|--input|-o|--output) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
         "    -v|--volume) COMPREPLY=($(compgen -f -- \"$word\") $(compgen -W "
         "\"$(_bulkhead_volumes)\" -- "
         "\"$word\"))\n"
         "      compopt -o nospace; return ;;\n"
         "    --volumes-from) COMPREPLY=($(compgen -W \"$(_bulkhead_containers)\" -- \"$word\")); "
         "return "
         ";;\n"
         "    " +
         with_file +
         ") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
         "    " +
         with_value +
         ") return ;;\n"
         "  esac\n"
         "  case $command in\n"
         "    '') COMPREPLY=($(compgen -W '" +
         joined(names) +
         " --root --runroot --help --version' -- \"$word\")) ;;\n"
         "    run|create)\n"
         "      if [[ $word == -* ]]; then\n"
         "        COMPREPLY=($(compgen -W '" +
         joined(all) +
         " --help' -- \"$word\"))\n"
         "      else\n"
         "        COMPREPLY=($(compgen -W \"busybox oci: oci-archive: $(_bulkhead_images)\" -- "
         "\"$word\") $(compgen -f -- \"$word\"))\n"
         "      fi ;;\n"
         "    policy) COMPREPLY=($(compgen -W 'check run --help' -- \"$word\")) ;;\n"
         "    explain) COMPREPLY=($(compgen -W 'run --format --help' -- \"$word\")) ;;\n" +
         container_cases() + image_cases() + volume_cases() + registry_cases() +
         "    image) COMPREPLY=($(compgen -W '" + joined(of_image) +
         " --help' -- \"$word\")) ;;\n"
         "    system) COMPREPLY=($(compgen -W 'check df info integrate prune start stop --help' -- "
         "\"$word\")) ;;\n"
         "    'system integrate')\n"
         "      if [[ $previous == --file || $previous == --runtime || $previous == -f ]]; then\n"
         "        COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "      else\n"
         "        COMPREPLY=($(compgen -W 'docker podman containerd " +
         of_integrate +
         "' -- \"$word\"))\n"
         "      fi ;;\n"
         "    generate|'generate systemd') COMPREPLY=($(compgen -W \"systemd --new --name --files "
         "--restart-policy "
         "--time --help $(_bulkhead_containers)\" -- \"$word\")) ;;\n"
         "    completion) COMPREPLY=($(compgen -W 'bash' -- \"$word\")) ;;\n"
         "  esac\n"
         "}\n"
         "complete -F _bulkhead bulkhead\n";
}

Result<int> completion(const Invocation& invocation) {
  TRY_ASSIGN(const Words words, parse({}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(kHelp);
    return 0;
  }
  if (words.positional.size() != 1 || words.positional.front() != "bash")
    return fail(ErrorKind::kUsage, "say for which shell: bulkhead completion bash");
  print(bash_script());
  return 0;
}

}  // namespace

const Command kCompletionCommand{"completion", "bash", "print a completion script for a shell",
                                 completion};

}  // namespace bulkhead::cli::engine
