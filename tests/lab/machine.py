"""A guest: one QEMU process over the machine's root file system, from its start to its exit code."""

import contextlib
import ctypes
import dataclasses
import os
import pathlib
import selectors
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

import initramfs
from kernels import CACHE, LabError, call

HERE = pathlib.Path(__file__).resolve().parent
QEMU = "qemu-system-x86_64"
MODULES = {"none": "bpf", "apparmor": "apparmor,bpf", "selinux": "selinux,bpf"}
BOOT_LIMIT_SECONDS = {"kvm": 60, "tcg": 180}
PROBE_LIMIT_SECONDS = 20
PR_SET_PDEATHSIG = 1
CONSOLE_LINES = 30


@dataclasses.dataclass
class Wish:
    """What a guest should be."""
    kernel: object
    command: list
    directory: pathlib.Path
    lsm: str = "apparmor"
    append: str = ""
    manager: str = "lab"  # PID 1: the lab's own, or systemd
    memory: int = 2048
    disk: int = 4096
    accelerator: str = "tcg"
    time_limit: float = 600.0
    ports: tuple = (1, 2)  # where the command's standard output and error go


class GuestDied(LabError):
    """The guest ended, or never came up, and told no exit code."""


class TimeIsUp(LabError):
    """The command did not end in its time."""


def host_kilohertz():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("cpu MHz"):
            return int(float(line.split(":")[1]) * 1000)
    return 0


def kernel_command_line(wish):
    words = ["console=ttyS0", "quiet", "panic=-1", "reboot=t", "mitigations=off",
             "random.trust_cpu=on", "cgroup_no_v1=all",
             f"lsm=landlock,lockdown,yama,integrity,{MODULES[wish.lsm]}"]
    if wish.lsm == "selinux":
        words += ["selinux=1", "enforcing=0"]
    # An emulated processor's clock cannot be calibrated in time: the kernel hangs where it tries.
    if wish.accelerator == "tcg" and (known := host_kilohertz()):
        words.append(f"tsc_early_khz={known}")
    return " ".join([*words, wish.append])


def qemu_command(wish, place, ends):
    """`ends`: the descriptors of the pipes for output, errors and status."""
    tcg = wish.accelerator == "tcg"
    command = [
        QEMU, "-M", "microvm", "-accel", "tcg,thread=multi" if tcg else "kvm",
        # Emulation gets cmpxchg16b wrong now and then, and Linux dies of it.
        "-cpu", "max,-cx16" if tcg else "host", "-smp", "1", "-m", str(wish.memory),
        "-nographic", "-nodefaults", "-no-user-config", "-no-reboot",
        "-kernel", str(wish.kernel.image), "-initrd", str(place / "initramfs"),
        "-append", kernel_command_line(wish), "-serial", f"file:{place / 'console'}",
        "-device", "virtio-rng-device", "-device", "virtio-serial-device"]
    for name, end in zip(("out", "err", "status"), ends):
        command += ["-chardev", f"file,id={name},path=/dev/fd/{end},append=on",
                    "-device", f"virtserialport,chardev={name},name=lab.{name}"]
    for name, source in (("root", "/"), ("layer", wish.kernel.layer), ("control", place / "control")):
        command += ["-fsdev", f"local,id={name},path={source},security_model=none,readonly=on,"
                              "multidevs=remap",
                    "-device", f"virtio-9p-device,fsdev={name},mount_tag={name}"]
    if wish.disk:
        command += ["-drive", f"file={place / 'disk'},if=none,id=disk,format=raw,cache=unsafe",
                    "-device", "virtio-blk-device,drive=disk"]
    return command


def prepare(wish, place):
    control = place / "control"
    control.mkdir()
    (control / "init").write_text(f"{HERE / 'lab-init'}\n")
    (control / "manager").write_text(f"{wish.manager}\n")
    (control / "directory").write_text(f"{wish.directory}\n")
    (control / "command").write_text(f"exec {shlex.join(wish.command)}\n")
    if wish.lsm == "selinux":
        call("secilc", "--mls", "true", "--policyvers", "33", "--output", str(control / "policy"),
             "--filecontext", "/dev/null", str(HERE / "policy.cil"))
    (place / "initramfs").write_bytes(initramfs.build(wish.kernel))
    if wish.disk:
        with open(place / "disk", "wb") as disk:
            disk.truncate(wish.disk << 20)
        call("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1",
             str(place / "disk"))


def console_tail(place):
    with contextlib.suppress(OSError):
        text = (place / "console").read_text(encoding="utf-8", errors="replace")
        return "\n".join(f"  | {line}" for line in text.splitlines()[-CONSOLE_LINES:])
    return ""


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Guest:
    """Watches one QEMU process; what the guest writes comes through pipes."""

    def __init__(self, wish, place):
        self.wish = wish
        self.place = place
        self.status = b""
        self.up = None
        self.began = time.monotonic()
        pairs = [os.pipe() for _ in range(3)]
        ends = [end for _, end in pairs]
        self.pipes = [end for end, _ in pairs]
        try:
            self.process = subprocess.Popen(
                qemu_command(wish, place, ends), stdin=subprocess.DEVNULL, pass_fds=ends,
                stdout=subprocess.DEVNULL, stderr=open(place / "qemu", "wb"),
                preexec_fn=die_with_parent, start_new_session=True)
        finally:
            for end in ends:
                os.close(end)

    def words(self, kind):
        for line in self.status.decode(errors="replace").splitlines():
            first, _, rest = line.partition(" ")
            if first == kind:
                yield rest

    def check_time(self):
        passed = time.monotonic() - self.began
        if self.up is None:
            limit = BOOT_LIMIT_SECONDS[self.wish.accelerator]
            if passed > min(limit, self.wish.time_limit):
                raise GuestDied(f"the guest did not come up within {passed:.0f} s")
        elif passed > self.wish.time_limit:
            raise TimeIsUp(f"the command was still running after {passed:.0f} s")

    def wait(self):
        """Passes the output on until the guest is gone; the exit code."""
        selector = selectors.DefaultSelector()
        for end, target in zip(self.pipes, (*self.wish.ports, None)):
            selector.register(end, selectors.EVENT_READ, target)
        while selector.get_map():
            for key, _ in selector.select(timeout=0.5):
                chunk = os.read(key.fd, 65536)
                if not chunk:
                    selector.unregister(key.fd)
                elif key.data is None:
                    self.status += chunk
                    if self.up is None and any(self.words("up")):
                        self.up = time.monotonic() - self.began
                else:
                    write_all(key.data, chunk)
            self.check_time()
        self.process.wait()
        for code in self.words("exit"):
            return int(code)
        said = (self.place / "qemu").read_text(encoding="utf-8", errors="replace").strip()
        reason = next(self.words("failed"), said)
        raise GuestDied(f"the guest died after {time.monotonic() - self.began:.0f} s"
                        + (f": {reason}" if reason else ""))

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for end in self.pipes:
            os.close(end)


def write_all(target, chunk):
    while chunk:
        chunk = chunk[os.write(target, chunk):]


def boot(wish):
    """Boots once; the command's exit code. GuestDied carries the end of the console."""
    if shutil.which(QEMU) is None:
        raise LabError(f"{QEMU} is missing: install qemu-system-x86")
    with tempfile.TemporaryDirectory(prefix="bulkhead-lab-") as temporary:
        place = pathlib.Path(temporary)
        prepare(wish, place)
        guest = Guest(wish, place)
        try:
            return guest.wait()
        except LabError as error:
            tail = console_tail(place)
            raise type(error)(f"{error}\n{tail}" if tail else str(error)) from None
        finally:
            guest.end()


def accelerator(kernel):
    """KVM where a guest really starts with it (not everywhere where /dev/kvm can be opened), else
    TCG. The answer is kept for this kernel of the host and this kernel of the guest."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    known = CACHE / f"accelerator-{os.uname().release}-{kernel.release}"
    with contextlib.suppress(OSError):
        if (text := known.read_text(encoding="utf-8").strip()) in BOOT_LIMIT_SECONDS:
            return text
    wish = Wish(kernel, ["true"], HERE, accelerator="kvm", time_limit=PROBE_LIMIT_SECONDS, disk=0)
    try:
        answer = "kvm" if boot(wish) == 0 else "tcg"
    except LabError:
        answer = "tcg"
    known.write_text(f"{answer}\n", encoding="utf-8")
    return answer
