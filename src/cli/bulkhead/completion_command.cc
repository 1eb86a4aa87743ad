#include "cli/bulkhead/command.h"
#include "cli/bulkhead/run_options.h"
#include "cli/bulkhead/system_options.h"

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
  std::vector<std::string> of_integrate;
  for (const Option& option : integrate_options(also_ignored))
    of_integrate.push_back("--" + std::string(option.name));
  std::vector<std::string> names;
  for (const Command* command : commands()) names.emplace_back(command->name);

  return "# bash completion for bulkhead: source <(bulkhead completion bash)\n"
         "_bulkhead() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= i\n"
         "  COMPREPLY=()\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case ${COMP_WORDS[i]} in\n"
         "      --root|--runroot) ((i++)) ;;\n"
         "      -*) ;;\n"
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
         "    -v|--volume) COMPREPLY=($(compgen -f -- \"$word\")); compopt -o nospace; return ;;\n"
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
         "    run)\n"
         "      if [[ $word == -* ]]; then\n"
         "        COMPREPLY=($(compgen -W '" +
         joined(all) +
         " --help' -- \"$word\"))\n"
         "      else\n"
         "        COMPREPLY=($(compgen -W 'busybox oci: oci-archive:' -- \"$word\") $(compgen -f "
         "-- \"$word\"))\n"
         "      fi ;;\n"
         "    explain) COMPREPLY=($(compgen -W 'run --format --help' -- \"$word\")) ;;\n"
         "    ps) COMPREPLY=($(compgen -W '--all --format --help' -- \"$word\")) ;;\n"
         "    rm) COMPREPLY=($(compgen -W \"--force --dead --help $(bulkhead ps --all 2>/dev/null "
         "|\n"
         "      awk 'NR > 1 { print $NF }')\" -- \"$word\")) ;;\n"
         "    system)\n"
         "      if [[ $previous == --file || $previous == --runtime || $previous == -f ]]; then\n"
         "        COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "      else\n"
         "        COMPREPLY=($(compgen -W 'integrate docker podman containerd " +
         joined(of_integrate) +
         " --help' -- \"$word\"))\n"
         "      fi ;;\n"
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
