#!/usr/bin/env python3
"""`bulkhead events`: what it tells, in Docker's words, and that nothing is lost."""

import json
import re
import subprocess
import sys
import tarfile
import time

from life_support import container, popen, run_suite, until
from support.harness import Skip, Suite, equal, expect

suite = Suite("events")
LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)) (\w+) (.*) (\S+) \((.*)\)")


def told(host, since, *flags):
    """All that has happened since, as objects."""
    text = host.good("events", "--since", since, "--until", "0s", "--format", "json", *flags)
    return [json.loads(line) for line in text.splitlines()]


def actions(host, since, *flags):
    return [event["Action"] for event in told(host, since, *flags)]


def now():
    return f"{time.time():.9f}"


def imported(host, name):
    """An image that the store has by a name."""
    archive = host.directory / "root.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo("file"))
    host.good("import", archive, name)


@suite.test
def a_life_has_dockers_events(host):
    since = now()
    identity = host.start("--name", "web", "--label", "tier=front")
    host.good("pause", "web")
    host.good("unpause", "web")
    host.good("rename", "web", "front")
    host.good("update", "--memory", "64m", "front")
    host.good("exec", "front", "sh", "-c", "exit 0")
    host.good("kill", "--signal", "CONT", "front")
    host.good("restart", "--time", "0", "front")
    host.good("stop", "--time", "0", "front")
    host.good("rm", "front")
    events = told(host, since, "--filter", "type=container")
    equal([event["Action"] for event in events],
          ["create", "start", "pause", "unpause", "rename", "update",
           "exec_create: sh -c exit 0", "exec_start: sh -c exit 0", "exec_die", "kill",
           "kill", "kill", "die", "stop", "start", "restart", "kill", "kill", "die", "stop", "destroy"])
    equal({event["Actor"]["ID"] for event in events}, {identity})
    by_action = {event["Action"]: event["Actor"]["Attributes"] for event in events}
    equal((by_action["create"]["name"], by_action["create"]["image"], by_action["create"]["tier"]),
          ("web", "busybox", "front"))
    equal((by_action["rename"]["name"], by_action["rename"]["oldName"]), ("front", "/web"))
    equal(by_action["die"]["exitCode"], "137")
    equal(by_action["kill"]["signal"], "9")
    equal(by_action["exec_die"]["exitCode"], "0")
    expect(re.fullmatch("[0-9a-f]{64}", by_action["exec_die"]["execID"]), by_action["exec_die"])
    for event in events:
        equal(event["timeNano"] // 10**9, event["time"])
        equal((event["status"], event["id"], event["from"], event["scope"]),
              (event["Action"], identity, "busybox", "local"))


@suite.test
def what_runs_in_the_foreground_has_them_too(host):
    since = now()
    equal(host.call("run", "--rm", "--name", "once", "busybox", "sh", "-c", "exit 7").returncode, 7)
    equal(actions(host, since), ["create", "start", "die", "destroy"])
    equal(told(host, since)[2]["Actor"]["Attributes"],
          {"exitCode": "7", "image": "busybox", "name": "once"})
    since = now()
    equal(host.call("run", "-d", "busybox", "no-such").returncode, 127)
    equal(actions(host, since), ["create", "destroy"])
    since = now()
    identity = host.start("--rm", command=("sh", "-c", "exit 3"))
    until(lambda: actions(host, since)[-1:] == ["destroy"], "it goes by itself")
    equal(actions(host, since, "--filter", f"container={identity[:12]}"),
          ["create", "start", "die", "destroy"])


@suite.test
def lines_are_dockers(host):
    since = now()
    with container(host, "--name", "line") as identity:
        lines = host.good("events", "--since", since, "--until", "0s").splitlines()
    equal(len(lines), 2)
    match = LINE.fullmatch(lines[1])
    expect(match, lines[1])
    equal(match.groups()[1:], ("container", "start", identity, "image=busybox, name=line"))


@suite.test
def it_streams_what_happens_until_nobody_reads(host):
    stream = popen(host, "events", "--since", now(), "--filter", "container=streamed", "--format",
                   "{{.Action}} {{.Actor.Attributes.name}}")
    try:
        host.start("--name", "streamed")
        host.good("rm", "--force", "streamed")
        seen = []
        deadline = time.monotonic() + 60
        while not seen or seen[-1] != "destroy streamed":
            expect(time.monotonic() < deadline, seen)
            line = stream.stdout.readline().strip()
            if line:
                seen.append(line)
            else:
                expect(stream.poll() is None, stream.stderr.read())
        equal(seen, [f"{action} streamed" for action in ("create", "start", "die", "destroy")])
        stream.stdout.close()
        equal(stream.wait(timeout=30), 0, "it ends with who reads it")
    finally:
        stream.kill()
        stream.wait()
        stream.stderr.close()


@suite.test
def until_ends_it(host):
    began = time.monotonic()
    equal(host.good("events", "--until", "0s", "--filter", "event=no-such"), "")
    done = host.call("events", "--since", "0s", "--until", f"{time.time() + 1:.3f}", timeout=60)
    equal((done.returncode, done.stdout), (0, ""))
    expect(time.monotonic() - began >= 1, "it waited until then")


@suite.test
def filters_choose(host):
    since = now()
    with container(host, "--name", "one", "--label", "tier=front"), \
            container(host, "--name", "two", "--label", "tier=back"):
        imported(host, "mine:1")
        host.good("rmi", "mine:1")
        for flags, expected in (
                (("container=one",), ["create one", "start one"]),
                (("container=one", "container=two", "event=start"), ["start one", "start two"]),
                (("label=tier=back",), ["create two", "start two"]),
                (("label=tier", "event=create"), ["create one", "create two"]),
                (("image=busybox", "event=create"), ["create one", "create two"]),
                (("type=image", "event=import"), [f"import {host.directory}/root.tar"]),
                (("type=volume",), [])):
            words = [word for each in flags for word in ("--filter", each)]
            text = host.good("events", "--since", since, "--until", "0s", "--format",
                             "{{.Action}} {{.Actor.Attributes.name}}", *words)
            equal(text.splitlines(), expected, flags)
    for wrong in ("no=such", "container", "type=planet"):
        host.refused("events", "--filter", wrong, code=125, words=["--filter"])
    host.refused("events", "--format", "{{", code=125)
    host.refused("events", "--since", "yesterday", code=125, words=["--since"])


@suite.test
def images_have_theirs(host):
    since = now()
    archive = host.directory / "saved.tar"
    imported(host, "first:1")
    host.good("tag", "first:1", "saved:1")
    host.good("save", "--output", archive, "saved:1")
    host.good("rmi", "saved:1")
    host.good("rmi", "first:1")
    host.good("load", "--input", archive)
    host.good("rmi", "saved:1")
    found = [(event["Action"], event["Actor"]["Attributes"]["name"])
             for event in told(host, since, "--filter", "type=image")]
    equal([action for action, _ in found], ["import", "tag", "save", "untag", "untag", "delete",
                                            "load", "untag", "delete"])
    equal((found[1][1], found[6][1]), ("saved:1", "saved:1"))
    expect(all(event["Actor"]["ID"].startswith("sha256:")
               for event in told(host, since, "--filter", "type=image")), found)


HUNGRY = "dd if=/dev/zero of=/dev/null bs=256M count=1"
LITTLE = ("--memory", "32m", "--memory-swap", "32m")


@suite.test
def a_child_that_was_killed_for_memory_is_told_of_while_it_lives_on(host):
    since = now()
    identity = host.start("--name", "hungry", *LITTLE,
                          command=("sh", "-c", f"{HUNGRY}; echo survived $?; exec sleep 100000"))
    until(lambda: "oom" in actions(host, since), "the kernel tells of it")
    equal(host.status("hungry"), "running")
    until(lambda: host.good("logs", "hungry") == "survived 137", "it was the child")
    event = told(host, since, "--filter", "event=oom")[0]
    equal(event["id"], identity)
    attributes = event["Actor"]["Attributes"]
    # Where the kernel's log can be read, it names who it was.
    if "process" in attributes:
        expect(attributes["process"] in ("dd", "sh", "busybox"), attributes)
        expect(identity in attributes["cgroup"] and int(attributes["pid"]) > 0, attributes)
    host.good("stop", "--time", "0", "hungry")
    equal(host.told("hungry", "{{.State.OOMKilled}} {{.State.OOMKills}}"), "true 1")
    equal(actions(host, since, "--filter", "container=hungry").count("oom"), 1, "told once")
    host.good("rm", "hungry")


@suite.test
def an_end_for_want_of_memory_is_told_before_the_death(host):
    for flags in (("--rm",), ("--rm", "--result", host.directory / "result"), ("--detach",)):
        since = now()
        host.call("run", *LITTLE, *flags, "busybox", "sh", "-c", f"exec {HUNGRY}")
        until(lambda: "die" in actions(host, since), "it ends")
        equal([action for action in actions(host, since) if action in ("oom", "die")],
              ["oom", "die"], flags)
    told_so = json.loads((host.directory / "result").read_text())
    equal((told_so["oomKilled"], told_so["oomKills"], told_so["exitCode"]), (True, 1, 137))
    # Also of a child alone, which changes nothing of how the container ends.
    since = now()
    equal(host.run(*LITTLE, "busybox", "sh", "-c", f"{HUNGRY}; exit 0").returncode, 0)
    equal(actions(host, since), ["create", "start", "oom", "die", "destroy"])


@suite.test
def many_at_once_lose_none(host):
    since = now()
    runs = [popen(host, "run", "--rm", "busybox", "true") for _ in range(8)]
    for run in runs:
        run.communicate(timeout=120)
        equal(run.returncode, 0)
    events = told(host, since)
    equal(len(events), 8 * 4)
    for identity in {event["id"] for event in events}:
        equal([event["Action"] for event in events if event["id"] == identity],
              ["create", "start", "die", "destroy"])


@suite.test
def a_start_writes_each_event_once_and_syncs_nothing(host):
    trace = host.directory / "trace"
    try:
        done = subprocess.run(
            ["strace", "-f", "-y", "-e", "trace=write,fsync,fdatasync,sync,syncfs", "-o", trace,
             *host.command("run", "--rm", "busybox", "true")],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    except FileNotFoundError:
        raise Skip("strace is not installed") from None
    equal(done.returncode, 0, done.stderr)
    calls = trace.read_text(errors="replace").splitlines()
    journal = [call for call in calls if "/events/log" in call]
    equal(len([call for call in journal if "write(" in call]), 4, journal)
    expect(not [call for call in journal if "sync" in call], journal)


if __name__ == "__main__":
    sys.exit(run_suite(suite))
