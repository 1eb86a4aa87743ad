"""config-linux.md#network-devices. The host's side is a network namespace of the test's own: the runtime
is started in it, and no interface of the machine is touched."""

import json
import os

from conform import Skip, conforms, equal, expect

SECTION = "linux/net-devices"


class Net:
    """A network namespace that stands for the host's, with interfaces."""

    def __init__(self, bench, *interfaces):
        self.bench = bench
        self.pid = bench.in_new_namespace("--net")
        for name in interfaces:
            self.add(name)

    def add(self, name, pid=None):
        """An interface that can be moved; its other end, which stays, is not counted."""
        done = self.run("ip", "link", "add", name, "type", "veth", "peer", "name", f"peer-{name}",
                        pid=pid)
        expect(done[0] == 0, f"ip link add {name}: {done[1]}")

    def ip(self, *arguments):
        done = self.run("ip", *arguments)
        expect(done[0] == 0, f"ip {' '.join(arguments)}: {done[1]}")
        return done[1]

    def run(self, *command, pid=None):
        process = self.bench.child("nsenter", f"--net=/proc/{pid or self.pid}/ns/net", *command)
        out = process.communicate(timeout=20)[0].decode()
        return process.returncode, out

    def names(self, pid=None):
        out = self.run("ip", "-j", "link", pid=pid)[1]
        return {entry["ifname"] for entry in json.loads(out)
                if not entry["ifname"].startswith("peer-")}

    def bench_in_here(self):
        """The runtime runs in this namespace."""
        bench = self.bench
        original = bench.command
        bench.command = lambda *arguments: ["nsenter", f"--net=/proc/{self.pid}/ns/net",
                                            *original(*arguments)]
        return original


def with_net(interfaces, body):
    """A test in which the runtime sees `interfaces` as the host's."""
    def run(bench):
        if not any(os.access(f"{path}/ip", os.X_OK) for path in os.environ["PATH"].split(":")):
            raise Skip("iproute2 is not installed")
        net = Net(bench, *interfaces)
        original = net.bench_in_here()
        try:
            body(bench, net)
        finally:
            bench.clean_up()
            bench.command = original
    return run


def devices(bench, config, path=None):
    changed = bench.config(changes={"linux": {"netDevices": config}})
    if path:
        for entry in changed["linux"]["namespaces"]:
            if entry["type"] == "network":
                entry["path"] = path
    return changed


def test(title, *interfaces):
    return lambda body: conforms(SECTION, title)(with_net(interfaces, body))


@test("a device is moved into the container", "dev0", "dev1")
def _(bench, net):
    container = bench.started(devices(bench, {"dev0": {}}))
    equal(net.names(container.pid()), {"lo", "dev0"}, "in the container")
    equal(net.names(), {"lo", "dev1"}, "on the host")


@test("a device is renamed on its way", "dev0")
def _(bench, net):
    container = bench.started(devices(bench, {"dev0": {"name": "eth0"}}))
    equal(net.names(container.pid()), {"lo", "eth0"}, "in the container")


@test("a device that is not there is an error", "dev0")
def _(bench, net):
    bench.refuses(devices(bench, {"nosuch0": {}}))
    equal(net.names(), {"lo", "dev0"}, "on the host")


@test("a name that is taken in the container is an error", "dev0")
def _(bench, net):
    other = bench.in_new_namespace("--net")
    net.add("eth0", other)
    bench.refuses(devices(bench, {"dev0": {"name": "eth0"}}, f"/proc/{other}/ns/net"))
    equal(net.names(), {"lo", "dev0"}, "on the host")
    equal(net.names(other), {"lo", "eth0"}, "in the joined namespace")


@test("a name with %d gets the next free number", "dev0")
def _(bench, net):
    other = bench.in_new_namespace("--net")
    net.add("eth0", other)
    bench.started(devices(bench, {"dev0": {"name": "eth%d"}}, f"/proc/{other}/ns/net"))
    equal(net.names(other), {"lo", "eth0", "eth1"}, "in the joined namespace")


@test("permanent global addresses are kept", "dev0")
def _(bench, net):
    net.ip("addr", "add", "10.55.0.2/24", "brd", "+", "dev", "dev0")
    net.ip("addr", "add", "fd55::2/64", "dev", "dev0")
    net.ip("addr", "add", "169.254.7.7/16", "scope", "link", "dev", "dev0")
    container = bench.started(devices(bench, {"dev0": {"name": "eth0"}}))
    out = net.run("ip", "-j", "addr", "show", "eth0", pid=container.pid())[1]
    found = {(entry["local"], entry["prefixlen"]) for entry in json.loads(out)[0]["addr_info"]
             if entry["scope"] == "global"}
    equal(found, {("10.55.0.2", 24), ("fd55::2", 64)}, "global addresses")


@test("other attributes are kept", "dev0")
def _(bench, net):
    net.ip("link", "set", "dev0", "mtu", "1337", "address", "02:00:00:12:34:56")
    container = bench.started(devices(bench, {"dev0": {}}))
    entry = json.loads(net.run("ip", "-j", "link", "show", "dev0", pid=container.pid())[1])[0]
    equal((entry["mtu"], entry["address"]), (1337, "02:00:00:12:34:56"), "mtu and address")


@test("the device is up in the container", "dev0")
def _(bench, net):
    container = bench.started(devices(bench, {"dev0": {}}))
    entry = json.loads(net.run("ip", "-j", "link", "show", "dev0", pid=container.pid())[1])[0]
    expect("UP" in entry["flags"], f"flags {entry['flags']}")


@test("the device is not moved back when the container is deleted", "dev0")
def _(bench, net):
    other = bench.in_new_namespace("--net")
    container = bench.started(devices(bench, {"dev0": {}}, f"/proc/{other}/ns/net"))
    container.stop().good("delete")
    equal(net.names(other), {"lo", "dev0"}, "in the namespace that outlives the container")
    equal(net.names(), {"lo"}, "on the host")


@test("devices without a network namespace are refused", "dev0")
def _(bench, net):
    config = devices(bench, {"dev0": {}})
    config["linux"]["namespaces"] = [entry for entry in config["linux"]["namespaces"]
                                     if entry["type"] != "network"]
    bench.refuses(config)
    equal(net.names(), {"lo", "dev0"}, "on the host")
