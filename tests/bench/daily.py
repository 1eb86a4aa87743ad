"""What one does all day: run, run -d, exec and ps; many containers; what stands beside each of them; logs.
bulkhead beside podman and docker as Debian has them, in turn in one run. The CPU time of docker is its
client's alone. Docker keeps its data on a tmpfs; the two others on the disk."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

import bench
from machine import BUILD, Unavailable, quiet_down

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "engines"))
IDLE = ("sleep", "100000")
WORKERS = 20
LINE = b"0123456789" * 9 + b"12345678\n"  # 99 bytes


class Peer:
    """An engine's command line, and the image to run."""

    def __init__(self, name, words, image, namespace="-", inside=()):
        self.name, self.words, self.image = name, [str(word) for word in words], image
        self.namespace, self.inside = namespace, list(inside)

    def candidate(self):
        return bench.Candidate(self.name, self.namespace)

    def command(self, *arguments):
        return [*self.words, *map(str, arguments)]

    def call(self, *arguments, timeout=600):
        return subprocess.run([*self.inside, *self.command(*arguments)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace", timeout=timeout,
                              check=False)

    def good(self, *arguments, **more):
        done = self.call(*arguments, **more)
        if done.returncode != 0:
            raise Unavailable(f"{self.name} {arguments[0]}: {done.stderr.strip()[-300:]}")
        return done.stdout.strip()

    def start(self, *flags, command=IDLE):
        return self.good("run", "-d", "--network", "none", *flags, self.image, *command).split()[-1]

    def remove(self, names):
        """In pieces, as a command line has an end."""
        names = list(names)
        for begin in range(0, len(names), 50):
            self.call("rm", "-f", *names[begin:begin + 50])


def ours(machine):
    program = os.environ.get("BULKHEAD", str(BUILD / "bin" / "bulkhead"))
    store = machine.directory / "daily-store"
    store.mkdir(exist_ok=True)
    return Peer(bench.OURS, [program, "--root", store, "--runroot",
                             machine.state_directory("daily")], "busybox")


def podman(machine):
    namespace = machine.without_v2()
    words = machine.podman()
    return Peer("podman", [shutil.which("podman"), *words[1:]], machine.podman_image(), namespace,
                machine.inside(namespace))


@contextlib.contextmanager
def peers(machine, alone):
    """Those that there are, with everything of theirs removed at the end; `alone`: ours and no others."""
    os.environ.setdefault("BULKHEAD_BUILD", str(BUILD))
    os.environ.setdefault("BULKHEAD_RUNTIME", str(BUILD / "bin" / "bulkhead-runtime"))
    with contextlib.ExitStack() as stack:
        found = [ours(machine)]
        try:
            if not alone:
                found.append(podman(machine))
        except Unavailable as error:
            print(f"> podman is left out: {error}\n")
        if alone:
            pass
        elif shutil.which("dockerd", path="/usr/sbin:/usr/bin") and os.path.exists("/usr/bin/docker"):
            from docker_host import DockerHost
            try:
                host = stack.enter_context(DockerHost(configuration="{}"))
                # Podman reads it, too, and wants a file in it.
                configuration = host.directory / "client"
                configuration.mkdir(exist_ok=True)
                (configuration / "config.json").write_text("{}", encoding="utf-8")
                os.environ["DOCKER_CONFIG"] = str(configuration)
                found.append(Peer("docker", host.command(), host.image))
            except (AssertionError, OSError) as error:
                print(f"> docker is left out: {str(error)[-300:]}\n")
        else:
            print("> docker is left out: Debian's package docker.io is not installed\n")
        for peer in found:
            stack.callback(remove_all, peer)
            peer.good("run", "--rm", "--network", "none", peer.image, "true")
        yield found


def remove_all(peer):
    if names := peer.call("ps", "-aq").stdout.split():
        peer.remove(names)


# --- one command ---------------------------------------------------------------------------------------


def commands(benchmarks, engines):
    report = benchmarks.report
    report.compare("run --rm busybox true, no network", [
        peer.candidate().step(*peer.command("run", "--rm", "--network", "none", peer.image, "true"))
        for peer in engines])
    report.compare("run --detach, no network", [
        peer.candidate()
        .step(*peer.command("run", "-d", "--network", "none", "--name", "bench-{n}", peer.image, *IDLE))
        .after(*peer.command("rm", "-f", "bench-{n}")) for peer in engines])
    for peer in engines:
        peer.start("--name", "held")
    report.compare("exec true in a running container", [
        peer.candidate().step(*peer.command("exec", "held", "true")) for peer in engines])
    monitors(report, engines)
    for peer in engines:
        peer.remove(["held"])


def memory_of(pid):
    """Private dirty and anonymous memory in KiB."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return tuple(int(re.search(rf"^{name}: *(\d+) kB", text, re.MULTILINE)[1])
                 for name in ("Private_Dirty", "Anonymous"))


def process_named(name, identity):
    """The process of that name with that id on its command line."""
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if name in line[0] and identity in line:
            return int(entry.name)
    raise Unavailable(f"no {name} of {identity[:12]}")


def monitors(report, engines):
    """What stands beside each container: of the ones that are called "held"."""
    print("### Memory of what stands beside a detached container\n")
    print("| | program | private dirty KiB | of it anonymous KiB |\n|---|---|---|---|")
    names = {bench.OURS: "bulkhead-monitor", "podman": "conmon", "docker": "containerd-shim"}
    for peer in engines:
        identity = peer.good("inspect", "--format", "{{.Id}}", "held")
        try:
            if peer.name == bench.OURS:
                pid = process_of_ours(identity)
            else:
                pid = process_named(names[peer.name], identity)
        except Unavailable as error:
            print(f"> {peer.name} is left out: {error}\n")
            continue
        dirty, anonymous = memory_of(pid)
        report.results["monitor", peer.name] = anonymous
        print(f"| {peer.name} | {names[peer.name]} | {dirty} | {anonymous} |")
    print(flush=True)


def process_of_ours(identity):
    """Its title is one word: "bulkhead-monitor ID"."""
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cmdline").read_bytes().startswith(f"bulkhead-monitor {identity}".encode()):
                    return int(entry.name)
    raise Unavailable(f"no monitor of {identity[:12]}")


# --- many ----------------------------------------------------------------------------------------------


def timed(action):
    begin = time.perf_counter()
    value = action()
    return time.perf_counter() - begin, value


def try_start(peer):
    try:
        return peer.start()
    except (Unavailable, subprocess.TimeoutExpired):
        return None


def at_once(peer, count, workers=WORKERS):
    """(seconds, ids; None for a failure)"""
    def everything():
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            return list(pool.map(lambda _: try_start(peer), range(count)))
    return timed(everything)


def many(benchmarks, engines):
    count = 20 if benchmarks.arguments.quick else 100
    print(f"### {count} detached containers: one after another, and {WORKERS} at a time\n")
    print("| | one after another s | first ten ms | last ten ms | last / first | "
          f"{WORKERS} at a time s | failures | Bulkhead is |")
    print("|---|---|---|---|---|---|---|---|")
    totals = {}
    for peer in engines:
        times, names = [], []
        for _ in range(count):
            seconds, name = timed(lambda peer=peer: try_start(peer))
            times.append(seconds)
            names.append(name)
        peer.remove(filter(None, names))
        quiet_down()
        together, others = at_once(peer, count)
        peer.remove(filter(None, others))
        failures = (names + others).count(None)
        few = min(10, count // 2)
        first, last = (statistics.median(part) for part in (times[:few], times[-few:]))
        totals[peer.name] = (sum(times), together)
        benchmarks.report.results["many failures", peer.name] = failures
        benchmarks.report.results["growth", peer.name] = last / first
        share = "" if peer.name == bench.OURS else " / ".join(
            bench.ratio(a, b) for a, b in zip(totals[bench.OURS], totals[peer.name]))
        print(f"| {peer.name} | {sum(times):.2f} | {first * 1000:.1f} | {last * 1000:.1f} | "
              f"{last / first:.2f} | {together:.2f} | {failures} | {share} |", flush=True)
        quiet_down()
    print(flush=True)


def listing(benchmarks, engines):
    count = 20 if benchmarks.arguments.quick else 100
    for peer in engines:
        at_once(peer, count)
        shown = len(peer.good("ps", "-q").split())
        if shown != count:
            raise Unavailable(f"{peer.name} shows {shown} of {count} containers")
    benchmarks.report.compare(f"ps with {count} containers", [
        peer.candidate().step(*peer.command("ps")) for peer in engines])
    for peer in engines:
        remove_all(peer)


def crowd(benchmarks, peer):
    """All at once on one host, beside the memory that they cost it."""
    count = 50 if benchmarks.arguments.quick else 1000
    before = available()
    seconds, names = at_once(peer, count)
    listed, running = timed(lambda: peer.good("ps", "-q").split())
    after = available()
    removed, _ = timed(lambda: peer.remove(filter(None, names)))
    failures = max(names.count(None), count - len(running))
    print(f"### {count} containers at once\n")
    print("| | start s | ps ms | rm -f s | failures | host memory of each KiB |\n|---|---|---|---|---|---|")
    print(f"| {peer.name} | {seconds:.1f} | {listed * 1000:.0f} | {removed:.1f} | {failures} | "
          f"{(before - after) // count} |\n", flush=True)
    benchmarks.report.results["crowd failures", peer.name] = failures


def available():
    text = pathlib.Path("/proc/meminfo").read_text(encoding="ascii")
    return int(re.search(r"^MemAvailable: *(\d+)", text, re.MULTILINE)[1])


# --- logs ----------------------------------------------------------------------------------------------


def logs(benchmarks, engines):
    """A file of lines is written to the log as fast as it is taken."""
    megabytes = 20 if benchmarks.arguments.quick else 200
    lines = (megabytes << 20) // len(LINE)
    source = benchmarks.machine.run_directory / "lines"
    source.write_bytes(LINE * lines)
    source.chmod(0o644)
    source.parent.chmod(0o755)
    print(f"### A log of {megabytes} MB, {len(LINE)} bytes a line\n")
    print("| | MB/s | without a log MB/s | lines lost | Bulkhead is |\n|---|---|---|---|---|")
    rates = {}
    for peer in engines:
        mount = f"{source}:/lines:ro" + (",noidmap" if peer.name == bench.OURS else "")
        log = {"docker": ["--log-driver", "json-file"], "podman": ["--log-driver", "k8s-file"],
               bench.OURS: ["--log-opt", "max-size=-1"]}[peer.name]

        def written(flags, peer=peer, mount=mount):
            def action():
                name = peer.start("-v", mount, *flags, command=("cat", "/lines"))
                peer.good("wait", name)
                return name
            return timed(action)
        seconds, name = min((written(log) for _ in range(3)), key=lambda pair: pair[0])
        counted = subprocess.run(["sh", "-c", '"$@" | wc -l', "sh", *peer.inside,
                                  *peer.command("logs", name)],
                                 capture_output=True, text=True, check=True)
        bare, _ = min((written(["--log-driver", "none"]) for _ in range(3)), key=lambda pair: pair[0])
        remove_all(peer)
        rates[peer.name] = megabytes / seconds
        lost = lines - int(counted.stdout)
        benchmarks.report.results["lines lost", peer.name] = lost
        share = "" if peer.name == bench.OURS else f"{rates[bench.OURS] / rates[peer.name]:.1f} times as fast"
        print(f"| {peer.name} | {rates[peer.name]:.0f} | {megabytes / bare:.0f} | {lost} | {share} |",
              flush=True)
    source.unlink()
    print(flush=True)


def run(benchmarks):
    with peers(benchmarks.machine, getattr(benchmarks.arguments, "alone", False)) as engines:
        commands(benchmarks, engines)
        listing(benchmarks, engines)
        many(benchmarks, engines)
        crowd(benchmarks, engines[0])
        logs(benchmarks, engines)
