"""What a snapshot costs, by the number of layers and by the way that they are kept."""

import pathlib
import shutil
import statistics
import subprocess
import tempfile

from machine import BUILD, Unavailable

LAYERS = (1, 10, 50, 200)
WAYS = {
    "directories, by descriptor": "directories-detached",
    "directories, in a private namespace": "directories-private",
    "EROFS images": "erofs",
    "EROFS images, direct I/O": "erofs-direct",
}


def make_images(directory, count):
    """One image under the name of each layer: what is in it does not matter to the mount."""
    program = shutil.which("mkfs.erofs", path="/usr/bin:/usr/sbin")
    if not program:
        raise Unavailable("mkfs.erofs is not installed")
    content = directory / "content"
    content.mkdir()
    for number in range(20):
        (content / str(number)).write_text(f"{number}\n" * 1000)
    images = directory / "layers-erofs"
    images.mkdir()
    first = images / "first"
    subprocess.run([program, "--quiet", first, content], check=True, stdout=subprocess.DEVNULL)
    for number in range(count):
        shutil.copy(first, images / f"{'a' * 58}{100_000 + number}.erofs")
    subprocess.run(["sync", "-f", images], check=True)


def cost(layers, way, rounds):
    """Medians in milliseconds: CPU and wall time of the mount, CPU time of the release."""
    with tempfile.TemporaryDirectory(prefix="bulkhead-snapshots-") as name:
        directory = pathlib.Path(name)
        if way.startswith("erofs"):
            make_images(directory, layers)
        done = subprocess.run([BUILD / "bench/snapshot_cost", name, str(layers), str(rounds), way],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(done.stderr.strip())
        lines = [list(map(int, line.split())) for line in done.stdout.splitlines()]
        return [statistics.median(column) / 1e6 for column in zip(*lines)]


def run(benchmarks):
    rounds = max(benchmarks.report.rounds, 5)
    print("### A snapshot: upper directory and overlay over idmapped layers\n")
    print("CPU ms of the mount (and of letting go of it), by the number of layers.\n")
    print("| | " + " | ".join(map(str, LAYERS)) + " |")
    print("|---" * (len(LAYERS) + 1) + "|")
    for name, way in WAYS.items():
        row = []
        for layers in LAYERS:
            try:
                mount, _, release = cost(layers, way, rounds)
            except Unavailable as error:
                row.append(f"– ({error})")
                continue
            benchmarks.report.results["snapshot", way, layers] = mount
            row.append(f"{mount:.2f} ({release:.2f})")
        print(f"| {name} | " + " | ".join(row) + " |", flush=True)
    print(flush=True)
