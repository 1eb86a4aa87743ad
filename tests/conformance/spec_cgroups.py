"""config-linux.md: control groups and the limits of each controller."""

import contextlib
import os
import pathlib

from conform import Skip, conforms, equal, expect, hierarchies, until


def limits(bench, resources, path=None):
    linux = {"resources": resources}
    if path is not None:
        linux["cgroupsPath"] = path
    return bench.config(changes={"linux": linux})


def value(container, controller, v1_file, v2_file):
    """What the kernel says of a limit of the container's group."""
    mounted = hierarchies()
    if controller in mounted:
        path = f"{mounted[controller]}{container.groups()[controller]}/{v1_file}"
    elif v2_file and "" in mounted:
        path = f"{mounted['']}{container.groups()['']}/{v2_file}"
    else:
        raise Skip(f"this host has no {controller} controller")
    if not os.path.exists(path):
        raise Skip(f"this host's {controller} controller has no {os.path.basename(path)}")
    return pathlib.Path(path).read_text(encoding="ascii").strip()


@contextlib.contextmanager
def own_group(bench, controller="pids"):
    """A group that the test has made; removed, with what is left of it in other hierarchies."""
    mounted = hierarchies()
    group = pathlib.Path(f"{mounted.get(controller, mounted.get(''))}/{bench.new_id()}-own")
    group.mkdir()
    try:
        yield group
    finally:
        bench.clean_up()
        for point in set(mounted.values()):
            with contextlib.suppress(OSError):
                until(lambda path=f"{point}/{group.name}": not os.path.exists(path) or
                      not os.rmdir(path), "the end of the group", 3)


# --- paths -----------------------------------------------------------------------------------------------


@conforms("linux/cgroups-path")
def an_absolute_path_counts_from_the_mount_point(bench):
    path = f"/{bench.new_id()}/group"
    container = bench.started(limits(bench, {"pids": {"limit": 50}}, path))
    expect(path in container.groups().values(), f"groups {container.groups()}")
    container.stop().good("delete")
    for point in set(hierarchies().values()):
        with contextlib.suppress(OSError):
            os.rmdir(f"{point}{os.path.dirname(path)}")


@conforms("linux/cgroups-path")
def a_relative_path_is_taken(bench):
    name = bench.new_id()
    container = bench.started(limits(bench, {"pids": {"limit": 50}}, name))
    expect(any(path.endswith(f"/{name}") for path in container.groups().values()),
           f"groups {container.groups()}")


@conforms("linux/cgroups-path")
def the_same_path_leads_to_the_same_place(bench):
    name, seen = bench.new_id(), []
    for _ in range(2):
        container = bench.started(limits(bench, {"pids": {"limit": 50}}, name))
        seen.append({path for path in container.groups().values() if name in path})
        container.stop().good("delete")
    equal(seen[0], seen[1], "groups of two containers")


@conforms("linux/cgroups-path")
def a_path_that_leads_out_of_the_hierarchy_is_no_way_out(bench):
    # Refused, or taken as if the hierarchy's root were the root.
    before = set(os.listdir("/sys/fs/cgroup"))
    name = bench.new_id()
    bench.containers.append(name)
    config = limits(bench, {"pids": {"limit": 50}}, f"/../../{name}")
    bench.call("create", "--bundle", bench.bundle(config), name)
    equal(set(os.listdir("/sys/fs/cgroup")), before, "what lies beside the hierarchies")


@conforms("linux/cgroups")
def a_group_that_is_not_empty_is_refused(bench):
    with own_group(bench) as group:
        process = bench.child("sleep", "1000")
        (group / "cgroup.procs").write_text(str(process.pid), encoding="ascii")
        try:
            bench.refuses(limits(bench, {"pids": {"limit": 50}}, f"/{group.name}"))
        finally:
            process.kill()
            process.wait()


@conforms("linux/cgroups")
def a_frozen_group_is_refused(bench):
    controller = "freezer" if "freezer" in hierarchies() else ""
    with own_group(bench, controller) as group:
        file, frozen, thawed = (("freezer.state", "FROZEN", "THAWED") if controller else
                                ("cgroup.freeze", "1", "0"))
        (group / file).write_text(frozen, encoding="ascii")
        try:
            bench.refuses(limits(bench, {"pids": {"limit": 50}}, f"/{group.name}"))
        finally:
            (group / file).write_text(thawed, encoding="ascii")


@conforms("linux/cgroups")
def a_missing_file_of_the_delegated_ones_is_no_failure(bench):
    mounts = [{**mount, "options": ["nosuid", "noexec", "nodev", "relatime", "rw"]}
              if mount["type"] == "cgroup" else mount for mount in bench.config()["mounts"]]
    equal(bench.output("echo ok", {"mounts": mounts}), "ok\n", "output")


# --- devices ---------------------------------------------------------------------------------------------

DENY = {"allow": False, "access": "rwm"}
KMSG = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rwm"}
TRY_KMSG = "mknod /tmp/d c 1 11 2>/dev/null && (: < /tmp/d) 2>/dev/null && echo open || echo denied"


def device_rules(bench, *rules):
    config = bench.config(TRY_KMSG, {
        "process": {"capabilities": {kind: ["CAP_MKNOD", "CAP_SYSLOG"]
                                     for kind in ("bounding", "effective", "permitted")}},
        "linux": {"resources": {"devices": list(rules)}}})
    done = bench.run(config, own_root=True)
    equal(done.code, 0, f"exit code ({done.err.strip()})")
    return done.out.strip()


@conforms("linux/device-list")
def rules_for_devices_apply_in_the_listed_order(bench):
    equal(device_rules(bench, DENY, KMSG), "open", "denied all, then allowed one")
    equal(device_rules(bench, KMSG, DENY), "denied", "allowed one, then denied all")
    equal(device_rules(bench, DENY, KMSG, {**KMSG, "allow": False}), "denied",
          "denied, allowed, denied")


@conforms("linux/device-list")
def a_rule_without_numbers_means_all(bench):
    equal(device_rules(bench, DENY, {"allow": True, "type": "c", "access": "rwm"}), "open",
          "every character device")


# --- memory, cpu, pids, io ---------------------------------------------------------------------------------


@conforms("linux/memory")
def a_memory_limit_is_set(bench):
    container = bench.create(limits(bench, {"memory": {"limit": 64 << 20}}))
    equal(value(container, "memory", "memory.limit_in_bytes", "memory.max"), str(64 << 20), "limit")


@conforms("linux/memory")
def a_reservation_is_set(bench):
    container = bench.create(limits(bench, {"memory": {"limit": 64 << 20,
                                                       "reservation": 32 << 20}}))
    equal(value(container, "memory", "memory.soft_limit_in_bytes", "memory.low"), str(32 << 20),
          "reservation")


@conforms("linux/memory")
def a_limit_below_the_use_is_refused_when_that_is_to_be_checked(bench):
    container = bench.started(bench.config(
        "head -c 30000000 /dev/zero > /dev/shm/use; echo filled; sleep 1000",
        {"linux": {"resources": {"memory": {"limit": 64 << 20}}}}))
    container.wait_for_output("filled")
    wish = bench.directory / f"update{next(bench.numbers)}.json"
    wish.write_text('{"memory": {"limit": 8388608, "checkBeforeUpdate": true}}', encoding="ascii")
    container.bad("update", "--resources", wish)
    equal(value(container, "memory", "memory.limit_in_bytes", "memory.max"), str(64 << 20),
          "the limit")
    equal(container.status(), "running", "the container")


@conforms("linux/cpu")
def the_processor_limits_are_set(bench):
    container = bench.create(limits(bench, {"cpu": {"shares": 512, "quota": 50000,
                                                    "period": 100000, "cpus": "0"}}))
    if "cpu" in hierarchies():
        equal(value(container, "cpu", "cpu.cfs_quota_us", None), "50000", "quota")
        equal(value(container, "cpu", "cpu.shares", None), "512", "shares")
    else:
        equal(value(container, "cpu", "", "cpu.max"), "50000 100000", "quota and period")
    equal(value(container, "cpuset", "cpuset.cpus", "cpuset.cpus"), "0", "processors")


@conforms("linux/cpu")
def a_burst_over_the_quota_is_refused(bench):
    bench.refuses(limits(bench, {"cpu": {"quota": 10000, "period": 100000, "burst": 20000}}))


@conforms("linux/pids")
def a_limit_of_processes_is_set_and_holds(bench):
    container = bench.started(bench.config(
        "(for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 & done; echo all); exec sleep 1000",
        {"linux": {"resources": {"pids": {"limit": 8}}}}))
    equal(value(container, "pids", "pids.max", "pids.max"), "8", "limit")
    container.wait_for_output("fork")
    expect("all" not in container.output(), "ten processes were made")


@conforms("linux/pids")
def minus_one_is_no_limit_of_processes(bench):
    container = bench.create(limits(bench, {"pids": {"limit": -1}}))
    equal(value(container, "pids", "pids.max", "pids.max"), "max", "limit")


@conforms("linux/block-io")
def a_throttle_is_set(bench):
    with open("/proc/partitions", encoding="ascii") as file:
        rows = [line.split() for line in file.read().splitlines()[2:]]
    disks = [row for row in rows if os.path.exists(f"/sys/block/{row[3]}")]
    if not disks:
        raise Skip("this host has no disk")
    major, minor = int(disks[0][0]), int(disks[0][1])
    container = bench.create(limits(bench, {"blockIO": {"throttleReadBpsDevice": [
        {"major": major, "minor": minor, "rate": 1048576}]}}))
    found = value(container, "blkio", "blkio.throttle.read_bps_device", "io.max")
    expect(f"{major}:{minor}" in found and "1048576" in found, f"throttle {found!r}")


@conforms("linux/block-io")
def a_device_s_weight_without_a_number_is_refused(bench):
    bench.refuses(limits(bench, {"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}}))


@conforms("linux/rdma")
def an_rdma_limit_without_a_number_is_refused(bench):
    bench.refuses(limits(bench, {"rdma": {"mlx5_0": {}}}))


@conforms("linux/hugepages")
def a_limit_of_huge_pages_is_set(bench):
    if "hugetlb" not in hierarchies() and "hugetlb" not in v2_controllers():
        raise Skip("this host has no hugetlb controller")
    container = bench.create(limits(bench, {"hugepageLimits": [
        {"pageSize": "2MB", "limit": 4 << 20}]}))
    equal(value(container, "hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"),
          str(4 << 20), "limit")


@conforms("linux/hugepages")
def a_page_size_that_is_not_there_is_refused(bench):
    bench.refuses(limits(bench, {"hugepageLimits": [{"pageSize": "3MB", "limit": 4 << 20}]}))


# --- unified -----------------------------------------------------------------------------------------------


def v2_controllers():
    point = hierarchies().get("")
    if not point:
        raise Skip("no cgroup v2 hierarchy is to be seen")
    return pathlib.Path(f"{point}/cgroup.controllers").read_text(encoding="ascii").split()


@conforms("linux/unified")
def a_controller_that_a_unified_setting_needs_is_enabled(bench):
    if "hugetlb" not in v2_controllers():
        raise Skip("cgroup v2 has no hugetlb controller here")
    container = bench.create(limits(bench, {"unified": {"hugetlb.2MB.max": str(6 << 20)}}))
    group = f"{hierarchies()['']}{container.groups()['']}"
    equal(pathlib.Path(f"{group}/hugetlb.2MB.max").read_text(encoding="ascii").strip(),
          str(6 << 20), "limit")


@conforms("linux/unified")
def a_unified_setting_that_nobody_knows_is_written(bench):
    if "hugetlb" not in v2_controllers():
        raise Skip("cgroup v2 has no hugetlb controller here")
    # rsvd.max has no word of its own in the specification.
    container = bench.create(limits(bench, {"unified": {"hugetlb.2MB.rsvd.max": str(8 << 20)}}))
    group = f"{hierarchies()['']}{container.groups()['']}"
    equal(pathlib.Path(f"{group}/hugetlb.2MB.rsvd.max").read_text(encoding="ascii").strip(),
          str(8 << 20), "limit")


@conforms("linux/unified")
def a_unified_setting_of_a_controller_that_is_not_there_is_an_error(bench):
    bench.refuses(limits(bench, {"unified": {"nosuch.max": "1"}}))


@conforms("linux/network")
def a_network_class_without_its_controller_is_an_error(bench):
    if "net_cls" in hierarchies():
        raise Skip("this host has the net_cls controller")
    bench.refuses(limits(bench, {"network": {"classID": 1048577}}))
