"""Rules about the documents."""

import re
import subprocess

import source_rules
from tools import ROOT, text, tracked

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def links():
    problems = []
    for path in tracked("*.md"):
        if source_rules.foreign(path):
            continue
        prose = re.sub(r"```.*?```", "", text(path), flags=re.DOTALL)
        for match in LINK.finditer(prose):
            target, _, fragment = match[1].partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            file = (ROOT / path).parent / target if target else ROOT / path
            if not file.exists():
                problems.append(f"{path}: {match[1]} leads nowhere")
            elif fragment and file.suffix == ".md" and fragment not in anchors(file):
                problems.append(f"{path}: {match[1]}: there is no such heading")
    return problems


def layers():
    """docs/layers.md is made from the headers; a header that changed must have changed it."""
    check = subprocess.run([str(ROOT / "scripts" / "make_layers_document.py"), "--check"],
                           check=False)
    return [] if check.returncode == 0 else ["docs/layers.md is out of date: ./dev docs"]


def anchors(file):
    found = set()
    for heading in re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        found.add(plain.replace(" ", "-"))
    return found


def decisions():
    """What the build looks for outside has a page in docs/decisions that names it."""
    pages = "\n".join(text(path) for path in tracked("docs/decisions/*.md")).lower()
    problems = []
    for path in tracked("CMakeLists.txt", "*/CMakeLists.txt", "cmake/*.cmake"):
        for name in re.findall(r"find_package\((\w+)|pkg_check_modules\(\w+ .*?(\w+)\)"
                               r"|find_library\(\w+ (\w+)", text(path)):
            library = (name[0] or name[1] or name[2]).lower()
            library = {"isal": "isa-l"}.get(library, library)
            if library in ("threads", "pkgconfig", "python3", "git"):
                continue
            if library not in pages and library.removesuffix("_json") not in pages:
                problems.append(f"{path}: {library} has no page in docs/decisions")
    return problems
