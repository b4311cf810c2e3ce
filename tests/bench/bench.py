#!/usr/bin/env python3
"""Yantian beside tuned nginx and the reference registry, in one run on one machine.

    bench.py [--quick] [--only PHASE]...

Every server caches the same upstream, a reference registry with real objects; all of it is on
127.0.0.1. The servers take turns, so that a busy moment of the machine hits all of them. Writes
build/bench/report.md and prints it; the exit status is 1 only if a run of Yantian failed, not for a
budget that is missed. Run by `make bench` and `make bench-quick`.
"""

import argparse
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import loads                                            # noqa: E402
import objects                                          # noqa: E402
import servers                                          # noqa: E402
from harness.net import until                           # noqa: E402
from harness.paths import BUILD, yantian                # noqa: E402
from harness.process import Process, run                # noqa: E402
from harness.registry import Registry                   # noqa: E402
from table import YANTIAN, Budget, Table                # noqa: E402

FOLDER = BUILD / "bench"
GIB = 1 << 30
HERD = 64
IDLE_CONNECTIONS = 1000
SLOW_CLIENTS, SLOW_RATE, SLOW_SECONDS = 64, 1 << 20, 3
COLD_SECONDS = 120              # the longest that a miss or a herd may take
# What a server that misbehaves or dies comes to; its other runs and the other servers go on.
FAILURES = (loads.LoadError, AssertionError, OSError, subprocess.TimeoutExpired)


@dataclass(frozen=True)
class Scale:
    """How much of it: runs of each kind, and seconds of each load of small answers."""
    hits: int
    crowd: int                  # 16 clients on one big body
    cold: int
    herd: int
    memory: int
    seconds: float
    all_rows: bool


FULL = Scale(hits=5, crowd=5, cold=5, herd=5, memory=3, seconds=2, all_rows=True)
QUICK = Scale(hits=3, crowd=2, cold=2, herd=1, memory=1, seconds=1, all_rows=False)


@dataclass(frozen=True)
class SmallHit:
    """A load of wrk on something that is held."""
    title: str
    thing: str
    connections: int
    seconds: float              # of the scale's
    rate: Budget
    cpu: Budget | None = None
    p99: Budget | None = None


MAIN_HIT = SmallHit("small manifest hit, 64 connections", "manifest", 64, 1,
                    rate=Budget(1.25, "nginx"), cpu=Budget(1.2, "raw"))
MORE_HITS = [
    SmallHit("small manifest hit, 1,000 connections", "manifest", 1000, 1,
             rate=Budget(1, "nginx"), p99=Budget(1, "nginx")),
    *(SmallHit(f"{size} blob hit, 64 connections", size, 64, 0.5,
               rate=Budget(1, "the best peer")) for size in ("4 KiB", "64 KiB", "1 MiB")),
]


def say(text: str):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


class Bench:
    """The upstream with its objects, the table, and the phases that fill it."""

    def __init__(self, scale: Scale, upstream: Registry, things: dict[str, objects.Object]):
        self.scale = scale
        self.upstream = upstream
        self.things = things
        self.table = Table()
        self.checked: set[str] = set()      # caches whose bodies were all compared with the digest

    # -- servers -----------------------------------------------------------------------------

    @contextmanager
    def raw(self, thing: objects.Object):
        """The raw server, with one object."""
        server = servers.Raw(FOLDER / "run" / f"raw-{thing.path.name}", thing).start()
        try:
            yield server
        finally:
            server.stop()

    @contextmanager
    def warm_caches(self, access_log: bool = False):
        """All caches, running, each with all objects in its storage."""
        with ExitStack() as stack:
            caches = servers.caches(FOLDER / "run", self.upstream, access_log)
            for cache in caches:
                stack.callback(cache.stop)
                cache.start()
                self.warm(cache)
            yield caches

    def warm(self, cache: servers.Cache):
        """Every body checked against its digest, once; then asked for until the upstream is not."""
        if cache.name not in self.checked:
            for thing in self.things.values():
                loads.pull(cache.port, thing, check=True)
        self.checked.add(cache.name)
        until(lambda: self.asks_nothing(cache), 30, f"{cache.name} to hold everything", 0.5)

    def asks_nothing(self, cache: servers.Cache) -> bool:
        before = len(self.upstream.accesses())
        for thing in self.things.values():
            loads.pull(cache.port, thing)
        return len(self.upstream.accesses()) == before

    def upstream_gets(self, thing: objects.Object) -> int:
        return self.upstream.blob_gets()[thing.digest]

    # -- turns -------------------------------------------------------------------------------

    def turns(self, runs: int, group: list, title: str, measure):
        """measure(server) for each in turn, another one first in each round."""
        say(title)
        for number in range(runs):
            first = number % len(group)
            for server in group[first:] + group[:first]:
                try:
                    measure(server)
                except FAILURES as failure:
                    self.table.failures.append((server.name, f"{title}: {failure}"))

    # -- hits --------------------------------------------------------------------------------

    def small_hit(self, caches: list, hit: SmallHit, title: str):
        thing = self.things[hit.thing]
        rate = self.table.row(title, "requests/s", True, hit.rate)
        cpu = self.table.row("– server CPU", "µs per request", budget=hit.cpu)
        p99 = self.table.row("– p99", "ms", budget=hit.p99)

        def measure(server):
            before = server.cpu_seconds()
            got = loads.wrk(server.port, thing, hit.connections, self.scale.seconds * hit.seconds)
            cpu.add(server.name, (server.cpu_seconds() - before) / got.count * 1e6)
            rate.add(server.name, got.per_second)
            p99.add(server.name, got.p99_ms)
        with self.raw(thing) as raw:
            self.turns(self.scale.hits, [raw, *caches], title, measure)

    def big_hit(self, caches: list, runs: int, connections: int, times: int):
        thing = self.things["512 MiB"]
        clients = "1 client" if connections == 1 else f"{connections} clients"
        title = f"512 MiB hit, {clients}"
        rate = self.table.row(title, "GB/s", True, Budget(1, "the best peer"))
        cpu = self.table.row("– server CPU", "s per GiB", budget=Budget(1.1, "raw"))

        def measure(server):
            before = server.cpu_seconds()
            got = loads.pull(server.port, thing, connections, times)
            cpu.add(server.name, (server.cpu_seconds() - before) / (got.bytes / GIB))
            rate.add(server.name, got.bytes / got.seconds / 1e9)
        with self.raw(thing) as raw:
            self.turns(runs, [raw, *caches], title, measure)

    def hits(self):
        with self.warm_caches() as caches:
            for hit in [MAIN_HIT, *(MORE_HITS if self.scale.all_rows else [])]:
                self.small_hit(caches, hit, hit.title)
            self.big_hit(caches, self.scale.hits, connections=1, times=4)
            self.big_hit(caches, self.scale.crowd, connections=16, times=1)

    def logged_hits(self):
        with self.warm_caches(access_log=True) as caches:
            self.small_hit(caches, MAIN_HIT, f"{MAIN_HIT.title}, access logs on")

    # -- memory ------------------------------------------------------------------------------

    def memory(self):
        with self.warm_caches() as caches:
            with self.raw(self.things["manifest"]) as raw:
                self.idle_memory([raw, *caches])
            with self.raw(self.things["512 MiB"]) as raw:
                self.slow_memory([raw, *caches])

    @staticmethod
    def fresh_memory(server: servers.Server, thing: objects.Object):
        """After a start and one answer."""
        server.stop()
        server.start()
        loads.pull(server.port, thing)
        return server.memory()

    def idle_memory(self, group: list):
        thing = self.things["manifest"]
        idle = self.table.row("resident memory, idle", "MiB", budget=Budget(10))
        shared = self.table.row("– shared pages counted once (PSS)", "MiB")
        each = self.table.row(f"– for each of {IDLE_CONNECTIONS:,} idle connections", "bytes",
                              budget=Budget(1024))

        def measure(server):
            before = self.fresh_memory(server, thing)
            idle.add(server.name, before.rss / objects.MIB)
            shared.add(server.name, before.pss / objects.MIB)
            with loads.idle_connections(server.port, thing, IDLE_CONNECTIONS):
                added = server.memory().rss - before.rss
            each.add(server.name, added / IDLE_CONNECTIONS)
        self.turns(self.scale.memory, group, "idle memory", measure)

    def slow_memory(self, group: list):
        thing = self.things["512 MiB"]
        title = f"memory with {SLOW_CLIENTS} slow clients on a 512 MiB hit"
        slow = self.table.row(f"– added by {SLOW_CLIENTS} slow clients on a 512 MiB hit", "MiB",
                              budget=Budget(8))

        def measure(server):
            before = self.fresh_memory(server, thing)
            with self.slow_clients(server.port, thing):
                slow.add(server.name, (server.memory().rss - before.rss) / objects.MIB)
        self.turns(self.scale.memory, group, title, measure)

    @contextmanager
    def slow_clients(self, port: int, thing: objects.Object):
        """Clients that have been reading slowly for a while."""
        argv = loads.slow_pull_argv(port, thing, SLOW_CLIENTS, SLOW_RATE, SLOW_SECONDS + 2)
        clients = Process("slow-clients", argv, FOLDER / "run")
        clients.start()
        try:
            time.sleep(SLOW_SECONDS)
            yield
            if clients.wait(30) != 0:
                raise loads.LoadError(f"slow clients: {clients.tail(300)}")
        finally:
            clients.kill()

    # -- misses ------------------------------------------------------------------------------

    @contextmanager
    def emptied(self, cache: servers.Cache):
        """The cache, running, with nothing in its storage and no write of others under way."""
        cache.empty()
        os.sync()
        cache.start()
        try:
            yield cache
        finally:
            cache.stop()

    def miss(self):
        thing = self.things["512 MiB"]
        title = "512 MiB cold miss"
        total = self.table.row(title, "s", budget=Budget(1.2, "nginx"))
        ratio = self.table.row("– total ÷ direct download", "ratio")
        first = self.table.row("– first byte of the body", "ms")
        gets = self.table.row("– upstream GETs", "count", budget=Budget(1))
        cpu = self.table.row("– server CPU", "s per GiB")

        def measure(cache):
            direct = loads.pull(self.upstream.port, thing)
            total.add("direct", direct.seconds)
            first.add("direct", direct.first_byte_ms[0])
            with self.emptied(cache):
                before, used = self.upstream_gets(thing), cache.cpu_seconds()
                got = loads.pull(cache.port, thing, seconds=COLD_SECONDS)
                until(lambda: cache.is_stored(thing), 60, f"{cache.name} to store it")
                cpu.add(cache.name, (cache.cpu_seconds() - used) / (got.bytes / GIB))
            total.add(cache.name, got.seconds)
            ratio.add(cache.name, got.seconds / direct.seconds)
            first.add(cache.name, got.first_byte_ms[0])
            gets.add(cache.name, self.upstream_gets(thing) - before)
        self.turns(self.scale.cold, self.cold_caches(), title, measure)

    def herd(self):
        thing = self.things["128 MiB"]
        title = f"{HERD} clients, one cold 128 MiB blob"
        last = self.table.row(title, "s to the last", budget=Budget(1, "the best peer"))
        first = self.table.row("– first byte of the body, median", "ms", budget=Budget(50))
        gets = self.table.row("– upstream GETs", "count", budget=Budget(1))

        def measure(cache):
            with self.emptied(cache):
                before = self.upstream_gets(thing)
                got = loads.pull(cache.port, thing, HERD, seconds=COLD_SECONDS)
            last.add(cache.name, got.seconds)
            first.add(cache.name, statistics.median(got.first_byte_ms))
            gets.add(cache.name, self.upstream_gets(thing) - before)
        self.turns(self.scale.herd, self.cold_caches(), title, measure)

    def cold_caches(self) -> list[servers.Cache]:
        return servers.caches(FOLDER / "run" / "cold", self.upstream)


PHASES = {"hits": Bench.hits, "logged": Bench.logged_hits, "miss": Bench.miss, "herd": Bench.herd,
          "memory": Bench.memory}
QUICK_PHASES = ["hits", "miss", "herd", "memory"]


# -- the report ------------------------------------------------------------------------------

def processor() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def version(argv: list) -> str:
    done = run(argv, check=False)
    return (done.stdout or done.stderr).splitlines()[0].strip()


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    kernel = os.uname()
    return "\n".join([
        f"- {os.cpu_count()} CPUs, {processor()}, {memory:.0f} GiB of memory",
        f"- {kernel.sysname} {kernel.release} {kernel.machine}",
        f"- {version([yantian(), 'version'])}",
        f"- {version(['nginx', '-v'])}",
        f"- {version(['docker-registry', '--version'])}",
        f"- {version(['wrk', '-v'])}",
    ])


def how(scale: Scale) -> str:
    return (
        f"Medians, in parentheses the least and the most: hits {scale.hits} runs (16 "
        f"clients {scale.crowd}), miss {scale.cold}, herd {scale.herd}, memory {scale.memory}; the "
        "servers take turns. The load tools run on the same CPUs and everything is on loopback: trust ratios. raw sends one "
        "fixed answer and does nothing else. nginx is the better of tcp_nopush on (nopush) and "
        "off, row by row. A budget is met or not by the medians of this run. Server CPU is of the "
        "server and its children, from /proc. Access logs are off unless a row says otherwise; "
        "nginx's is buffered (64 KiB), the others write each line.")


def report(bench: Bench, load_before: float, seconds: float) -> str:
    failures = [f"- {server}, {text}" for server, text in bench.table.failures]
    load = f"Load average before: {load_before:.2f}. Took {seconds:.0f} s."
    parts = ["# Yantian beside its peers", time.strftime("%Y-%m-%d %H:%M"), machine(),
             how(bench.scale), load, bench.table.markdown()]
    if failures:
        parts += ["## Runs that failed and are not counted", "\n".join(failures)]
    return "\n\n".join(parts) + "\n"


# -- the run ---------------------------------------------------------------------------------

def prepare_upstream(stack: ExitStack) -> tuple[Registry, dict[str, objects.Object]]:
    say("objects, and the upstream registry that has them")
    things = objects.make(FOLDER / "objects")
    upstream = Registry(FOLDER / "run" / "upstream", FOLDER / "upstream-storage")
    stack.callback(upstream.stop)
    upstream.start()
    objects.push(upstream, things)
    return upstream, things


def measure(scale: Scale, phases: list[str]) -> tuple[str, bool]:
    """The report, and whether every run of Yantian came to its end."""
    begin, load_before = time.monotonic(), os.getloadavg()[0]
    loads.allow_many_connections()
    shutil.rmtree(FOLDER / "run", ignore_errors=True)
    with ExitStack() as stack:
        upstream, things = prepare_upstream(stack)
        bench = Bench(scale, upstream, things)
        for phase in phases:
            PHASES[phase](bench)
    shutil.rmtree(FOLDER / "run")
    sound = all(server != YANTIAN for server, _ in bench.table.failures)
    return report(bench, load_before, time.monotonic() - begin), sound


def end(*_):
    """So that SIGTERM ends the servers too."""
    sys.exit("ended by SIGTERM")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows and runs: < 3 minutes")
    parser.add_argument("--only", action="append", choices=PHASES, metavar="PHASE",
                        help=f"one or several of: {', '.join(PHASES)}")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, end)
    scale = QUICK if options.quick else FULL
    phases = options.only or (QUICK_PHASES if options.quick else list(PHASES))
    text, sound = measure(scale, phases)
    (FOLDER / "report.md").write_text(text)
    print(text)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
