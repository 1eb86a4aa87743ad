"""What the suites of pull, push and login share."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.bundles import BUILD, Workshop
from support.harness import Skip, equal, expect

BULKHEAD = os.environ["BULKHEAD"]


class Host:
    """A store, a home and settings of its own."""

    def __init__(self, work):
        self.directory = work.directory
        self.home = self.directory / "home"
        self.home.mkdir()
        self.settings_file = self.directory / "registries.toml"
        self.settings_file.write_text("")
        self.number = 0
        self.store = None
        self.fresh()

    def fresh(self):
        """A new, empty store."""
        self.number += 1
        self.store = self.directory / f"store{self.number}"
        return self.store

    def settings(self, text):
        self.settings_file.write_text(text)

    def environment(self, **more):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home),
                       "BULKHEAD_REGISTRIES_CONF": str(self.settings_file)}
        return {**environment, **more}

    def command(self, *arguments):
        return [BULKHEAD, "--root", str(self.store), "--runroot", str(self.directory / "runroot"),
                *map(str, arguments)]

    def call(self, *arguments, timeout=120, env=None, **more):
        more.setdefault("stdin", subprocess.DEVNULL if "input" not in more else None)
        if more["stdin"] is None:
            del more["stdin"]
        return subprocess.run(self.command(*arguments), capture_output=True, text=True,
                              errors="replace", timeout=timeout, check=False,
                              env=env or self.environment(), **more)

    def does(self, *arguments, **more):
        done = self.call(*arguments, **more)
        equal(done.returncode, 0, f"{arguments}: {done.stdout[-300:]} {done.stderr[-600:]}")
        return done.stdout

    def fails(self, *arguments, saying=(), code=1, **more):
        done = self.call(*arguments, **more)
        equal(done.returncode, code, f"{arguments}: {done.stdout} {done.stderr}")
        expect("\x1b" not in done.stderr, f"escape sequences in {done.stderr!r}")
        for words in [saying] if isinstance(saying, str) else saying:
            expect(words in done.stderr, f"{arguments}: {words!r} not in {done.stderr!r}")
        return done.stderr

    def images(self):
        return self.does("images", "--quiet").split()

    def partial(self):
        directory = self.store / "blobs/partial"
        return {path.name: path.stat().st_size for path in directory.glob("*")}

    def blobs(self):
        return {path.name for path in (self.store / "blobs/sha256").glob("*")}

    def holds_nothing(self):
        """Nothing that could be taken for an image, or for a part of one that is whole."""
        expect(not list((self.store / "images").glob("*")), "an image is there")
        layers = [path.name for path in (self.store / "layers").glob("*") if path.name != "empty"]
        equal(layers, [], "layers that are left")
        equal(list((self.store / "staging").glob("*")), [], "staging")

    def file_of_layer(self, image, name):
        """The content of a file in one of the image's layers as unpacked."""
        found = list((self.store / "layers").glob(f"*/{name}"))
        equal(len(found), 1, f"{name} in layers")
        return found[0].read_bytes()

    def log_out(self):
        shutil.rmtree(self.home / ".docker", ignore_errors=True)

    def config(self):
        return json.loads((self.home / ".docker/config.json").read_text())


def free_port(address="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def certificate(directory, name, subject="localhost", authority=None,
                names="DNS:localhost,IP:127.0.0.1,IP:203.0.113.7"):
    """(certificate, key), signed by itself or by another such pair."""
    paths = (directory / f"{name}.pem", directory / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", f"/CN={subject}",
               "-addext", f"subjectAltName={names}", "-out", paths[0], "-keyout", paths[1]]
    if authority:
        command += ["-CA", authority[0], "-CAkey", authority[1],
                    "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return tuple(map(str, paths))


class NameServer:
    """Answers questions for addresses (RFC 1035) in the way of `names`, and knows no others."""

    def __init__(self, names):
        self.names = names
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                question, sender = self.socket.recvfrom(4096)
            except OSError:
                return
            at, labels = 12, []
            while question[at]:
                labels.append(question[at + 1:at + 1 + question[at]].decode())
                at += 1 + question[at]
            name, kind = ".".join(labels).lower(), question[at + 1:at + 3]
            self.asked.append(name)
            address = self.names.get(name)
            found = address and kind == b"\0\1"
            answer = (b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(address)) if found else b""
            flags = b"\x81\x80" if address else b"\x81\x83"
            counts = b"\0\1\0" + bytes([int(bool(found))]) + b"\0\0\0\0"
            with contextlib.suppress(OSError):  # closed meanwhile
                self.socket.sendto(question[:2] + flags + counts + question[12:at + 5] + answer, sender)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class DockerRegistry:
    """Debian's docker-registry."""

    def __init__(self, directory, http="", auth=""):
        if not shutil.which("docker-registry"):
            raise Skip("docker-registry is not installed")
        self.name = f"127.0.0.1:{free_port()}"
        data = directory / f"registry-{self.name.split(':')[1]}"
        data.mkdir()
        config = data / "config.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {data}/data}}}}\n"
            f'{auth}http:\n  addr: "{self.name}"\n{http}')
        self.log = open(data / "log", "wb")
        self.process = subprocess.Popen(["docker-registry", "serve", str(config)],
                                        stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 60
        host, port = self.name.split(":")
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=5).close()
                return
            except OSError:
                expect(self.process.poll() is None, f"docker-registry ended: see {self.log.name}")
                expect(time.monotonic() < deadline, "docker-registry does not start")
                time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


def skopeo(*arguments, **more):
    if not shutil.which("skopeo"):
        raise Skip("skopeo is not installed")
    done = subprocess.run(["skopeo", *map(str, arguments)], capture_output=True, text=True,
                          timeout=120, check=False, **more)
    equal(done.returncode, 0, f"skopeo {arguments}: {done.stderr}")
    return done.stdout


def digest_by_skopeo(reference, *flags):
    return json.loads(skopeo("inspect", *flags, f"docker://{reference}"))["Digest"]


def main(suite):
    if os.geteuid() != 0:
        print("SKIP registry — needs root")
        return 0
    with Workshop() as work:
        os.chmod(work.directory, 0o755)
        return suite.main(Host(work))
