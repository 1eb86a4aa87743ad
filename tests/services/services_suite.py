#!/usr/bin/env python3
"""PostgreSQL, Redis, nginx, Python and Node as Debian packages them, behind Bulkhead's defaults: a user
namespace of their own, no network but loopback, nine capabilities, the seccomp profile, no new privileges;
each with its data on a volume, limits, a root that cannot be written, and a restart after a failure."""

import contextlib
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "life"))
import debian_image
from life_support import container, run_suite, until
from support.harness import Skip, Suite, equal, expect

suite = Suite("services")
IMAGE = debian_image.NAME
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIMITS = ("--memory", "256m", "--cpus", "1.5", "--pids-limit", "100")
POSTGRES = "/usr/lib/postgresql/15/bin"


def ready(host):
    """The image is taken in once; every test asks for it, so that each says why it is skipped."""
    if not hasattr(host, "services"):
        try:
            archive = debian_image.archive()
            host.good("import", "--change", f"ENV {PATH}", archive, IMAGE, timeout=300)
            host.services = None
        except Skip as reason:
            host.services = str(reason)
    if host.services:
        raise Skip(host.services)


@contextlib.contextmanager
def data_of(host, name, user):
    """A directory of the host that a user of the image may write: binds have one id inside and outside."""
    ready(host)
    place = host.work.directory / f"data-{name}"
    place.mkdir(mode=0o700)
    ids = [int(host.good("run", "--rm", IMAGE, "id", flag, user)) for flag in ("-u", "-g")]
    os.chown(place, *ids)
    try:
        yield place
    finally:
        subprocess.run(["rm", "-rf", str(place)], check=False)


def asked(host, name, *words, user=None):
    """What a client in the container is told, or nothing."""
    flags = ("--user", user) if user else ()
    done = host.call("exec", *flags, name, *words)
    return done.stdout.strip() if done.returncode == 0 else None


def layers_hold(host, name):
    """What stands around every one of them."""
    pid = host.told(name, "{{.State.Pid}}")
    status = dict(line.split(":\t", 1) for line in
                  pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    equal(status["NoNewPrivs"], "1", "no new privileges")
    equal(status["Seccomp"], "2", "seccomp")
    equal(int(status["CapBnd"], 16) >> 13 & 1, 0, "CAP_NET_RAW")
    first = pathlib.Path(f"/proc/{pid}/uid_map").read_text().split()
    expect(int(first[1]) > 0, f"root inside is {first[1]} outside")


def restarts_after(host, name, kill):
    """A failure of the first process brings it back."""
    before = host.told(name, "{{.State.Pid}}")
    kill()
    until(lambda: host.told(name, "{{.RestartCount}}") == "1" and host.status(name) == "running",
          f"{name} is restarted", 60)
    expect(host.told(name, "{{.State.Pid}}") != before, "it is another process")


def crash(host, name):
    os.kill(int(host.told(name, "{{.State.Pid}}")), 9)


# --- PostgreSQL ----------------------------------------------------------------------------------------


def start_postgres(host, data):
    return container(
        host, "--name", "pg", "--user", "postgres", "--read-only", "--tmpfs", "/tmp",
        "--tmpfs", "/run/postgresql:mode=1777", "--volume", f"{data}:/data", *LIMITS,
        "--shm-size", "64m", "--restart", "on-failure:3", "--stop-signal", "SIGINT",
        image=IMAGE, command=(f"{POSTGRES}/postgres", "-D", "/data", "-c", "shared_buffers=16MB"))


def query(host, text):
    return asked(host, "pg", "psql", "-h", "127.0.0.1", "-U", "postgres", "-Atqc", text)


@suite.test
def postgresql(host):
    with data_of(host, "pg", "postgres") as data:
        host.good("run", "--rm", "--user", "postgres", "--read-only", "--tmpfs", "/tmp", "--volume",
                  f"{data}:/data", IMAGE, f"{POSTGRES}/initdb", "-D", "/data", "-A", "trust", "-U",
                  "postgres", "-E", "UTF8", "--no-sync", timeout=180)
        with start_postgres(host, data):
            until(lambda: query(host, "select 1") == "1", "it answers", 60)
            layers_hold(host, "pg")
            equal(query(host, "create table t (n int, x text); insert into t "
                              "select n, repeat('x', 100) from generate_series(1, 10000) n; "
                              "create index on t (n); select count(*) from t"), "10000")
            # A parallel query works through /dev/shm and processes of its own.
            equal(query(host, "set min_parallel_table_scan_size = 0; set parallel_setup_cost = 0; "
                              "set max_parallel_workers_per_gather = 2; select sum(n) from t"), "50005000")
            restarts_after(host, "pg", lambda: crash(host, "pg"))
            until(lambda: query(host, "select count(*) from t") == "10000", "it has recovered", 60)
            host.good("stop", "pg")
            equal(host.told("pg", "{{.State.ExitCode}} {{.State.OOMKilled}}"), "0 false", "a clean stop")
            expect("database system is shut down" in host.call("logs", "pg").stderr, "the log")
        with start_postgres(host, data):
            until(lambda: query(host, "select count(*) from t") == "10000", "the data is still there", 60)
            host.good("stop", "pg")


# --- Redis ---------------------------------------------------------------------------------------------


def start_redis(host, data):
    return container(
        host, "--name", "redis", "--user", "redis", "--read-only", "--volume", f"{data}:/data",
        "--workdir", "/data", *LIMITS, "--restart", "on-failure:3", "--cap-drop", "ALL", image=IMAGE,
        command=("redis-server", "--appendonly", "yes", "--dir", "/data", "--maxmemory", "64mb"))


def redis(host, *words):
    return asked(host, "redis", "redis-cli", *words)


@suite.test
def redis_server(host):
    with data_of(host, "redis", "redis") as data:
        with start_redis(host, data):
            until(lambda: redis(host, "ping") == "PONG", "it answers")
            layers_hold(host, "redis")
            equal(redis(host, "set", "key", "value"), "OK")
            equal(redis(host, "bgsave"), "Background saving started")  # a fork
            until(lambda: "rdb_last_bgsave_status:ok" in redis(host, "info", "persistence"), "the save")
            restarts_after(host, "redis", lambda: crash(host, "redis"))
            until(lambda: redis(host, "get", "key") == "value", "what was written is there again")
            host.good("stop", "redis")
            equal(host.told("redis", "{{.State.ExitCode}}"), "0", "a clean stop")
        with start_redis(host, data):
            until(lambda: redis(host, "get", "key") == "value", "the data is still there")


# --- nginx ---------------------------------------------------------------------------------------------

NGINX = """
error_log /dev/stderr notice;
pid /run/nginx.pid;
events { worker_connections 64; }
http {
  access_log /dev/stdout;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  server { listen 80; root /srv; add_header X-Answer %s; }
}
"""


@suite.test
def nginx(host):
    with data_of(host, "nginx", "root") as data:
        data.chmod(0o755)
        (data / "index.html").write_text("a page\n")
        configuration = data / "nginx.conf"
        configuration.write_text(NGINX % "first")
        with container(host, "--name", "web", "--read-only", "--tmpfs", "/tmp", "--tmpfs", "/run",
                       "--tmpfs", "/var/lib/nginx", "--tmpfs", "/var/log/nginx", "--volume",
                       f"{data}:/srv:ro", *LIMITS, "--restart", "on-failure:3", "--stop-signal", "SIGQUIT",
                       image=IMAGE, command=("nginx", "-c", "/srv/nginx.conf", "-g", "daemon off;")):
            def page():
                done = host.call("exec", "web", "wget", "-qSO-", "http://127.0.0.1/")
                return done.stdout + done.stderr if done.returncode == 0 else ""
            until(lambda: "a page" in page(), "it answers on port 80")
            layers_hold(host, "web")
            expect("X-Answer: first" in page(), page())
            # Its workers have given up root.
            uids = {line.split()[0] for line in host.good("top", "web").splitlines()[1:]}
            equal(len(uids), 2, f"users {uids}")
            configuration.write_text(NGINX % "second")
            host.good("kill", "--signal", "HUP", "web")
            until(lambda: "X-Answer: second" in page(), "the new configuration")
            done = host.call("logs", "web")
            expect('"GET / HTTP/1.1" 200' in done.stdout, f"no access log: {done}")
            expect("start worker process" in done.stderr, f"no error log: {done}")
            restarts_after(host, "web", lambda: crash(host, "web"))
            until(lambda: "a page" in page(), "it answers again")
            host.good("stop", "web")
            equal(host.told("web", "{{.State.ExitCode}}"), "0", "a clean stop")


# --- Python --------------------------------------------------------------------------------------------

PYTHON = """
import concurrent.futures, ctypes, multiprocessing, os, select, signal, socket, sqlite3, subprocess
import tempfile, threading, time

def square(number):
    return number * number

def main():
    with concurrent.futures.ProcessPoolExecutor(2) as pool:      # semaphores in /dev/shm
        assert list(pool.map(square, range(10)))[-1] == 81
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(square, range(10))) == 285
    shared = multiprocessing.shared_memory.SharedMemory(create=True, size=4096)
    shared.buf[0] = 7
    shared.close(); shared.unlink()
    assert subprocess.run(["sh", "-c", "exit 3"]).returncode == 3
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
    base = sqlite3.connect("/data/base")
    base.execute("pragma journal_mode=wal")                      # a shared mapping of a file of the volume
    base.execute("create table if not exists runs (n)")
    base.execute("insert into runs values (1)")
    base.commit()
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    poll = select.epoll()
    poll.register(server, select.EPOLLIN)
    assert poll.poll(5)
    other = socket.socket(socket.AF_UNIX)
    other.bind("/tmp/socket")
    os.memfd_create("memory"); os.eventfd(0)
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    assert time.clock_gettime(time.CLOCK_BOOTTIME) >= 0
    os.posix_fallocate(os.open("/data/space", os.O_CREAT | os.O_RDWR), 0, 1 << 20)
    print("runs", base.execute("select count(*) from runs").fetchone()[0], flush=True)

import multiprocessing.shared_memory
if __name__ == "__main__":
    main()
"""


@suite.test
def python(host):
    with data_of(host, "python", "nobody") as data:
        (data / "program.py").write_text(PYTHON)
        (data / "program.py").chmod(0o644)
        flags = ("--rm", "--user", "nobody", "--read-only", "--tmpfs", "/tmp", "--volume", f"{data}:/data",
                 *LIMITS, "--cap-drop", "ALL")
        for run in (1, 2):
            done = host.call("run", *flags, IMAGE, "python3", "/data/program.py", timeout=120)
            equal((done.returncode, done.stdout), (0, f"runs {run}\n"), done.stderr)
        # More memory than its limit: the kernel ends it, and the container says so.
        with container(host, "--name", "hog", "--memory", "48m", image=IMAGE, command=(
                "python3", "-c", "x = [bytearray(1 << 20) for _ in range(200)]")):
            equal(host.good("wait", "hog", timeout=120), "137")
            equal(host.told("hog", "{{.State.OOMKilled}}"), "true")
        with container(host, "--name", "http", "--volume", f"{data}:/data:ro", "--user", "nobody",
                       "--init", image=IMAGE,
                       command=("python3", "-m", "http.server", "-d", "/data", "8000")):
            until(lambda: asked(host, "http", "wget", "-qO-", "http://127.0.0.1:8000/program.py"),
                  "it answers")
            host.good("stop", "http")
            equal(host.told("http", "{{.State.ExitCode}}"), "143", "SIGTERM ends it through --init")


# --- Node ----------------------------------------------------------------------------------------------

NODE = """
const http = require('http'), fs = require('fs'), crypto = require('crypto');
const { Worker } = require('worker_threads'), { execFileSync } = require('child_process');
fs.appendFileSync('/data/starts', 'start\\n');
let answer = 0;
new Worker('require("worker_threads").parentPort.postMessage(6 * 7)', { eval: true })
  .on('message', (value) => { answer = value; });
fs.watch('/data', () => {});                                     // inotify
crypto.scryptSync('password', 'salt', 64);
execFileSync('true');
const server = http.createServer((request, response) => {
  if (request.url === '/die') process.abort();
  response.end(`${answer} ${fs.readFileSync('/data/starts', 'utf8').split('\\n').length - 1}\\n`);
}).listen(8080, '127.0.0.1');
process.on('SIGTERM', () => server.close(() => process.exit(0)));
"""


@suite.test
def node(host):
    with data_of(host, "node", "nobody") as data:
        (data / "program.js").write_text(NODE)
        (data / "program.js").chmod(0o644)
        with container(host, "--name", "node", "--user", "nobody", "--read-only", "--tmpfs", "/tmp",
                       "--volume", f"{data}:/data", *LIMITS, "--restart", "on-failure:3", "--cap-drop", "ALL",
                       image=IMAGE, command=("node", "/data/program.js")):
            def answer(place=""):
                return asked(host, "node", "wget", "-qO-", "--tries=1", f"http://127.0.0.1:8080/{place}")
            until(lambda: answer() == "42 1", "it answers, its worker has")
            layers_hold(host, "node")
            restarts_after(host, "node", lambda: answer("die"))
            until(lambda: answer() == "42 2", "it answers again, the file is there")
            host.good("stop", "node")
            equal(host.told("node", "{{.State.ExitCode}}"), "0", "a clean stop")
            equal((data / "starts").read_text(), "start\nstart\n")


# --- what the stricter defaults take away --------------------------------------------------------------


@suite.test
def what_the_defaults_take_away_a_flag_gives(host):
    """docs/flags.md lists these."""
    ready(host)
    # ping's file asks for CAP_NET_RAW, which no container has by default.
    ping = (IMAGE, "ping", "-c", "1", "-w", "5", "127.0.0.1")
    equal(host.run(*ping).returncode, 126, "ping without being asked for")
    equal(host.run("--cap-add", "NET_RAW", *ping).returncode, 0, "ping")
    # A program that gains power by its file: refused, and allowed where it is asked for.
    script = 'cp /usr/bin/id /tmp/id && chmod u+s /tmp/id && su nobody -s /bin/sh -c "/tmp/id -u"'
    done = host.run(IMAGE, "sh", "-c", script)
    expect(done.stdout.strip() != "0", f"setuid works without being asked for: {done}")
    done = host.run("--security-opt", "no-new-privileges=false", IMAGE, "sh", "-c", script)
    equal(done.stdout.strip(), "0", f"setuid where it is asked for: {done.stderr}")
    # chroot, mknod.
    expect(host.run(IMAGE, "chroot", "/", "true").returncode != 0, "chroot without being asked for")
    equal(host.run("--cap-add", "SYS_CHROOT", IMAGE, "chroot", "/", "true").returncode, 0, "chroot")


if __name__ == "__main__":
    sys.exit(run_suite(suite))
