#!/usr/bin/env python3
"""The benchmarks: Bulkhead beside the raw bound, crun, runc and podman, in turn in one run.

Absolute figures drift with the machine; what counts is the ratio within one run. Prints Markdown.
"""

import argparse
import collections
import contextlib
import copy
import dataclasses
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import images
import machine as bench_machine
from machine import BUILD, Machine, Unavailable

COLD_MILLISECONDS = 150
OURS = "bulkhead"


@dataclasses.dataclass
class Runtime:
    """A command line that OCI runtimes share, and where it runs."""
    name: str
    binary: str
    namespace: str
    root: str

    def call(self, *arguments):
        return [self.binary, "--root", self.root, *map(str, arguments)]


class Candidate:
    """One line of a benchmark: what is timed, and what is done around it."""

    def __init__(self, name, namespace="-"):
        self.name, self.namespace, self.commands = name, namespace, []

    def add(self, kind, arguments):
        self.commands.append((kind, [str(argument) for argument in arguments]))
        return self

    def step(self, *arguments):
        return self.add("step", arguments)

    def before(self, *arguments):
        return self.add("before", arguments)

    def after(self, *arguments):
        return self.add("after", arguments)


Figures = collections.namedtuple("Figures", "wall cpu least peak rounds")


class Runs(collections.defaultdict):
    """The runs of each candidate, and what they said on standard error."""
    said = ""


def measure(candidates, rounds, mode):
    """The medians of each candidate; `mode` is the idle time in ms, or `parallel`."""
    with tempfile.NamedTemporaryFile("w", suffix=".plan") as plan:
        for candidate in candidates:
            plan.write(f"candidate\t{candidate.name}\t{candidate.namespace}\n")
            for kind, arguments in candidate.commands:
                plan.write("\t".join([kind, *arguments]) + "\n")
        plan.flush()
        timed = subprocess.run([BUILD / "bench" / "stopwatch", plan.name, str(rounds), str(mode)],
                               capture_output=True, text=True, errors="replace", check=False)
    if timed.returncode != 0:
        raise Unavailable(f"stopwatch: {timed.stderr.strip()[-300:]}")
    runs = Runs(list)
    runs.said = " / ".join(timed.stderr.split("\n")).strip(" /")[-400:]
    for line in timed.stdout.splitlines():
        name, _, wall, cpu, peak, status = line.split("\t")
        runs[name].append((int(wall) / 1e6, int(cpu) / 1e6, int(peak), int(status)))
    return runs


def figures(runs):
    found = {}
    for name, values in runs.items():
        failed = sum(status != 0 for *_, status in values)
        if failed:
            raise Unavailable(f"{name}: {failed} of {len(values)} runs failed: {runs.said}")
        wall, cpu, peak, _ = zip(*values)
        found[name] = Figures(statistics.median(wall), statistics.median(cpu), min(wall),
                              max(peak), len(values))
    return found


def trial(candidates):
    """Those that work at all; the others are named, so that nothing is left out silently."""
    able = []
    for candidate in candidates:
        try:
            figures(measure([candidate], 1, 0))
            able.append(candidate)
        except Unavailable as error:
            print(f"> {candidate.name} is left out: {error}\n")
    return able


def ratio(value, other):
    if not other:
        return "–"
    return f"{value / other:.2f}" if value >= other else f"1/{other / value:.1f}"


class Report:
    def __init__(self, rounds):
        self.rounds = rounds
        self.results = {}  # (benchmark, candidate) -> (hot, cold)

    def compare(self, title, candidates, bound=None):
        """One table: hot and cold, wall and CPU, beside the bound and with our share of each peer."""
        print(f"### {title}\n")
        candidates = trial(candidates)
        if not candidates:
            return
        hot = figures(measure(candidates, self.rounds, 0))
        cold = figures(measure(candidates, self.rounds, COLD_MILLISECONDS))
        base = (hot.get(bound), cold.get(bound))
        ours = (hot.get(OURS), cold.get(OURS))
        header = ["", "hot ms", "cold ms", "hot CPU ms", "cold CPU ms", "least ms", "peak KiB"]
        if base[0]:
            header += ["× bound, hot / cold", "× bound, CPU hot / cold"]
        if ours[0]:
            header.append("Bulkhead is, hot / cold")
        print("| " + " | ".join(header) + " |")
        print("|---" * len(header) + "|")
        for candidate in candidates:
            name = candidate.name
            h, c = hot[name], cold[name]
            self.results[title, name] = (h, c)
            row = [name, f"{h.wall:.2f}", f"{c.wall:.2f}", f"{h.cpu:.2f}", f"{c.cpu:.2f}",
                   f"{min(h.least, c.least):.2f}", str(h.peak)]
            if base[0]:
                row += [f"{h.wall / base[0].wall:.2f} / {c.wall / base[1].wall:.2f}",
                        f"{h.cpu / base[0].cpu:.2f} / {c.cpu / base[1].cpu:.2f}"]
            if ours[0]:
                row.append("" if name == OURS else
                           f"{ratio(ours[0].wall, h.wall)} / {ratio(ours[1].wall, c.wall)}")
            print("| " + " | ".join(row) + " |")
        print(flush=True)


class Benchmarks:
    def __init__(self, machine, report, arguments):
        self.machine, self.report, self.arguments = machine, report, arguments
        machine.unpack_rootfs()
        self.spec = machine.engine_spec()
        self.runtimes = []
        ours = os.environ.get("BULKHEAD_RUNTIME", str(BUILD / "bin" / "bulkhead-runtime"))
        for name, binary, namespace in (
            (OURS, ours, "-"),
            ("crun", shutil.which("crun"), machine.without_v2()),
            ("runc", shutil.which("runc", path="/usr/sbin:/usr/bin"), "-"),
        ):
            if binary and os.access(binary, os.X_OK):
                self.runtimes.append(Runtime(name, str(pathlib.Path(binary).resolve()), namespace,
                                             str(machine.state_directory(name))))
            else:
                print(f"> {name} is left out: it is not there\n")

    def bundle(self, name, change=None):
        spec = copy.deepcopy(self.spec)
        if change:
            change(spec)
        return self.machine.bundle(name, spec)

    def raw_bound(self):
        return Candidate("raw bound").step(
            BUILD / "bench" / "raw_bound", self.machine.rootfs, self.machine.v2 or "-",
            *self.machine.v1, "--", "/bin/true")

    def run(self):
        bundle = self.bundle("engine")
        self.report.compare(
            "run: an engine's spec",
            [self.raw_bound(), *(Candidate(r.name, r.namespace).step(
                *r.call("run", "--bundle", bundle, "bench-{n}")) for r in self.runtimes)],
            "raw bound")

    def run_without_seccomp(self):
        bundle = self.bundle("no-seccomp", lambda spec: spec["linux"].pop("seccomp"))
        self.report.compare(
            "run: the same without seccomp",
            [self.raw_bound(), *(Candidate(r.name, r.namespace).step(
                *r.call("run", "--bundle", bundle, "bench-{n}")) for r in self.runtimes)],
            "raw bound")

    @staticmethod
    def sleeping(spec):
        spec["process"]["args"] = ["/bin/sleep", "86400"]

    def life(self):
        bundle = self.bundle("life", self.sleeping)
        self.report.compare(
            "create + start + state + delete",
            [Candidate(r.name, r.namespace)
             .step(*r.call("create", "--bundle", bundle, "bench-{n}"))
             .step(*r.call("start", "bench-{n}"))
             .step(*r.call("state", "bench-{n}"))
             .step(*r.call("delete", "--force", "bench-{n}")) for r in self.runtimes])

    @contextlib.contextmanager
    def running(self, name, change=None):
        """A container that runs under each runtime meanwhile."""
        bundle, started = {}, []
        for r in self.runtimes:
            def own_group(spec, r=r):
                self.sleeping(spec)
                spec["linux"]["cgroupsPath"] = f"/{bench_machine.GROUP}/{name}-{r.name}"
                if change:
                    change(spec)
            bundle[r.name] = self.bundle(f"{name}-{r.name}", own_group)
        try:
            for r in self.runtimes:
                inside = self.machine.inside(r.namespace)
                log = self.machine.directory / f"{name}-{r.name}.log"
                with open(log, "w", encoding="utf-8") as output:
                    for step in (("create", "--bundle", bundle[r.name], "held"), ("start", "held")):
                        done = subprocess.run([*inside, *r.call(*step)], stdin=subprocess.DEVNULL,
                                              stdout=output, stderr=output, check=False)
                        if done.returncode != 0:
                            print(f"> {r.name} is left out: {log.read_text().strip()[-300:]}\n")
                            break
                    else:
                        started.append(r)
            yield started
        finally:
            for r in self.runtimes:
                subprocess.run([*self.machine.inside(r.namespace),
                                *r.call("delete", "--force", "held")],
                               capture_output=True, check=False)

    def exec_and_state(self):
        with self.running("held") as runtimes:
            self.report.compare("exec /bin/true in a running container", [
                Candidate(r.name, r.namespace).step(*r.call("exec", "held", "/bin/true"))
                for r in runtimes])
            self.report.compare("state", [
                Candidate(r.name, r.namespace).step(*r.call("state", "held")) for r in runtimes])

    def engines(self):
        candidates = [self.raw_bound()]
        ours = os.environ.get("BULKHEAD", str(BUILD / "bin" / "bulkhead"))
        if os.access(ours, os.X_OK):
            store = self.machine.directory / "store"
            store.mkdir()
            state = self.machine.state_directory("engine")
            candidates.append(Candidate(OURS).step(
                ours, "--root", store, "--runroot", state, "run", "--rm", "busybox", "true"))
        else:
            print(f"> {OURS} is left out: it is not there\n")
        try:
            image = self.machine.podman_image()
            podman = [shutil.which("podman"), *self.machine.podman()[1:]]
            candidates.append(Candidate("podman", self.machine.without_v2()).step(
                *podman, "run", "--rm", "--network", "none", image, "true"))
        except Unavailable as error:
            print(f"> podman is left out: {error}\n")
        self.report.compare("bulkhead run --rm busybox true, no network", candidates, "raw bound")

    def switched(self):
        import switched
        switched.run(self)

    def daily(self):
        import daily
        daily.run(self)

    def snapshots(self):
        import snapshots
        snapshots.run(self)

    def pull(self):
        images.run(self, "pull")

    def push(self):
        images.run(self, "push")

    def unpack(self):
        images.run(self, "unpack")

    def system_calls(self):
        print("### System calls of one run of an engine's spec\n")
        if not shutil.which("strace"):
            print("> left out: strace is not installed\n")
            return
        bundle = self.bundle("engine")
        print("| | system calls | of them execve | clone, fork |")
        print("|---|---|---|---|")
        candidates = [self.raw_bound(), *(Candidate(r.name, r.namespace).step(
            *r.call("run", "--bundle", bundle, f"traced-{r.name}")) for r in self.runtimes)]
        for candidate in candidates:
            self.count_calls(candidate)  # what only the first start does (parent groups) is none of it
            counts = self.count_calls(candidate)
            clones = sum(counts.get(name, 0) for name in ("clone", "clone3", "fork", "vfork"))
            print(f"| {candidate.name} | {sum(counts.values())} | {counts.get('execve', 0)} "
                  f"| {clones} |")
            self.report.results["calls", candidate.name] = sum(counts.values())
        print(flush=True)

    def count_calls(self, candidate):
        inside = self.machine.inside(candidate.namespace)
        trace = self.machine.directory / "trace"
        arguments = candidate.commands[0][1]
        subprocess.run([*inside, "strace", "-f", "-qq", "-c", "-U", "calls,name", "-o", str(trace),
                        *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        return {name: int(calls) for calls, name in
                re.findall(r"^\s*(\d+)\s+(\w+)\s*$", trace.read_text(encoding="utf-8"),
                           re.MULTILINE) if name != "total"}

    def parallel(self):
        count = 20 if self.arguments.quick else 100
        print(f"### {count} starts at once\n")
        bundle = self.bundle("parallel", lambda spec: spec["linux"].pop("cgroupsPath"))
        print("| | failures | first ms | median ms | last ms | last / first | peak KiB |")
        print("|---|---|---|---|---|---|---|")
        for r in self.runtimes:
            runs = measure([Candidate(r.name, r.namespace).step(
                *r.call("run", "--bundle", bundle, "parallel-{n}"))], count, "parallel")[r.name]
            wall = sorted(run[0] for run in runs)
            failures = sum(run[3] != 0 for run in runs)
            print(f"| {r.name} | {failures} | {wall[0]:.1f} | {statistics.median(wall):.1f} "
                  f"| {wall[-1]:.1f} | {wall[-1] / wall[0]:.1f} | {max(run[2] for run in runs)} |")
            self.report.results["parallel failures", r.name] = failures
            bench_machine.quiet_down()
        print(flush=True)

    def starts_with(self, runtime, limit):
        def limited(spec):
            spec["linux"]["resources"]["memory"] = {"limit": limit}
        bundle = self.bundle("limited", limited)
        name = f"limited-{runtime.name}"
        call = [*self.machine.inside(runtime.namespace),
                *runtime.call("run", "--bundle", bundle, name)]
        try:
            done = subprocess.run(call, stdin=subprocess.DEVNULL, capture_output=True, timeout=20,
                                  check=False)
            return done.returncode == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            subprocess.run([*self.machine.inside(runtime.namespace),
                            *runtime.call("delete", "--force", name)], capture_output=True,
                           check=False)

    def least_memory(self):
        """Each limit counts as enough when three starts in a row succeed under it."""
        print("### Least memory limit under which /bin/true starts\n")
        print("| | KiB |")
        print("|---|---|")
        for r in self.runtimes:
            low, high = 0, 64 << 20
            if not self.starts_with(r, high):
                print(f"| {r.name} | fails with 64 MiB |")
                continue
            while high - low > (64 << 10):
                middle = (low + high) // 2 & ~4095
                enough = all(self.starts_with(r, middle) for _ in range(3))
                low, high = (low, middle) if enough else (middle, high)
            print(f"| {r.name} | {high >> 10} |", flush=True)
            self.report.results["least memory", r.name] = high
        print(flush=True)

    def pull(self):
        images.run(self, "pull")

    def unpack(self):
        images.run(self, "unpack")


def store_bench(*sizes):
    os.environ.setdefault("BULKHEAD_BUILD", str(bench_machine.BUILD))
    import store  # its own modules are not needed for the others
    return store.run(*sizes)


ALL = {
    "run": Benchmarks.run,
    "run-without-seccomp": Benchmarks.run_without_seccomp,
    "life": Benchmarks.life,
    "exec": Benchmarks.exec_and_state,
    "engines": Benchmarks.engines,
    "daily": Benchmarks.daily,
    "switched": Benchmarks.switched,
    "snapshot": Benchmarks.snapshots,
    "calls": Benchmarks.system_calls,
    "parallel": Benchmarks.parallel,
    "memory": Benchmarks.least_memory,
    "pull": Benchmarks.pull,
    "push": Benchmarks.push,
    "unpack": Benchmarks.unpack,
    "store": lambda benchmarks: benchmarks.report.results.update(store_bench(
        *((100, 20) if benchmarks.arguments.quick else ()))),
}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("benchmarks", nargs="*", metavar="BENCHMARK",
                        help="one of: " + " ".join(ALL))
    parser.add_argument("--quick", action="store_true", help="10 rounds instead of 40")
    parser.add_argument("--rounds", type=int, help="how often each candidate runs")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.benchmarks if name not in ALL]:
        parser.error(f"no such benchmark: {' '.join(unknown)}")
    if os.geteuid() != 0:
        parser.error("the benchmarks make containers: run them as root")
    rounds = arguments.rounds or (10 if arguments.quick else 40)
    with contextlib.suppress(PermissionError):
        os.nice(-15)  # what else runs on the machine should not decide the ratios
    with Machine() as machine:
        report = Report(rounds)
        benchmarks = Benchmarks(machine, report, arguments)
        print(f"Medians of {rounds} runs in turn; cold: {COLD_MILLISECONDS} ms idle before each.\n")
        for name, benchmark in ALL.items():
            if not arguments.benchmarks or name in arguments.benchmarks:
                benchmark(benchmarks)
                bench_machine.quiet_down()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unavailable as error:
        sys.exit(f"bench: {error}")
