"""Rules about the sources themselves: what includes what, how long, how clean."""

import json
import re

from tools import BUILD, ROOT, Skip, sources, text, tracked

# What each folder may include, beside itself. No folder includes one above it; storage and network
# know nothing of containers.
_BASE = {"base"}
_SYS = _BASE | {"sys"}
_OCI = _BASE | {"json", "oci"}
_ISOLATION = _SYS | _OCI | {"isolation"}
_RUNTIME = _ISOLATION | {"launch", "observe", "policy"}
_ENGINE = _RUNTIME | {"runtime", "storage", "network", "supervise", "events", "volumes"}
ALLOWED = {
    "base": set(),
    "sys": _BASE,
    "json": _BASE,
    "template": _BASE | {"json"},
    "oci": _OCI,
    "policy": _SYS | _OCI,
    "isolation": _SYS | _OCI,
    "launch": _ISOLATION,
    "observe": _ISOLATION,
    "runtime": _RUNTIME,
    "storage": _SYS | _OCI,
    "volumes": _SYS | _OCI | {"storage"},
    "network": _SYS | _OCI,
    "supervise": _SYS | _OCI,
    "events": _SYS | {"json"},
    "engine": _ENGINE | {"template"},
    "proof": _ENGINE | {"engine"},
    "learn": _ENGINE | {"engine"},
    "cli": _ENGINE | {"engine", "proof", "learn", "template"},
}

# Headers that belong to some folders only: elsewhere the folder's own interface is used, or the
# start path would pay for them.
LIBRARIES = [
    (re.compile(r"<nlohmann/"), ("src/json/",), "JSON is read and written through json/"),
    (re.compile(r"<(iostream|regex|locale|sstream|fstream)>"),
     ("src/cli/bulkhead/", "src/proof/", "tests/", "_test.cc", "_fuzz.cc", "testing."),
     "it costs start time and memory; the start path does without"),
    (re.compile(r"<(archive|archive_entry|zstd|libdeflate|isa-l/.*)(\.h)?>"),
     ("src/storage/",), "archives are hostile: only storage/ unpacks them"),
    (re.compile(r"<zlib\.h>"), ("src/storage/", "src/supervise/log_compression.cc"),
     "archives are hostile: only storage/ unpacks them; logs are files of our own"),
    (re.compile(r"<(curl/curl|openssl/(ssl|err|pem|rand))\.h>"), ("src/storage/fetch/",),
     "registries are hostile: only the confined fetcher speaks to them"),
    (re.compile(r"<toml\+\+/"), ("src/storage/registry/toml_document.cc",),
     "TOML is read through toml_document.h"),
    (re.compile(r"<CLI/"), ("src/cli/", "src/runtime/"), "only command lines parse arguments"),
    (re.compile(r"<seccomp\.h>"), ("_test.cc", "_fuzz.cc", "tests/"),
     "libseccomp is the reference of the tests; the product has its own compiler"),
]

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|(<[^>]+>))', re.MULTILINE)
SOFT_LIMIT, HARD_LIMIT = 400, 500
LINE_LIMIT = 110

# Paths that exist on one machine only, and work that was put off.
WORDS = re.compile(r"/work/|\.\./shared/|(?:^|[\s\"'`(])shared/|\bTODO\b|\bFIXME\b|\bissue #?\d+\b",
                   re.IGNORECASE | re.MULTILINE)


def includes():
    problems = []
    for path in tracked("src/*.cc", "src/*.h"):
        folder = path.parts[1]
        if folder not in ALLOWED:
            problems.append(f"{path}: the folder {folder} has no place in the include graph")
            continue
        for match in INCLUDE.finditer(text(path)):
            included = match[1]
            if not included:
                continue
            target = included.split("/")[0]
            if "/" not in included or not (ROOT / "src" / included).exists():
                problems.append(f'{path}: "{included}" is not a path from src/')
            elif target != folder and target not in ALLOWED[folder]:
                problems.append(f'{path}: {folder}/ may not include "{included}"')
            elif included.endswith(("testing.h", "_test.h")) and not path.name.endswith(
                    ("_test.cc", "testing.cc", "testing.h", "_fuzz.cc")):
                problems.append(f'{path}: "{included}" is for tests only')
    return problems


def libraries():
    problems = []
    for path in sources():
        for match in INCLUDE.finditer(text(path)):
            for header, places, why in LIBRARIES:
                if match[2] and header.match(match[2]) and not any(
                        place in str(path) for place in places):
                    problems.append(f"{path} includes {match[2]}: {why}")
    return problems


def foreign(path):
    """Inputs of tests, partly written by others: as they are, whatever they look like."""
    return path.parts[:2] == ("tests", "data") or "corpus" in path.parts or "crashes" in path.parts


def length():
    problems = []
    for path in tracked("src/*", "tests/*", "cmake/*", "scripts/*", "dev", "test", "quickstart"):
        if path.suffix in (".json", ".txt", ".dict", ".golden") or foreign(path):
            continue
        try:
            count = len(text(path).splitlines())
        except UnicodeDecodeError:
            continue
        if count > HARD_LIMIT:
            problems.append(f"{path} has {count} lines: more than {HARD_LIMIT}")
        elif count > SOFT_LIMIT:
            print(f"  note: {path} has {count} lines: split it before it reaches {HARD_LIMIT}")
    return problems


def whitespace():
    problems = []
    for path in tracked():
        if foreign(path):
            continue
        try:
            content = text(path)
        except UnicodeDecodeError:
            continue
        if not content:
            continue
        if not content.endswith("\n") or content.endswith("\n\n"):
            problems.append(f"{path} does not end in exactly one newline")
        for number, line in enumerate(content.splitlines(), 1):
            if line != line.rstrip():
                problems.append(f"{path}:{number}: trailing whitespace")
            if "\t" in line and path.suffix in (".cc", ".h", ".py", ".cmake", ".md"):
                problems.append(f"{path}:{number}: a tab")
            # clang-format sees to code, but leaves comments alone.
            if len(line) > LINE_LIMIT and (path.suffix == ".py" or path.suffix in (".cc", ".h")
                                           and line.lstrip().startswith("//")):
                problems.append(f"{path}:{number}: longer than {LINE_LIMIT} columns")
    return problems


def words():
    problems = []
    for path in tracked():
        if path.parts[:2] == ("tests", "style") or path.name == "LICENSE" or foreign(path):
            continue
        try:
            content = text(path)
        except UnicodeDecodeError:
            continue
        for match in WORDS.finditer(content):
            line = content.count("\n", 0, match.start()) + 1
            problems.append(f"{path}:{line}: {match[0].strip()}")
    return problems


def guards():
    return [f"{path} lacks #pragma once" for path in tracked("src/*.h", "tests/*.h")
            if "#pragma once" not in text(path)]


def layer_headers():
    """The headers that define a layer: those with a kCard."""
    return [path for path in tracked("src/isolation/*/*.h")
            if re.search(r"\bCard\s+kCard\b", text(path))]


def cards():
    problems = []
    headers = layer_headers()
    for path in headers:
        opening = text(path).split("#pragma once")[0]
        for field in ("Stops", "Does not", "Kernel", "Order"):
            if not re.search(rf"^//\s*{field}", opening, re.MULTILINE):
                problems.append(f"{path}: its opening comment does not say `{field}`")
    with_card = {path.parent for path in headers}
    for path in tracked("src/isolation/*/CMakeLists.txt"):
        if path.parent not in with_card:
            problems.append(f"{path.parent} has no header with a card (kCard)")
    return problems


def registered():
    commands = BUILD / "compile_commands.json"
    if not commands.exists():
        raise Skip(f"{commands} is not there: build first")
    compiled = {entry["file"] for entry in json.loads(commands.read_text(encoding="utf-8"))}
    problems = [f"{path} is in no test program: its folder needs a bulkhead_module"
                for path in tracked("src/*_test.cc") if str(ROOT / path) not in compiled]
    for path in tracked("src/*_fuzz.cc"):
        lists = ROOT / path.parent / "CMakeLists.txt"
        if not lists.exists() or "bulkhead_module(" not in lists.read_text(encoding="utf-8"):
            problems.append(f"{path} is in no fuzzer: its folder needs a bulkhead_module")
    known = set(re.findall(r'^    "(\w+)": \["', text("tests/run_suites.py"), re.MULTILINE))
    for path in tracked("tests/*/run"):
        if path.parts[1] not in known:
            problems.append(f"{path} is no area of tests/run_suites.py")
    return problems
