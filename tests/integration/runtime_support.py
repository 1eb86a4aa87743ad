"""What the suites of the runtime's commands share."""

import array
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.bundles import Workshop, default_config
from support.harness import Skip, equal, expect

NOBODY = 65534
WAIT = ["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done"]


class Container:
    """A container that was created, or run in the background; its output goes to a file."""

    def __init__(self, work, config, *options, command="create", name=None, **more):
        self.work = work
        self.name = name or work.new_id()
        self.output = work.directory / f"{self.name}.out"
        self.bundle = work.bundle(config)
        before = ["--detach"] if command == "run" else []
        with open(self.output, "w", encoding="utf-8") as output:
            self.made = subprocess.run(
                work.command(command, *before, "--bundle", self.bundle, *options, self.name),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=60, check=False,
                **more)

    def __enter__(self):
        equal(self.made.returncode, 0, f"exit code of create or run: {self.text()}")
        return self

    def __exit__(self, *_):
        self.work.call("delete", "--force", self.name)

    def text(self):
        return self.output.read_text(errors="replace")

    def call(self, command, *arguments, **more):
        return self.work.call(command, self.name, *arguments, **more)

    def good(self, command, *arguments, **more):
        done = self.call(command, *arguments, **more)
        equal(done.returncode, 0, f"exit code of {command}: {done.stderr}")
        return done.stdout

    def exec(self, *arguments, options=(), **more):
        return self.work.call("exec", *options, self.name, *arguments, **more)

    def state(self):
        return json.loads(self.good("state"))

    def wait_for(self, status, seconds=60):
        deadline = time.monotonic() + seconds
        while self.state()["status"] != status:
            expect(time.monotonic() < deadline, f"{self.state()['status']} instead of {status}")
            time.sleep(0.01)

    def wait_for_text(self, word, seconds=60):
        deadline = time.monotonic() + seconds
        while word not in self.text():
            expect(time.monotonic() < deadline, f"{word!r} does not come: {self.text()!r}")
            time.sleep(0.01)


def background(work, config=None, *options, **more):
    return Container(work, config or default_config(["sleep", "100"]), *options, command="run",
                     **more)


def nothing_left(traces):
    left = traces.leftovers()
    expect(not left, f"left behind: {left[:5]}")


def group_file(name, controller, file):
    """Where the container's limit is read: the group may lie in a v1 or a v2 hierarchy."""
    for base in (f"/sys/fs/cgroup/{controller}", "/sys/fs/cgroup"):
        for path in pathlib.Path(base).rglob(f"*{name}*/{file}"):
            return path.read_text().strip()
    raise Skip(f"no hierarchy has {file}")


def receive_descriptor(listener):
    """What was sent over a socket: the descriptor and the text."""
    listener.settimeout(10)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(10)
        text, control, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4 * 4))
        numbers = array.array("i")
        for level, kind, data in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers.frombytes(data[:len(data) - len(data) % numbers.itemsize])
        return list(numbers), text.decode()


class Listener:
    def __init__(self, work):
        self.path = work.directory / f"s{next(work.numbers)}"

    def __enter__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.path))
        self.socket.listen()
        self.result = None
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        return self

    def _serve(self):
        try:
            self.result = receive_descriptor(self.socket)
        except OSError as error:
            self.result = error

    def descriptor(self):
        self.thread.join()
        expect(isinstance(self.result, tuple) and len(self.result[0]) == 1,
               f"received {self.result!r}")
        return self.result[0][0]

    def __exit__(self, *_):
        self.thread.join()
        self.socket.close()


def main(suite):
    if os.geteuid() != 0:
        print("SKIP runtime — needs root")
        return 0
    with Workshop() as work:
        os.chmod(work.directory, 0o755)
        return suite.main(work)
