"""Ports for the servers of a test, and waits that always end."""

import itertools
import os
import socket
import time

# Below the kernel's ephemeral range, so that no outgoing connection takes a port between its
# choice here and the server's bind. The start differs per process: two runs may go side by side.
_FIRST, _LAST = 20000, 32000
_candidates = itertools.cycle(range(_FIRST, _LAST))
for _ in range((os.getpid() * 97) % (_LAST - _FIRST)):
    next(_candidates)


def free_port() -> int:
    """A loopback TCP port that nobody listens on now and that was not given out lately."""
    for port in itertools.islice(_candidates, 1000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port among 1000")


def accepts(port: int) -> bool:
    """True if something accepts connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def until(condition, timeout: float, what: str, interval: float = 0.02):
    """Wait until condition() is true and return its value; fail after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for: {what}")
        time.sleep(interval)
