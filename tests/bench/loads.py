"""The load tools: wrk, h2load, our own pull, idle connections.

wrk is the cheapest for small answers: 8.8 µs of its own for each, h2load 9.7. For 1 MiB h2load is
(215 µs against 260), and it can ask for a number of bodies where wrk only knows seconds: it takes
the big ones. pull is for what neither can: the time of the first byte, digests, slow readers, one
body for each of a herd.
"""

import json
import os
import re
import resource
import statistics
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.httpclient import Connection
from harness.paths import BUILD
from harness.process import run
from objects import Object

HOST = "127.0.0.1"              # what all tools call the server: links in packuments depend on it
PULL = BUILD / "bench" / "pull"
RANDOM_TAGS = Path(__file__).with_name("random_tags.lua")
_MILLISECONDS = {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}


class LoadError(Exception):
    """A load that did not get what it asked for: its figures mean nothing."""


def allow_many_connections():
    """For this process and all that it starts."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@dataclass(frozen=True)
class Requests:
    """What wrk or h2load saw."""
    count: int
    per_second: float
    p99_ms: float


def _field_options(thing: Object) -> list[str]:
    """The fields of the request, as both tools take them."""
    return [word for name, value in thing.fields for word in ("-H", f"{name}: {value}")]


def _wrk(port: int, target: str, connections: int, seconds: float, options=(),
         arguments=()) -> Requests:
    """Whole answers with status 200 only, or LoadError; late ones count like others."""
    threads = min(connections, os.cpu_count())
    text = run(["wrk", "-t", threads, "-c", connections, "-d", f"{seconds:g}s", "--latency",
                "--timeout", "5s", "-H", f"Host: {HOST}", *options,
                f"http://127.0.0.1:{port}{target}", *arguments], timeout=seconds + 30).stdout
    if bad := re.search(r"Non-2xx.*|Socket errors: (?!connect 0, read 0, write 0,).*", text):
        raise LoadError(f"wrk on {target}: {bad[0].strip()}")
    p99 = re.search(r"^\s+99%\s+([0-9.]+)(us|ms|s|m)\s*$", text, re.M)
    if not p99:
        raise LoadError(f"wrk on {target}: {text.strip()}")
    return Requests(int(re.search(r"(\d+) requests in", text)[1]),
                    float(re.search(r"Requests/sec:\s+([0-9.]+)", text)[1]),
                    float(p99[1]) * _MILLISECONDS[p99[2]])


def wrk(port: int, thing: Object, connections: int, seconds: float) -> Requests:
    return _wrk(port, thing.target, connections, seconds, _field_options(thing))


def wrk_random_tags(port: int, count: int, connections: int, seconds: float) -> Requests:
    """Out of a store that has the tags t0 to t(count - 1)."""
    return _wrk(port, "/", connections, seconds, ["-s", RANDOM_TAGS], ["--", count])


def h2load(port: int, thing: Object, connections: int, *amount) -> Requests:
    """Over HTTP/1.1; amount is "-D", seconds or "-n", requests. Whole answers with status 200 only,
    or LoadError."""
    threads = min(connections, os.cpu_count())
    with tempfile.NamedTemporaryFile("r") as log:
        text = run(["h2load", "--h1", "-t", threads, "-c", connections, *amount,
                    "--log-file", log.name, *_field_options(thing),
                    f"http://127.0.0.1:{port}{thing.target}"], timeout=120).stdout
        answers = [line.split("\t") for line in log]       # start in µs, status, duration in µs
    done = re.search(r"finished in [0-9.]+m?s, ([0-9.]+) req/s", text)
    counts = re.search(r"requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout",
                       text)
    if not done or not counts or any(map(int, counts.groups()[1:])) or \
            any(status != "200" for _, status, _ in answers):
        raise LoadError(f"h2load on {thing.name}: {text[-400:]}")
    took = [int(duration) for _, _, duration in answers]
    return Requests(int(counts[1]), float(done[1]), percentile(took, 99) / 1e3)


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else values[0]


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
