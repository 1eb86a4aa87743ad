"""config.md#posix-platform-hooks, and the steps of runtime.md#lifecycle at which hooks run."""

import json
import os
import pathlib

from conform import Container, conforms, equal, expect, until

STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
IN_CONTAINER = ("createContainer", "startContainer")
DURING_CREATE = STAGES[:3]
KINDS = ("mnt", "net", "uts", "ipc")


class Place:
    """A directory of the host, seen as /shared in the container, where hooks leave their traces."""

    def __init__(self, bench):
        self.bench = bench
        self.path = bench.shared_directory()

    def hook(self, stage, script, **more):
        """A hook of the stage that runs the script, for which $PLACE names the directory. It takes
        the state from its standard input, or else a runtime may meet a closed pipe."""
        if "STATE" not in script:
            script = f"cat > /dev/null; {script}"
        script = script.replace("STATE", "cat")
        if stage == "startContainer":
            return {"path": "/bin/sh", "args": ["sh", "-c", script],
                    "env": ["PATH=/bin", "PLACE=/shared"], **more}
        program = self.path / f"hook{next(self.bench.numbers)}.sh"
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)
        return {"path": str(program), "args": ["hook"],
                "env": ["PATH=/usr/bin:/bin", f"PLACE={self.path}"], **more}

    def config(self, hooks, script="echo program >> /shared/order; sleep 1000"):
        return self.bench.config(script, {
            "mounts": self.bench.config()["mounts"] + [
                {"destination": "/shared", "type": "none", "source": str(self.path),
                 "options": ["bind"]}],
            "hooks": hooks})

    def whole_life(self, hooks):
        """Create, start, end and delete, with a program that leaves no trace."""
        return lived(self.bench.started(self.config(hooks, "sleep 1000")))

    def order(self):
        return self.read("order").split()

    def read(self, name):
        path = self.path / name
        return path.read_text(encoding="utf-8") if path.exists() else ""


def lived(container):
    """After the program has begun, and with it every hook before it has ended."""
    container.wait_for_program()
    container.stop().good("delete")
    return container


def record(what):
    return f"echo {what} >> $PLACE/order"


def run_when_they_are_to(bench, stage):
    place = Place(bench)
    container = bench.create(place.config({stage: [place.hook(stage, record(stage))]}))
    equal(place.order(), [stage] if stage in DURING_CREATE else [], "after create")
    container.start()
    until(lambda: "program" in place.order(), "the program")
    # poststart hooks and the program's first act come side by side.
    started = ["program"] if stage == "poststop" else [stage, "program"]
    equal(sorted(place.order()) if stage == "poststart" else place.order(), started, "after start")
    container.stop()
    equal(place.order().count(stage), 0 if stage == "poststop" else 1, "after the end")
    container.good("delete")
    equal(place.order().count(stage), 1, "after delete")


def run_in_their_namespaces(bench, stage):
    place = Place(bench)
    look = f"for n in {' '.join(KINDS)}; do readlink /proc/self/ns/$n; done > $PLACE/found"
    container = bench.started(place.config({stage: [place.hook(stage, look)]}))
    container.wait_for_program()
    of_container = [container.namespace(kind) for kind in KINDS]
    container.stop().good("delete")
    of_host = [os.readlink(f"/proc/self/ns/{kind}") for kind in KINDS]
    equal(place.read("found").split(), of_container if stage in IN_CONTAINER else of_host,
          "namespaces of the hook")


def have_their_path_resolved(bench, stage):
    place = Place(bench)
    # A program of this name exists on both sides; what it says tells which one was taken.
    name = f"conform-hook-{os.getpid()}"
    root = bench.own_root()
    sides = {"container": root / name, "runtime": pathlib.Path("/") / name}
    where = "/shared" if stage == "startContainer" else place.path
    config = place.config({stage: [{"path": f"/{name}", "env": [
        "PATH=/bin:/usr/bin", f"PLACE={where}"]}]}, "sleep 1000")
    config["root"]["path"] = str(root)
    try:
        for side, path in sides.items():
            path.write_text(f"#!/bin/sh\ncat > /dev/null; echo {side} >> $PLACE/order\n",
                            encoding="utf-8")
            path.chmod(0o755)
        lived(bench.started(config))
    finally:
        sides["runtime"].unlink(missing_ok=True)
    expected = "container" if stage == "startContainer" else "runtime"
    equal(place.order(), [expected], "which side's program ran")


def run_in_order(bench, stage):
    place = Place(bench)
    place.whole_life({stage: [place.hook(stage, record(number)) for number in (1, 2, 3)]})
    equal(place.order(), ["1", "2", "3"], "order")


def are_given_the_state(bench, stage):
    place = Place(bench)
    container = place.whole_life({stage: [place.hook(stage, "STATE > $PLACE/state")]})
    state = json.loads(place.read("state"))
    equal((state["id"], state["bundle"]), (container.id, str(container.bundle)), "the state")
    statuses = {"startContainer": ("created",), "poststart": ("running",),
                "poststop": ("stopped",)}.get(stage, ("creating", "created"))
    expect(state["status"] in statuses, f"status {state['status']}")


def have_an_absolute_path(bench, stage):
    bench.refuses(bench.config(changes={"hooks": {stage: [{"path": "bin/true"}]}}))


def have_a_positive_timeout(bench, stage):
    for timeout in (0, -1):
        bench.refuses(bench.config(changes={"hooks": {stage: [
            {"path": "/bin/true", "timeout": timeout}]}}))


def undo_all_when_they_fail(bench, stage):
    place = Place(bench)
    config = place.config({stage: [place.hook(stage, "exit 3")],
                           "poststop": [place.hook("poststop", record("poststop"))]})
    name = bench.new_id()
    bundle = bench.bundle(config)
    created = bench.call("create", "--bundle", bundle, name)
    if stage in DURING_CREATE:
        expect(created.code != 0, "create succeeds")
    else:
        equal(created.code, 0, f"create ({created.err.strip()})")
        container = Container(bench, name, bundle)
        container.bad("start")
        if container.call("state").code == 0:
            container.wait_for_end()
            container.good("delete")
    if stage != "poststart":
        expect("program" not in place.order(), "the program ran")
    expect(bench.call("state", name).code != 0, "the container is still there")
    equal(place.order().count("poststop"), 1, "runs of the poststop hook")


def see_the_container_s_pid(bench, stage):
    place = Place(bench)
    place.whole_life({stage: [place.hook(stage, "STATE > $PLACE/state")]})
    equal(json.loads(place.read("state")).get("pid"), 1, "pid")


def see_the_runtime_s_pid(bench, stage):
    place = Place(bench)
    container = bench.started(place.config({stage: [place.hook(stage, "STATE > $PLACE/state")]}))
    equal(json.loads(place.read("state")).get("pid"), container.pid(), "pid")


def register(section, title, body, stages):
    for name in stages:
        conforms(section.format(name), title.format(name))(
            lambda bench, stage=name: body(bench, stage))


register("config/hooks/{}", "{} hooks run when they are to", run_when_they_are_to, STAGES)
register("config/hooks/{}", "{} hooks run in the namespaces they belong to",
         run_in_their_namespaces, STAGES)
register("config/hooks/{}", "the path of {} hooks is resolved where it is to be",
         have_their_path_resolved, STAGES)
register("config/hooks", "{} hooks run in the listed order", run_in_order, STAGES)
register("config/hooks", "{} hooks are given the state on standard input", are_given_the_state,
         STAGES)
register("config/hooks", "a {} hook with a relative path is refused", have_an_absolute_path, STAGES)
register("config/hooks", "a {} hook with a timeout that is not positive is refused",
         have_a_positive_timeout, STAGES)
register("runtime/lifecycle", "a {} hook that fails is an error, and all is undone",
         undo_all_when_they_fail, STAGES[:5])
register("runtime/state", "{} hooks see the pid as the container sees it", see_the_container_s_pid,
         IN_CONTAINER)
register("runtime/state", "{} hooks see the pid as the runtime sees it", see_the_runtime_s_pid,
         ("prestart", "createRuntime", "poststart"))


@conforms("config/hooks")
def the_hooks_of_create_run_in_the_order_of_their_kinds(bench):
    place = Place(bench)
    bench.create(place.config({stage: [place.hook(stage, record(stage))]
                               for stage in reversed(DURING_CREATE)}))
    equal(place.order(), list(DURING_CREATE), "order")


def find_the_environment(bench, stage):
    place = Place(bench)
    if stage == "createContainer":
        # In the container's mount namespace, where the host's root is still the root.
        script = (f"test -d {bench.directory} && echo host >> $PLACE/order; "
                  "grep -q ' - mqueue ' /proc/self/mountinfo && echo mounts >> $PLACE/order; true")
        expected = ["host", "mounts"]
    else:
        # The container's process has its namespaces, and still the host's root.
        script = ("pid=$(STATE | tr ',{' '\\n\\n' | sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); "
                  f"for n in {' '.join(KINDS)} pid; do "
                  "test $(readlink /proc/$pid/ns/$n) != $(readlink /proc/self/ns/$n) || exit 1; "
                  "done; echo namespaces >> $PLACE/order; "
                  f"test -d /proc/$pid/root{bench.directory} && echo host >> $PLACE/order; true")
        expected = ["namespaces", "host"]
    bench.create(place.config({stage: [place.hook(stage, script)]}))
    equal(place.order(), expected, "what the hook found")


register("config/hooks/{}", "{} hooks find the environment made, before pivot_root",
         find_the_environment, DURING_CREATE)


@conforms("config/hooks/poststop")
def poststop_hooks_find_the_container_deleted(bench):
    place = Place(bench)
    name = bench.new_id()
    hook = place.hook("poststop", f"{bench.runtime} --root {bench.state} state {name} "
                                  "> /dev/null 2>&1; echo $? >> $PLACE/order")
    container = bench.create(place.config({"poststop": [hook]}, "sleep 1000"), name=name)
    container.start().stop().good("delete")
    expect(place.order() and place.order() != ["0"], f"exit code of state: {place.order()}")


@conforms("config/hooks/poststop")
def poststop_hooks_of_run_find_the_container_deleted(bench):
    place = Place(bench)
    name = bench.new_id()
    hook = place.hook("poststop", f"{bench.runtime} --root {bench.state} state {name} "
                                  "> /dev/null 2>&1; echo $? >> $PLACE/order")
    bundle = bench.bundle(place.config({"poststop": [hook]}, "true"))
    equal(bench.call("run", "--bundle", bundle, name).code, 0, "exit code of run")
    expect(place.order() and place.order() != ["0"], f"exit code of state: {place.order()}")


@conforms("runtime/lifecycle")
def a_poststop_hook_that_fails_is_warned_of_and_the_others_run(bench):
    place = Place(bench)
    hooks = [place.hook("poststop", "exit 3"), place.hook("poststop", record("second"))]
    container = bench.started(place.config({"poststop": hooks}, "sleep 1000"))
    done = container.stop().good("delete")
    equal(place.order(), ["second"], "the other hook")
    expect(done.err.strip(), "there is no warning")
    expect(container.call("state").code != 0, "the container is still there")


@conforms("config/hooks")
def a_hook_is_ended_after_its_timeout(bench):
    place = Place(bench)
    bench.refuses(place.config({"createRuntime": [
        place.hook("createRuntime", "sleep 15", timeout=1)]}))


@conforms("config/hooks")
def a_hook_has_its_own_arguments_and_environment(bench):
    place = Place(bench)
    hook = place.hook("createRuntime", 'echo "$1 $NAME" > $PLACE/found')
    hook["args"] = ["zero", "one"]
    hook["env"].append("NAME=value")
    bench.create(place.config({"createRuntime": [hook]}))
    equal(place.read("found").split(), ["one", "value"], "what the hook saw")
