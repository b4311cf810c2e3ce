"""Hits: what is held, small and big, at many connections and at few."""

from dataclasses import dataclass

import loads
from phase import GIB, Bench, Phase
from plots import Plot, plot
from table import BEST_PEER, OR, Budget, Table

H2LOAD_SIZES = ("1 MiB",)       # see loads.py
BODIES_MIN = 8                  # of 512 MiB in one run, so that CPU ticks of 10 ms are enough
LIKE_NGINX, LIKE_THE_BEST = Budget(1, "nginx"), Budget(1, BEST_PEER)
LIKE_THE_USUAL = Budget(1, f"nginx{OR}registry")


@dataclass(frozen=True)
class SmallHit:
    """A load of some seconds on something that is held."""
    thing: str
    connections: int
    rate: Budget
    cpu: Budget | None = None
    p99: Budget | None = None
    near: bool = False          # is the rate near its budget?

    @property
    def title(self) -> str:
        what = {"manifest": "small manifest hit", "tag": "small manifest hit by tag"}.get(
            self.thing, f"{self.thing} blob hit")
        plural = "" if self.connections == 1 else "s"
        return f"{what}, {self.connections:,} connection{plural}"


MANIFEST_64 = SmallHit("manifest", 64, Budget(1.25, "nginx"), Budget(1.2, "raw"), LIKE_NGINX)
MANIFEST_1000 = SmallHit("manifest", 1000, LIKE_NGINX, p99=LIKE_NGINX)
BLOB_4K = SmallHit("4 KiB", 64, LIKE_THE_BEST)
BLOB_1M = SmallHit("1 MiB", 64, LIKE_THE_BEST, near=True)
ALL_HITS = [
    *(SmallHit("manifest", connections, LIKE_NGINX, p99=LIKE_NGINX) for connections in (1, 16)),
    MANIFEST_64,
    SmallHit("manifest", 256, LIKE_NGINX, p99=LIKE_NGINX),
    MANIFEST_1000,
    SmallHit("tag", 64, Budget(1.25, "nginx"), Budget(1.2, "raw"), LIKE_NGINX),
    BLOB_4K,
    SmallHit("64 KiB", 64, LIKE_THE_BEST),
    BLOB_1M,
]
QUICK_HITS = [MANIFEST_64, MANIFEST_1000, BLOB_4K, BLOB_1M]


def load(port: int, thing, connections: int, seconds: int) -> loads.Requests:
    if thing.name in H2LOAD_SIZES:
        return loads.h2load(port, thing, connections, "-D", seconds)
    return loads.wrk(port, thing, connections, seconds)


def small_hit(bench: Bench, caches: list, hit: SmallHit, access_log: bool = False):
    thing = bench.things[hit.thing]
    group = bench.table.group(hit.title)
    rate = group.row("requests/s", more_is_better=True, budget=hit.rate)
    cpu = group.row("µs per request", "server CPU", budget=hit.cpu)
    p99 = group.row("ms", "p99", budget=hit.p99)
    asked = group.row("count", "upstream requests", budget=Budget(0)) if thing.tag else None

    def measure(server):
        if hit.cpu:
            bench.start_again(server, thing)
        before, asked_before = server.cpu_seconds(), len(bench.upstream.accesses())
        got = load(server.port, thing, hit.connections, bench.scale.seconds)
        cpu.add(server.name, (server.cpu_seconds() - before) / got.count * 1e6)
        rate.add(server.name, got.per_second)
        p99.add(server.name, got.p99_ms)
        if asked:
            asked.add(server.name, len(bench.upstream.accesses()) - asked_before)
    with bench.raw(thing, access_log) as raw:
        runs = bench.scale.close if hit.cpu or hit.p99 or hit.near else bench.scale.hits
        bench.warm_turns(runs, raw, caches, group, measure)


def big_hit(bench: Bench, caches: list, connections: int):
    thing = bench.things["512 MiB"]
    clients = "1 client" if connections == 1 else f"{connections} clients"
    group = bench.table.group(f"512 MiB hit, {clients}")
    rate = group.row("GB/s", more_is_better=True, budget=LIKE_THE_USUAL)
    cpu = group.row("s per GiB", "server CPU", budget=Budget(1.1, "raw"))

    def measure(server):
        bench.start_again(server, thing, reads=True)
        before = server.cpu_seconds()
        got = loads.h2load(server.port, thing, connections, "-n", max(connections, BODIES_MIN))
        cpu.add(server.name, (server.cpu_seconds() - before) / (got.count * thing.size / GIB))
        rate.add(server.name, got.per_second * thing.size / 1e9)
    with bench.raw(thing) as raw:
        bench.warm_turns(bench.scale.close, raw, caches, group, measure)


def hits(bench: Bench):
    with bench.warm_caches() as caches:
        for hit in ALL_HITS if bench.scale.all_rows else QUICK_HITS:
            small_hit(bench, caches, hit)
        big_hit(bench, caches, connections=1)
        if bench.scale.all_rows:
            big_hit(bench, caches, connections=16)


def logged_hits(bench: Bench):
    with bench.warm_caches(access_log=True) as caches:
        for hit in (MANIFEST_64, BLOB_4K):
            small_hit(bench, caches, hit, access_log=True)


def hit_plots(table: Table) -> list[Plot]:
    by_connections = [(f"{hit.connections:,}", hit.title)
                      for hit in ALL_HITS if hit.thing == "manifest"]
    by_size = [(hit.thing, hit.title)
               for hit in ALL_HITS if hit.connections == 64 and hit.thing != "tag"]

    def rows(titles: list[tuple[str, str]], part: str):
        return [(label, table.find(title, part)) for label, title in titles]
    return [
        *plot("hits-by-connections", "Small manifest hits by number of connections",
              "keep-alive connections", rows(by_connections, ""), "requests/s", lines=True),
        *plot("hits-p99", "Small manifest hits: the slowest of a hundred",
              "keep-alive connections", rows(by_connections, "p99"), "p99, ms", lines=True,
              logarithmic=True),
        *plot("hits-cpu", "Small manifest hits: what they cost the server",
              "keep-alive connections", rows(by_connections, "server CPU"), "µs per request",
              lines=True, logarithmic=True),
        *plot("hits-by-size", "Hits by size of the body", "body, 64 keep-alive connections",
              rows(by_size, ""), "requests/s", logarithmic=True),
        *plot("hits-big", "Hits of 512 MiB", "at once",
              [(clients, table.find(f"512 MiB hit, {clients}"))
               for clients in ("1 client", "16 clients")], "GB/s"),
    ]


NOTE = ("wrk drives the small ones, h2load (HTTP/1.1) the 1 MiB and 512 MiB ones: of the two tools "
        "each costs less of the CPUs there, and only h2load counts whole big bodies. Where CPU has "
        "a budget Yantian, nginx and raw are started anew for each run, and their big body is read "
        "into memory anew; the others would lose what they hold there.")
LOG_NOTE = ("As above, but every server writes a line for each request: raw always the same one, "
            "nginx in buffers of 64 KiB, which is its best; varnish by varnishncsa, whose CPU counts.")

PHASES = [Phase("hits", "Hits", hits, quick=True, note=NOTE, plots=hit_plots),
          Phase("logged", "Hits, access logs on", logged_hits, note=LOG_NOTE)]
