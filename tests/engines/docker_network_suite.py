#!/usr/bin/env python3
"""docker run's networks and volumes; the daemon's network is a namespace of its own. BULKHEAD_RUNTIME
names the runtime; the suite also passes on runc, which is how it is itself tested."""

import pathlib
import sys

from docker_host import DockerHost
from engine_support import Skip, Suite, equal, eventually, expect, run_suite

suite = Suite("docker network")
SERVER = ("sh", "-c", "while :; do echo hello | nc -l -p 80; done")
ASK = ("import socket, sys\n"
       "print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).recv(9).decode())")


def answers(docker, address, port):
    """Asks from the daemon's network namespace."""
    done = docker.enclosure.call("python3", "-c", ASK, address, port, timeout=10)
    return done.stdout.strip() == "hello"


@suite.test
def a_published_port_is_reached(docker):
    with docker.container("-p", "127.0.0.1:18080:80", command=SERVER) as name:
        expect(eventually(lambda: answers(docker, "127.0.0.1", "18080")), "no answer on the published port")
        equal(docker.run("port", name, "80"), "127.0.0.1:18080", "port")
        address = docker.inspect(name, ".NetworkSettings.IPAddress")
        expect(eventually(lambda: answers(docker, address, "80")), "no answer on the bridge")
    expect(not answers(docker, "127.0.0.1", "18080"), "an answer after the container's end")


@suite.test
def the_port_is_free_again_after_a_restart(docker):
    with docker.container("-p", "18081:80", command=SERVER) as name:
        docker.run("restart", "-t", "0", name)
        expect(eventually(lambda: answers(docker, "127.0.0.1", "18081")), "no answer after a restart")


@suite.test
def containers_of_a_network_know_each_other_by_name(docker):
    docker.run("network", "create", "--subnet", "10.99.7.0/24", "seven")
    try:
        with docker.container("--network", "seven", "--network-alias", "alias", name="server",
                              command=SERVER):
            for host in ("server", "alias"):
                equal(docker.says("--network", "seven", docker.image, "sh", "-c",
                                  f"for i in $(seq 100); do nc -w 2 {host} 80 && exit; sleep 0.2; done"),
                      "hello", host)
            apart = docker.once(docker.image, "nc", "-w", "1", "server", "80")
            expect(apart.returncode != 0, f"reached from another network: {apart}")
    finally:
        docker.call("network", "rm", "seven")


@suite.test
def a_network_is_joined_while_it_runs(docker):
    docker.run("network", "create", "--subnet", "10.99.8.0/24", "eight")
    try:
        with docker.container() as name:
            docker.run("network", "connect", "--ip", "10.99.8.9", "eight", name)
            expect("10.99.8.9" in docker.run("exec", name, "ip", "address"), "no second address")
            docker.run("network", "disconnect", "eight", name)
            expect("10.99.8.9" not in docker.run("exec", name, "ip", "address"), "address stays")
    finally:
        docker.call("network", "rm", "eight")


@suite.test
def network_none_has_loopback_only(docker):
    equal(docker.says("--network", "none", docker.image, "sh", "-c", "ls /sys/class/net").split(), ["lo"],
          "interfaces")
    expect("eth0" in docker.says(docker.image, "ls", "/sys/class/net").split(), "no interface on the bridge")


@suite.test
def names_and_addresses_are_written(docker):
    said = docker.says("--add-host", "peer:10.1.2.3", "--dns", "10.9.9.9", "--mac-address",
                       "02:00:00:00:77:77", docker.image, "sh", "-c",
                       "grep peer /etc/hosts; cat /etc/resolv.conf; cat /sys/class/net/eth0/address")
    for part in ("10.1.2.3", "nameserver 10.9.9.9", "02:00:00:00:77:77"):
        expect(part in said, f"{part} is not in {said!r}")


@suite.test
def bind_mounts_are_read_write_or_read_only(docker):
    directory = docker.directory / "volume"
    directory.mkdir()
    (directory / "file").write_text("shared", encoding="utf-8")
    equal(docker.says("-v", f"{directory}:/data:ro", docker.image, "cat", "/data/file"), "shared", "volume")
    done = docker.once("-v", f"{directory}:/data:ro", docker.image, "touch", "/data/x")
    expect("Read-only" in done.stderr, f"a read-only volume was written: {done}")
    docker.says("--mount", f"type=bind,source={directory},target=/data", docker.image, "touch", "/data/x")
    expect((directory / "x").exists(), "nothing was written")
    equal(docker.says("-v", f"{directory}/file:/etc/motd", docker.image, "cat", "/etc/motd"), "shared",
          "a file over a file that the image lacks")


@suite.test
def named_volumes_keep_their_content(docker):
    docker.says("-v", "kept:/data", docker.image, "sh", "-c", "echo word > /data/file")
    equal(docker.says("-v", "kept:/data:ro", docker.image, "cat", "/data/file"), "word", "content")
    with docker.container("-v", "/anonymous", "-v", "kept:/data") as name:
        equal(docker.says("--volumes-from", name, docker.image, "sh", "-c",
                          "cat /data/file; grep -c ' /anonymous ' /proc/mounts").split(), ["word", "1"],
              "volumes from another container")
    # An empty named volume is filled with what the image has at its place.
    expect("passwd" in docker.says("-v", "filled:/etc", docker.image, "ls", "/etc").split(), "not filled")


@suite.test
def mounts_propagate_as_asked(docker):
    source = docker.enclosure.data / "propagated"
    for word in ("mkdir", "mount --bind", "mount --make-shared"):
        paths = (source, source) if word.endswith("--bind") else (source,)
        equal(docker.enclosure.call(*word.split(), *paths).returncode, 0, word)
    try:
        with docker.container("-v", f"{source}:/slave:rslave", "-v", f"{source}:/private") as name:
            late = source / "late"
            equal(docker.enclosure.call("mkdir", late).returncode, 0, "mkdir")
            equal(docker.enclosure.call("mount", "-t", "tmpfs", "late", late).returncode, 0, "mount")
            mounts = docker.run("exec", name, "cat", "/proc/mounts")
            expect(" /slave/late " in mounts, "a later mount does not reach a slave")
            expect(" /private/late " not in mounts, "a later mount reaches a private one")
    finally:
        docker.enclosure.call("umount", source / "late")
        docker.enclosure.call("umount", source)


@suite.test
def a_volume_may_be_a_tmpfs_with_options(docker):
    docker.run("volume", "create", "--driver", "local", "--opt", "type=tmpfs", "--opt", "device=tmpfs",
               "--opt", "o=size=1m,uid=1000", "scratch")
    equal(docker.says("-v", "scratch:/data", docker.image, "stat", "-c", "%u", "/data"), "1000", "owner")


@suite.test
def a_source_that_is_missing_is_an_error(docker):
    done = docker.once("--mount", "type=bind,source=/no/such/source,target=/data", docker.image, "true")
    expect(done.returncode == 125 and "/no/such/source" in done.stderr, done)


@suite.test
def a_link_of_the_image_does_not_lead_a_mount_outside(docker):
    outside = docker.enclosure.data / "outside"
    equal(docker.enclosure.call("mkdir", outside).returncode, 0, "mkdir")
    with docker.container(command=("ln", "-s", f"/../../../../../../{outside}", "/link")) as name:
        docker.run("wait", name)
        docker.run("commit", name, "hostile")
    said = docker.says("--tmpfs", "/link:size=1m", "hostile", "sh", "-c",
                       "grep -c tmpfs.*size=1024k /proc/mounts; touch /link/file; echo done")
    expect(said.endswith("done"), said)
    equal(docker.enclosure.call("ls", outside).stdout, "", "files outside")
    expect(str(outside) not in docker.enclosure.mounts(), "a mount outside")
    equal(pathlib.Path(f"/proc/{docker.enclosure.holder.pid}/root{outside}").is_dir(), True, "the control")


def bridged_host():
    host = DockerHost()
    probe = host.once(host.image, "true")
    if "iptables" in probe.stderr:
        host.__exit__()
        raise Skip(f"dockerd cannot make its bridge here: {probe.stderr[-200:]}")
    return host


if __name__ == "__main__":
    sys.exit(run_suite(suite, {"dockerd": "docker.io", "containerd": "containerd"}, bridged_host))
