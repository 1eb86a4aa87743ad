"""runtime.md: scope, state, life cycle, errors and warnings. What hooks do in it is in spec_hooks."""

import os

from conform import Container, complaints, conforms, equal, expect, hierarchies, until

# --- scope and state -------------------------------------------------------------------------------


@conforms("runtime/scope")
def whoever_creates_a_container_can_use_every_operation_on_it(bench):
    container = bench.create()
    equal(container.status(), "created", "status")
    container.start().stop().good("delete")


@conforms("runtime/state")
def the_state_says_what_the_schema_asks_for(bench):
    container = bench.create(bench.config(changes={"annotations": {"org.example.key": "value"}}))
    for status in ("created", "running", "stopped"):
        if status == "running":
            container.start()
        if status == "stopped":
            container.stop()
        state = container.state()
        equal(complaints("state", state), [], f"the schema about a {status} container")
        equal(state["status"], status, "status")
        equal(state["id"], container.id, "id")
        equal(state["bundle"], str(container.bundle), "bundle")
        equal(state.get("annotations"), {"org.example.key": "value"}, "annotations")


@conforms("runtime/state")
def the_pid_is_the_container_process_s(bench):
    container = bench.create()
    expect(container.namespace("pid") != os.readlink("/proc/self/ns/pid"),
           "the pid of a created container is in the host's namespace")
    pid = container.pid()
    container.start().wait_for_program()
    equal(container.pid(), pid, "pid after the start")


@conforms("runtime/state")
def a_paused_container_is_not_given_a_status_of_another_meaning(bench):
    container = bench.started()
    container.good("pause")
    status = container.status()
    container.good("resume")
    expect(status not in ("creating", "created", "stopped"), f"a paused container is {status}")
    equal(container.status(), "running", "status after the pause")


@conforms("runtime/state")
def an_id_is_given_once(bench):
    container = bench.create()
    pid = container.pid()
    expect(bench.call("create", "--bundle", container.bundle, container.id).code != 0,
           "a second container has the id")
    equal((container.status(), container.pid()), ("created", pid), "the first container")


# --- life cycle ------------------------------------------------------------------------------------


@conforms("runtime/lifecycle")
def create_makes_the_environment_and_runs_nothing(bench):
    shared = bench.shared_directory()
    container = bench.create(bench.config("touch /shared/ran", {
        "mounts": bench.config()["mounts"] + [{"destination": "/shared", "type": "none",
                                               "source": str(shared), "options": ["bind"]}]}))
    for kind in ("pid", "net", "ipc", "uts", "mnt"):
        expect(container.namespace(kind) != os.readlink(f"/proc/self/ns/{kind}"),
               f"the {kind} namespace is the host's before the start")
    expect(" /shared " in container.proc("mountinfo"), "the mounts are not there before the start")
    expect(any(container.id in path for path in container.groups().values()),
           f"the groups are not there before the start: {container.groups()}")
    expect(not (shared / "ran").exists(), "the program ran before the start")
    container.start()
    until((shared / "ran").exists, "the program after the start")


@conforms("runtime/lifecycle")
def an_environment_that_cannot_be_made_is_an_error(bench):
    bench.refuses(bench.config(changes={"mounts": bench.config()["mounts"] + [
        {"destination": "/data", "type": "none", "source": "/no/such/source",
         "options": ["bind"]}]}))


@conforms("runtime/lifecycle")
def a_change_of_config_json_after_create_has_no_effect(bench):
    container = bench.create(bench.config("echo as created"))
    path = container.bundle / "config.json"
    path.write_text(path.read_text(encoding="utf-8").replace("as created", "as changed"),
                    encoding="utf-8")
    container.start().wait_for_output("\n")
    equal(container.output(), "as created\n", "what ran")


@conforms("runtime/lifecycle")
def start_runs_the_program_as_configured(bench):
    container = bench.started(bench.config(
        ["sh", "-c", 'echo "$0 $1 $NAME $(pwd)"', "zero", "one"],
        {"process": {"cwd": "/tmp", "env": ["PATH=/bin", "NAME=value"]}}))
    container.wait_for_output("\n")
    equal(container.output(), "zero one value /tmp\n", "what the program saw")


@conforms("runtime/lifecycle")
def deletion_undoes_what_create_made(bench):
    container = bench.started()
    groups = {f"{point}{container.groups()[name]}" for name, point in hierarchies().items()
              if container.id in container.groups().get(name, "")}
    expect(groups, "the container has no groups of its own")
    container.stop().good("delete")
    equal([group for group in groups if os.path.exists(group)], [], "groups that are left")
    expect(container.call("state").code != 0, "the container still has a state")


# --- errors and warnings -----------------------------------------------------------------------------


def traces_of(bench):
    """What a failed operation could leave: groups of this run, mounts, states."""
    mine = f"test-{os.getpid()}-"
    groups = {os.path.join(directory, name) for point in set(hierarchies().values())
              for directory, names, _ in os.walk(point) for name in names if mine in name}
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        count = len(mounts.readlines())
    states = set(os.listdir(bench.state)) if bench.state.exists() else set()
    return groups, count, states


@conforms("runtime/errors")
def a_failed_create_leaves_nothing(bench):
    bench.create().stop().good("delete")  # makes what containers share
    before = traces_of(bench)
    for config in (
            bench.config(changes={"linux": {"resources": {"memory": {"swappiness": 1000}}}}),
            bench.config(changes={"mounts": bench.config()["mounts"] + [
                {"destination": "/x", "type": "nosuchfs", "source": "none"}]}),
            bench.config(changes={"linux": {"sysctl": {"kernel.no_such_setting": "1"}}})):
        bench.refuses(config)
        until(lambda: traces_of(bench) == before, "the host as it was before the failed create")


@conforms("runtime/errors")
def a_program_that_cannot_be_run_is_an_error(bench):
    name = bench.new_id()
    bundle = bench.bundle(bench.config(["/no/such/program"]))
    if bench.call("create", "--bundle", bundle, name).code != 0:
        expect(bench.call("state", name).code != 0, "there is a container after the error")
        return
    container = Container(bench, name, bundle)
    container.bad("start")
    expect(container.status() != "running", "the container runs")


@conforms("runtime/warnings")
def a_warning_does_not_change_the_flow(bench):
    # A capability that no kernel has is warned of (config.md#linux-process).
    out = bench.output("echo on", {"process": {"capabilities": {"bounding": ["CAP_NO_SUCH"]}}})
    equal(out, "on\n", "output")
