"""Packuments: the big document that every install of a popular package reads."""

import gzip
from contextlib import ExitStack, contextmanager
from pathlib import Path

import free_memory
import loads
import packuments
import servers
from harness.httpclient import digest_of
from harness.net import until
from harness.npm_shelf import npm_route
from objects import Object
from packuments import BIG, BIG_INSTALL, SMALL, ask
from phase import FOLDER, Bench, Phase, running
from table import Budget

BIG_CLIENTS, SMALL_CONNECTIONS = 16, 16
TIMES = {"verdaccio": 1}        # bodies for each client in one run
BYTES = 4 << 30                 # in one run, for the others: a second of work
BIG_RATE = 6 << 20              # bytes per second for each big client beside a small load: in all
                                # what fills a network of 1 Gbit/s
RUN_IN_SECONDS = 0.3
ROOT = FOLDER / "run" / "packuments" / "root"       # of the plain server


def warm_yantian(server: servers.Yantian, root: Path):
    """It holds every form; its bytes become the files of the plain server."""
    for thing in (BIG, BIG_INSTALL, SMALL):
        until(lambda: "hit" in ask(server.port, thing).cache, 30, f"{thing.name} to be held", 0.1)
        (root / thing.file).write_bytes(ask(server.port, thing).body)


@contextmanager
def warm_group(bench: Bench):
    """Yantian and verdaccio as caches of a verdaccio, and nginx with the bytes that Yantian gives."""
    folder = ROOT.parent
    with ExitStack() as stack:
        registry = packuments.registry(folder / "registry")
        stack.callback(registry.stop)
        registry.start()
        yantian = servers.Yantian(folder / "yantian", bench.upstream, False,
                                  (npm_route(registry.url, ttl="2h"),), only_route="npm")
        group = [yantian, servers.Files(folder / "nginx", ROOT),
                 packuments.VerdaccioCache(folder / "verdaccio", registry.url)]
        free_memory.make_ready(FOLDER)
        for server in group:
            stack.callback(server.stop)
            server.start()
        warm_yantian(yantian, ROOT)
        for thing in (BIG, SMALL):
            assert ask(group[1].port, thing).body == ask(yantian.port, thing).body
            ask(group[2].port, thing)
        assert gzip.decompress(ask(group[1].port, BIG_INSTALL).body)
        yield group


def big(bench: Bench, group_of_servers: list, thing: packuments.Packument, title: str):
    group = bench.table.group(title)
    rate = group.row("requests/s", more_is_better=True, budget=Budget(1, "nginx"))
    bandwidth = group.row("GB/s", "bytes", more_is_better=True)
    cpu = group.row("ms per request", "server CPU")
    path = ROOT / thing.file
    times = BYTES // BIG_CLIENTS // path.stat().st_size

    def measure(server):
        before = server.cpu_seconds()
        got = loads.pull(server.port, thing, BIG_CLIENTS, TIMES.get(server.name, times))
        cpu.add(server.name, (server.cpu_seconds() - before) / got.complete * 1e3)
        rate.add(server.name, got.complete / got.seconds)
        bandwidth.add(server.name, got.bytes / got.seconds / 1e9)
    same_bytes = Object(thing.name, path, digest_of(path.read_bytes()), "", "application/json")
    with bench.raw(same_bytes) as raw:
        bench.turns(bench.scale.close, [raw, *group_of_servers], group, measure)


def big_clients(port: int, seconds: float):
    """Clients that take the big packument again and again, at a rate that both servers reach."""
    argv = loads.slow_pull_argv(port, BIG, BIG_CLIENTS, BIG_RATE, seconds, times=1000)
    return running("big-clients", argv, RUN_IN_SECONDS)


def small_beside_big(bench: Bench, group_of_servers: list):
    seconds = bench.scale.seconds
    group = bench.table.group(f"small packument, {SMALL_CONNECTIONS} connections")
    alone = group.row("requests/s", more_is_better=True)
    beside = group.row("requests/s", f"beside {BIG_CLIENTS} clients that take 7 MB packuments at "
                       "100 MB/s in all", more_is_better=True)
    lost = group.row("ratio", "lost", budget=Budget(0.2))
    p99 = group.row("ms", "p99 beside them")

    def measure(server):
        before = loads.wrk(server.port, SMALL, SMALL_CONNECTIONS, seconds)
        with big_clients(server.port, seconds + 2 * RUN_IN_SECONDS):
            got = loads.wrk(server.port, SMALL, SMALL_CONNECTIONS, seconds)
        alone.add(server.name, before.per_second)
        beside.add(server.name, got.per_second)
        lost.add(server.name, 1 - got.per_second / before.per_second)
        p99.add(server.name, got.p99_ms)
    bench.turns(bench.scale.crowd, group_of_servers, group, measure)


def run(bench: Bench):
    with warm_group(bench) as group:
        big(bench, group, BIG, f"7 MB packument, {BIG_CLIENTS} clients")
        if bench.scale.all_rows:
            big(bench, group[:2], BIG_INSTALL, "the same as npm takes it for an install: "
                f"abbreviated, gzip; {BIG_CLIENTS} clients")
        small_beside_big(bench, group)


NOTE = (
    "A packument of 7 MB (1,000 versions with dependencies, signatures, links), held by a verdaccio, "
    "warm in the caches; pull takes it. nginx serves, as plain files, the very bytes that Yantian "
    "answers with, and so does raw. Beside the small load the big clients take the same number of bytes per second "
    "from each server that gives it, so that what is lost is not what a faster server sends more.")

PHASES = [Phase("packument", "Packuments", run, note=NOTE)]
