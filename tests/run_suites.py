#!/usr/bin/env python3
"""Builds the product, runs the suites and adds up their results. Called by ./test.

A suite is an executable tests/<area>/run. It prints one line for each test,

    ok NAME
    FAIL NAME — REASON
    SKIP NAME — REASON

and may print anything else between them. It finds the programs by the environment: BULKHEAD,
BULKHEAD_RUNTIME, BULKHEAD_BUILD (the release build), BULKHEAD_DEBUG_BUILD, BULKHEAD_ASAN_BUILD,
BULKHEAD_TSAN_BUILD and BULKHEAD_FULL (1 for long campaigns, else 0); support/area.py completes it for
whoever starts a suite alone. It is started in an empty directory, which is removed after it.
"""

import argparse
import ctypes
import dataclasses
import os
import pathlib
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from support.area import ROOT, empty_directory, settle  # noqa: E402

AREA_LIMIT_SECONDS = 6 * 60
FULL_AREA_LIMIT_SECONDS = 4 * 60 * 60

# What runs, in this order, and which builds it needs.
AREAS = {
    "unit": ["debug"],
    "style": ["release"],
    "conformance": ["release"],
    "integration": ["release"],
    "life": ["release"],
    "services": ["release"],
    "registry": ["release"],
    "engines": ["release"],
    "escape": ["release"],
    "fault": ["release"],
    "storage": ["release"],
    "lab": ["release"],
    "fuzz": ["asan"],
    "sanitize": ["release", "asan"],
    "threads": ["tsan"],
    "bench": ["release"],
}
BUILDS = {
    "debug": (["-DBULKHEAD_TESTS=ON"], ["unit_tests"]),
    # With the unit tests that a sanitizer hinders.
    "release": (["-DBULKHEAD_TESTS=ON"], ["all", "unpack_confinement_test", "storage_test"]),
    "asan": (["-DBULKHEAD_TESTS=ON"], ["unit_tests", "fuzzers"]),
    "tsan": (["-DBULKHEAD_TESTS=ON"], ["engine_test", "storage_unpack_test"]),
}
CLANG = "clang++-19"
CLANG_BUILDS = ("asan", "tsan")
# With --full alone: the whole programs, for the suites that run on them.
FULL_TARGETS = {"asan": ["unit_tests", "fuzzers", "bulkhead-runtime", "bulkhead-runtime-weakened"]}

RESULT_LINE = re.compile(r"^(ok|FAIL|SKIP) (\S.*?)(?: (?:—|--) (.*))?$")
PR_SET_CHILD_SUBREAPER = 36


@dataclasses.dataclass
class Results:
    passed: int = 0
    failed: list = dataclasses.field(default_factory=list)
    skipped: list = dataclasses.field(default_factory=list)

    def add(self, verdict, area, name, reason):
        if verdict == "ok":
            self.passed += 1
        elif verdict == "FAIL":
            self.failed.append((area, name, reason))
        else:
            self.skipped.append((area, name, reason))


def build(name, jobs, full):
    """Configures and builds one preset; its error text, or nothing."""
    options, targets = BUILDS[name]
    if full:
        targets = FULL_TARGETS.get(name, targets)
    began = time.monotonic()
    print(f"== building {name}", flush=True)
    for command in (
        ["cmake", "--preset", name, *options],
        ["cmake", "--build", "--preset", name, *jobs, "--target", *targets],
    ):
        run = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace")
        if run.returncode != 0:
            print("\n".join(run.stdout.splitlines()[-60:]))
            return f"`{' '.join(command)}` failed"
    print(f"   built in {time.monotonic() - began:.0f} s", flush=True)
    return None


def descendants():
    """Every live process that we are an ancestor of, as pid -> command."""
    parents, commands = {}, {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                text = stat.read()
        except OSError:
            continue
        fields = text[text.rindex(")") + 2:].split()
        if fields[0] in "ZX":
            continue
        parents[int(entry)] = int(fields[1])
        commands[int(entry)] = text[text.index("(") + 1:text.rindex(")")]
    found = {}
    for pid in parents:
        ancestor = pid
        while ancestor in parents:
            ancestor = parents[ancestor]
            if ancestor == os.getpid():
                found[pid] = commands[pid]
                break
    return found


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def reap_orphans(suite):
    """Reaps what has been orphaned to us while the suite runs: the first process of a pid namespace
    cannot end before all others in it are reaped. The suite's own exit is left for its Popen."""
    try:
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid == suite:
                return
            os.waitpid(ended.si_pid, 0)
    except ChildProcessError:
        pass


def kill_descendants():
    """Ends what a suite left behind (we are the subreaper, so orphans are our children)."""
    left = descendants()
    for _ in range(50):
        now = descendants()
        if not now:
            break
        for pid in now:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)
        reap()
    return left


# The groups that all containers share; they stay, what is beneath them must not.
SHARED_GROUPS = ("bulkhead", "bulkhead-runtime")


def leftovers():
    """Mounts and cgroups that carry our name: none may remain after a suite."""
    found = set()
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        for line in mounts:
            target = line.split(" ")[4]
            if "bulkhead" in target and not target.startswith(str(ROOT)):
                found.add(f"mount {target}")
    for directory, children, _ in os.walk("/sys/fs/cgroup"):
        inside = os.path.basename(directory) in SHARED_GROUPS
        ours = [child for child in children
                if inside or ("bulkhead" in child and child not in SHARED_GROUPS)]
        found.update(f"cgroup {directory}/{child}" for child in ours)
        children[:] = [child for child in children if child not in ours]
    return found


def checkout():
    """What git sees changed in the checkout, or new; nothing where this is not one."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        return set()
    # Of another user's, too.
    seen = subprocess.run(["git", "-c", "safe.directory=*", "status", "--porcelain", "-z",
                           "--untracked-files=all"],
                          cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if seen.returncode != 0:
        return {f"git status: {seen.stderr.decode(errors='replace').strip()}"}
    return set(seen.stdout.decode(errors="replace").split("\0"))


def relay(process, limit, line_said):
    """Hands on what the suite says, line by line, until it ends; whether that took too long."""
    began = time.monotonic()
    os.set_blocking(process.stdout.fileno(), False)
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ)
    pending = b""
    while True:
        if time.monotonic() - began > limit:
            return True
        reap_orphans(process.pid)
        # A leftover process may hold the pipe open: the end of the suite itself counts too.
        if selector.select(timeout=0.2):
            chunk = process.stdout.read(65536)
            if chunk == b"":
                break
            pending += chunk or b""
        elif process.poll() is not None:
            break
        *lines, pending = pending.split(b"\n")
        for line in lines:
            line_said(line.decode("utf-8", "replace"))
    process.wait()
    return False


def run_area(area, environment, limit, results):
    script = ROOT / "tests" / area / "run"
    print(f"== {area}", flush=True)
    if not os.access(script, os.X_OK):
        results.add("FAIL", area, area, "the suite is missing")
        print(f"FAIL {area} — the suite is missing")
        return
    before, before_in_checkout = leftovers(), checkout()
    began = time.monotonic()
    count = 0

    def report(verdict, name, reason=""):
        nonlocal count
        count += 1
        results.add(verdict, area, name, reason)

    def fail(name, reason):
        print(f"FAIL {name} — {reason}")
        report("FAIL", name, reason)

    def line_said(text):
        match = RESULT_LINE.match(text)
        if match:
            report(match[1], match[2], match[3] or "")
        print(text if area == "bench" or not match or match[1] != "ok" else "   " + text, flush=True)

    with empty_directory() as place:
        process = subprocess.Popen([str(script)], cwd=place, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        timed_out = relay(process, limit, line_said)
        code = process.poll()
        # Helpers that end by themselves once their parent is gone get a moment to do so.
        for _ in range(20):
            reap()
            if not descendants():
                break
            time.sleep(0.1)
        left = kill_descendants()
    if timed_out:
        fail(f"{area} within its time", f"killed after {limit} s")
    elif code is None or code < 0:
        fail(f"{area} ends by itself", f"the suite was ended by signal {-(code or 0)}")
    elif count == 0:
        fail(f"{area} reports its tests", f"exit code {code} and no result")
    elif code != 0 and not any(failed[0] == area for failed in results.failed):
        fail(f"{area} succeeds", f"exit code {code} without a failed test")
    if left and not timed_out:
        fail(f"{area} leaves no process", ", ".join(sorted(set(left.values()))))
    if stale := leftovers() - before:
        fail(f"{area} leaves no mount and no cgroup", ", ".join(sorted(stale)[:10]))
    if changed := checkout() - before_in_checkout:
        fail(f"{area} leaves the checkout as it was", ", ".join(sorted(changed)[:10]))
    print(f"   {area}: {count} results in {time.monotonic() - began:.0f} s", flush=True)


def areas_of(arguments):
    """Those asked for. Without words, the unit tests run once, under AddressSanitizer and
    UndefinedBehaviorSanitizer; with --full also as any user's build has them, and what has threads under
    ThreadSanitizer. A build with them costs minutes."""
    if arguments.areas:
        return [area for area in AREAS if area in arguments.areas]
    spared = () if arguments.full else ("unit", "threads") if shutil.which(CLANG) else ("sanitize", "threads")
    return [area for area in AREAS if area not in spared]


def main():
    parser = argparse.ArgumentParser(prog="./test", description="Build and run the suites.")
    parser.add_argument("areas", nargs="*", metavar="AREA", help="one of: " + " ".join(AREAS))
    parser.add_argument("--full", action="store_true", help="run the long campaigns whole")
    parser.add_argument("--no-build", action="store_true", help="take the builds as they are")
    parser.add_argument("--jobs", type=int, help="parallel compilations")
    arguments = parser.parse_args()
    if unknown := [area for area in arguments.areas if area not in AREAS]:
        parser.error(f"no such area: {' '.join(unknown)} (there are: {' '.join(AREAS)})")
    areas = areas_of(arguments)

    # As a background job or under nohup we ignore some, and our children would, too.
    for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(ignored) == signal.SIG_IGN:
            signal.signal(ignored, signal.SIG_DFL)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    results = Results()
    jobs = ["-j", str(arguments.jobs)] if arguments.jobs else []
    broken = {}
    for name in BUILDS:
        if any(name in AREAS[area] for area in areas) and not arguments.no_build:
            if name in CLANG_BUILDS and not shutil.which(CLANG):
                continue
            if error := build(name, jobs, arguments.full):
                broken[name] = error
                results.add("FAIL", "build", name, error)
                print(f"FAIL build {name} — {error}", flush=True)

    release = ROOT / "build" / "release"
    environment = settle({
        **os.environ,
        **{f"BULKHEAD_{kind.upper()}_BUILD": str(ROOT / "build" / kind) for kind in BUILDS},
        "BULKHEAD_BUILD": str(release), "BULKHEAD": str(release / "bin/bulkhead"),
        "BULKHEAD_RUNTIME": str(release / "bin/bulkhead-runtime"),
        "BULKHEAD_FULL": "1" if arguments.full else "0"})
    limit = FULL_AREA_LIMIT_SECONDS if arguments.full else AREA_LIMIT_SECONDS
    for area in areas:
        if error := next((broken[name] for name in AREAS[area] if name in broken), None):
            results.add("FAIL", area, area, f"not run: {error}")
            print(f"FAIL {area} — not run: {error}", flush=True)
            continue
        run_area(area, environment, limit, results)

    print("== result")
    for title, entries in (("Skipped", results.skipped), ("Failed", results.failed)):
        if entries:
            print(f"{title}:")
            for area, name, reason in entries:
                print(f"  {area}: {name} — {reason}")
    print(f"{results.passed} passed, {len(results.failed)} failed, {len(results.skipped)} skipped")
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
