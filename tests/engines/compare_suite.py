#!/usr/bin/env python3
"""docker, podman and bulkhead are given the same command lines (commands.txt). Exit codes and outputs are
compared, and so are the options that each command of docker's has, and the fields of its `inspect`.

  compare_suite.py            where Bulkhead differs from Docker without a reason in command_differences.json,
                              and each reason that has no difference any more, fails
  compare_suite.py --write    writes the tables into docs/compatibility.md
  compare_suite.py --show     prints each difference
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

import engine_support
from docker_host import DOCKER, DockerHost
from engine_support import Skip, Suite, equal, expect
from podman_host import PodmanHost

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "life"))
from life_support import LifeHost  # noqa: E402
from support.bundles import Workshop  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs" / "compatibility.md"
BEGIN = "<!-- begin: tests/engines/compare_suite.py --write -->\n"
END = "<!-- end of the comparison of commands -->\n"
IMAGE = "example.org/team/box:1"
DIFFERENCES = json.loads((HERE / "command_differences.json").read_text(encoding="utf-8"))

WRITE, SHOW = "--write" in sys.argv, "--show" in sys.argv

ASK_PODMAN = WRITE or SHOW or os.environ.get("BULKHEAD_FULL") == "1"

suite = Suite("commands beside Docker's")


# --- what is asked ------------------------------------------------------------------------------------


def read_sections():
    """[(title, [(kind, line), ...]), ...]; kind is "" for a line that is compared."""
    sections = []
    for line in (HERE / "commands.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            sections.append((line[3:], []))
        elif line and not line.startswith("#"):
            kind = line[0] if line[:2] in ("! ", "? ") else ""
            sections[-1][1].append((kind, line[2:] if kind else line))
    return sections


SECTIONS = read_sections()

DURATION = (r"(?:Less than a second|About (?:a|an) (?:minute|hour)|"
            r"\d+ (?:second|minute|hour|day|week|month|year)s?)")
PATTERNS = [
    (r"\b[0-9a-f]{64}\b", "<id>"),
    (r"\b[0-9a-f]{12}\b", "<short id>"),
    (DURATION, "<time>"),
    (r"\b\d+(?:\.\d+)? ?[kMG]B\b", "<size>"),
    (r"(?<= = )[\d./]+ ms", "<time>"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(?:Z| ?[+-]\d{4}(?: [A-Z]+| [+-]\d\d)?|[+-]\d\d:\d\d)?",
     "<when>"),
    (r"(?<=<when>) UTC", ""),
    (r" +\n", "\n"),
]


def normal(words, text):
    """An output without what differs from run to run."""
    text = text.replace("\r\n", "\n")
    if words[0] == "top" and text:
        lines = text.splitlines()
        return " ".join(lines[0].split()) + f"\n({len(lines) - 1} processes)"
    if "-q" not in words and "0001-01-01" in text:
        text = text.replace("0001-01-01 00:00:00 +0000 UTC", "0001-01-01T00:00:00Z")
        text = text.replace("0001-01-01T00:00:00Z", "<never>")
    for pattern, replacement in PATTERNS:
        text = re.sub(pattern, replacement, text)
    # Docker tells labels in whatever order.
    text = re.sub(r"\b\w+=\w+(?:,\w+=\w+)+", lambda labels: ",".join(sorted(labels[0].split(","))), text)
    if "\n" in text.strip() or words[0] in ("ps", "images"):
        text = re.sub(r"  +", "  ", text)  # the widths of columns
    return text.rstrip("\n")


def answers_of(host):
    """What an engine answers to each line: {section and line number: (exit code, output)}."""
    answers = {}
    for title, lines in SECTIONS:
        begin = time.monotonic()
        clear(host)
        for number, (kind, line) in enumerate(lines):
            words = [IMAGE if word == "IMAGE" else word.replace("=IMAGE", "=" + IMAGE)
                     for word in shlex.split(line)]
            done = host.call(*words, stdin=subprocess.DEVNULL)
            if kind and done.returncode != 0:
                raise AssertionError(f"{host}: {line}: {done.stderr.strip()[-500:]}")
            if not kind:
                answers[title, number] = (done.returncode, normal(words, done.stdout))
        if SHOW:
            print(f"  {type(host).__name__}: {title}: {time.monotonic() - begin:.1f} s", flush=True)
    clear(host)
    return answers


def clear(host):
    if names := host.call("ps", "-aq").stdout.split():
        host.call("rm", "-f", *names)


# --- the engines ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def engines():
    """docker, podman and bulkhead, each with the same image by the same name."""
    with contextlib.ExitStack() as stack:
        docker = stack.enter_context(DockerHost(configuration="{}"))
        # Podman takes as long as the two others together, and is there for the page alone.
        podman = stack.enter_context(PodmanHost(runtime="runc")) if ASK_PODMAN else None
        bulkhead = LifeHost(stack.enter_context(Workshop()))
        stack.callback(bulkhead.remove_all)
        loaded = bulkhead.good("load", "--input", engine_support.image_file()).split(": ")[-1]
        bulkhead.good("tag", loaded, IMAGE)
        if not loaded.startswith("sha256:"):
            bulkhead.good("rmi", loaded)
        archive = bulkhead.directory / "image.tar"
        bulkhead.good("save", "--output", archive, IMAGE)
        for host in filter(None, (docker, podman)):
            host.run("load", "--input", archive)
            host.run("rmi", "-f", host.image)
        yield {name: host for name, host in (("docker", docker), ("podman", podman),
                                             ("bulkhead", bulkhead)) if host}


def ask(hosts):
    with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
        futures = {name: pool.submit(answers_of, host) for name, host in hosts.items()}
        return {name: future.result() for name, future in futures.items()}


# --- the options of the commands -----------------------------------------------------------------------

# Those of docker that Bulkhead has, too; what it has not at all is said by `bulkhead COMMAND`.
COMMANDS = ["run", "create", "start", "stop", "restart", "kill", "pause", "unpause", "rm", "ps", "exec",
            "attach", "logs", "inspect", "top", "stats", "wait", "rename", "update", "images", "pull",
            "push", "tag", "rmi", "save", "load", "import", "history", "login", "logout", "cp", "events",
            "container prune", "image inspect", "image prune"]


def options_of(command):
    """What `docker COMMAND --help` lists: [(long name, letter or "")]."""
    done = subprocess.run([DOCKER, *command.split(), "--help"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60, check=False)
    return [(name, letter or "") for letter, name in
            re.findall(r"^ +(?:-(\w), |    )--([a-z0-9-]+)", done.stdout, re.MULTILINE)
            if name != "help"]


def verdict_on(host, command, option):
    """"taken", or what Bulkhead says instead."""
    done = host.call(*command.split(), f"--{option}=1", "--help")
    if done.returncode == 0 or "is expected" in done.stderr:
        return "taken"
    return " ".join(done.stderr.removeprefix("bulkhead: ").split("\n")).strip()


# --- the page -----------------------------------------------------------------------------------------


def cell(answer):
    code, text = answer
    text = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\t", " ")
    shown = "<br>".join(f"`{line}`" if "&lt;" not in line else line
                        for line in text.split("\n")[:6] if line)
    return f"{code}" + (f": {shown}" if shown else "")


def as_code(line):
    return "`" + line.replace("|", "\\|") + "`"


def page_section(answers, options):
    docker, podman, ours = answers["docker"], answers["podman"], answers["bulkhead"]
    text = ["| | Command lines | as Docker: Bulkhead | as Docker: Podman |", "|---|---:|---:|---:|"]
    for title, _ in SECTIONS:
        keys = [key for key in docker if key[0] == title]
        text.append(f"| {title} | {len(keys)} | {sum(ours[k] == docker[k] for k in keys)} | "
                    f"{sum(podman[k] == docker[k] for k in keys)} |")
    text += ["", "Where Bulkhead differs, and why (exit code: output):", ""]
    for difference in DIFFERENCES["lines"]:
        text += [f"**{difference['title']}** {difference['reason']}", "",
                 "| Command | Docker | Podman | Bulkhead |", "|---|---|---|---|"]
        for key in keys_of(difference):
            line = line_of(key)
            text.append(f"| {as_code(line)} | {cell(docker[key])} | {cell(podman[key])} | "
                        f"{cell(ours[key])} |")
        text.append("")
    text += ["Options of Docker's that a command of Bulkhead's does not take; each is an error with these "
             "words:", "", "| Command | Option | What Bulkhead says |", "|---|---|---|"]
    for (command, option), said in options.items():
        if said != "taken" and command != "create":
            said = re.sub(r"^the option \S+ is not supported: ", "", said)
            text.append(f"| {command} | `--{option}` | {said.replace('|', chr(92) + '|')} |")
    text += ["", "Fields of Docker's `inspect` of a container that Bulkhead's has not:", ""]
    for field, reason in DIFFERENCES["fields"].items():
        text.append(f"- `{field}`: {reason}")
    return "\n".join(text) + "\n"


def keys_of(difference):
    wanted = set(difference["lines"])
    return [(title, number) for title, lines in SECTIONS
            for number, (kind, line) in enumerate(lines)
            if not kind and (line in wanted or f"{title}: {line}" in wanted)]


def line_of(key):
    return dict(SECTIONS)[key[0]][key[1]][1]


# --- fields -------------------------------------------------------------------------------------------


def fields_of(value, prefix=""):
    """Every path of keys; lists are looked into by their first element."""
    found = set()
    if isinstance(value, list) and value:
        return fields_of(value[0], prefix)
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{prefix}.{key}" if prefix else key
            found.add(path)
            if path not in FREE_KEYS:
                found |= fields_of(inner, path)
    return found


# Whose keys are anybody's.
FREE_KEYS = {"Config.Labels", "HostConfig.Tmpfs", "HostConfig.LogConfig.Config", "GraphDriver.Data",
             "NetworkSettings.Networks", "HostConfig.Annotations"}


# --- tests --------------------------------------------------------------------------------------------


class Compared:
    """Everything that was asked, once. A context manager, for the engines live as long."""

    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.hosts = self.stack.enter_context(engines())
        try:
            self.answers = ask(self.hosts)
            self.options = {(command, option): verdict_on(self.hosts["bulkhead"], command, option)
                            for command in COMMANDS for option, _ in options_of(command)}
        except BaseException:
            self.stack.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self.stack.__exit__(*error)


@suite.test
def every_difference_has_its_reason(compared):
    docker, ours = compared.answers["docker"], compared.answers["bulkhead"]
    explained = {key for difference in DIFFERENCES["lines"] for key in keys_of(difference)}
    different = {key for key in docker if docker[key] != ours[key]}
    for key in sorted(different - explained if not SHOW else different):
        print(f"  {line_of(key)}\n    docker   {docker[key]!r}\n    podman   "
              f"{compared.answers.get('podman', {}).get(key)!r}\n    bulkhead {ours[key]!r}")
    expect(not different - explained,
           f"without a reason: {sorted(line_of(key) for key in different - explained)}")


@suite.test
def every_reason_has_its_difference(compared):
    docker, ours = compared.answers["docker"], compared.answers["bulkhead"]
    for difference in DIFFERENCES["lines"]:
        keys = keys_of(difference)
        expect(len(keys) >= len(difference["lines"]), f"{difference['title']}: a line that is not asked")
        same = [line_of(key) for key in keys if docker[key] == ours[key]]
        expect(not same, f"{difference['title']}: as Docker's by now: {same}")


@suite.test
def every_option_of_dockers_is_known(compared):
    expect(len(compared.options) > 150, f"docker lists {len(compared.options)} options")
    for (command, option), said in compared.options.items():
        if said == "taken" or "there is no command" in said:
            continue
        where = f"{command} --{option}"
        expect(f"--{option} is not supported: " in said, f"{where}: {said}")
        why, _, instead = said.partition("is not supported: ")[2].partition("  ")
        expect(len(why) > 8 and len(instead) > 8, f"{where}: {said}")


@suite.test
def every_letter_of_dockers_means_the_same(compared):
    """A letter stands for the option that it stands for in docker, or for none."""
    host = compared.hosts["bulkhead"]
    for command in COMMANDS:
        text = host.call(*command.split(), "--help").stdout
        ours = dict(re.findall(r"^ +-(\w), --([a-z0-9-]+)", text, re.MULTILINE))
        for option, letter in options_of(command):
            if letter and letter in ours:
                equal(ours[letter], option, f"{command} -{letter}")


@suite.test
def inspect_has_dockers_fields(compared):
    documents = {}
    for name in ("docker", "bulkhead"):
        host = compared.hosts[name]
        done = host.call("run", "-d", "--pull", "never", "--name", "whole", "--network", "none",
                         "--tmpfs", "/scratch", "--ulimit", "nofile=1000:2000", "--volume", "/usr:/x:ro",
                         IMAGE, "sleep", "1000")
        equal(done.returncode, 0, done.stderr)
        documents[name] = fields_of(json.loads(host.call("inspect", "whole").stdout))
        host.call("rm", "-f", "whole")
    missing = documents["docker"] - documents["bulkhead"]
    whole = {field for field in missing if not any(field.startswith(other + ".") for other in missing)}
    expect(len(documents["docker"]) > 100, "docker's document")
    equal(sorted(whole), sorted(DIFFERENCES["fields"]), "missing fields")


@suite.test
def the_page_says_so(compared):
    if not ASK_PODMAN:
        raise Skip("podman is asked under --full alone")
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    old, tail = rest.split(END)
    new = page_section(compared.answers, compared.options)
    if WRITE:
        PAGE.write_text(head + BEGIN + new + END + tail, encoding="utf-8")
    else:
        equal(old, new, "write it anew with --write")


if __name__ == "__main__":
    engine_support.go_apart()
    sys.argv = [word for word in sys.argv if not word.startswith("--")]
    sys.exit(engine_support.run_suite(
        suite, {DOCKER: "docker.io", "podman": "podman", "runc": "runc"}, Compared))
