"""The surroundings of a suite: its settings, and a directory to work in. The same whether
tests/run_suites.py starts it, tests/AREA/run alone, or somebody by its file.

    area.py DIRECTORY [PATTERN...]    runs the suites of an area: DIRECTORY/*_suite.py, or these
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def settle(environment):
    """Completes the settings that tests/run_suites.py explains, by the builds of this checkout. Paths
    become absolute, because suites work in directories of their own."""
    def path(name, default):
        environment[name] = os.path.abspath(environment.get(name) or default)

    path("BULKHEAD_BUILD", ROOT / "build/release")
    for kind in ("debug", "asan", "tsan"):
        path(f"BULKHEAD_{kind.upper()}_BUILD", ROOT / "build" / kind)
    for name in ("BULKHEAD_RUNTIME", "BULKHEAD"):  # which may be another's, by its name
        if found := os.sep not in environment.get(name, os.sep) and shutil.which(environment[name]):
            environment[name] = found
    path("BULKHEAD", pathlib.Path(environment["BULKHEAD_BUILD"], "bin/bulkhead"))
    path("BULKHEAD_RUNTIME", pathlib.Path(environment["BULKHEAD_BUILD"], "bin/bulkhead-runtime"))
    environment.setdefault("BULKHEAD_FULL", "0")
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    environment.pop("NOTIFY_SOCKET", None)
    return environment


@contextlib.contextmanager
def empty_directory():
    """Removed in the end, with what programs of others leave where they are started."""
    path = tempfile.mkdtemp(prefix="bulkhead-suite-")
    os.chmod(path, 0o755)  # some go on as somebody else
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def empty_working_directory():
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with empty_directory() as path:
            os.chdir(path)
            try:
                yield path
            finally:
                os.fchdir(before)
    finally:
        os.close(before)


def run_suites(directory, patterns=("*_suite.py",)):
    """Whether all succeed. Each prints its own results, one a line."""
    environment = settle(dict(os.environ))
    suites = [suite for pattern in patterns for suite in sorted(directory.glob(pattern))]
    with empty_directory() as place:
        codes = [subprocess.run([sys.executable, str(suite)], env=environment, cwd=place,
                                stdin=subprocess.DEVNULL, check=False).returncode for suite in suites]
    return bool(codes) and not any(codes)


if __name__ == "__main__":
    sys.exit(0 if run_suites(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:] or ["*_suite.py"]) else 1)
