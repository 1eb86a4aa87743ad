"""config-linux.md#seccomp: filters, and the listener that is handed to an agent."""

import json
import os
import socket

from conform import conforms, equal, expect, until
from spec_devices import received

ERRNO = 88


def seccomp(**fields):
    return {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW",
                                  "architectures": ["SCMP_ARCH_X86_64"], **fields}}}


def rule(*names, action="SCMP_ACT_ERRNO", **fields):
    return {"names": list(names), "action": action, **fields}


@conforms("linux/seccomp")
def a_denied_system_call_fails_with_its_error(bench):
    out = bench.output("mkdir /tmp/d 2>&1; sethostname=x; hostname new 2>&1; true",
                       seccomp(syscalls=[rule("mkdir", "mkdirat", errnoRet=28)]))
    expect("No space left" in out, f"mkdir with errno 28: {out!r}")


@conforms("linux/seccomp")
def the_error_is_eperm_by_default(bench):
    out = bench.output("mkdir /tmp/d 2>&1; true", seccomp(syscalls=[rule("mkdir", "mkdirat")]))
    expect("Operation not permitted" in out or "not permitted" in out, f"mkdir: {out!r}")


@conforms("linux/seccomp")
def arguments_are_compared(bench):
    # kill(…, 0) is allowed, kill(…, SIGUSR1) is not.
    out = bench.output("kill -0 1 && echo zero; kill -CONT 1 2>/dev/null || echo denied",
                       seccomp(syscalls=[rule("kill", args=[
                           {"index": 1, "value": 18, "op": "SCMP_CMP_EQ"}])]))
    equal(out, "zero\ndenied\n", "two signals")


@conforms("linux/seccomp")
def a_process_is_killed_for_a_call_that_kills(bench):
    done = bench.run(bench.config(["mkdir", "/tmp/d"], seccomp(
        syscalls=[rule("mkdir", "mkdirat", action="SCMP_ACT_KILL_PROCESS")])))
    expect(done.code in (159, 255, 31), f"exit code {done.code} ({done.err.strip()})")


@conforms("linux/seccomp")
def an_error_number_with_an_action_that_has_none_is_refused(bench):
    bench.refuses(bench.config(changes=seccomp(
        syscalls=[rule("mkdir", action="SCMP_ACT_KILL", errnoRet=5)])))


@conforms("linux/seccomp")
def a_default_error_number_with_an_action_that_has_none_is_refused(bench):
    bench.refuses(bench.config(changes=seccomp(defaultErrnoRet=5)))


@conforms("linux/seccomp")
def a_rule_without_names_is_refused(bench):
    bench.refuses(bench.config(changes=seccomp(syscalls=[rule()])))


@conforms("linux/seccomp")
def metadata_without_a_listener_is_refused(bench):
    bench.refuses(bench.config(changes=seccomp(listenerMetadata="opaque")))


# --- the agent --------------------------------------------------------------------------------------------


class Agent:
    """The socket of a seccomp agent."""

    def __init__(self, bench, kind=socket.SOCK_STREAM):
        self.path = bench.directory / f"a{next(bench.numbers)}"
        self.socket = socket.socket(socket.AF_UNIX, kind)
        self.socket.bind(str(self.path))
        if kind == socket.SOCK_STREAM:
            self.socket.listen()
        self.socket.settimeout(10)
        self.descriptors = []

    def __enter__(self):
        return self

    def take(self):
        """One connection: the messages, each with its descriptors, until its end."""
        connection, _ = self.socket.accept()
        messages = []
        with connection:
            connection.settimeout(10)
            while True:
                text, numbers = received(connection)
                self.descriptors += numbers
                if not text and not numbers:
                    return messages
                messages.append((text, numbers))

    def __exit__(self, *_):
        for number in self.descriptors:
            os.close(number)
        self.socket.close()


def notified(agent, **more):
    return seccomp(listenerPath=str(agent.path), syscalls=[
        rule("sethostname", action="SCMP_ACT_NOTIFY")], **more)


def started_with_agent(bench, agent, **more):
    container = bench.create(bench.config(changes=notified(agent, **more)))
    starting = bench.child(*bench.command("start", container.id))
    messages = agent.take()
    starting.wait(timeout=60)
    equal(starting.returncode, 0, "exit code of start")
    return container, messages


def state_in(messages):
    return json.loads(b"".join(text for text, _ in messages))


@conforms("linux/seccomp")
def the_agent_is_sent_one_state_and_the_connection_is_closed(bench):
    with Agent(bench) as agent:
        container, messages = started_with_agent(bench, agent, listenerMetadata="opaque")
        state = state_in(messages)  # one JSON document, and the end of the stream after it
        equal(state["metadata"], "opaque", "metadata")
        equal(state["state"]["id"], container.id, "the container's id")
        agent.socket.settimeout(0.3)
        try:
            agent.take()
            raise AssertionError("there is a second connection")
        except TimeoutError:
            pass


@conforms("linux/container-process-state")
def the_state_is_json_and_the_descriptor_comes_beside_it(bench):
    with Agent(bench) as agent:
        container, messages = started_with_agent(bench, agent)
        state = state_in(messages)
        for field in ("ociVersion", "pid", "state"):
            expect(field in state, f"no {field} in {state}")
        equal(state["fds"], ["seccompFd"], "names of the descriptors")
        equal(state["pid"], container.pid(), "pid as the runtime sees it")
        equal(len(agent.descriptors), 1, "descriptors")
        expect("seccomp" in os.readlink(f"/proc/self/fd/{agent.descriptors[0]}"),
               f"a descriptor of {os.readlink(f'/proc/self/fd/{agent.descriptors[0]}')}")


@conforms("linux/container-process-state")
def descriptors_come_with_the_first_message_only(bench):
    with Agent(bench) as agent:
        _, messages = started_with_agent(bench, agent)
        expect(messages[0][1], "the first message has no descriptor")
        equal([numbers for _, numbers in messages[1:]], [[]] * (len(messages) - 1),
              "descriptors of the later ones")


@conforms("linux/seccomp")
def an_agent_that_cannot_be_reached_is_an_error(bench):
    changes = seccomp(listenerPath=str(bench.directory / "no-agent"), syscalls=[
        rule("sethostname", action="SCMP_ACT_NOTIFY")])
    name = bench.new_id()
    bench.containers.append(name)
    bundle = bench.bundle(bench.config("echo ran >&2; sleep 1000", changes))
    created = bench.call("create", "--bundle", bundle, name)
    if created.code == 0:
        expect(bench.call("start", name).code != 0, "the container starts")
        until(lambda: bench.call("state", name).code != 0 or
              '"running"' not in bench.call("state", name).out, "the end of the process")


@conforms("linux/seccomp")
def a_socket_of_another_type_is_an_error(bench):
    with Agent(bench, socket.SOCK_DGRAM) as agent:
        name = bench.new_id()
        bench.containers.append(name)
        created = bench.call("create", "--bundle",
                             bench.bundle(bench.config(changes=notified(agent))), name)
        expect(created.code != 0 or bench.call("start", name).code != 0,
               "the container starts")


@conforms("linux/seccomp")
def an_agent_is_ignored_without_the_action(bench):
    out = bench.output("echo ok", seccomp(listenerPath=str(bench.directory / "no-agent"),
                                          syscalls=[rule("mkdir", "mkdirat")]))
    equal(out, "ok\n", "output")
