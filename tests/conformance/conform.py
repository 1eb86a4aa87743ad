"""The conformance suite's workshop: a runtime driven by its command line, and the list of tests.

A test is a function that is given a Bench, belongs to a section of the specification, and is named in
clauses.json by the clause that it shows. Nothing here knows which runtime it drives.
"""

import contextlib
import copy
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.bundles import Workshop, default_config, merge
from support.harness import Skip, equal, expect

SECONDS = 20
WAIT = ["sleep", "1000"]
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "tests" / "data" / "runtime-spec"

TESTS = []


@dataclasses.dataclass
class Test:
    section: str
    title: str
    body: object

    @property
    def name(self):
        return f"{self.section}: {self.title}"


def conforms(section, title=None):
    """Registers a test under a section; its title is the function's name, if not given."""
    def register(function):
        TESTS.append(Test(section, title or function.__name__.replace("_", " "), function))
        return function
    return register


def complaints(schema, document):
    """What the schema `schema`-schema.json says against the document."""
    try:
        import jsonschema  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise Skip("python3-jsonschema is not installed") from error
    rules = json.loads((DATA / "schema" / f"{schema}-schema.json").read_text(encoding="utf-8"))
    with warnings.catch_warnings():
        # Newer versions prefer another interface, which Debian's version does not have.
        warnings.simplefilter("ignore", DeprecationWarning)
        resolver = jsonschema.RefResolver(f"{(DATA / 'schema').as_uri()}/", rules)
        validator = jsonschema.Draft4Validator(rules, resolver=resolver)
        return [f"/{'/'.join(map(str, error.path))}: {error.message}"
                for error in validator.iter_errors(document)]


def until(condition, what, seconds=20):
    """Waits; for what a runtime may do behind the call's back."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        expect(time.monotonic() < deadline, f"{what}: not after {seconds} s")
        time.sleep(0.01)
    return answer


@dataclasses.dataclass
class Done:
    code: int
    out: str
    err: str


class Container:
    """A container that has been created. Deleted by force when the test is over."""

    def __init__(self, bench, name, bundle, output=None):
        self.bench = bench
        self.id = name
        self.bundle = bundle
        self._output = output

    def call(self, command, *arguments, **more):
        return self.bench.call(command, self.id, *arguments, **more)

    def good(self, command, *arguments, **more):
        done = self.call(command, *arguments, **more)
        equal(done.code, 0, f"exit code of {command} ({done.err.strip()[-300:]})")
        return done

    def bad(self, command, *arguments, **more):
        done = self.call(command, *arguments, **more)
        expect(done.code != 0, f"{command} succeeds")
        return done

    def state(self):
        return json.loads(self.good("state").out)

    def status(self):
        return self.state()["status"]

    def pid(self):
        return self.state()["pid"]

    def start(self):
        self.good("start")
        return self

    def output(self):
        return self._output.read_text(errors="replace")

    def wait_for_output(self, word):
        until(lambda: word in self.output(), f"{word!r} in {self.output()!r}")

    def wait_for_program(self, name="sleep"):
        until(lambda: name in self.proc("cmdline"), "the program under the pid of the state")

    def stop(self):
        """Ends the process and waits for the runtime to say so."""
        self.good("kill", "KILL")
        self.wait_for_end()
        return self

    def wait_for_end(self):
        until(lambda: self.status() == "stopped", "the stopped state")

    def exec(self, *arguments, options=()):
        done = self.bench.call("exec", *options, self.id, *arguments)
        equal(done.code, 0, f"exit code of exec ({done.err.strip()[-300:]})")
        return done.out

    def namespace(self, kind):
        return os.readlink(f"/proc/{self.pid()}/ns/{kind}")

    def proc(self, file):
        return pathlib.Path(f"/proc/{self.pid()}/{file}").read_text(encoding="utf-8",
                                                                   errors="replace")

    def groups(self):
        """Controllers -> path of the group, as the kernel tells it of the container's process."""
        found = {}
        for line in self.proc("cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                found[controller.removeprefix("name=")] = path
        return found


def hierarchies():
    """Controller -> mount point of its v1 hierarchy; "" -> that of cgroup v2."""
    found = {}
    for line in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        left, right = line.split(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup":
            for word in options.split(","):
                found.setdefault(word.removeprefix("name="), left.split(" ")[4])
        elif kind == "cgroup2":
            found[""] = left.split(" ")[4]
    return {name: point for name, point in found.items() if name not in ("rw", "ro")}


class Bench(Workshop):
    """The workshop of one test run: every call is bounded in time, every container is removed."""

    def __init__(self, runtime):
        super().__init__(runtime)
        os.chmod(self.directory, 0o755)
        self.containers = []
        self.children = []
        self.mounts = []

    def call(self, *arguments, timeout=SECONDS, **options):
        """Output goes to files: what a container keeps open must not be waited for."""
        number = next(self.numbers)
        out, err = (self.directory / f"{number}.{kind}" for kind in ("out", "err"))
        with open(out, "wb") as out_file, open(err, "wb") as err_file:
            options.setdefault("stdin", subprocess.DEVNULL)
            done = subprocess.run(self.command(*arguments), stdout=out_file, stderr=err_file,
                                  timeout=timeout, check=False, **options)
        return Done(done.returncode, out.read_text(errors="replace"),
                    err.read_text(errors="replace"))

    # --- configurations ------------------------------------------------------------------------

    def config(self, args=WAIT, changes=None):
        if isinstance(args, str):
            args = ["sh", "-c", args]
        return merge(default_config(list(args)), copy.deepcopy(changes or {}))

    def shared_directory(self):
        """A directory of the host, for hooks and bind mounts."""
        path = self.directory / f"shared{next(self.numbers)}"
        path.mkdir()
        path.chmod(0o777)
        return path

    def raw_bundle(self, text):
        """A bundle with this very text as its configuration."""
        bundle = self.bundle(self.config())
        (bundle / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
        return bundle

    # --- life ----------------------------------------------------------------------------------

    def new_id(self):
        name = super().new_id()
        self.containers.append(name)
        return name

    def create(self, config=None, options=(), own_root=False, name=None):
        """A created container; the test fails if that fails."""
        name = name or self.new_id()
        bundle = self.bundle(config or self.config(), own_root)
        output = self.directory / f"{name}.{next(self.numbers)}.output"
        with open(output, "wb") as file:
            done = subprocess.run(self.command("create", "--bundle", bundle, *options, name),
                                  stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                  timeout=SECONDS, check=False)
        equal(done.returncode, 0,
              f"exit code of create ({output.read_text(errors='replace').strip()[-300:]})")
        return Container(self, name, bundle, output)

    def started(self, config=None, **more):
        return self.create(config, **more).start()

    def output(self, script, changes=None, **more):
        """What a script prints that runs in a container and succeeds."""
        done = self.run(self.config(script, changes), **more)
        equal(done.code, 0, f"exit code of run ({(done.err or done.out).strip()[-300:]})")
        return done.out

    def run(self, config, own_root=False, options=(), **more):
        return self.run_bundle(self.bundle(config, own_root), *options, **more)

    def run_bundle(self, bundle, *options, **more):
        return self.call("run", "--bundle", bundle, *options, self.new_id(), **more)

    def refuses(self, config=None, bundle=None):
        """Create must fail, and there must be no container afterwards."""
        name = self.new_id()
        done = self.call("create", "--bundle", bundle or self.bundle(config), name)
        expect(done.code != 0, "create succeeds")
        expect(self.call("state", name).code != 0, "there is a container after the error")
        return done.err

    def does_not_start(self, config):
        """Create or start must fail, and the program must not run."""
        name = self.new_id()
        if self.call("create", "--bundle", self.bundle(config), name).code != 0:
            expect(self.call("state", name).code != 0, "there is a container after the error")
            return
        expect(self.call("start", name).code != 0, "the container starts")
        until(lambda: '"running"' not in self.call("state", name).out, "the end of the process")

    # --- the test's own helpers ------------------------------------------------------------------

    def child(self, *command):
        """A process of the test's own that lives until the test is over."""
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE)
        self.children.append(process)
        return process

    def in_new_namespace(self, option):
        """A process in a new namespace of its own ("--net"); returns once it is there."""
        process = self.child("unshare", option, "sh", "-c", "echo there; exec sleep 1000")
        equal(process.stdout.readline(), b"there\n", f"unshare {option}")
        return process.pid

    def mount(self, *arguments):
        subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)
        self.mounts.append(str(arguments[-1]))

    def shared_mount(self, path):
        """Makes a directory a mount point whose mounts propagate."""
        self.mount("--bind", path, path)
        subprocess.run(["mount", "--make-shared", path], check=True)

    def clean_up(self):
        """After each test."""
        for name in self.containers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.call("delete", "--force", name)
        self.containers.clear()
        for process in self.children:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
        self.children.clear()
        for target in reversed(self.mounts):
            subprocess.run(["umount", "-l", target], check=False, capture_output=True)
        self.mounts.clear()

    def __exit__(self, *rest):
        self.clean_up()
        super().__exit__(*rest)
