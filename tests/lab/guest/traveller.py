"""Containers that are checkpointed and restored, and what is asked of them."""

import json
import os
import pathlib
import select
import subprocess
import time

from inside import GROUPS, default_config, equal, expect, groups_of_containers, merge

PATIENCE = 240
# A word that only the process's memory has, and a count.
COUNTER = ("word=$(cat /proc/sys/kernel/random/uuid); count=0; "
           "while :; do count=$((count + 1)); echo $word $count; sleep 0.1; done")


class Traveller:
    """A container that is run in the background, checkpointed and restored."""

    def __init__(self, work, config, *options):
        self.work = work
        self.name = work.new_id()
        self.images = work.directory / f"{self.name}.images"
        self.bundle = work.bundle(config, own_root=True)
        self.made = self.start("run", "--detach", *options)

    def start(self, command, *options):
        """By a command that leaves the container with a pipe as its output."""
        reading, writing = os.pipe()
        self.output = os.fdopen(reading, encoding="utf-8", errors="replace")
        errors = self.work.directory / f"{self.name}.errors"
        with open(errors, "w+", encoding="utf-8") as stream:
            try:
                done = subprocess.run(
                    self.work.command(command, "--bundle", self.bundle, *options, self.name),
                    stdin=subprocess.DEVNULL, stdout=writing, stderr=stream, timeout=PATIENCE,
                    check=False)
            except subprocess.TimeoutExpired as error:
                self.log("restore.log")
                raise AssertionError(f"{command} does not end") from error
        os.close(writing)
        done.stderr = errors.read_text(errors="replace")
        return done

    def __enter__(self):
        equal(self.made.returncode, 0, f"run: {self.made.stderr}")
        equal(self.state()["status"], "running", "after the start")
        return self

    def __exit__(self, *_):
        self.work.call("delete", "--force", self.name)
        self.output.close()

    def call(self, command, *arguments, **more):
        return self.work.call(command, *arguments, self.name, timeout=PATIENCE, **more)

    def exec(self, *arguments):
        return self.work.call("exec", self.name, *arguments, timeout=PATIENCE)

    def state(self):
        done = self.call("state")
        equal(done.returncode, 0, f"state: {done.stderr}")
        return json.loads(done.stdout)

    def checkpoint(self, *options, images=None):
        done = self.call("checkpoint", "--image-path", images or self.images, *options)
        if done.returncode != 0:
            self.log("dump.log", images)
        equal(done.returncode, 0, f"checkpoint: {done.stderr}")

    def restore(self, *options, images=None):
        done = self.start("restore", "--image-path", images or self.images, "--detach", *options)
        if done.returncode != 0:
            self.log("restore.log", images)
        equal(done.returncode, 0, f"restore: {done.stderr}")

    def refused(self, *options, images=None):
        done = self.start("restore", "--image-path", images or self.images, "--detach", *options)
        expect(done.returncode != 0, "it was restored")
        equal(self.call("state").returncode, 1, "there is a container")
        return done.stderr

    def log(self, name, images=None):
        """Prints the end of it, for those who look for the reason."""
        try:
            lines = ((images or self.images) / name).read_text(errors="replace").splitlines()
        except OSError:
            lines = ["there is none"]
        print(*(f"  {name}: {line}" for line in lines[-15:]), sep="\n", flush=True)

    def move(self, *options, back=()):
        self.checkpoint(*options)
        equal(self.state()["status"], "stopped", "after the checkpoint")
        self.delete()
        self.restore(*back)

    def delete(self):
        done = self.call("delete")
        equal(done.returncode, 0, f"delete: {done.stderr}")
        self.output.close()
        self.nothing_is_left()

    def nothing_is_left(self):
        equal([path for path in groups_of_containers() if self.name in path], [], "groups")
        expect(not (self.work.state / self.name).exists(), "state is left")
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            expect(self.name not in mounts.read(), "a mount is left")

    def group(self, file):
        return (GROUPS / "bulkhead-runtime" / self.name / file).read_text()

    def root(self):
        return pathlib.Path(json.loads((self.bundle / "config.json").read_text())["root"]["path"])

    def counted(self):
        """The next line of the counter: its word and its number."""
        word, number = self.output.readline().split()
        return word, int(number)


def shell(script, *changes):
    config = default_config(["sh", "-c", script])
    for change in changes:
        merge(config, change)
    return config


def restrictions(container):
    """What the kernel says of the first process: identical before and after."""
    names = ("NoNewPrivs", "Seccomp", "Seccomp_filters", "CapBnd", "CapPrm", "CapEff", "CapInh",
             "CapAmb", "Uid", "Gid", "Groups")
    text = pathlib.Path(f"/proc/{container.state()['pid']}/status").read_text()
    status = {line.split(":")[0]: line.split()[1:] for line in text.splitlines()}
    mounts = pathlib.Path(f"/proc/{container.state()['pid']}/mountinfo").read_text().splitlines()
    flags = sorted((line.split()[4], *sorted(line.split()[5].split(","))) for line in mounts)
    return {name: status.get(name) for name in names}, flags


def volumes(*pairs):
    return {"mounts": default_config()["mounts"] + [
        {"destination": destination, "type": "bind", "source": str(source),
         "options": ["rbind", *options]} for destination, source, *options in pairs] + [
        {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "nodev", "size=1m"]}]}


def talk(master, word):
    """Says a word and waits for the answer."""
    os.write(master, f"{word}\n".encode())
    text = b""
    while f"got {word}".encode() not in text:
        expect(select.select([master], [], [], 60)[0], f"no answer, but {text}")
        text += os.read(master, 1000)


# Both ends of a connection are in the container.
CONNECTION = ("mkfifo /silence; nc -l -p 77 0<>/silence > /dev/null & "
              "until nc 127.0.0.1 77 0<>/silence > /dev/null 2>&1; do sleep 0.2; done & ")


def connected(container):
    """Whether the kernel lists two established ends. Who listens does so for IPv6, too, where the kernel
    has it, and then its end of a connection is listed there."""
    done = container.exec("sh", "-c", "cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == \"01\"'")
    return done.stdout.count("\n") == 2


def wait_until(condition, what, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < deadline, what)
        time.sleep(0.2)
