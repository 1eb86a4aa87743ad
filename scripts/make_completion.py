#!/usr/bin/env python3
"""Writes bash completion for bulkhead-runtime from its own --help: make_completion.py PROGRAM OUTPUT

Commands and flags complete by name, the names of containers by what `list` says, files and
directories where a flag takes one.
"""

import pathlib
import re
import sys

from make_man_pages import commands_of, help_of

FLAG = re.compile(r"^ +(?:-\w, )? *--([a-z-]+)(?: ([A-Z]+))?", re.MULTILINE)
WITHOUT_CONTAINER = ("create", "run", "list", "features", "spec")


def flags_of(text):
    return FLAG.findall(text)


def script(program):
    overview = help_of(program)
    commands = commands_of(overview)
    whole = {"": flags_of(overview), **{c: flags_of(help_of(program, c)) for c in commands}}
    directories, files, values = set(), set(), set()
    for flags in whole.values():
        for name, value in flags:
            kind = {"": None, "DIR": directories, "FILE": files, "SOCKET": files, "PATH": files}
            chosen = kind.get(value, values)
            if chosen is not None:
                chosen.add("--" + name)
    lines = ["# bash completion for bulkhead-runtime", "_bulkhead_runtime() {",
             "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}",
             "  local command= root= i", "  COMPREPLY=()",
             "  for ((i = 1; i < COMP_CWORD; i++)); do", "    case ${COMP_WORDS[i]} in",
             '      --root) ((i++)); root=${COMP_WORDS[i]} ;;',
             f"      {'|'.join(sorted(f'--{n}' for n, v in whole[''] if v and n != 'root'))}) ((i++)) ;;",
             "      -*) ;;", "      *) command=${COMP_WORDS[i]}; break ;;", "    esac", "  done",
             "  case $previous in",
             f"    {'|'.join(sorted(directories))}) COMPREPLY=($(compgen -d -- \"$word\")); return ;;",
             f"    {'|'.join(sorted(files))}) COMPREPLY=($(compgen -f -- \"$word\")); return ;;",
             f"    {'|'.join(sorted(values - directories - files))}) return ;;", "  esac",
             "  local flags= containers=", "  case $command in"]
    for command, flags in whole.items():
        words = " ".join(sorted({"--help", *(f"--{name}" for name, _ in flags)}))
        lines.append(f"    \"{command}\") flags='{words}' ;;")
    lines += ["  esac",
              "  if [[ $word == -* ]]; then COMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))",
              f"  elif [[ -z $command ]]; then COMPREPLY=($(compgen -W '{' '.join(commands)}' -- \"$word\"))",
              f"  elif [[ ! $command =~ ^({'|'.join(WITHOUT_CONTAINER)})$ ]]; then",
              "    containers=$(\"${COMP_WORDS[0]}\" ${root:+--root \"$root\"} list --quiet 2>/dev/null)",
              "    COMPREPLY=($(compgen -W \"$containers\" -- \"$word\"))", "  fi", "}",
              "complete -F _bulkhead_runtime bulkhead-runtime"]
    return "\n".join(lines) + "\n"


def main():
    program, output = sys.argv[1:]
    pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(output).write_text(script(program), encoding="utf-8")


if __name__ == "__main__":
    main()
