"""runtime.md#operations: state, create, start, kill, delete."""

import os
import pathlib

from conform import conforms, equal, expect, hierarchies, until
from spec_runtime import traces_of


@conforms("runtime/operations")
def the_five_operations_are_there(bench):
    container = bench.create()
    container.good("state")
    container.good("start")
    container.good("kill", "KILL")
    container.wait_for_end()
    container.good("delete")


# --- state -------------------------------------------------------------------------------------------


@conforms("runtime/query-state")
def state_without_an_id_is_an_error(bench):
    expect(bench.call("state").code != 0, "state without an id succeeds")


@conforms("runtime/query-state")
def state_of_a_container_that_does_not_exist_is_an_error(bench):
    expect(bench.call("state", "no-such-container").code != 0, "it has a state")


@conforms("runtime/query-state")
def state_returns_the_state(bench):
    state = bench.create().state()
    for field in ("ociVersion", "id", "status", "pid", "bundle"):
        expect(field in state, f"no {field} in {state}")


# --- create ------------------------------------------------------------------------------------------


@conforms("runtime/create")
def create_without_an_id_is_an_error(bench):
    before = traces_of(bench)
    expect(bench.call("create", "--bundle", bench.bundle(bench.config())).code != 0,
           "create without an id succeeds")
    equal(traces_of(bench), before, "what is on the host")


@conforms("runtime/create")
def create_without_a_bundle_is_an_error(bench):
    expect(bench.call("create", bench.new_id(), cwd=bench.shared_directory()).code != 0,
           "create without a bundle succeeds")
    expect(bench.call("create", "--bundle", "/no/such/bundle", bench.new_id()).code != 0,
           "create of a bundle that is not there succeeds")


@conforms("runtime/create")
def an_id_that_is_in_use_is_refused_and_nothing_is_made(bench):
    container = bench.started()
    before = traces_of(bench)
    done = bench.call("create", "--bundle", bench.bundle(bench.config()), container.id)
    expect(done.code != 0, "a second container has the id")
    equal(traces_of(bench), before, "what is on the host")
    equal(container.status(), "running", "the first container")


@conforms("runtime/create")
def an_id_that_is_not_valid_is_refused(bench):
    bundle = bench.bundle(bench.config())
    for name in ("", "../up", "a/b", ".."):
        expect(bench.call("create", "--bundle", bundle, name).code != 0, f"{name!r} is taken")


@conforms("runtime/create")
def create_makes_a_new_container(bench):
    first, second = bench.create(), bench.create()
    equal((first.status(), second.status()), ("created", "created"), "status")
    expect(first.pid() != second.pid(), "two containers have one process")


@conforms("runtime/create")
def create_applies_everything_but_the_process(bench):
    container = bench.create(bench.config("echo ran; sleep 1000", {
        "hostname": "applied", "linux": {"sysctl": {"net.ipv4.ip_forward": "1"},
                                         "resources": {"pids": {"limit": 77}}}}))
    # Seen from a process that is put beside the created one.
    beside = bench.child("nsenter", "-t", container.pid(), "-u", "-n", "sh", "-c",
                         "hostname; cat /proc/sys/net/ipv4/ip_forward")
    equal(beside.communicate(timeout=60)[0], b"applied\n1\n", "host name and parameter")
    mounted = hierarchies()
    controller = "pids" if "pids" in mounted else ""
    limit = pathlib.Path(f"{mounted[controller]}{container.groups()[controller]}/pids.max")
    equal(limit.read_text(encoding="ascii").strip(), "77", "limit of processes")


@conforms("runtime/create")
def the_arguments_are_not_applied_until_the_start(bench):
    container = bench.create(bench.config("echo ran; sleep 1000"))
    expect("echo ran" not in container.proc("cmdline"), "the arguments stand in the process")
    equal(container.output(), "", "output of the program")


@conforms("runtime/create")
def a_property_that_cannot_be_applied_is_an_error(bench):
    before = traces_of(bench)
    bench.refuses(bench.config(changes={"linux": {"sysctl": {"net.ipv4.no_such": "1"}}}))
    until(lambda: traces_of(bench) == before, "the host as it was")


# --- start -------------------------------------------------------------------------------------------


@conforms("runtime/start")
def start_without_an_id_is_an_error(bench):
    expect(bench.call("start").code != 0, "start without an id succeeds")


@conforms("runtime/start")
def start_of_a_container_that_does_not_exist_is_an_error(bench):
    expect(bench.call("start", "no-such-container").code != 0, "it starts")


@conforms("runtime/start")
def a_running_container_is_not_started_again(bench):
    container = bench.started(bench.config("echo ran; sleep 1000"))
    container.wait_for_output("ran")
    pid = container.pid()
    container.bad("start")
    equal((container.status(), container.pid(), container.output()), ("running", pid, "ran\n"),
          "the container")


@conforms("runtime/start")
def a_stopped_container_is_not_started_again(bench):
    container = bench.started(bench.config("echo ran"))
    container.wait_for_end()
    container.bad("start")
    equal((container.status(), container.output()), ("stopped", "ran\n"), "the container")


@conforms("runtime/start")
def start_runs_the_program(bench):
    container = bench.create(bench.config("echo ran; sleep 1000"))
    equal(container.output(), "", "output before the start")
    container.start().wait_for_output("ran")
    equal(container.status(), "running", "status")


@conforms("runtime/start")
def a_container_without_a_process_is_not_started(bench):
    config = bench.config()
    del config["process"]
    bench.does_not_start(config)


# --- kill --------------------------------------------------------------------------------------------


@conforms("runtime/kill")
def kill_without_an_id_is_an_error(bench):
    expect(bench.call("kill").code != 0, "kill without an id succeeds")


@conforms("runtime/kill")
def a_stopped_container_is_not_signalled(bench):
    container = bench.started(bench.config("true"))
    container.wait_for_end()
    container.bad("kill", "TERM")
    equal(container.status(), "stopped", "status")


@conforms("runtime/kill")
def the_signal_that_was_asked_for_reaches_a_running_process(bench):
    container = bench.started(bench.config(
        "trap 'echo usr1' USR1; trap 'echo term; exit' TERM; echo up; while :; do sleep 0.05; done"))
    container.wait_for_output("up")
    container.good("kill", "USR1")
    container.wait_for_output("usr1")
    equal(container.status(), "running", "status")
    container.good("kill", "TERM")
    container.wait_for_output("term")
    container.wait_for_end()


@conforms("runtime/kill")
def a_created_container_is_signalled(bench):
    bench.create().stop()


# --- delete ------------------------------------------------------------------------------------------


@conforms("runtime/delete")
def delete_without_an_id_is_an_error(bench):
    expect(bench.call("delete").code != 0, "delete without an id succeeds")


@conforms("runtime/delete")
def delete_of_a_container_that_does_not_exist_is_an_error(bench):
    expect(bench.call("delete", "no-such-container").code != 0, "delete succeeds")


@conforms("runtime/delete")
def a_running_container_is_not_deleted(bench):
    container = bench.started()
    pid = container.pid()
    container.bad("delete")
    equal((container.status(), container.pid()), ("running", pid), "the container")


@conforms("runtime/delete")
def a_created_container_is_not_deleted(bench):
    container = bench.create()
    pid = container.pid()
    container.bad("delete")
    equal((container.status(), container.pid()), ("created", pid), "the container")


@conforms("runtime/delete")
def deletion_removes_what_create_made(bench):
    bench.create().stop().good("delete")  # makes what containers share
    before = traces_of(bench)
    container = bench.started()
    expect(traces_of(bench) != before, "create has made nothing that could be seen")
    container.stop().good("delete")
    until(lambda: traces_of(bench) == before, "the host as it was")
    equal(bench.create(name=container.id).status(), "created", "another container of this id")


@conforms("runtime/delete")
def deletion_leaves_what_was_there_before(bench):
    process = bench.in_new_namespace("--net")
    shared = bench.shared_directory()
    (shared / "file").write_text("kept", encoding="ascii")
    config = bench.config(changes={"mounts": bench.config()["mounts"] + [
        {"destination": "/shared", "type": "none", "source": str(shared), "options": ["bind"]}]})
    for entry in config["linux"]["namespaces"]:
        if entry["type"] == "network":
            entry["path"] = f"/proc/{process}/ns/net"
    container = bench.started(config)
    root = set(os.listdir(bench.rootfs))
    container.stop().good("delete")
    os.kill(process, 0)
    equal((shared / "file").read_text(encoding="ascii"), "kept", "the shared file")
    expect(root - {"shared"} <= set(os.listdir(bench.rootfs)), "files of the root are gone")


@conforms("runtime/delete")
def a_cgroup_that_was_there_before_stays(bench):
    points = sorted(set(hierarchies().values()))
    group = pathlib.Path(f"{points[0]}/{bench.new_id()}-before")
    group.mkdir()
    try:
        container = bench.started(bench.config(changes={"linux": {
            "cgroupsPath": f"/{group.name}"}}))
        expect(f"/{group.name}" in container.groups().values(), f"in {container.groups()}")
        container.stop().good("delete")
        expect(group.exists(), "the group is gone")
    finally:
        bench.clean_up()
        for point in points:
            if os.path.exists(f"{point}/{group.name}"):
                os.rmdir(f"{point}/{group.name}")
