#!/usr/bin/env python3
"""checkpoint and restore without the real CRIU: what it is asked, what is refused, and what a failure
leaves. That a container really travels is shown in the lab."""

import contextlib
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from runtime_support import Container, background, main, nothing_left
from support.bundles import Traces, default_config, merge
from support.harness import Suite, equal, expect

suite = Suite("checkpoint")
STAND_IN = pathlib.Path(__file__).resolve().parent / "stand_in_criu.py"
SLEEP = ["sleep", "1000"]


def environment(work, mode, program=STAND_IN):
    """A PATH with a criu of ours before everything else."""
    directory = work.directory / f"criu{next(work.numbers)}"
    directory.mkdir()
    if isinstance(program, pathlib.Path):
        (directory / "criu").symlink_to(program)
    elif program is not None:
        (directory / "criu").write_text(program)
        (directory / "criu").chmod(0o755)
    record = directory / "record.json"
    path = str(directory) if program is None else f"{directory}:{os.environ['PATH']}"
    return dict(os.environ, PATH=path, STAND_IN=mode, STAND_IN_RECORD=str(record)), record


def checkpoint(container, env, *options, images=None):
    images = images or container.work.directory / f"{container.name}.images"
    return container.work.call("checkpoint", "--image-path", images, *options, container.name,
                               env=env), images


def images_of(work, **more):
    """A directory that looks like a checkpoint of ours."""
    images = work.directory / f"images{next(work.numbers)}"
    images.mkdir()
    (images / "pstree.img").write_text("")
    (images / "descriptors.json").write_text(json.dumps(more.get("descriptors", [])))
    (images / "bulkhead.json").write_text(json.dumps({"externalMounts": more.get("mounts", [])}))
    return images


def refused_restore(work, config, images, env, *options):
    """The message; nothing may be left."""
    name = work.new_id()
    traces = Traces(name)
    done = work.call("restore", "--detach", "--bundle", work.bundle(config), "--image-path", images,
                     *options, name, env=env)
    equal(done.returncode, 1, f"exit code: {done.stderr}")
    equal(work.call("state", name).returncode, 1, "there is a container")
    nothing_left(traces)
    return done.stderr


@contextlib.contextmanager
def goes_on(container):
    """The container is the same afterwards, and runs."""
    before = container.state()
    yield
    equal(container.state(), before, "state")
    equal(before["status"], "running", "status")
    equal(container.exec("true").returncode, 0, "exec")


@suite.test
def without_a_criu_it_says_what_to_install(work):
    env, _ = environment(work, "", None)
    with background(work, default_config(SLEEP)) as container, goes_on(container):
        done, _ = checkpoint(container, env)
        equal(done.returncode, 1, "exit code")
        expect("no criu in the PATH" in done.stderr and "install the package criu" in done.stderr,
               done.stderr)
    said = refused_restore(work, default_config(SLEEP), images_of(work), env)
    expect("install the package criu" in said, said)


@suite.test
def a_criu_that_fails_its_own_check_is_quoted(work):
    env, _ = environment(work, "", "#!/bin/sh\necho 'Error (criu/vdso.c:1): no such kernel' >&2\n"
                                   "exit 1\n")
    with background(work, default_config(SLEEP)) as container, goes_on(container):
        done, _ = checkpoint(container, env)
        equal(done.returncode, 1, "exit code")
        for words in ("does not work on this host", "no such kernel", "criu check"):
            expect(words in done.stderr, done.stderr)
    said = refused_restore(work, default_config(SLEEP), images_of(work), env)
    expect("no such kernel" in said, said)
    env, _ = environment(work, "old")
    said = refused_restore(work, default_config(SLEEP), images_of(work), env)
    expect("3.11" in said and "too old" in said, said)


@suite.test
def a_checkpoint_asks_for_what_was_asked_for(work):
    volume = work.directory / "volume"
    volume.mkdir()
    config = default_config(SLEEP)
    config["mounts"].append({"destination": "/data", "type": "bind", "source": str(volume),
                             "options": ["bind"]})
    env, record = environment(work, "")
    with background(work, config) as container:
        pid = container.state()["pid"]
        done, images = checkpoint(container, env, "--tcp-established", "--ext-unix-sk", "--shell-job",
                                  "--file-locks", "--manage-cgroups-mode", "full", "--empty-ns",
                                  "network", "--leave-running")
        equal(done.returncode, 0, done.stderr)
        equal(container.state()["status"], "running", "left running")
        asked = json.loads(record.read_text())
        options = asked["options"]
        equal((asked["call"], asked["images"]), (1, str(images)), "call and images")
        flags = {str(number): [1] for number in (3, 4, 5, 7, 8, 12, 50)}
        equal({number: options.get(number) for number in flags}, flags, "flags")
        equal((options["2"], options["34"], options["38"]), ([pid], [4], [0x40000000]), "values")
        equal(options["13"], [str(work.rootfs)], "root")
        expect(container.name in options["44"][0], "freezer")
        expect("mnt[/data]:/data" in options["37"], options["37"])
        masked = [path for path in config["linux"]["maskedPaths"] if os.path.isfile(path)]
        expect(masked and all(f"mnt[{path}]:{path}" in options["37"] for path in masked),
               f"{masked}: {options['37']}")
        expect(not any("/sys/firmware" in name or "[/proc]" in name for name in options["37"]),
               f"the container's own mounts: {options['37']}")
        names = json.loads((images / "descriptors.json").read_text())
        equal(len(names), 3, "descriptors")
        expect(all(name.startswith("file[") and name in options["37"] for name in names), names)
        equal(oct(images.stat().st_mode & 0o777), "0o700", "mode of the directory")
        done, _ = checkpoint(container, env, "--pre-dump", images=work.directory / "first")
        equal(done.returncode, 0, done.stderr)
        asked = json.loads(record.read_text())
        equal((asked["call"], asked["options"]["15"]), (4, [1]), "a pre-dump")
        done, _ = checkpoint(container, env, "--parent-path", "../first")
        equal(done.returncode, 0, done.stderr)
        asked = json.loads(record.read_text())
        equal((asked["call"], asked["options"]["14"], asked["options"]["15"]), (1, ["../first"], [1]),
              "the rest of it")
        expect("3" not in asked["options"], "it is left running")
        equal(container.state()["status"], "stopped", "afterwards")
        equal(container.call("delete").returncode, 0, "delete")


@suite.test
def a_checkpoint_that_fails_leaves_the_container_as_it_was(work):
    with background(work, default_config(SLEEP)) as container:
        for mode, words in (("fails", "out of power"), ("dies", "ended without an answer")):
            env, _ = environment(work, mode)
            with goes_on(container):
                done, images = checkpoint(container, env)
                equal(done.returncode, 1, f"{mode}: exit code")
                for text in (words, "Error (criu/stand-in.c:7)", str(images / "dump.log")):
                    expect(text in done.stderr, f"{mode}: {done.stderr}")
                expect("\033" not in done.stderr, "the log reaches the terminal as it is")
        env, _ = environment(work, "no tracking")
        with goes_on(container):
            done, _ = checkpoint(container, env, "--pre-dump")
            expect(done.returncode == 1 and "which memory has changed" in done.stderr, done.stderr)
            done, _ = checkpoint(container, env, "--parent-path", "/absolute")
            expect(done.returncode == 1 and "relative" in done.stderr, done.stderr)
            done, _ = checkpoint(container, env, "--parent-path", "../absent")
            expect(done.returncode == 1 and "absent" in done.stderr, done.stderr)
        container.good("pause")
        env, _ = environment(work, "dies")
        done, _ = checkpoint(container, env)
        equal((done.returncode, container.state()["status"]), (1, "paused"), "a paused one")


@suite.test
def only_what_runs_is_checkpointed(work):
    env, _ = environment(work, "")
    with Container(work, default_config(SLEEP)) as container:
        done, images = checkpoint(container, env)
        expect(done.returncode == 1 and "it is created" in done.stderr, done.stderr)
        container.good("start")
        work.call("kill", container.name, "KILL")
        container.wait_for("stopped")
        done, _ = checkpoint(container, env)
        expect(done.returncode == 1 and "it is stopped" in done.stderr, done.stderr)
        expect(not images.exists(), "something was written")
    done = work.call("checkpoint", "absent", env=env)
    expect(done.returncode == 1 and "does not exist" in done.stderr, done.stderr)


@suite.test
def what_cannot_be_kept_is_refused(work):
    env, record = environment(work, "")
    config = merge(default_config(SLEEP), {"process": {"ioPriority": {
        "class": "IOPRIO_CLASS_BE", "priority": 3}}})
    with background(work, config) as container, goes_on(container):
        done, _ = checkpoint(container, env)
        expect(done.returncode == 1 and "/process/ioPriority" in done.stderr, done.stderr)
    expect("/process/ioPriority" in refused_restore(work, config, images_of(work), env), "restore")
    everything = {kind: ["CAP_KILL"] for kind in ("bounding", "effective", "permitted",
                                                  "inheritable", "ambient")}
    ambient = merge(default_config(SLEEP), {"process": {"capabilities": everything,
                                                        "user": {"uid": 7, "gid": 7}}})
    with background(work, ambient) as container, goes_on(container):
        done, _ = checkpoint(container, env)
        expect(done.returncode == 1 and "ambient" in done.stderr, done.stderr)
    namespaces = [entry for entry in default_config()["linux"]["namespaces"]
                  if entry["type"] != "pid"]
    config = merge(default_config(SLEEP), {"linux": {"namespaces": namespaces}})
    expect("no pid namespace" in refused_restore(work, config, images_of(work), env), "restore")
    ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    config = merge(default_config(SLEEP), {"linux": {"uidMappings": ids, "gidMappings": ids}})
    config["linux"]["namespaces"].append({"type": "user"})
    expect("user namespace" in refused_restore(work, config, images_of(work), env), "restore")
    with background(work, default_config(SLEEP)) as container, goes_on(container):
        for options, words in ((("--lazy-pages",), "lazy-pages"), (("--status-fd", "3"), "status-fd"),
                               (("--page-server", "1.2.3.4:5"), "page-server"),
                               (("--empty-ns", "pid"), '"pid"'),
                               (("--manage-cgroups-mode", "x"), '"x"')):
            done, _ = checkpoint(container, env, *options)
            expect(done.returncode == 1 and words in done.stderr, f"{options}: {done.stderr}")
    for options, words in ((("--no-pivot",), "no-pivot"), (("--lazy-pages",), "lazy-pages"),
                           (("--tcp-close", "--tcp-established"), "contradict"),
                           (("--console-socket", "/x"), "only with a terminal"),
                           (("--manage-cgroups-mode", "ignore"), "cgroup namespace")):
        said = refused_restore(work, default_config(SLEEP), images_of(work), env, *options)
        expect(words in said, f"{options}: {said}")
    expect(not record.exists(), "CRIU was asked all the same")


@suite.test
def a_restore_needs_a_checkpoint_that_fits_its_configuration(work):
    env, record = environment(work, "")
    empty = work.directory / f"images{next(work.numbers)}"
    empty.mkdir()
    expect("no checkpoint in" in refused_restore(work, default_config(SLEEP), empty, env), "empty")
    absent = work.directory / "absent"
    expect("--image-path" in refused_restore(work, default_config(SLEEP), absent, env), "absent")
    for mounts, words in (
            ([{"mountPoint": "/data", "origin": "mount", "destination": "/data"}], '"/data"'),
            ([{"mountPoint": "/dev/mem", "origin": "device"}], '"/dev/mem"'),
            ([{"mountPoint": "/x", "origin": "mount", "destination": "/x", "below": "/.."}],
             "bulkhead.json"), ([{"origin": "unknown"}], "bulkhead.json")):
        said = refused_restore(work, default_config(SLEEP), images_of(work, mounts=mounts), env)
        expect(words in said, f"{mounts}: {said}")
    images = images_of(work)
    (images / "descriptors.json").write_text('["pipe:[1]", "pipe:[2]')
    expect("descriptors.json" in refused_restore(work, default_config(SLEEP), images, env), "cut off")
    expect(not record.exists(), "CRIU was asked all the same")


@suite.test
def a_restore_asks_in_surroundings_of_its_own_and_leaves_nothing(work):
    config = default_config(SLEEP)
    volume = work.directory / "other-volume"
    volume.mkdir()
    config["mounts"].append({"destination": "/made/here", "type": "bind", "source": str(volume),
                             "options": ["bind"]})
    root = work.own_root()
    config["root"]["path"] = str(root)
    mounts = [{"mountPoint": "/made/here", "origin": "mount", "destination": "/made/here"},
              {"mountPoint": "/proc/kcore", "origin": "mask"}]
    images = images_of(work, mounts=mounts, descriptors=["file[1:2]", "pipe:[77]", "pipe:[77]"])
    env, record = environment(work, "")
    said = refused_restore(work, config, images, env, "--tcp-close", "--file-locks", "--lsm-profile",
                           "selinux:x", "--lsm-mount-context", "y")
    asked = json.loads(record.read_text())
    options = asked["options"]
    equal((asked["call"], asked["images"]), (2, str(images)), "call and images")
    equal([options[number] for number in ("8", "12", "26", "50", "52")], [[1]] * 5, "flags")
    equal((options["53"], options["63"], options["34"]), (["selinux:x"], ["y"], [3]), "values")
    equal(options["37"], [f"mnt[/made/here]:{volume}", "mnt[/proc/kcore]:/dev/null"], "mounts")
    expect((root / "made/here").is_dir(), "the mount point was not made")
    equal((len(options["27"]), asked["inherited"]), (2, [True, True]), "descriptors")
    expect(any("bulkhead-runtime/test-" in entry for entry in options["25"]), options["25"])
    equal(asked["NoNewPrivs"], "1", "no-new-privileges")
    expect(asked["mounts"] != os.readlink("/proc/self/ns/mnt"), "CRIU is in the host's mounts")
    expect(f" {root} " in asked["mountinfo"], "the root is no mount point")
    # What it "restored" is a process of the host.
    expect("not restored the container into its cgroups" in said, said)
    env, record = environment(work, "")
    config["process"]["noNewPrivileges"] = False
    refused_restore(work, config, images, env)
    equal(json.loads(record.read_text())["NoNewPrivs"], "0", "the control")


@suite.test
def hooks_that_have_begun_are_ended_by_those_for_the_end(work):
    log = work.directory / "hook-log"
    def hook(stage, then=""):
        return [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {stage} >> {log}{then}"]}]
    config = merge(default_config(SLEEP), {"hooks": {
        "prestart": hook("prestart"), "createRuntime": hook("createRuntime", "; exit 3"),
        "createContainer": hook("never"), "poststart": hook("never"), "poststop": hook("poststop")}})
    env, _ = environment(work, "")
    said = refused_restore(work, config, images_of(work), env)
    expect("createRuntime" in said, said)
    equal(log.read_text().split(), ["prestart", "createRuntime", "poststop"], "hooks")


if __name__ == "__main__":
    sys.exit(main(suite))
