"""What the rules share, and the rules that outside programs check."""

import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BULKHEAD_BUILD", ROOT / "build" / "release"))


class Skip(Exception):
    """The rule cannot be checked here, for the reason given."""


def tracked(*patterns):
    """Files of the repository, known to git or about to be, that match; as relative paths."""
    listing = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-co", "--exclude-standard", "--",
         *patterns], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode == 0:
        names = listing.stdout.splitlines()
    else:  # an exported tree without git
        names = [str(path.relative_to(ROOT)) for pattern in patterns or ("*",)
                 for path in ROOT.rglob(pattern.removeprefix(":/"))
                 if not str(path.relative_to(ROOT)).startswith(("build/", ".git/"))]
    return sorted(pathlib.Path(name) for name in set(names) if (ROOT / name).is_file())


def sources():
    return tracked("src/*.cc", "src/*.h", "tests/*.cc", "tests/*.h")


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def formatted():
    formatter = shutil.which("clang-format-19")
    if not formatter:
        raise Skip("clang-format-19 is not installed")
    problems = []
    for path in sources():
        check = subprocess.run([formatter, "--dry-run", "-Werror", str(path)], cwd=ROOT,
                               capture_output=True, text=True)
        if check.returncode != 0:
            problems.append(f"{path} is not formatted: ./dev format")
    return problems


def scripts():
    problems = []
    shell = []
    for path in tracked():
        if path.suffix == ".py":
            kind = "python"
        elif os.access(ROOT / path, os.X_OK):
            with open(ROOT / path, "rb") as file:
                kind = file.readline().decode("utf-8", "replace")
        else:
            continue
        if "python" in kind:
            try:
                compile(text(path), str(path), "exec")
            except SyntaxError as error:
                problems.append(f"{path}:{error.lineno}: {error.msg}")
        elif kind.startswith("#!") and "sh" in kind:
            shell.append(str(path))
    if not shutil.which("shellcheck"):
        if not problems:
            raise Skip("shellcheck is not installed")
        return problems
    check = subprocess.run(["shellcheck", "-x", "-f", "gcc", *shell], cwd=ROOT,
                           capture_output=True, text=True)
    return problems + check.stdout.splitlines()
