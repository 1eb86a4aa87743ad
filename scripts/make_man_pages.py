#!/usr/bin/env python3
"""Writes the manual pages of the programs: make_man_pages.py TEMPLATE PROGRAM OUTPUT

A template is a page in roff with the line @COMMANDS@ in it, which is replaced by what the program
itself says about each of its commands (--help), and @OPTIONS@, by its global options: a page cannot
drift from the flags.
"""

import pathlib
import re
import subprocess
import sys


def help_of(program, *command):
    done = subprocess.run([program, *command, "--help"], capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        sys.exit(f"{program} {' '.join(command)} --help failed: {done.stderr}")
    return done.stdout.rstrip("\n")


def roff(line):
    """A line of text: no escape, no request."""
    line = line.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + line if line[:1] in (".", "'") else line


def literal(text):
    return [".nf", *(roff(line) for line in text.split("\n")), ".fi"]


def sections(text):
    """The parts of a help text between empty lines; a part may have a title of its own line."""
    for part in re.split(r"\n\s*\n", text):
        title, _, rest = part.partition("\n")
        if title.endswith(":") and rest:
            yield title[:-1], rest
        else:
            yield None, part


def commands_of(overview):
    for title, body in sections(overview):
        if title == "Commands":
            return [line.split()[0] for line in body.split("\n")]
    sys.exit("the program names no commands")


def options_of(overview):
    for title, body in sections(overview):
        if title in ("Options", "Flags"):
            return literal(body)
    sys.exit("the program names no options")


def describe(program, *words):
    lines = [f".SS {' '.join(words)}"]
    text = help_of(program, *words)
    for title, body in sections(text):
        lines.append(".PP")
        if title:
            lines += [f".I {roff(title)}:", ".PP"]
        # What is indented or a usage line is laid out already; the rest is running text.
        laid_out = title or body.startswith("Usage:")
        lines += literal(body) if laid_out else [roff(line) for line in body.split("\n")]
    # Commands of its own; others, which are known by a shorter name as well, are described there.
    if len(words) == 1 and "\nCommands:\n" in text:
        name = pathlib.Path(program).name
        for inner in commands_of(text):
            if help_of(program, *words, inner).startswith(f"Usage: {name} {words[0]} {inner}"):
                lines += describe(program, *words, inner)
    return lines


def main():
    template, program, output = sys.argv[1:]
    overview = help_of(program)
    page = []
    for line in pathlib.Path(template).read_text(encoding="utf-8").splitlines():
        if line == "@COMMANDS@":
            for command in commands_of(overview):
                page += describe(program, command)
        elif line == "@OPTIONS@":
            page += options_of(overview)
        else:
            page.append(line)
    pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(output).write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
