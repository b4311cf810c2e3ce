"""What others feel of a fill: small hits beside a big blob that comes in, and beside a huge packument."""

from concurrent.futures import ThreadPoolExecutor
from typing import Callable

import links
import loads
import packuments
import servers
from server import Cache
from harness.npm_shelf import npm_route
from packuments import HUGE, SMALL
from phase import FOLDER, Bench, Phase
from phase_misses import COLD_SECONDS, FAST_LINK
from table import YANTIAN

CONNECTIONS = 16


def caches_of(upstream, name: str) -> list[Cache]:
    """Yantian and nginx."""
    folder = FOLDER / "run" / f"fill-{name}"
    return [cache for cache in servers.caches(folder, upstream) if cache.name in (YANTIAN, "nginx")]


def measure_beside(bench: Bench, caches: list, title: str, small, seconds: int,
                   load: Callable[[Cache], None]):
    """Small hits without and beside what `load` does to an empty cache."""
    group = bench.table.group(f"p99 of small hits, {CONNECTIONS} connections, beside {title}")
    beside = group.row("ms")
    without = group.row("ms", "p99 without it")
    rate = group.row("ratio", "requests/s, beside ÷ without", more_is_better=True)

    def measure(cache):
        with bench.emptied(cache), ThreadPoolExecutor(1) as other:
            packuments.ask(cache.port, small)
            alone = loads.wrk(cache.port, small, CONNECTIONS, bench.scale.seconds)
            loaded = other.submit(load, cache)
            got = loads.wrk(cache.port, small, CONNECTIONS, seconds)
            loaded.result()
        without.add(cache.name, alone.p99_ms)
        beside.add(cache.name, got.p99_ms)
        rate.add(cache.name, got.per_second / alone.per_second)
    bench.turns(bench.scale.cold, caches, group, measure)


def blob(bench: Bench):
    thing = bench.things["512 MiB"]

    def load(cache):
        loads.pull(cache.port, thing, seconds=COLD_SECONDS)
    manifest = bench.things["manifest"]
    measure_beside(bench, caches_of(bench.upstream, "near"), "one miss of 512 MiB", manifest, 1,
                   load)
    with links.open_link(FOLDER / "run" / "fill-far", bench.upstream, FAST_LINK) as link:
        measure_beside(bench, caches_of(link, "far"),
                       "one miss of 512 MiB over 125 MB/s, round trip 20 ms", manifest, 3, load)


def packument(bench: Bench):
    folder = FOLDER / "run" / "fill-npm"
    registry = packuments.files(folder / "registry", [SMALL, HUGE])
    registry.start()
    try:
        yantian = servers.Yantian(folder / "yantian", bench.upstream, False,
                                  (npm_route(registry.url, ttl="2h"),), only_route="npm")
        nginx = [cache for cache in caches_of(registry, "packument") if cache.name == "nginx"]
        measure_beside(bench, [yantian, *nginx], "one packument of 40 MB, cold", SMALL, 1,
                       lambda cache: packuments.ask(cache.port, HUGE))
    finally:
        registry.stop()


def run(bench: Bench):
    blob(bench)
    packument(bench)


NOTE = (
    "wrk asks for a small manifest or packument while one other client pulls something big that "
    "is not held: its fill begins with wrk's time. nginx stores the packument as it is, Yantian "
    "also makes what clients get of it. What a fill costs itself, and what it writes, is among the "
    "rows of a miss.")

PHASES = [Phase("fill-cost", "What others feel of a fill", run, note=NOTE)]
