"""Misses: what is not held, asked for by one client and by a herd."""

import statistics

import loads
from harness.net import until
from phase import GIB, Bench, Phase
from table import BEST_PEER, Budget

HERD = 64
COLD_SECONDS = 120              # the longest that a miss or a herd may take


def miss(bench: Bench):
    thing = bench.things["512 MiB"]
    group = bench.table.group("512 MiB cold miss")
    total = group.row("s", budget=Budget(1.2, "nginx"))
    ratio = group.row("ratio", "total ÷ direct download")
    first = group.row("ms", "first byte of the body")
    gets = group.row("count", "upstream GETs", budget=Budget(1))
    cpu = group.row("s per GiB", "server CPU")

    def measure(cache):
        direct = loads.pull(bench.upstream.port, thing)
        total.add("direct", direct.seconds)
        first.add("direct", direct.first_byte_ms[0])
        with bench.emptied(cache):
            before, used = bench.upstream_gets(thing), cache.cpu_seconds()
            got = loads.pull(cache.port, thing, seconds=COLD_SECONDS)
            until(lambda: cache.is_stored(thing), 60, f"{cache.name} to store it")
            cpu.add(cache.name, (cache.cpu_seconds() - used) / (got.bytes / GIB))
        total.add(cache.name, got.seconds)
        ratio.add(cache.name, got.seconds / direct.seconds)
        first.add(cache.name, got.first_byte_ms[0])
        gets.add(cache.name, bench.upstream_gets(thing) - before)
    bench.turns(bench.scale.cold, bench.cold_caches(), group, measure)


def herd(bench: Bench):
    thing = bench.things["128 MiB"]
    group = bench.table.group(f"{HERD} clients, one cold 128 MiB blob")
    last = group.row("s to the last", budget=Budget(1, BEST_PEER))
    first = group.row("ms", "first byte of the body, median", budget=Budget(50))
    gets = group.row("count", "upstream GETs", budget=Budget(1))

    def measure(cache):
        with bench.emptied(cache):
            before = bench.upstream_gets(thing)
            got = loads.pull(cache.port, thing, HERD, seconds=COLD_SECONDS)
        last.add(cache.name, got.seconds)
        first.add(cache.name, statistics.median(got.first_byte_ms))
        gets.add(cache.name, bench.upstream_gets(thing) - before)
    bench.turns(bench.scale.herd, bench.cold_caches(), group, measure)


PHASES = [Phase("miss", "A miss", miss, quick=True),
          Phase("herd", "A herd on something that is not held", herd, quick=True)]
