"""The load tools: wrk for small answers, our own pull for big ones, idle connections."""

import json
import os
import re
import resource
from contextlib import contextmanager
from dataclasses import dataclass

from harness.httpclient import Connection
from harness.paths import BUILD
from harness.process import run
from objects import Object

HOST = "127.0.0.1"              # what all tools call the server: links in packuments depend on it
PULL = BUILD / "bench" / "pull"
_MILLISECONDS = {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}


class LoadError(Exception):
    """A load that did not get what it asked for: its figures mean nothing."""


def allow_many_connections():
    """For this process and all that it starts."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@dataclass(frozen=True)
class Requests:
    """What wrk saw."""
    count: int
    per_second: float
    p99_ms: float


def _field_options(thing: Object) -> list[str]:
    """The fields of the request, as both tools take them."""
    return [word for name, value in thing.fields for word in ("-H", f"{name}: {value}")]


def wrk(port: int, thing: Object, connections: int, seconds: float) -> Requests:
    """Whole answers with status 200 only, or LoadError; late ones count like others."""
    threads = min(connections, os.cpu_count())
    text = run(["wrk", "-t", threads, "-c", connections, "-d", f"{seconds:g}s", "--latency",
                "--timeout", "5s", "-H", f"Host: {HOST}", *_field_options(thing),
                f"http://127.0.0.1:{port}{thing.target}"], timeout=seconds + 30).stdout
    if bad := re.search(r"Non-2xx.*|Socket errors: (?!connect 0, read 0, write 0,).*", text):
        raise LoadError(f"wrk on {thing.name}: {bad[0].strip()}")
    p99 = re.search(r"^\s+99%\s+([0-9.]+)(us|ms|s|m)\s*$", text, re.M)
    if not p99:
        raise LoadError(f"wrk on {thing.name}: {text.strip()}")
    return Requests(int(re.search(r"(\d+) requests in", text)[1]),
                    float(re.search(r"Requests/sec:\s+([0-9.]+)", text)[1]),
                    float(p99[1]) * _MILLISECONDS[p99[2]])


@dataclass(frozen=True)
class Pulled:
    """What our own client saw; the lists have one time for each connection."""
    complete: int
    failed: int
    failure: str
    bytes: int
    seconds: float
    first_byte_ms: list[float]      # of the body
    done_ms: list[float]


def _pull_argv(port: int, thing: Object, *options) -> list:
    return [PULL, *options, *_field_options(thing), port, thing.target]


def pull(port: int, thing: Object, connections: int = 1, times: int = 1, seconds: float = 60,
         check: bool = False) -> Pulled:
    """Every body complete, or LoadError; with check, hashed too."""
    threads = min(connections, os.cpu_count())
    digest = ["-d", thing.digest.split(":")[1]] if check else []
    done = run(_pull_argv(port, thing, "-c", connections, "-n", times, "-t", threads,
                          "-s", seconds, *digest), timeout=seconds + 30, check=False)
    if not done.stdout:
        raise LoadError(f"pull of {thing.name}: {done.stderr.strip()}")
    got = Pulled(**json.loads(done.stdout))
    if got.failed or got.complete != connections * times:
        raise LoadError(f"pull of {thing.name}: {got.complete} of {connections * times} bodies "
                        f"complete within {seconds:g} s: {got.failure or 'too slow'}")
    return got


def slow_pull_argv(port: int, thing: Object, connections: int, rate: int, seconds: float,
                   times: int = 1) -> list:
    """A program whose connections read only so many bytes per second."""
    return _pull_argv(port, thing, "-c", connections, "-n", times, "-r", rate, "-s", seconds)


@contextmanager
def idle_connections(port: int, thing: Object, count: int):
    """Keep-alive connections that have had one answer each and now do nothing."""
    opened = []
    try:
        for _ in range(count):
            opened.append(Connection(("127.0.0.1", port)))
            opened[-1].ask("GET", thing.target, thing.fields)
        yield
    finally:
        for connection in opened:
            connection.close()
