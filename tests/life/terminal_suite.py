#!/usr/bin/env python3
"""A terminal session on a detached container: size, job control, keys that leave it, and a terminal that
goes away."""

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time

from life_support import container, run_suite, until
from support.harness import Suite, equal, expect

suite = Suite("terminal")


class Terminal:
    """A pseudo terminal with a command of ours in the foreground of a session of its own."""

    def __init__(self, command, rows=24, columns=80):
        self.master, slave = os.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.text = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.master, keys.encode())

    def read_until(self, word, seconds=30):
        deadline = time.monotonic() + seconds
        while word not in self.text:
            expect(time.monotonic() < deadline, f"no {word!r} in {self.text!r}")
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.master, 65536).decode(errors="replace")
                except OSError:
                    break
        expect(word in self.text, f"no {word!r} in {self.text!r}")
        _, _, self.text = self.text.partition(word)

    def close(self):
        os.close(self.master)
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@suite.test
def a_session_has_the_size_of_ours_and_is_left_by_keys(host):
    with container(host, "-it", "--name", "tty", command=("sh",)):
        equal(host.told("tty", "{{.Config.Tty}}"), "true")
        with Terminal(host.command("attach", "tty"), 21, 77) as terminal:
            terminal.type("stty size; tty\n")
            terminal.read_until("21 77")
            terminal.read_until("/dev/pts/0")
            terminal.resize(44, 99)
            # The shell is told by a signal, which takes its time.
            until(lambda: said(terminal, "stty size\n", "44 99"), "the new size")
            terminal.type("\x10\x11")
            terminal.read_until("read escape sequence")
            equal(terminal.process.wait(30), 0)
        equal(host.status("tty"), "running", "after it was left")
        with Terminal(host.command("attach", "--detach-keys", "ctrl-x,y", "tty")) as terminal:
            terminal.type("echo a$((1+1))b\n")
            terminal.read_until("a2b")
            terminal.type("\x18y")
            equal(terminal.process.wait(30), 0)
        host.refused("attach", "--detach-keys", "banana", "tty", code=125, words=["banana"])
        expect("44 99" in host.good("logs", "tty"), "the log")


def said(terminal, keys, word):
    terminal.type(keys)
    try:
        terminal.read_until(word, 1)
        return True
    except AssertionError:
        return False


@suite.test
def job_control_works_inside(host):
    with container(host, "-it", "--name", "jobs", command=("sh",)):
        with Terminal(host.command("attach", "jobs")) as terminal:
            terminal.type("sleep 1000\n")
            until(lambda: "sleep 1000" in host.good("top", "jobs"), "the job runs")
            terminal.type("\x1a")  # ctrl-Z
            terminal.read_until("Stopped")
            terminal.type("kill -KILL %1; wait; echo state$((20+3))\n")
            terminal.read_until("state23")
            terminal.type("sleep 2000\n")
            until(lambda: "sleep 2000" in host.good("top", "jobs"), "the next job runs")
            terminal.type("\x03")  # ctrl-C
            terminal.type("echo alive$((40+2))\n")
            terminal.read_until("alive42")
            terminal.type("exit 5\n")
            equal(terminal.process.wait(30), 5, "the exit code of the session")
        equal(host.told("jobs", "{{.State.ExitCode}}"), "5")


@suite.test
def a_terminal_that_disappears_ends_nothing(host):
    with container(host, "-it", "--name", "lost", command=("sh",)):
        terminal = Terminal(host.command("attach", "lost"))
        terminal.type("echo here$((1+1))\n")
        terminal.read_until("here2")
        os.close(terminal.master)  # a hang-up
        terminal.process.wait(30)
        equal(host.status("lost"), "running")
        with Terminal(host.command("attach", "lost")) as again:
            again.type("echo still$((1+1))\n")
            again.read_until("still2")


@suite.test
def what_was_started_from_a_terminal_outlives_it(host):
    with Terminal(host.command("run", "-d", "--name", "outlives", "busybox", "sleep",
                               "100000")) as terminal:
        equal(terminal.process.wait(30), 0)
        monitor = host.monitor(host.told("outlives", "{{.Id}}"))
        session = os.getsid(monitor)
        expect(session == monitor, f"the monitor's session is {session}")
        for fd in os.listdir(f"/proc/{monitor}/fd"):
            expect("pts" not in os.readlink(f"/proc/{monitor}/fd/{fd}"), f"it holds the terminal: {fd}")
    equal(host.status("outlives"), "running")
    host.good("rm", "-f", "outlives")


@suite.test
def exec_gives_a_terminal(host):
    with container(host, "--name", "ex"):
        with Terminal(host.command("exec", "-it", "ex", "sh", "-c", "stty size; tty; exit 3"),
                      30, 90) as terminal:
            terminal.read_until("30 90")
            terminal.read_until("/dev/pts/")
            equal(terminal.process.wait(30), 3)


@suite.test
def an_attached_start_has_the_terminal_from_the_beginning(host):
    host.good("create", "-it", "--name", "first", "busybox", "sh", "-c", "stty size; exit 4")
    with Terminal(host.command("start", "-ai", "first"), 33, 66) as terminal:
        equal(terminal.process.wait(30), 4)
        terminal.read_until(" ")
    host.good("rm", "first")


if __name__ == "__main__":
    sys.exit(run_suite(suite))
