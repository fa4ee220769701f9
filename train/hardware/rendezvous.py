"""How the processes of one run find each other before JAX connects them.

JAX ends a process with a stack trace when another one is missing or has the wrong number. So they meet here first: the others
tell the first who they are, and it answers all of them at once, that everybody is there or what is wrong.
"""

import json
import socket
import time
from contextlib import ExitStack, suppress
from typing import Any

from ..logging import RunError

LONGEST = 4096  # bytes of a message
RETRY = 0.2  # seconds between two attempts to connect
PATIENCE = 5.0  # seconds in which who has connected must say who it is


def address_of(text: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT".

    Raises:
        RunError: it is something else.
    """
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        raise RunError(f"--coordinator {text!r} is not allowed (HOST:PORT, such as 10.0.0.1:8476)")
    return host.strip("[]"), int(port)


def meet(address: str, count: int, index: int, seconds: float) -> None:
    """Wait until all processes of a run are there.

    Args:
        address: HOST:PORT at which the others reach the first process.
        count: processes in all.
        index: which of them this is; 0 is the first.
        seconds: how long to wait.

    Raises:
        RunError: one is missing, two have the same number, or they do not agree how many they are.
    """
    host, port = address_of(address)
    until = time.monotonic() + seconds
    if index == 0:
        _receive(port, count, until)
    else:
        _report(host, port, {"index": index, "count": count}, until)


def _receive(port: int, count: int, until: float) -> None:
    """The first process: listen until everybody has reported, then tell all of them what came of it."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    with ExitStack() as stack:
        try:
            server = stack.enter_context(socket.create_server(("", port), family=family, dualstack_ipv6=both))
        except OSError as error:
            raise RunError(f"cannot listen on port {port} for the other processes: {error.strerror}") from None
        there: dict[int, socket.socket] = {}
        wrong = ""
        while len(there) < count - 1 and not wrong:
            server.settimeout(max(until - time.monotonic(), 0.01))
            try:
                other = stack.enter_context(server.accept()[0])
            except TimeoutError:
                missing = ", ".join(str(i) for i in range(1, count) if i not in there)
                wrong = f"of {count} processes these did not come in time: {missing}"
                break
            said = _heard(other, min(until, time.monotonic() + PATIENCE))
            if not {"index", "count"} <= said.keys():
                continue  # somebody else knocked
            wrong = _fault(said, count, there)
            there[said["index"] if not wrong else -1] = other
        for other in there.values():
            with suppress(OSError):
                other.sendall(json.dumps({"wrong": wrong}).encode() + b"\n")
        if wrong:
            raise RunError(wrong)


def _fault(said: dict[str, Any], count: int, there: dict[int, Any]) -> str:
    """What is wrong with what a process says of itself; nothing if it fits."""
    index = said["index"]
    if said["count"] != count:
        return f"process {index} was started with --num-processes {said['count']}, process 0 with {count}"
    if not isinstance(index, int) or not 0 < index < count or index in there:
        return f"two processes were started with --process-id {index}"
    return ""


def _report(host: str, port: int, said: dict[str, int], until: float) -> None:
    """Any other process: reach the first one, say who this is, and wait for the answer."""
    where = f"{host}:{port}"
    while True:
        left = until - time.monotonic()
        try:
            first = socket.create_connection((host, port), timeout=max(left, 0.01))
            break
        except OSError as error:
            if left <= RETRY:
                why = error.strerror or str(error)
                raise RunError(f"the coordinator {where} was not reached in time: {why}") from None
            time.sleep(RETRY)
    with first:
        with suppress(OSError):
            first.sendall(json.dumps(said).encode() + b"\n")
        answer = _heard(first, until)
    if "wrong" not in answer:
        raise RunError(f"the coordinator {where} did not answer in time: are all processes started?")
    if answer["wrong"]:
        raise RunError(str(answer["wrong"]))


def _heard(other: socket.socket, until: float) -> dict[str, Any]:
    """A line of JSON from another process; empty if none comes in time."""
    text = b""
    with suppress(OSError, ValueError):
        while not text.endswith(b"\n") and len(text) < LONGEST:
            other.settimeout(max(until - time.monotonic(), 0.01))
            part = other.recv(LONGEST)
            if not part:
                break
            text += part
        found = json.loads(text)
        return found if isinstance(found, dict) else {}
    return {}
