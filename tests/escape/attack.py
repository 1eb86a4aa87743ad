"""What the escape suites share: the hostile guest, the weakened runtime, containers to attack.

Each attack has its positive control: the same attack against a runtime without the layer that stops
it, or against a naive stand-in. A control that does not get through makes the test fail, because then
it shows nothing."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.bundles import BUILD, RUNTIME, Traces, Workshop, merge
from support.harness import expect

GUEST = os.environ.get("BULKHEAD_GUEST") or str(BUILD / "tests/escape-guest")
WEAKENED = os.environ.get("BULKHEAD_WEAKENED") or str(BUILD / "tests/bulkhead-runtime-weakened")
ALL_CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETUID", "CAP_SETGID",
                    "CAP_KILL", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"]


def capabilities(*names, **sets):
    given = {kind: list(names) for kind in ("bounding", "effective", "permitted")}
    given.update(sets)
    return {"process": {"capabilities": given}}


def without(*layers):
    """The environment that takes layers out of the weakened runtime."""
    return dict(os.environ, BULKHEAD_REMOVED_LAYERS=",".join(layers))


def weakened(work):
    return work.with_runtime(WEAKENED)


def run_in(work, root, config, **more):
    return work.run(merge(config, {"root": {"path": str(root)}}), **more)


class Running:
    """A detached container with a shared root of its own."""

    def __init__(self, work, config, env=None):
        self.work = work
        self.name = work.new_id()
        self.root = work.own_root()
        shutil.copy(GUEST, self.root / "bin/guest")
        bundle = work.bundle(config)
        text = json.loads((bundle / "config.json").read_text())
        text["root"]["path"] = str(self.root)
        (bundle / "config.json").write_text(json.dumps(text))
        self.output = open(work.directory / f"{self.name}.out", "w+", encoding="utf-8")
        done = subprocess.run(work.command("run", "--detach", "--bundle", bundle, self.name),
                              stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
                              env=env, timeout=60, check=False)
        expect(done.returncode == 0, f"run: {self.text()}")

    def text(self):
        return pathlib.Path(self.output.name).read_text(errors="replace")

    def exec(self, *arguments, options=(), **more):
        return self.work.call("exec", *options, self.name, *arguments, **more)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # By the whole runtime: a test may have spoilt its copy.
        self.work.with_runtime(RUNTIME).call("delete", "--force", self.name)
        self.output.close()
        shutil.rmtree(self.root, ignore_errors=True)


def canaries(work):
    """A directory on the host that must stay as it is."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="canary-", dir=work.directory))
    (place / "file").write_text("untouched")
    return place


def listing_of(place):
    return sorted(str(path.relative_to(place)) for path in place.rglob("*"))


def nothing_is_left_on_the_host(work):
    left = Traces.__new__(Traces)
    left.marker = f"test-{os.getpid()}-"
    left.before = (set(), set(), set())
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        groups, _, running = left._look()
        if not groups and not running:
            return
        time.sleep(0.1)
    expect(False, f"left: {sorted(groups)[:3]} {sorted(running)[:3]}")


def main(suite):
    """Runs a suite in a workshop of its own; the last test looks for what the others left."""
    if os.geteuid() != 0:
        print(f"SKIP {suite.name} — needs root")
        return 0
    suite.test(nothing_is_left_on_the_host)
    with Workshop() as work:
        os.chmod(work.directory, 0o755)
        return suite.main(work)
