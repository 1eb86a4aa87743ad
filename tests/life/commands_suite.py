#!/usr/bin/env python3
"""The commands on containers: what they do, print and return, as Docker's users expect it."""

import json
import os
import pathlib
import sys

from life_support import ENGINE_FAILURE, container, nothing_left, popen, run_suite, until
from support.harness import Suite, equal, expect

suite = Suite("life")


@suite.test
def run_detached_prints_the_id_and_lives_on(host):
    with container(host, "--name", "web") as identity:
        equal(host.status("web"), "running")
        pid = int(host.told("web", "{{.State.Pid}}"))
        expect(os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid"), "its pid")
        told = host.inspected(identity[:12])
        equal((told["Id"], told["Name"], told["Path"], told["Args"], told["State"]["Running"],
               told["Config"]["Cmd"], told["Config"]["Image"], told["HostConfig"]["AutoRemove"]),
              (identity, "/web", "sleep", ["100000"], True, ["sleep", "100000"], "busybox", False))
        observed = told["Bulkhead"]["Observed"]
        equal((observed["Seccomp"], observed["NoNewPrivileges"], observed["Namespaces"]["user"]),
              ("filter", True, "its own"))
    host.refused("inspect", "web", words=["web"])
    nothing_left(host, identity)


@suite.test
def a_program_that_cannot_be_started_leaves_nothing(host):
    for command, code in ((("no-such",), 127), (("/etc",), 126)):
        done = host.call("run", "-d", "--name", "broken", "busybox", *command)
        equal((done.returncode, done.stdout), (code, ""), f"{command}: {done.stderr}")
        expect(command[0] in done.stderr, done.stderr)
        equal(host.containers(), [])
    equal(host.call("run", "-d", "--memory", "x", "busybox", "true").returncode, ENGINE_FAILURE)
    equal(host.call("run", "-d", "--restart", "often", "busybox").returncode, ENGINE_FAILURE)
    equal(host.call("run", "-d", "--rm", "--restart", "always", "busybox").returncode,
          ENGINE_FAILURE)
    equal(host.call("run", "--restart", "always", "busybox", "true").returncode, ENGINE_FAILURE,
          "--restart in the foreground")
    equal(host.call("run", "-d", "--log-driver", "fluentd", "busybox").returncode, ENGINE_FAILURE)
    equal(host.containers(), [])


@suite.test
def ps_has_dockers_columns(host):
    lines = host.good("ps").splitlines()
    equal(lines[0].split(), "CONTAINER ID IMAGE COMMAND CREATED STATUS PORTS NAMES".split())
    equal(len(lines), 1)
    with container(host, "--name", "one") as one, container(host, "--name", "two") as two:
        host.good("pause", "two")
        host.good("create", "--name", "three", "busybox", "sh", "-c", "echo long; exit 3")
        rows = {line.split()[-1]: line for line in host.good("ps", "-a").splitlines()[1:]}
        expect('"sleep 100000"' in rows["one"] and "Up " in rows["one"], rows)
        expect("(Paused)" in rows["two"] and one[:12] in rows["one"], rows)
        expect("Created" in rows["three"] and "\"sh -c 'echo long; e…\"" in rows["three"], rows)
        equal(list(rows), ["three", "two", "one"], "the youngest first")
        equal(host.good("ps", "-q").split(), [two[:12], one[:12]])
        equal(host.good("ps", "-q", "-l", "--no-trunc"),
              host.told("three", "{{.Id}}"))
        equal(len(host.good("ps", "-q", "-n", "2").split()), 2)
        equal(host.call("start", "-a", "three").returncode, 3)
        listing = host.good("ps", "-a", "--filter", "exited=3", "--format", "{{.Names}} {{.Status}}")
        expect(listing.startswith("three Exited (3) "), listing)
        for words, expected in ((("status=paused",), "two"), (("name=on",), "one"),
                                ((f"id={one[:8]}",), "one"), (("ancestor=busybox", "name=two"), "two"),
                                (("status=exited", "status=paused"), "three two")):
            filters = [part for word in words for part in ("--filter", word)]
            equal(" ".join(host.good("ps", *filters, "--format", "{{.Names}}").split()), expected,
                  words)
        table = host.good("ps", "--format", "table {{.Names}}\\t{{.State}}").splitlines()
        equal(table[0].split(), ["NAMES", "STATE"])
        host.refused("ps", "--filter", "color=red", code=ENGINE_FAILURE, words=["color"])
        host.refused("ps", "--format", "{{.Nothing}}", code=ENGINE_FAILURE, words=["Nothing"])
    host.good("rm", "three")


@suite.test
def stop_sends_the_stop_signal_and_then_kills(host):
    obeying = "trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.05; done"
    with container(host, command=("sh", "-c", obeying)) as identity:
        until(lambda: "up" in host.good("logs", identity), "its trap is set")
        equal(host.good("stop", identity), identity)
        told = host.inspected(identity)["State"]
        equal((told["Status"], told["ExitCode"], told["Running"], told["Pid"]),
              ("exited", 4, False, 0))
        equal(host.good("logs", identity), "up\nbye")
        equal(host.good("stop", identity), identity, "of one that does not run")
    with container(host, "--stop-signal", "USR1",
                   command=("sh", "-c", obeying.replace("TERM", "USR1"))) as identity:
        until(lambda: "up" in host.good("logs", identity), "its trap is set")
        host.good("stop", identity)
        equal(host.told(identity, "{{.State.ExitCode}}"), "4", "by --stop-signal")
    with container(host, "--stop-timeout", "0") as identity:
        host.good("stop", identity)
        equal(host.told(identity, "{{.State.ExitCode}}"), "137", "SIGKILL after --stop-timeout")
    with container(host) as identity:
        host.good("pause", identity)
        host.good("stop", "--time", "0", identity)
        equal(host.status(identity), "exited", "of a paused one")
    host.refused("stop", "nobody", words=["nobody"])


@suite.test
def kill_sends_any_signal(host):
    script = "trap 'echo got' USR2; echo up; while :; do sleep 0.05; done"
    with container(host, command=("sh", "-c", script)) as identity:
        until(lambda: "up" in host.good("logs", identity), "its trap is set")
        host.good("kill", "--signal", "USR2", identity)
        until(lambda: "got" in host.good("logs", identity), "the signal")
        equal(host.status(identity), "running")
        host.good("kill", identity)
        equal(host.told(identity, "{{.State.Status}} {{.State.ExitCode}}"), "exited 137")
        host.refused("kill", identity, words=["not running"])
        host.refused("kill", "-s", "NONSENSE", identity, code=ENGINE_FAILURE, words=["NONSENSE"])


@suite.test
def create_start_and_restart_keep_what_was_written(host):
    script = "cat /kept 2>/dev/null; echo $(hostname) >> /kept; " + "sleep 100000"
    identity = host.good("create", "--name", "kept", "busybox", "sh", "-c", script)
    equal(host.status("kept"), "created")
    equal(host.good("start", "kept"), "kept")
    until(lambda: host.call("exec", "kept", "test", "-s", "/kept").returncode == 0, "the file")
    equal(host.good("start", "kept"), "kept", "of one that runs")
    host.good("restart", "--time", "0", "kept")
    until(lambda: identity[:12] in host.good("logs", "kept"), "what the first life wrote")
    equal(host.status("kept"), "running")
    host.refused("rm", "kept", words=["running", "--force"])
    host.good("rm", "--force", "kept")
    nothing_left(host, identity)


@suite.test
def a_container_of_the_foreground_can_be_started_again(host):
    equal(host.call("run", "--name", "again", "busybox", "sh", "-c", "echo x >> /n; wc -l < /n")
          .stdout.strip(), "1")
    equal(host.told("again", "{{.State.Status}} {{.State.ExitCode}}"), "exited 0")
    equal(host.good("start", "--attach", "again"), "2")
    host.good("rm", "again")


@suite.test
def attached_start_passes_streams_and_the_exit_code(host):
    host.good("create", "--interactive", "--name", "cat", "busybox", "sh", "-c",
              "cat; echo wrong >&2; exit 6")
    done = host.call("start", "-a", "-i", "cat", stdin=None, input="first\nlast")
    equal((done.returncode, done.stdout, done.stderr), (6, "first\nlast", "wrong\n"))
    equal(host.call("logs", "cat").stdout, "first\nlast", "the log")
    text = "".join(f"{number:06} {'x' * 90}\n" for number in range(30000))
    done = host.call("start", "-ai", "cat", stdin=None, input=text)
    expect(done.stdout == text, f"{len(done.stdout)} of {len(text)} bytes came back")
    host.good("rm", "cat")


@suite.test
def attach_passes_signals_on_and_can_be_left(host):
    script = "trap 'echo got; exit 9' INT; echo up; while :; do sleep 0.05; done"
    with container(host, command=("sh", "-c", script)) as identity:
        until(lambda: "up" in host.good("logs", identity), "its trap is set")
        attached = popen(host, "attach", "--sig-proxy=false", identity)
        until(lambda: stands(attached), "the attach stands")
        attached.terminate()
        attached.communicate(timeout=30)
        equal(host.status(identity), "running", "after an attach that was ended")
        attached = popen(host, "attach", identity)
        # A signal before it stands would end the attach alone.
        until(lambda: stands(attached), "the attach stands")
        attached.send_signal(2)
        out, err = attached.communicate(timeout=30)
        equal((attached.returncode, "got" in out), (9, True), err)
    host.refused("attach", "nobody", words=["nobody"])


def stands(attached):
    """It takes signals for the container."""
    directory = pathlib.Path(f"/proc/{attached.pid}/fd")
    return any("signalfd" in os.readlink(directory / fd) for fd in os.listdir(directory))


@suite.test
def wait_tells_exit_codes(host):
    with container(host, "--name", "five", command=("sh", "-c", "sleep 0.3; exit 5")):
        equal(host.good("wait", "five"), "5")
        equal(host.good("wait", "five"), "5", "of one that has ended")
        host.good("rm", "five")
    identity = host.start("--rm")
    waiting = popen(host, "wait", identity)
    # It sits in recvfrom(2) of the monitor's socket.
    until(lambda: pathlib.Path(f"/proc/{waiting.pid}/syscall").read_text().startswith("45 "),
          "it waits")
    host.good("kill", identity)
    equal(waiting.communicate(timeout=30)[0].strip(), "137")
    nothing_left(host, identity)


@suite.test
def removal_at_the_end_takes_all(host):
    for command in (("sh", "-c", "exit 3"), ("true",)):
        identity = host.start("--rm", command=command)
        host.call("wait", identity)
        nothing_left(host, identity)
    with container(host, "--rm") as identity:
        host.refused("restart", identity, words=["goes when it stops"])


@suite.test
def exec_joins_under_the_containers_own_limits(host):
    with container(host, "--name", "target", "--pids-limit", "40", "--env", "A=1",
                   "--workdir", "/tmp") as identity:
        equal(host.good("exec", "target", "sh", "-c", "echo $A; pwd; id -u"), "1\n/tmp\n0")
        equal(host.call("exec", "target", "sh", "-c", "exit 7").returncode, 7)
        equal(host.call("exec", "target", "no-such").returncode, 127)
        equal(host.call("exec", "target", "/etc").returncode, 126)
        equal(host.good("exec", "-e", "B=2", "-w", "/etc", "-u", "daemon", "target", "sh", "-c",
                        "echo $B $(pwd) $(id -u):$(id -g)"), "2 /etc 1:1")
        equal(host.good("exec", "-i", "target", "cat", stdin=None, input="in"), "in")
        equal(host.good("exec", "target", "cat"), "", "without -i")
        host.good("exec", "-d", "target", "sh", "-c", "echo done > /made")
        until(lambda: host.call("exec", "target", "test", "-s", "/made").returncode == 0, "/made")
        host.refused("exec", "--privileged", "target", "true", code=126,
                     words=["privileged"])
        equal(host.call("exec", "-u", "nobody-there", "target", "true").returncode, 126)
        own, init = (host.good("exec", "target", "grep", "-E", "^(Cap|Seccomp:|NoNew)",
                               f"/proc/{pid}/status").splitlines() for pid in ("self", "1"))
        equal(own, init, "what it holds")
        group = pathlib.Path(f"/sys/fs/cgroup/pids/bulkhead/{identity}/pids.max")
        if group.exists():
            equal(group.read_text().strip(), "40")
        host.good("pause", "target")
        host.refused("exec", "target", "true", words=["paused"])
        host.good("unpause", "target")
        host.refused("pause", "target-that-is-not", words=["target-that-is-not"])
        host.refused("unpause", "target", words=["not paused"])
    host.refused("exec", "target", "true", words=["target"])


@suite.test
def a_hostile_passwd_of_a_container_names_no_user_of_ours(host):
    with container(host, "--name", "bad") as _:
        host.good("exec", "bad", "sh", "-c",
                  "rm /etc/passwd; ln -s /proc/1/root/../../../etc/shadow /etc/passwd")
        done = host.call("exec", "-u", "daemon", "bad", "id")
        equal(done.returncode, 126, f"a link out: {done}")
        host.good("exec", "bad", "sh", "-c", "rm /etc/passwd; mkfifo /etc/passwd")
        done = host.call("exec", "-u", "daemon", "bad", "id", timeout=20)
        equal(done.returncode, 126, f"a pipe: {done}")
        expect("regular file" in done.stderr, done.stderr)


@suite.test
def names_are_generated_renamed_and_given_back(host):
    identity = host.start()
    name = host.told(identity, "{{.Name}}").lstrip("/")
    expect(name.count("_") == 1 and name.replace("_", "").isalnum(), name)
    equal(host.good("rename", name, "chosen"), "")
    equal(host.told("chosen", "{{.Id}}"), identity)
    host.refused("inspect", name, words=[name])
    other = host.start("--name", "other")
    host.refused("rename", "chosen", "other", words=["other"])
    equal(host.told("chosen", "{{.Id}}"), identity)
    host.good("rm", "-f", "chosen", "other")
    nothing_left(host, identity)
    nothing_left(host, other)


@suite.test
def update_changes_limits_at_once_and_for_later(host):
    with container(host, "--name", "small", "--memory", "64m", "--pids-limit", "30") as identity:
        host.good("update", "--memory", "80m", "--memory-swap", "-1", "--pids-limit", "20",
                  "--cpus", "0.5", "--restart", "on-failure:2", "small")
        told = host.inspected("small")["HostConfig"]
        equal((told["Memory"], told["PidsLimit"], told["NanoCpus"], told["RestartPolicy"]),
              (80 << 20, 20, 500_000_000, {"Name": "on-failure", "MaximumRetryCount": 2}))
        group = pathlib.Path(f"/sys/fs/cgroup/pids/bulkhead/{identity}/pids.max")
        for _ in range(2):
            if group.exists():
                equal(group.read_text().strip(), "20")
            host.good("restart", "-t", "0", "small")
        host.refused("update", "--cpus", "nonsense", "small", code=ENGINE_FAILURE, words=["cpus"])


@suite.test
def top_and_stats_tell_what_runs(host):
    with container(host, "--name", "busy", command=("sh", "-c", "sleep 100001 & wait")) as identity:
        until(lambda: "sleep 100001" in host.good("top", "busy"), "both processes")
        lines = host.good("top", "busy").splitlines()
        equal(lines[0].split(), ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"])
        equal(len(lines), 3)
        equal(lines[1].split()[1], host.told("busy", "{{.State.Pid}}"))
        row = json.loads(host.good("stats", "--no-stream", "--format", "json", "busy"))
        equal((row["ID"], row["Name"], row["PIDs"]), (identity[:12], "busy", "2"))
        expect("iB / " in row["MemUsage"] and row["CPUPerc"].endswith("%"), row)
        table = host.good("stats", "--no-stream").splitlines()
        expect(table[0].startswith("CONTAINER ID   NAME") and len(table) == 2, table)
    host.refused("top", "busy", words=["busy"])


@suite.test
def prune_removes_what_does_not_run(host):
    with container(host, "--name", "stays"):
        host.start("--name", "ended", command=("true",))
        host.good("wait", "ended")
        created = host.good("create", "busybox", "true")
        done = host.good("container", "prune", "--force").splitlines()
        equal((done[0], len(done), done[3]), ("Deleted Containers:", 5, ""))
        expect(done[4].startswith("Total reclaimed space: "), done)
        expect(created in done, done)
        equal([c["name"] for c in host.containers()], ["stays"])
        equal(host.good("container", "ls", "-q"), host.good("ps", "-q"))


@suite.test
def templates_reach_everything(host):
    with container(host, "--name", "tpl", "-v", "/srv:/data:ro") as identity:
        for template, expected in (
                ("{{.Id}}", identity), ("{{json .Args}}", '["100000"]'),
                ("{{range .Mounts}}{{.Source}}:{{.Destination}};{{end}}", "/srv:/data;"),
                ("{{index .Args 0}} {{len .Args}}", "100000 1"),
                ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
                ("{{with .State}}{{.Status | upper}}{{end}}", "RUNNING"),
                ('{{join .Config.Cmd "+"}}', "sleep+100000"),
                ("{{(index .Mounts 0).RW}}", "false"),
                ('{{printf "%-6s|" .Path}}', "sleep |"), ("{{.Args}}", "[100000]")):
            equal(host.told("tpl", template), expected, template)
        for template in ("{{.NoSuch}}", "{{", "{{if}}", "{{range .Args}}", "{{nothing .}}"):
            host.refused("inspect", "-f", template, "tpl", code=ENGINE_FAILURE, words=["--format"])


if __name__ == "__main__":
    sys.exit(run_suite(suite))
