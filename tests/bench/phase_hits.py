"""Hits: what is held, small and big, at many connections and at few."""

from dataclasses import dataclass

import loads
from phase import GIB, Bench, Phase
from table import BEST_PEER, Budget


@dataclass(frozen=True)
class SmallHit:
    """A load of wrk on something that is held."""
    title: str
    thing: str
    connections: int
    rate: Budget
    cpu: Budget | None = None
    p99: Budget | None = None


MAIN_HIT = SmallHit("small manifest hit, 64 connections", "manifest", 64,
                    rate=Budget(1.25, "nginx"), cpu=Budget(1.2, "raw"))
MORE_HITS = [
    SmallHit("small manifest hit, 1,000 connections", "manifest", 1000,
             rate=Budget(1, "nginx"), p99=Budget(1, "nginx")),
    *(SmallHit(f"{size} blob hit, 64 connections", size, 64, rate=Budget(1, BEST_PEER))
      for size in ("4 KiB", "64 KiB", "1 MiB")),
]


def small_hit(bench: Bench, caches: list, hit: SmallHit):
    thing = bench.things[hit.thing]
    group = bench.table.group(hit.title)
    rate = group.row("requests/s", more_is_better=True, budget=hit.rate)
    cpu = group.row("µs per request", "server CPU", budget=hit.cpu)
    p99 = group.row("ms", "p99", budget=hit.p99)

    def measure(server):
        before = server.cpu_seconds()
        got = loads.wrk(server.port, thing, hit.connections, bench.scale.seconds)
        cpu.add(server.name, (server.cpu_seconds() - before) / got.count * 1e6)
        rate.add(server.name, got.per_second)
        p99.add(server.name, got.p99_ms)
    with bench.raw(thing) as raw:
        bench.turns(bench.scale.hits, [raw, *caches], group, measure)


def big_hit(bench: Bench, caches: list, runs: int, connections: int, times: int):
    thing = bench.things["512 MiB"]
    clients = "1 client" if connections == 1 else f"{connections} clients"
    group = bench.table.group(f"512 MiB hit, {clients}")
    rate = group.row("GB/s", more_is_better=True, budget=Budget(1, BEST_PEER))
    cpu = group.row("s per GiB", "server CPU", budget=Budget(1.1, "raw"))

    def measure(server):
        before = server.cpu_seconds()
        got = loads.pull(server.port, thing, connections, times)
        cpu.add(server.name, (server.cpu_seconds() - before) / (got.bytes / GIB))
        rate.add(server.name, got.bytes / got.seconds / 1e9)
    with bench.raw(thing) as raw:
        bench.turns(runs, [raw, *caches], group, measure)


def hits(bench: Bench):
    with bench.warm_caches() as caches:
        for hit in [MAIN_HIT, *(MORE_HITS if bench.scale.all_rows else [])]:
            small_hit(bench, caches, hit)
        big_hit(bench, caches, bench.scale.hits, connections=1, times=4)
        big_hit(bench, caches, bench.scale.crowd, connections=16, times=1)


def logged_hits(bench: Bench):
    with bench.warm_caches(access_log=True) as caches:
        small_hit(bench, caches, MAIN_HIT)


PHASES = [Phase("hits", "Hits", hits, quick=True),
          Phase("logged", "Hits, access logs on", logged_hits)]
