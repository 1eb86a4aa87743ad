"""What the suites of bad input share."""

import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.bundles import Traces, Workshop, default_config, merge
from support.harness import equal, expect

RUNC = shutil.which("runc", path="/usr/sbin:/usr/bin") or ""
NOBODY = 65534


def check(work, name, bundle, words, code=1, same_as_runc=True, options=()):
    """Runs the bundle: it must be refused with these words, and leave nothing."""
    words = (words,) if isinstance(words, str) else words
    container = work.new_id()
    traces = Traces(container)
    done = work.call("run", "--bundle", bundle, *options, container)
    equal(done.returncode, code, f"{name}: exit code; it said {done.stderr!r}")
    for word in words:
        expect(word.lower() in done.stderr.lower(), f"{name}: no {word!r} in {done.stderr!r}")
    expect(done.stderr.startswith("bulkhead-runtime: "), f"{name}: {done.stderr!r}")
    expect(len(done.stderr) < 2000 and "\0" not in done.stderr, f"{name}: {done.stderr[:300]!r}")
    expect(not (work.state / container).exists(), f"{name}: the state is left")
    left = traces.leftovers()
    expect(not left, f"{name}: left behind: {left[:4]}")
    if same_as_runc and RUNC:
        reference = work.with_runtime(RUNC)
        reference.state = work.directory / "runc-state"
        container = work.new_id()
        other = reference.call("run", "--bundle", bundle, *options, container)
        reference.call("delete", "--force", container)
        equal(done.returncode, other.returncode, f"{name}: beside runc's, which said {other.stderr}")


def refuse(work, cases, same_as_runc=True):
    """(name, changes to a good configuration, words of the error)"""
    for name, changes, words in cases:
        check(work, name, work.bundle(merge(default_config(), changes)), words,
              same_as_runc=same_as_runc)


def process(**changes):
    return {"process": changes}


def linux(**changes):
    return {"linux": changes}


def resources(**changes):
    return {"linux": {"resources": changes}}


def namespaces(*kinds):
    return [{"type": kind} for kind in kinds]


def main(suite):
    if os.geteuid() != 0:
        print("SKIP bad input — needs root")
        return 0
    with Workshop() as work:
        os.chmod(work.directory, 0o755)
        return suite.main(work)
