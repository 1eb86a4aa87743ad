#!/usr/bin/env python3
"""Writes docs/layers.md from the layers' own headers, in the order of isolation/sequence.h.

    make_layers_document.py          writes the document
    make_layers_document.py --check  exit code 1 when it is not what the headers say
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ISOLATION = ROOT / "src" / "isolation"
DOCUMENT = ROOT / "docs" / "layers.md"
FIELD = re.compile(r"^(Stops|Does not(?: stop)?|Kernel|Order): *(.*)$")
STAGES = {
    "EnterNamespaces": "Enter namespaces",
    "BuildRoot": "Build the root",
    "LeaveHost": "Leave the host",
    "GiveUpPower": "Give up power",
    "CloseDoors": "Close the doors",
    "LastActs": "Last acts",
}
INTRODUCTION = """# The layers

Made by `./dev docs` from the headers in src/isolation; change those.

Isolation is a list of layers. Each is one folder under [src/isolation](../src/isolation): it
describes its plan, applies it inside the new process, and asks the kernel afterwards whether it
holds. This is the order in which a new process passes them; the compiler checks it
([sequence.h](../src/isolation/sequence.h)). `bulkhead explain run IMAGE` prints the plan of each
for a container of yours.
"""


def sequence():
    """The layers of a new container, as (stage, [type names])."""
    text = (ISOLATION / "sequence.h").read_text(encoding="utf-8")
    body = text[text.index("struct ContainerSequence"):]
    body = body[:body.index("};")]
    for name, layers in re.findall(r"using (\w+)\s*=\s*LayerList<([^>]*)>", body):
        yield STAGES.get(name, name), re.findall(r"\w+", layers)


def headers():
    """Type name -> the header that defines it."""
    found = {}
    for path in sorted(ISOLATION.glob("*/*.h")):
        text = path.read_text(encoding="utf-8")
        if "kCard" not in text:
            continue
        for match in re.finditer(r"^(?:struct|class) (\w+)[^;\n]*\{$|^using (\w+) = \w+<",
                                 text, re.MULTILINE):
            found.setdefault(match[1] or match[2], path)
    return found


def card(path):
    """What the header's opening comment says: its first sentence, and the four fields."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("//"):
            break
        lines.append(line.removeprefix("//").strip())
    title, fields, current = [], {}, None
    for line in lines:
        if match := FIELD.match(line):
            current = match[1]
            fields[current] = [match[2]]
        elif not line:
            current = None
            if fields:
                break
        elif current:
            fields[current].append(line)
        elif not fields:
            title.append(line)
    return " ".join(title), {name: " ".join(text) for name, text in fields.items()}


def document():
    known, shown = headers(), set()
    parts = [INTRODUCTION]
    number = 0
    for stage, layers in sequence():
        parts.append(f"## {stage}\n")
        for layer in layers:
            path = known.get(layer)
            if path is None or path in shown:
                continue
            shown.add(path)
            number += 1
            title, fields = card(path)
            name, _, meaning = title.partition(":")
            folder = path.relative_to(ROOT).parent
            parts.append(f"### {number}. {name[:1].upper() + name[1:]}\n")
            if meaning:
                meaning = meaning.strip()
                parts.append(f"{meaning[:1].upper() + meaning[1:]}\n")
            parts += [f"- **{field}**: {text}" for field, text in fields.items()]
            parts.append(f"- Folder: [{folder}](../{folder})\n")
    return "\n".join(parts).rstrip("\n") + "\n"


def main():
    text = document()
    if "--check" in sys.argv:
        return 0 if DOCUMENT.exists() and DOCUMENT.read_text(encoding="utf-8") == text else 1
    DOCUMENT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
