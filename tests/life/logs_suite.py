#!/usr/bin/env python3
"""Logs: compression, what is added to each entry, the journal, floods, limits, and a killed monitor."""

import gzip
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from life_support import container, nothing_left, own_memory, popen, run_suite, until
from support.harness import Skip, Suite, equal, expect

suite = Suite("logs")


def directory_of(host, identity):
    return host.store / "containers" / identity


def numbers(text):
    return [int(line) for line in text.split()]


@suite.test
def compressed_files_are_read_as_the_others(host):
    script = "i=0; while [ $i -lt 6000 ]; do i=$((i+1)); echo $i; done; read x"
    with container(host, "--name", "gz", "-i", "--log-opt", "max-size=64k", "--log-opt", "max-file=20",
                   "--log-opt", "compress=true", command=("sh", "-c", script)) as identity:
        place = directory_of(host, identity)
        until(lambda: host.good("logs", "--tail", "1", "gz") == "6000", "all is written", 60)
        until(lambda: not [path for path in place.glob("container.log.*") if path.suffix != ".gz"],
              "every file that was put aside is compressed", 60)
        files = sorted(place.glob("container.log.*.gz"))
        expect(len(files) >= 5, files)
        expect(not list(place.glob(".container.log.gz*")), "a half of one")
        first = gzip.decompress((place / f"container.log.{len(files)}.gz").read_bytes())
        equal(json.loads(first.splitlines()[0])["log"], "1\n", "gzip reads it")
        equal(numbers(host.good("logs", "gz")), list(range(1, 6001)))
        for tail in (1, 600, 700, 3000, 5999, 6000, 9000):
            equal(numbers(host.good("logs", "--tail", str(tail), "gz")),
                  list(range(1, 6001))[-tail:], f"--tail {tail}")
        monitor = host.monitor(identity)
        # It gives memory back once nothing has come for a moment.
        until(lambda: own_memory(monitor) <= 100, "the monitor is small again", 10)
        print(f"  monitor after compressions: {own_memory(monitor)} KiB of its own")
        host.good("stop", "-t", "0", "gz")
    nothing_left(host, identity)


@suite.test
def a_log_is_followed_through_compressions(host):
    script = "i=0; while [ $i -lt 8000 ]; do i=$((i+1)); echo $i; done"
    host.good("create", "--name", "fol", "--log-opt", "max-size=64k", "--log-opt", "max-file=50",
              "--log-opt", "compress=true", "busybox", "sh", "-c", script)
    try:
        host.good("start", "fol")
        following = popen(host, "logs", "--follow", "fol")
        out, _ = following.communicate(timeout=60)
        equal(numbers(out), list(range(1, 8001)))
    finally:
        host.call("rm", "--force", "fol")


@suite.test
def entries_say_what_was_asked_for(host):
    with container(host, "--name", "said", "--label", "team=a", "--label", "other=b", "--env", "WORD=w",
                   "--log-opt", "labels=team,missing", "--log-opt", "env=WORD", "--log-opt",
                   "tag={{.Name}}/{{.ImageName}}", command=("echo", "line")) as identity:
        host.good("wait", "said")
        entry = json.loads((directory_of(host, identity) / "container.log").read_text())
        equal(entry["attrs"], {"WORD": "w", "tag": "said/busybox", "team": "a"})
        equal(host.good("logs", "--details", "said"), "WORD=w,tag=said/busybox,team=a line")
        equal(host.good("logs", "said"), "line")
        config = host.inspected("said")["HostConfig"]["LogConfig"]
        equal((config["Type"], config["Config"]["tag"], config["Config"]["labels"]),
              ("json-file", "{{.Name}}/{{.ImageName}}", "team,missing"))
    for option in ("tag={{.Nothing", "labels-regex=x", "compress=perhaps", "what=1", "labels="):
        host.refused("run", "-d", "--log-opt", option, "busybox", code=125, words=["--log-opt"])
    host.refused("run", "-d", "--log-opt", "compress=true", "--log-opt", "max-file=1", "busybox",
                 code=125, words=["compress"])
    host.refused("run", "-d", "--label", f"a={'x' * 3000}", "--log-opt", "labels=a", "busybox",
                 code=125, words=["2048"])


@suite.test
def a_flood_loses_no_line_and_stalls_nobody(host):
    lines = 3_000_000
    with container(host, "--name", "flood", "--log-opt", "max-size=-1", "--memory", "64m",
                   command=("seq", str(lines))), \
            container(host, "--name", "other", command=(
                "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done")):
        begun = len(host.good("logs", "other").split())
        equal(host.good("wait", "flood", timeout=200), "0")
        expect(len(host.good("logs", "other").split()) > begun, "the other one stood still")
        with subprocess.Popen(host.command("logs", "flood"), stdout=subprocess.PIPE) as reading:
            count = 0
            for count, line in enumerate(reading.stdout, 1):
                if int(line) != count:
                    raise AssertionError(f"line {count} is {line!r}")
        equal(count, lines)
        others = numbers(host.good("logs", "other"))
        equal(others, list(range(1, len(others) + 1)), "of the other one")


@suite.test
def output_has_a_limit_when_it_is_detached_too(host):
    with container(host, "--name", "most", "--output-limit", "100k", "--restart", "always",
                   command=("sh", "-c", "while :; do echo 0123456789abcde; done")):
        equal(host.good("wait", "most"), "137")
        told = host.inspected("most")["State"]
        equal((told["OutputLimited"], told["Status"], told["TimedOut"]), (True, "exited", False))
        size = len(host.call("logs", "most").stdout)
        equal(size, 100 * 1024, "what is within the limit is kept, and no more")
    with container(host, "--name", "within", "--output-limit", "100k", command=("echo", "little")):
        equal(host.good("wait", "within"), "0")
        equal(host.told("within", "{{.State.OutputLimited}}"), "false")


@suite.test
def a_container_whose_monitor_is_killed_gets_a_new_one(host):
    script = ("trap 'exit 3' TERM; i=0; "
              "while :; do i=$((i+1)); echo $i; [ $((i % 100)) = 0 ] && sleep 0.01; done")
    with container(host, "--name", "again", "--log-opt", "max-size=-1",
                   command=("sh", "-c", script)) as identity:
        until(lambda: host.good("logs", "--tail", "1", "again"), "some output")
        first = host.monitor(identity)
        os.kill(first, 9)
        until(lambda: not pathlib.Path(f"/proc/{first}").exists(), "its death")
        time.sleep(1)  # the pipe fills, and the container waits
        equal(host.status("again"), "running")
        second = host.monitor(identity)
        expect(second != first, "the same one")
        def last():
            return numbers(host.good("logs", "--tail", "1", "again"))[-1]
        seen = last()
        until(lambda: last() > seen + 20000, "it goes on", 60)
        logged = numbers(host.good("logs", "again"))
        gaps = [number for before, number in zip(logged, logged[1:]) if number != before + 1]
        # What the first one had read and not written yet is all that is lost.
        expect(len(gaps) <= 1, f"gaps: {gaps[:5]}")
        host.good("stop", "again")
        told = host.inspected("again")["State"]
        equal(told["Status"], "exited")
        expect(told["ExitCode"] in (3, 255), told)
        host.good("start", "again")
        equal(host.status("again"), "running")
    nothing_left(host, identity)


@suite.test
def a_new_monitor_takes_nothing_but_the_containers_own_pipes(host):
    # The container closes its streams and puts other files and pipes in their place.
    script = "exec 1>/tmp/a 2>/tmp/b; mkfifo /tmp/f; sleep 100000 | sleep 100000"
    with container(host, "--name", "trick", "--tmpfs", "/tmp", command=("sh", "-c", script)) as identity:
        until(lambda: host.call("exec", "trick", "test", "-p", "/tmp/f").returncode == 0, "the trick")
        first = host.monitor(identity)
        os.kill(first, 9)
        until(lambda: not pathlib.Path(f"/proc/{first}").exists(), "its death")
        equal(host.status("trick"), "running")
        opened = [os.readlink(path) for path in pathlib.Path(f"/proc/{host.monitor(identity)}/fd").iterdir()]
        expect(not [path for path in opened if "pipe:" in path or path.endswith(("/a", "/b", "/f"))], opened)
        host.good("rm", "--force", "trick")
    nothing_left(host, identity)


@suite.test
def a_restart_policy_survives_the_monitor(host):
    with container(host, "--name", "policy", "--restart", "always",
                   command=("sh", "-c", "echo up; sleep 100000")) as identity:
        until(lambda: host.good("logs", "policy") == "up", "it runs")
        first = host.monitor(identity)
        os.kill(first, 9)
        until(lambda: not pathlib.Path(f"/proc/{first}").exists(), "its death")
        equal(host.status("policy"), "running")
        second = host.monitor(identity)
        expect(second != first, "the new monitor")
        used = own_memory(second)
        print(f"  monitor that took over: {used} KiB of its own")
        expect(used <= 100, f"{used} KiB")
        host.good("kill", "-s", "INT", "policy")  # ignored: it is process 1 without a handler
        pid = host.told("policy", "{{.State.Pid}}")
        os.kill(int(pid), 9)
        until(lambda: host.told("policy", "{{.State.Status}} {{.RestartCount}}") == "running 1",
              "it is started again")
        until(lambda: host.good("logs", "policy").split() == ["up", "up"], "its output")


JOURNAL = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal /run/lock
"""


def in_journal_namespace(host, script, **more):
    """A shell in a mount namespace of its own with an empty /run, where a journal may be."""
    return subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", JOURNAL + script],
                          capture_output=True, text=True, timeout=120, check=False, **more)


@suite.test
def the_journal_is_written_to(host):
    journald = next((path for path in ("/lib/systemd/systemd-journald", "/usr/lib/systemd/systemd-journald")
                     if os.access(path, os.X_OK)), None)
    if journald is None or shutil.which("journalctl") is None:
        raise Skip("no systemd-journald")
    bulkhead = " ".join(host.command())
    # The journal lives in this namespace's /run; who reads it asks there, too.
    done = in_journal_namespace(host, f"""
{bulkhead} run -d --name early --log-driver journald busybox true 2>&1 && exit 90
{journald} >/run/journald.out 2>&1 &
journal=$!
trap 'kill $journal; wait $journal || true' EXIT
i=0; while [ ! -S /run/systemd/journal/socket ]; do i=$((i+1)); [ $i -lt 500 ] || exit 91; sleep 0.02; done
{bulkhead} run -d --name j --log-driver journald --label team=a --log-opt labels=team \
  --log-opt tag=T-{{{{.Name}}}} busybox sh -c \
  'echo out; echo err >&2; printf part; head -c 300000 /dev/zero | tr "\\\\0" x; echo; sleep 0.2' >/dev/null
{bulkhead} wait j
echo ---
journalctl --sync || true
{bulkhead} logs --details j > /run/logs.out 2> /run/logs.err || {{ cat /run/logs.err; exit 92; }}
head -n 1 /run/logs.out; cat /run/logs.err; wc -c < /run/logs.out
echo ---
journalctl -o json CONTAINER_NAME=j | head -n 1
{bulkhead} rm j
""")
    if done.returncode == 91:
        raise Skip("systemd-journald does not start here")
    equal(done.returncode, 0, f"{done.stdout[-600:]} {done.stderr[-600:]}")
    early, logs, entry = done.stdout.split("---\n")
    expect("journal" in early and "json-file" in early, early)
    lines = logs.splitlines()
    equal([lines[0].split()[-1], lines[1].split()[-1]], ["out", "err"])
    expect(int(lines[-1]) > 300000, lines[-1])
    told = json.loads(entry.splitlines()[0])
    equal((told["MESSAGE"], told["PRIORITY"], told["CONTAINER_NAME"], told["CONTAINER_TAG"],
           told["SYSLOG_IDENTIFIER"], told["IMAGE_NAME"], told["TEAM"]),
          ("out", "6", "j", "T-j", "T-j", "busybox", "a"))
    expect(re.fullmatch("[0-9a-f]{12}", told["CONTAINER_ID"]) and
           re.fullmatch("[0-9a-f]{64}", told["CONTAINER_ID_FULL"]), told)


@suite.test
def without_a_journal_it_is_not_started(host):
    done = in_journal_namespace(host, " ".join(host.command(
        "run", "-d", "--log-driver", "journald", "busybox", "true")))
    equal(done.returncode, 125, done.stderr)
    expect("journal" in done.stderr and "json-file" in done.stderr, done.stderr)
    equal(host.containers(), [])


if __name__ == "__main__":
    sys.exit(run_suite(suite))
