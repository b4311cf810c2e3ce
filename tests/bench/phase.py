"""What the phases of the benchmark share: servers, warm caches, turns.

A phase measures some loads and adds their rows to a section of the table. To add one, write a
module phase_NAME.py with a list

    PHASES = [Phase("packument", "Packuments", run, quick=False, note="wrk drives ...")]

of one or several phases, import it in bench.py and put it into bench.MODULES, where the order is.
`run` gets a Bench and does

    group = bench.table.group("7 MB packument, 16 clients")
    rate = group.row("requests/s", more_is_better=True, budget=Budget(1, "nginx"))
    cpu = group.row("µs per request", "server CPU")
    bench.turns(bench.scale.hits, servers, group, measure)

where measure(server) makes one run of one server and adds a sample to each row of the group under
server.name. Which servers take part is the phase's choice: a column is shown where a row has
samples of it, and "the best peer" is the best of the peers that were measured in that row. A server
that fails (FAILURES) loses its cells of the group and is listed; the others go on. `note` says how
it is measured and by which load tool, where HOW in report.py does not. With `plots` a phase also
draws: a function from the Table to a list of plots (plots.py).
"""

import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Callable

import disk
import free_memory
import loads
import servers
from harness.net import until
from harness.paths import BUILD
from harness.process import Process
from harness.registry import Registry
from objects import Object
from server import Cache, Raw, RawFill, Server
from table import Group, Table

FOLDER = BUILD / "bench"
GIB = 1 << 30
GAP_SECONDS = 0.2               # between turns
SETTLE_SECONDS = 3              # the longest that a server's tail is waited for
# What a server that misbehaves or dies comes to.
FAILURES = (loads.LoadError, AssertionError, OSError, TimeoutExpired)


@dataclass(frozen=True)
class Scale:
    """How much of it: runs of each kind, and seconds of each load of small answers."""
    hits: int
    close: int                  # hits with a budget that is near: what others reach, or almost
    crowd: int                  # small hits beside many clients on one big packument
    cold: int
    herd: int
    memory: int
    seconds: int                # wrk and h2load know whole ones only
    all_rows: bool              # all rows, and all peers


FULL = Scale(hits=5, close=15, crowd=5, cold=5, herd=5, memory=5, seconds=1, all_rows=True)
QUICK = Scale(hits=3, close=2, crowd=2, cold=2, herd=1, memory=1, seconds=1, all_rows=False)


def say(text: str):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


@dataclass
class Bench:
    """The upstream with its objects, the table, and what fills it."""
    scale: Scale
    upstream: Registry
    things: dict[str, Object]
    table: Table = field(default_factory=Table)
    checked: set[str] = field(default_factory=set)      # caches whose bodies were all hashed

    # -- servers -----------------------------------------------------------------------------

    @contextmanager
    def raw(self, thing: Object, access_log: bool = False):
        """The raw server, with one object."""
        server = Raw(FOLDER / "run" / f"raw-{thing.path.name}", thing, access_log).start()
        try:
            yield server
        finally:
            server.stop()

    def caches(self, folder: Path, upstream=None, **keys) -> list[Cache]:
        """Yantian and the peers of this run, not running; keys: those of servers.caches."""
        return servers.caches(folder, upstream or self.upstream,
                              nginx_only=not self.scale.all_rows, **keys)

    @contextmanager
    def warm_caches(self, **keys):
        """All caches, running, each with all objects in its storage; keys: those of servers.caches.
        One that does not come so far is listed and left out."""
        warm = []
        try:
            for cache in self.caches(FOLDER / "run", **keys):
                say(f"{cache.name} fetches everything")
                warm += [cache] if self.try_to(lambda: self.start_warm(cache), cache) else []
            yield warm
        finally:
            for cache in warm:
                self.try_to(cache.stop, cache)

    def try_to(self, do: Callable, cache: Cache) -> bool:
        """A failure outside of the turns is listed."""
        try:
            do()
            return True
        except FAILURES as failure:
            self.table.failures.append((cache.name, f"start or stop: {failure}"))
            cache.process.kill()
            return False

    def start_warm(self, cache: Cache):
        """Every body checked against its digest, once; then asked for until the upstream is not."""
        free_memory.make_ready(FOLDER)
        cache.start()
        if cache.name not in self.checked:
            for thing in self.things.values():
                loads.pull(cache.port, thing, check=True)
        self.checked.add(cache.name)
        until(lambda: self.asks_nothing(cache), 30, f"{cache.name} to hold everything", 0.5)

    def start_again(self, server: Raw | Cache, thing: Object, reads: bool = False):
        """What a program costs depends, by a tenth, on the pages that it got when it started. So
        where CPU is compared each run is one of a new start, with `thing` asked for once, and a big
        one (`reads`) read into other pages before. Memory is not made ready: the host takes it back
        within seconds, which delays who runs then."""
        if server.memory_counts:
            return
        server.stop()
        for file in server.body_files(thing) if reads else []:
            disk.read_anew(file)
        server.start()
        loads.pull(server.port, thing)

    def asks_nothing(self, cache: Cache) -> bool:
        before = len(self.upstream.accesses())
        for thing in self.things.values():
            if not (thing.tag and cache.asks_for_tags):
                loads.pull(cache.port, thing)
        return len(self.upstream.accesses()) == before

    def cold_caches(self) -> list[Cache]:
        """Caches with storage of their own, not running; see emptied()."""
        return self.caches(FOLDER / "run" / "cold")

    def raw_fills(self) -> list[RawFill]:
        """The limits of a miss, not running; see emptied()."""
        return [RawFill(FOLDER / "run" / "cold" / name, self.upstream, hashes)
                for name, hashes in (("raw-fill", True), ("raw-fill-no-hash", False))]

    @contextmanager
    def emptied(self, cache: Cache):
        """The cache, running, with nothing in its storage and no write of others under way."""
        cache.empty()
        os.sync()
        cache.start()
        free_memory.make_ready(FOLDER)
        try:
            yield cache
        finally:
            cache.stop()

    def upstream_gets(self, thing: Object) -> int:
        return self.upstream.blob_gets()[thing.digest]

    # -- turns -------------------------------------------------------------------------------

    def turns(self, runs: int, group_of_servers: list, group: Group,
              measure: Callable[[Server], None]):
        """measure(server) for each in turn, another one first in each round. After the usual number
        of rounds those go on that a budget compares."""
        say(group.title)
        left = list(group_of_servers)
        for number in range(runs):
            if number == self.scale.hits:
                left = [server for server in left if group.compares(server.name)]
            first = number % len(left) if left else 0
            for server in left[first:] + left[:first]:
                try:
                    measure(server)
                except FAILURES as failure:
                    group.lose(server.name, str(failure))
                    left.remove(server)
                self.settle(server)

    def warm_turns(self, runs: int, raw: Raw, caches: list, group: Group,
                   measure: Callable[[Server], None]):
        """turns() of the raw server and warm caches; one that has died meanwhile gets a new try."""
        for cache in caches:
            if not cache.process.running:
                self.try_to(lambda: self.start_warm(cache), cache)
        self.turns(runs, [raw, *caches], group, measure)

    @staticmethod
    def settle(server: Server):
        """The tail of one server's work may not fall into the next one's turn."""
        time.sleep(GAP_SECONDS)
        end = time.monotonic() + SETTLE_SECONDS
        while server.process.running and time.monotonic() < end:
            before = server.cpu_seconds()
            time.sleep(GAP_SECONDS / 2)
            if server.cpu_seconds() - before < GAP_SECONDS / 8:
                break


@contextmanager
def running(name: str, argv: list, run_in: float):
    """Clients of ours that have been pulling for a while; they must come to a good end."""
    clients = Process(name, argv, FOLDER / "run")
    clients.out_path.unlink(missing_ok=True)
    clients.start()
    try:
        time.sleep(run_in)
        yield clients
        if clients.wait(30) != 0:
            raise loads.LoadError(f"{name}: {clients.tail(300)}")
    finally:
        clients.kill()


@dataclass(frozen=True)
class Phase:
    """One part of the benchmark, and the section of the report that comes of it."""
    name: str                               # for --only
    title: str
    run: Callable[[Bench], None]
    quick: bool = False                     # part of bench-quick?
    note: str = ""                          # how it is measured, and by which tool
    plots: Callable[[Table], list] | None = None
