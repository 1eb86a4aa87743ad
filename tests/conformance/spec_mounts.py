"""config.md#mounts: order, destinations, every option that a runtime must implement, id mappings."""

import os

from conform import conforms, equal, expect

SECTION = "config/mount-options"


def mounts_with(bench, *more):
    return {"mounts": bench.config()["mounts"] + list(more)}


def bind(source, destination, *options):
    return {"destination": destination, "type": "none", "source": str(source),
            "options": list(options)}


def mountinfo(bench, changes, destination):
    """(per-mount options, propagation words, options of the file system) of a container's mount."""
    out = bench.output("cat /proc/self/mountinfo", changes)
    found = [line for line in out.splitlines() if line.split(" ")[4] == destination]
    expect(found, f"nothing is mounted at {destination}")
    left, right = found[-1].split(" - ")
    fields = left.split(" ")
    return set(fields[5].split(",")), fields[6:], set(right.split(" ")[2].split(","))


@conforms("config/mounts")
def mounts_are_made_in_the_listed_order(bench):
    first, second = bench.shared_directory(), bench.shared_directory()
    (first / "inner").mkdir()
    (first / "name").write_text("first", encoding="ascii")
    (second / "name").write_text("second", encoding="ascii")
    out = bench.output("cat /data/name /data/inner/name", mounts_with(
        bench, bind(first, "/data", "bind"), bind(second, "/data/inner", "bind")))
    equal(out, "firstsecond", "the later mount lies upon the earlier one")
    out = bench.output("cat /data/name", mounts_with(
        bench, bind(first, "/data", "bind"), bind(second, "/data", "bind")))
    equal(out, "second", "two mounts at one place")


@conforms("config/mounts")
def a_relative_destination_counts_from_the_root(bench):
    shared = bench.shared_directory()
    (shared / "name").write_text("there", encoding="ascii")
    out = bench.output("cat /data/name", {**mounts_with(bench, bind(shared, "data", "bind")),
                                          "process": {"cwd": "/tmp"}})
    equal(out, "there", "the file")


@conforms("config/mounts")
def a_relative_source_of_a_bind_mount_counts_from_the_bundle(bench):
    bundle = bench.bundle(bench.config("cat /data/name", mounts_with(
        bench, bind("files", "/data", "bind"))))
    (bundle / "files").mkdir()
    (bundle / "files" / "name").write_text("there", encoding="ascii")
    done = bench.run_bundle(bundle, cwd="/")
    equal((done.code, done.out), (0, "there"), f"the file ({done.err.strip()})")


@conforms("config/mounts")
def a_file_system_gets_its_own_options(bench):
    _, _, options = mountinfo(bench, mounts_with(bench, {
        "destination": "/data", "type": "tmpfs", "source": "tmpfs",
        "options": ["size=1024k", "mode=700"]}), "/data")
    expect({"size=1024k", "mode=700"} <= options, f"options {options}")


# --- the options that a runtime must implement --------------------------------------------------------

# Option -> what mountinfo says of a tmpfs with it: words that must and that must not be there, and an
# option before it whose effect it is to take back. An option without words leaves no trace on a tmpfs;
# it has to be understood, and not be handed to the file system, which would refuse it.
OF_THE_MOUNT = {
    "atime": ((), ("noatime",), "noatime"), "dev": ((), ("nodev",), "nodev"),
    "diratime": ((), ("nodiratime",), "nodiratime"), "exec": ((), ("noexec",), "noexec"),
    "noatime": (("noatime",), (), None), "nodev": (("nodev",), (), None),
    "nodiratime": (("nodiratime",), (), None), "noexec": (("noexec",), (), None),
    "norelatime": ((), (), None), "nostrictatime": ((), (), None),
    "nosuid": (("nosuid",), (), None), "relatime": (("relatime",), (), None),
    "ro": (("ro",), (), None), "rw": (("rw",), ("ro",), "ro"),
    "strictatime": ((), ("relatime", "noatime"), "noatime"), "suid": ((), ("nosuid",), "nosuid"),
    "defaults": (("rw",), ("nosuid", "nodev", "noexec"), None),
}
OF_THE_FILE_SYSTEM = {
    "async": ((), ("sync",), "sync"), "dirsync": (("dirsync",), (), None),
    "lazytime": (("lazytime",), (), None), "nolazytime": ((), ("lazytime",), "lazytime"),
    "sync": (("sync",), (), None), "iversion": ((), (), None), "noiversion": ((), (), None),
    "loud": ((), (), None), "silent": ((), (), None),
}

for _table, _which in ((OF_THE_MOUNT, 0), (OF_THE_FILE_SYSTEM, 2)):
    for _option, _row in _table.items():
        @conforms(SECTION, f"the option {_option}")
        def _(bench, option=_option, row=_row, which=_which):
            must, must_not, before = row
            mount = {"destination": "/data", "type": "tmpfs", "source": "tmpfs",
                     "options": [before, option] if before else [option]}
            found = mountinfo(bench, mounts_with(bench, mount), "/data")[which]
            expect(set(must) <= found and not set(must_not) & found, f"mounted with {found}")


PROPAGATION = {"private": [], "rprivate": [], "shared": ["shared"], "rshared": ["shared"],
               "slave": ["master"], "rslave": ["master"],
               "unbindable": ["unbindable"], "runbindable": ["unbindable"]}

for _option, _kinds in PROPAGATION.items():
    @conforms(SECTION, f"the option {_option}")
    def _(bench, option=_option, kinds=_kinds):
        shared = bench.shared_directory()
        bench.shared_mount(shared)
        found = mountinfo(bench, mounts_with(bench, bind(shared, "/data", "bind", option)),
                          "/data")[1]
        equal([word.split(":")[0] for word in found if kinds or word], kinds, "propagation")


@conforms(SECTION, "the option bind")
def _(bench):
    shared = bench.shared_directory()
    (shared / "inner").mkdir()
    bench.mount("-t", "tmpfs", "inner", shared / "inner")
    (shared / "inner" / "file").touch()
    (shared / "name").write_text("there", encoding="ascii")
    out = bench.output("cat /data/name; ls /data/inner", mounts_with(
        bench, bind(shared, "/data", "bind")))
    equal(out, "there", "the tree, without what is mounted beneath it")


@conforms(SECTION, "the option rbind")
def _(bench):
    shared = bench.shared_directory()
    (shared / "inner").mkdir()
    bench.mount("-t", "tmpfs", "inner", shared / "inner")
    (shared / "inner" / "file").touch()
    out = bench.output("ls /data/inner", mounts_with(bench, bind(shared, "/data", "rbind")))
    equal(out, "file\n", "what is mounted beneath")


@conforms(SECTION, "the option remount")
def _(bench):
    mount = {"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["rw"]}
    out = bench.output("touch /data/x 2>/dev/null || echo read-only; "
                       "grep -c ' /data ' /proc/self/mountinfo",
                       mounts_with(bench, mount, {**mount, "options": ["remount", "ro"]}))
    equal(out, "read-only\n1\n", "one mount, now read-only")


@conforms(SECTION)
def read_only_holds_for_a_bind_mount(bench):
    shared = bench.shared_directory()
    bench.output("! touch /data/x 2>/dev/null", mounts_with(
        bench, bind(shared, "/data", "bind", "ro")))
    equal(os.listdir(shared), [], "files of the source")


@conforms(SECTION)
def an_option_that_nobody_knows_goes_to_the_file_system(bench):
    bench.refuses(bench.config(changes=mounts_with(bench, {
        "destination": "/data", "type": "tmpfs", "source": "tmpfs",
        "options": ["nosuchoption=1"]})))


# --- id mappings ---------------------------------------------------------------------------------------

MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def idmapped(bench, options, **fields):
    shared = bench.shared_directory()
    (shared / "file").touch()
    return mounts_with(bench, {**bind(shared, "/data", *options), **fields})


@conforms("config/mounts")
def uid_mappings_without_gid_mappings_are_refused_and_the_reverse(bench):
    for kind in ("uidMappings", "gidMappings"):
        bench.refuses(bench.config(changes=idmapped(bench, ("bind", "idmap"), **{kind: MAP})))


for _option, _bind in (("idmap", "bind"), ("ridmap", "rbind")):
    @conforms(SECTION, f"the option {_option} applies the mount's own mapping")
    def _(bench, options=(_bind, _option)):
        # A file of the host's 0 shows itself as the id that 0 is mapped to.
        changes = idmapped(bench, options, uidMappings=MAP, gidMappings=MAP)
        equal(bench.output("stat -c '%u %g' /data/file", changes), "100000 100000\n",
              "owner of the file")

    @conforms(SECTION, f"the option {_option} without any mapping is refused")
    def _(bench, options=(_bind, _option)):
        bench.refuses(bench.config(changes=idmapped(bench, options)))
