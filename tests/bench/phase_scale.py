"""Scale: a store of a million objects beside one of a thousand, and ten thousand connections."""

import os
import shutil
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import disk
import loads
import servers
import stores
from objects import MIB
from phase import FOLDER, Bench, Phase
from table import YANTIAN, Budget, Row

STORES = FOLDER / "stores"
FEW, MANY, MOST = 1_000, 100_000, 1_000_000
PUTS = 10_000
IDLE_CONNECTIONS, CONNECTIONS = 10_000, 16
START_SECONDS = 10


class Filled(servers.Yantian):
    """Yantian with a store of so many objects."""

    def __init__(self, bench: Bench, count: int):
        self.count = count
        folder = STORES / str(count)
        stores.make(folder / "storage", count)
        super().__init__(folder, bench.upstream, access_log=False)

    def load_index(self):
        """Into the kernel's memory: what follows is no matter of the disk."""
        with open(self.storage / "index" / "data.mdb", "rb") as file:
            while file.read(MIB):
                pass

    def answers(self) -> bool:
        try:
            stores.ask_random(self.port, self.count)
        except ConnectionRefusedError:
            return False
        return True

    def start_and_answer(self) -> float:
        """Seconds from the start to the first right hit."""
        begin = time.monotonic()
        self.process.start()
        self.process.wait_ready(self.answers, START_SECONDS, interval=0.001)
        return time.monotonic() - begin


def filled(bench: Bench, count: int) -> Filled:
    """With a store that can be read: one that another version has made is made anew."""
    server = Filled(bench, count)
    try:
        server.start_and_answer()
    except AssertionError:
        stores.forget(server.storage)
        server = Filled(bench, count)
        server.start_and_answer()
    server.stop()
    return server


# -- the index -------------------------------------------------------------------------------

def start_up(bench: Bench, stored: list[Filled]):
    group = bench.table.group(f"start until the first right hit, {MOST:,} objects")
    rows = {server.count: group.row("ms", f"{server.count:,} objects" if server.count < MOST else "",
                                    budget=Budget(100)) for server in reversed(stored)}
    cold = group.row("ms", f"{MOST:,} objects, nothing of the store in memory")

    def measure(most):
        for server in stored:
            rows[server.count].add(YANTIAN, server.start_and_answer() * 1e3)
            server.stop()
        if disk.can_drop_caches():
            disk.drop_caches()
            cold.add(YANTIAN, most.start_and_answer() * 1e3)
            most.stop()
    bench.turns(bench.scale.hits, stored[-1:], group, measure)


def hit_cost(bench: Bench, stored: list[Filled]):
    group = bench.table.group(f"server CPU of a hit on a random object, {MOST:,} objects ÷ {FEW:,}")
    growth = group.row("ratio", budget=Budget(1.3))
    cpu = {server.count: group.row("µs per request", f"server CPU, {server.count:,} objects")
           for server in stored}
    rate = {server.count: group.row("requests/s", f"{server.count:,} objects", more_is_better=True)
            for server in stored}

    def measure(_):
        for server in stored:
            before = server.cpu_seconds()
            got = loads.wrk_random_tags(server.port, server.count, CONNECTIONS, bench.scale.seconds)
            cpu[server.count].add(YANTIAN, (server.cpu_seconds() - before) / got.count * 1e6)
            rate[server.count].add(YANTIAN, got.per_second)
            bench.settle(server)
        few, most = (cpu[count].samples[YANTIAN][-1] for count in (FEW, MOST))
        growth.add(YANTIAN, most / few)
    bench.turns(bench.scale.close, stored[-1:], group, measure)


def memory(bench: Bench, stored: list[Filled]):
    """As the load before has left it."""
    for server in stored:
        got = server.memory()
        group = bench.table.group(f"memory after hits on random objects, {server.count:,} objects")
        group.row("MiB").add(YANTIAN, got.anonymous / MIB)
        group.row("MiB", "resident, with pages of the index").add(YANTIAN, got.rss / MIB)


@contextmanager
def copy_of(server: Filled):
    """Its store, to be changed."""
    folder = FOLDER / "run" / f"copy-{server.count}"
    shutil.copytree(server.storage, folder)
    os.sync()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def write(folder: Path, number: int, put: Row, evicted: Row):
    """So many new entries, and so many more while the store may not grow."""
    got = stores.fill(folder, f"new-{number}-", PUTS)
    put.add(YANTIAN, got.put / got.seconds)
    got = stores.fill(folder, f"more-{number}-", PUTS, max_bytes=0)
    assert got.evicted >= PUTS / 2, f"only {got.evicted} evicted for {PUTS}"
    evicted.add(YANTIAN, got.evicted / got.seconds)


def writer(bench: Bench, server: Filled, copies: int):
    """Each copy of the store takes its share of the runs."""
    group = bench.table.group(f"entries that the writer takes in, store of {server.count:,}")
    put = group.row("entries/s", more_is_better=True)
    evicted = group.row("evictions/s", "when it is full", more_is_better=True)

    def measure(_):
        for _ in range(copies):
            with copy_of(server) as folder:
                for number in range(bench.scale.hits // copies):
                    write(folder, number, put, evicted)
    bench.turns(1, [server], group, measure)


def index(bench: Bench):
    stored = [filled(bench, count) for count in (FEW, MANY, MOST)]
    with ExitStack() as stack:
        for server in stored:
            stack.callback(server.stop)
        start_up(bench, stored)
        for server in stored:
            server.load_index()
            server.start()
        hit_cost(bench, stored)
        memory(bench, stored)


def writes(bench: Bench):
    writer(bench, filled(bench, FEW), copies=bench.scale.hits)
    writer(bench, filled(bench, MOST), copies=1)    # what a run adds is no matter to it


# -- connections -----------------------------------------------------------------------------

def connections(bench: Bench):
    thing = bench.things["manifest"]
    group = bench.table.group(f"{IDLE_CONNECTIONS:,} idle connections")
    each = group.row("bytes of memory for each", budget=Budget(1024))
    alone = group.row("ms", f"p99 of small hits at {CONNECTIONS} connections without them")
    beside = group.row("ms", "p99 beside them")
    rate = group.row("ratio", "requests/s, beside ÷ without", more_is_better=True)

    def measure(server):
        loads.pull(server.port, thing)
        before = server.memory().rss
        without = loads.wrk(server.port, thing, CONNECTIONS, bench.scale.seconds)
        with loads.idle_connections(server.port, thing, IDLE_CONNECTIONS):
            added = server.memory().rss - before
            got = loads.wrk(server.port, thing, CONNECTIONS, bench.scale.seconds)
        each.add(server.name, added / IDLE_CONNECTIONS)
        alone.add(server.name, without.p99_ms)
        beside.add(server.name, got.p99_ms)
        rate.add(server.name, got.per_second / without.per_second)

    def fresh(cache):
        with bench.emptied(cache):
            measure(cache)
    caches = [cache for cache in bench.cold_caches() if cache.name in (YANTIAN, "nginx")]
    bench.turns(bench.scale.memory, caches, group, fresh)


INDEX_NOTE = (
    "Stores filled by fill_store with manifests of 512 bytes, and one body of 64 KiB for each "
    "5,000 of them; wrk asks for tags at random out of the whole store. The big store is kept "
    "from run to run. The index's pages count as resident, although they are the kernel's to drop.")

WRITER_NOTE = (
    f"fill_store puts {PUTS:,} entries into a copy of the store, then as many into one that may not "
    "grow: there each commit also makes room.")

PHASES = [Phase("index", "The index as it grows", index, note=INDEX_NOTE),
          Phase("writer", "The index's writer as it grows", writes, note=WRITER_NOTE),
          Phase("connections", "Many connections", connections)]
