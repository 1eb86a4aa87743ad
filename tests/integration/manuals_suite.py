#!/usr/bin/env python3
"""The manual pages and the completion say what the programs do."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from runtime_support import background, main
from support.harness import Skip, Suite, equal, expect

BUILD = pathlib.Path(os.environ["BULKHEAD_BUILD"])
PAGES = {"bulkhead": "man1/bulkhead.1", "bulkhead-runtime": "man8/bulkhead-runtime.8"}
suite = Suite("manuals")


def said(program, *words):
    return subprocess.run([BUILD / "bin" / program, *words], capture_output=True, text=True,
                          check=True).stdout


def commands_of(program):
    listed = re.search(r"^Commands:\n((?:  .*\n)+)", said(program, "--help"), re.MULTILINE)
    return [line.split()[0] for line in listed[1].splitlines()]


def rendered(page):
    if not shutil.which("man"):
        raise Skip("man is not installed")
    done = subprocess.run(["man", "-l", "--warnings", page], capture_output=True, text=True,
                          env={**os.environ, "MANWIDTH": "200", "MAN_KEEP_FORMATTING": ""},
                          check=False)
    equal((done.returncode, done.stderr), (0, ""), f"warnings of {page}")
    return done.stdout


@suite.test
def pages_name_every_command_and_flag(_):
    for program, page in PAGES.items():
        text = rendered(BUILD / "share" / "man" / page)
        seen = 0
        for command in commands_of(program):
            expect(re.search(rf"^   {command}$", text, re.MULTILINE), f"{program}: no {command}")
            flags = re.findall(r"--[a-z][a-z-]+", said(program, command, "--help"))
            seen += len(flags)
            for flag in flags:
                expect(flag in text, f"{program} {command}: no {flag}")
        expect(seen > 20, f"{program}: only {seen} flags were looked for")


@suite.test
def hand_written_pages_are_in_order(_):
    pages = sorted((pathlib.Path(__file__).parents[2] / "docs" / "man").glob("*.[0-9]"))
    expect(pages, "no pages")
    for page in pages:
        expect("SYNOPSIS" in rendered(page) or page.suffix == ".7", page.name)


def completed(program, *words):
    """What bash offers for the last of `words`."""
    function = "_" + program.replace("-", "_")
    script = (f'source "{BUILD}/share/bash-completion/completions/{program}"\n'
              'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))\n'
              f'{function} 2>/dev/null; printf "%s\\n" "${{COMPREPLY[@]}}"')
    done = subprocess.run(["bash", "-c", script, "bash", BUILD / "bin" / program, *words],
                          capture_output=True, text=True, check=True)
    return done.stdout.split()


@suite.test
def completion_offers_commands_flags_and_containers(work):
    for program in PAGES:
        commands = [word for word in completed(program, "") if not word.startswith("-")]
        equal(commands, commands_of(program), f"commands of {program}")
    equal(completed("bulkhead-runtime", "cr"), ["create"])
    equal(completed("bulkhead-runtime", "--root", "/x", "create", "--con"),
          ["--config", "--console-socket"])
    expect("--read-only" in completed("bulkhead", "run", "--"), "flags of bulkhead run")
    equal(completed("bulkhead-runtime", "create", "--bundle", str(work.directory)[:-1]),
          [str(work.directory)], "directories")
    with background(work) as container:
        for command in ("state", "exec", "delete"):
            equal(completed("bulkhead-runtime", "--root", str(work.state), command, ""),
                  [container.name], f"containers for {command}")
        equal(completed("bulkhead-runtime", "--root", str(work.state), "create", ""), [])


if __name__ == "__main__":
    sys.exit(main(suite))
