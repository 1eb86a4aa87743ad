#!/usr/bin/env python3
"""Volumes under attack: links in images, in volumes and in archives; SIGKILL at any moment; many processes
that want the same names."""

import json
import os
import pathlib
import random
import re
import subprocess
import sys
import time

from life_support import container, run_suite, until
from support.bundles import FULL, processes_of
from support.harness import Suite, equal, expect
from volumes_support import clear_volumes, data_of, make_image, volumes_of

suite = Suite("volumes-attack")
ROUNDS = 300 if FULL else 15
SECRET = "what only the host may read"


def secret_place(host):
    place = host.directory / "secret"
    place.mkdir(exist_ok=True)
    (place / "key").write_text(SECRET)
    return place


@suite.test
def a_link_in_the_image_leads_the_copy_nowhere(host):
    """CVE-2022-23648 and its kind: the image has a symbolic link in the volume's place, or on the way."""
    secret = secret_place(host)

    def prepare(root):
        (root / "direct").symlink_to(secret)
        (root / "climbing").symlink_to("../../../../../../.." + str(secret))
        (root / "way").symlink_to(secret.parent)
        (root / "inside").mkdir()
        (root / "inside/link").symlink_to(secret)
        (root / "inside/file").symlink_to(secret / "key")
    # Positive control: a copy by paths reads what is the host's.
    naive = host.directory / "naive"
    root = host.work.own_root()
    prepare(root)
    subprocess.run(["cp", "-rL", root / "direct", naive], check=True)
    equal((naive / "key").read_text(), SECRET, "positive control")
    image = make_image(host, "links:1", ["VOLUME /direct", f"VOLUME /way/{secret.name}"], prepare)
    for number, place in enumerate(("/direct", "/climbing", f"/way/{secret.name}", "/inside")):
        name = f"vol{number}"
        done = host.call("run", "--rm", "-v", f"{name}:{place}", image, "sh", "-c", f"cat {place}/*; true")
        expect(SECRET not in done.stdout, f"{place}: {done}")
        if name in volumes_of(host):
            for path in data_of(host, name).rglob("*"):
                expect(path.is_symlink() or not path.is_file() or SECRET not in path.read_text(), str(path))
    # Links within the volume are copied as links.
    equal(os.readlink(data_of(host, "vol3") / "file"), str(secret / "key"))
    equal(sorted(os.listdir(secret)), ["key"], "and nothing was written there")
    clear_volumes(host)


@suite.test
def a_link_in_a_volume_leads_nowhere(host):
    secret = secret_place(host)
    host.good("run", "--rm", "-v", "evil:/e", "busybox", "sh", "-c",
              f"ln -s {secret} /e/out; ln -s ../../../../../../../../..{secret} /e/up; mkdir /e/dir; ln -s "
              "/e/dir /e/in")
    # Positive control: whoever opens the path on the host ends where the container wants.
    equal((data_of(host, "evil") / "out/key").read_text(), SECRET, "positive control")
    for part in ("out", "up", "out/key", "in"):
        done = host.call("run", "--rm", "--mount", f"source=evil,target=/x,volume-subpath={part}", "busybox",
                         "sh", "-c", "cat /x /x/key")
        equal(done.returncode, 125, f"{part}: {done}")
        expect(SECRET not in done.stdout and "symbolic link" in done.stderr, done)
    archive = host.directory / "evil.tar"
    host.good("volume", "export", "-o", archive, "evil")
    expect(SECRET.encode() not in archive.read_bytes(), "exported as links")
    clear_volumes(host)


@suite.test
def copying_from_a_stopped_container_follows_no_link_of_a_volume(host):
    """Its part of the volume was a directory when it was made; another container has changed it since."""
    secret = secret_place(host)
    host.good("run", "--rm", "-v", "evil:/e", "busybox", "sh", "-c", "mkdir /e/part; echo mine >/e/part/key")
    name = host.good("create", "--mount", "source=evil,target=/x,volume-subpath=part", "busybox", "true")
    target = host.directory / "copied"
    host.good("cp", f"{name}:/x/key", target)
    equal(target.read_text(), "mine\n", "what is there is copied")
    host.good("run", "--rm", "-v", "evil:/e", "busybox", "sh", "-c",
              f"mv /e/part /e/was; ln -s {secret} /e/part")
    equal((data_of(host, "evil") / "part/key").read_text(), SECRET, "positive control")
    for words in (("cp", f"{name}:/x/key", target), ("cp", target, f"{name}:/x/planted"),
                  ("start", "-a", name)):
        done = host.call(*words)
        expect(done.returncode != 0 and "symbolic link" in done.stderr, done)
        equal(target.read_text(), "mine\n")
    equal(sorted(os.listdir(secret)), ["key"])
    clear_volumes(host)


@suite.test
def a_part_that_is_swapped_leads_nowhere(host):
    """A container changes a directory for a link while another is given it as its part of the volume."""
    secret = secret_place(host)
    rounds = ROUNDS * 2
    swap = (f"mkdir /e/part /e/spare; ln -s {secret} /e/bad; echo up; while :; do mv /e/part /e/spare2 && "
            "mv /e/bad /e/part; mv /e/part /e/bad && mv /e/spare2 /e/part; done 2>/dev/null")
    with container(host, "-v", "evil:/e", command=("sh", "-c", swap)):
        until(lambda: (data_of(host, "evil") / "spare").exists(), "the swapping begins")
        for _ in range(rounds):
            done = host.call("run", "--rm", "--mount", "source=evil,target=/x,volume-subpath=part",
                             "busybox", "cat", "/x/key")
            expect(SECRET not in done.stdout, done)
    clear_volumes(host)


@suite.test
def hostile_names_are_no_paths(host):
    for name in ("../x", "..", "a/b", "/etc", ".new-x", "a b", "-x", "a\nb", "a" * 256, "\x1b[31m"):
        done = host.call("volume", "create", "--name", name)
        equal(done.returncode, 125, f"{name!r}: {done}")
        expect("\x1b" not in done.stderr, "nothing of it steers a terminal")
        done = host.call("run", "--rm", "--mount", f'"source={name}",target=/x', "busybox", "true")
        equal(done.returncode, 125, f"{name!r}: {done}")
        for command in ("rm", "inspect", "export", "import"):
            expect(host.call("volume", command, "--", name).returncode != 0, f"{command} {name!r}")
    equal(volumes_of(host), [])


@suite.test
def the_hosts_policy_judges_binds_by_a_volume(host):
    place = host.directory / "policy"
    place.mkdir()
    policy = place / "policy.json"
    policy.write_text(json.dumps({"forbid": ["host-mounts"], "hostMounts": [str(place)],
                                  "audit": str(place / "log")}))
    policy.chmod(0o644)
    hidden = host.directory / "hidden"
    hidden.mkdir()
    had = os.path.isdir("/etc/bulkhead")
    for name, device in (("bad", hidden), ("good", place)):
        host.good("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={device}", name)

    def call(*words):
        script = ('mkdir -p /etc/bulkhead && mount -t tmpfs none /etc/bulkhead && chmod 755 /etc/bulkhead '
                  f'&& cp -p {policy} /etc/bulkhead/policy.json && exec "$@"')
        return subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
                               *host.command(*words)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)
    try:
        done = call("run", "--rm", "-v", "bad:/x", "busybox", "true")
        expect(done.returncode == 125 and "host-mounts" in done.stderr and str(hidden) in done.stderr, done)
        equal(host.call("run", "--rm", "-v", "bad:/x", "busybox", "true").returncode, 0, "without the policy")
        for flags in (("-v", "good:/x"), ("-v", "data:/x"), ("-v", "/x"),
                      ("--mount", "source=data,target=/x")):
            done = call("run", "--rm", *flags, "busybox", "true")
            equal(done.returncode, 0, f"{flags}: {done.stderr}")
        # A volume's directory by its path is a directory of the host's.
        done = call("run", "--rm", "-v", f"{data_of(host, 'data')}:/x", "busybox", "true")
        expect(done.returncode == 125 and "host-mounts" in done.stderr, done)
        done = call("policy", "check", "run", "-v", "bad:/x", "-v", "data:/y", "busybox")
        expect(done.returncode == 1 and done.stdout.count("host-mounts") == 1, done)
        # A stopped container starts under the policy, too.
        host.good("create", "--name", "later", "-v", "data:/x", "busybox", "true")
        equal(call("start", "-a", "later").returncode, 0)
        lines = [json.loads(line) for line in (place / "log").read_text().splitlines()]
        expect(any('the volume "bad"' in text for line in lines for text in line.get("weakened", [])), lines)
    finally:
        if not had:
            os.rmdir("/etc/bulkhead")
    clear_volumes(host)


def kill_within(words, longest):
    """Starts a command, and kills it at a random moment."""
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    deadline = time.perf_counter() + random.uniform(0, longest)
    while time.perf_counter() < deadline and process.poll() is None:
        pass
    process.kill()
    process.wait()


@suite.test
def killed_at_any_moment_nothing_half_is_taken_for_whole(host):
    many = 200

    def prepare(root):
        (root / "data").mkdir()
        for number in range(many):
            (root / f"data/{number}").write_text("x" * 5000)
    image = make_image(host, "many:1", ["VOLUME /data"], prepare)
    begin = time.monotonic()
    host.good("run", "--rm", image, "true")
    longest = (time.monotonic() - begin) * 1.2
    for number in range(ROUNDS):
        if number % 3 == 0:
            kill_within(host.command("volume", "create", "kept", "-l", "whole=yes"), longest / 4)
        elif number % 3 == 1:
            kill_within(host.command("run", "--rm", "-v", "kept:/data", image, "true"), longest)
        else:
            kill_within(host.command("volume", "rm", "kept"), longest / 4)
        until(lambda: not list(processes_of(str(host.store))), "all commands ended")
        host.clear_dead()
        # Whatever is there is whole: no part of the image's files is taken for all of them.
        listed = host.good("run", "--rm", "-v", "kept:/data", image, "sh", "-c",
                           "ls /data | wc -l; cat /data/* | wc -c")
        equal(listed.split(), [str(many), str(many * 5000)], f"round {number}")
    host.remove_all()
    # Anonymous ones of a command that was killed are left for a prune, as their container was.
    clear_volumes(host)
    equal(os.listdir(host.store / "containers"), [])
    for mount in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        expect(str(host.store) not in mount, mount)


@suite.test
def many_processes_want_the_same_names(host):
    image = make_image(host, "few:1", ["VOLUME /data"],
                       lambda root: (root / "data").mkdir() or (root / "data/seed").write_text("seed"))
    script = """
import random, subprocess, sys
random.seed(sys.argv[1]); command = sys.argv[2].split('\\n'); bad = []
def call(*words):
    done = subprocess.run([*command, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr
for _ in range(int(sys.argv[3])):
    name = random.choice(['one', 'two', 'three'])
    kind = random.choice(['create', 'run', 'run', 'rm', 'prune', 'ls'])
    if kind == 'create': code, out, said = call('volume', 'create', name); fine = code == 0
    elif kind == 'run':
        code, out, said = call('run', '--rm', '-v', name + ':/data', 'few:1', 'cat', '/data/seed')
        fine = code == 0 and out == 'seed'
    elif kind == 'rm':
        code, out, said = call('volume', 'rm', name)
        fine = code == 0 or any(w in said for w in ('in use', 'no volume', 'being read or filled'))
    elif kind == 'prune': code, out, said = call('volume', 'prune', '-f', '-a'); fine = code == 0
    else: code, out, said = call('volume', 'ls'); fine = code == 0
    if not fine: bad.append((kind, name, code, out, said))
print(bad); sys.exit(bool(bad))
"""
    processes = [subprocess.Popen([sys.executable, "-c", script, f"{random.random()}",
                                   "\n".join(host.command()), "60" if FULL else "8"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
                 for _ in range(10)]
    for process in processes:
        said, _ = process.communicate(timeout=300)
        equal(process.returncode, 0, said)
    expect(re.fullmatch("((one|two|three) ?)*", " ".join(volumes_of(host))), volumes_of(host))
    equal(image, "few:1")
    clear_volumes(host)


if __name__ == "__main__":
    sys.exit(run_suite(suite))
