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


def promises():
    """Each row of a table with "Shown by" names a benchmark, or a file and, where that is a suite or a test,
    tests that stand in it: `a test's sentence`, `Suite.Test`."""
    problems = []
    benchmarks = set(re.findall(r'^    "([\w-]+)": Benchmarks\.', text("tests/bench/bench.py"), re.M))
    for path in ("SPECIFICATION.md", "THREAT_MODEL.md"):
        shown = False
        for line in text(path).splitlines():
            cells = re.split(r" \| ", line.strip().strip("|").strip())
            if not line.startswith("|"):
                shown = False
            elif cells[-1].strip() == "Shown by":
                shown = True
            elif shown and not line.startswith("|---") and cells[-1].strip() != "–":
                problems += [f"{path}: {cells[0]}: {what}"
                             for what in unproved(cells[-1], path, benchmarks)]
    return problems


def unproved(cell, path, benchmarks):
    file, seen = None, False
    for match in re.finditer(r"\]\(([^)\s]+)\)|`([^`]+)`", cell):
        if match[1]:
            file, seen = (ROOT / path).parent / match[1], True
            if file.is_dir():
                yield f"{match[1]} is a folder: which test in it?"
        elif command := re.fullmatch(r"\./dev bench ([\w-]+)", match[2]):
            seen = True
            if command[1] not in benchmarks:
                yield f"there is no benchmark {command[1]}"
        elif file is None or not file.is_file() or not has_test(file, match[2]):
            yield f"there is no test {match[2]!r} in {file and file.name}"
    if not seen:
        yield "nothing shows it"


def has_test(file, name):
    content = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        return f"@suite.test\ndef {name.replace(' ', '_')}(" in content
    words = re.escape(name.replace(".", ", "))
    return re.search(rf"^TEST(_F|_P)?\({words}\)", content, re.MULTILINE) is not None


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
