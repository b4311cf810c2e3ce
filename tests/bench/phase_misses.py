"""Misses: what is not held, asked for by one client and by a herd; near by and over long links."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import links
import loads
import objects
from harness.httpclient import Connection
from harness.net import until
from objects import MIB
from phase import FOLDER, GIB, Bench, Phase
from plots import Plot, plot
from server import Cache
from table import BEST_PEER, YANTIAN, Budget, Row, Table

HERD = 64
SLOW_HERD = 16
FAST_LINK, SLOW_LINK = 125e6, 20e6      # bytes per second
COLD_SECONDS = 120              # the longest that a miss or a herd may take
SLOW_HERD_SECONDS = 30          # one download over that link takes 7
# Over a link a run takes as long as the link: these take part. tcp_nopush means nothing there.
QUICK_ENOUGH = [YANTIAN, "nginx", "varnish"]
LAYERS, AT_ONCE = 40, 6         # containerd fetches three to six layers of an image at once

MISS, HERD_TITLE = "512 MiB cold miss", f"{HERD} clients, one cold 128 MiB blob"
FAR_MISS = f"{MISS}, 125 MB/s, round trip 20 ms"
FAR_HERD = f"{SLOW_HERD} clients, one cold 128 MiB blob, 20 MB/s, round trip 20 ms"


# -- near by ---------------------------------------------------------------------------------

def store_one(cache: Cache, thing: objects.Object) -> loads.Pulled:
    """One client's pull, and the wait until the work of storing is done too."""
    got = loads.pull(cache.port, thing, seconds=COLD_SECONDS)
    until(lambda: cache.is_stored(thing), 60, f"{cache.name} to store it")
    return got


def miss(bench: Bench):
    thing = bench.things["512 MiB"]
    group = bench.table.group(MISS)
    total = group.row("s", budget=Budget(1.2, "nginx"))
    ratio = group.row("ratio", "total ÷ direct download")
    first = group.row("ms", "first byte of the body")
    gets = group.row("count", "upstream GETs", budget=Budget(1))
    cpu = group.row("s per GiB", "server CPU")
    written = group.row("ratio", "bytes written to disk ÷ size", budget=Budget(1.02))

    def measure(cache):
        direct = loads.pull(bench.upstream.port, thing)
        total.add("direct", direct.seconds)
        first.add("direct", direct.first_byte_ms[0])
        with bench.emptied(cache):
            before, used = bench.upstream_gets(thing), cache.cpu_seconds()
            wrote = cache.written_bytes()
            got = store_one(cache, thing)
            cpu.add(cache.name, (cache.cpu_seconds() - used) / (got.bytes / GIB))
            written.add(cache.name, (cache.written_bytes() - wrote) / thing.size)
        total.add(cache.name, got.seconds)
        ratio.add(cache.name, got.seconds / direct.seconds)
        first.add(cache.name, got.first_byte_ms[0])
        gets.add(cache.name, bench.upstream_gets(thing) - before)
    bench.turns(bench.scale.cold, [*bench.raw_fills(), *bench.cold_caches()], group, measure)


def herd(bench: Bench):
    thing = bench.things["128 MiB"]
    group = bench.table.group(HERD_TITLE)
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


# -- over a long link ------------------------------------------------------------------------

@contextmanager
def far_caches(bench: Bench, bytes_per_second: float, names: list[str]):
    """The direct way and those caches, behind one link."""
    folder = FOLDER / "run" / "far"
    with links.open_link(folder, bench.upstream, bytes_per_second) as link:
        caches = [cache for cache in bench.caches(folder, link) if cache.name in names]
        yield [links.Direct(link), *caches]


@contextmanager
def emptied(bench: Bench, server):
    """As Bench.emptied; the direct way has nothing to empty."""
    if isinstance(server, links.Direct):
        yield server
    else:
        with bench.emptied(server):
            yield server


def add_difference(row: Row, of: Row):
    """Yantian's samples less those of the direct way in the same round."""
    for own, direct in zip(of.samples.get(YANTIAN, []), of.samples.get("direct", [])):
        row.add(YANTIAN, own - direct)


def far_miss(bench: Bench):
    thing = bench.things["512 MiB"]
    group = bench.table.group(FAR_MISS)
    total = group.row("s", budget=Budget(1.02, "direct"))
    first = group.row("ms", "first byte of the body")
    added = group.row("ms", "first byte, more than direct", budget=Budget(5))
    gets = group.row("count", "upstream GETs", budget=Budget(1))

    def measure(server):
        with emptied(bench, server):
            before = bench.upstream_gets(thing)
            got = loads.pull(server.port, thing, seconds=COLD_SECONDS)
        total.add(server.name, got.seconds)
        first.add(server.name, got.first_byte_ms[0])
        gets.add(server.name, bench.upstream_gets(thing) - before)
    with far_caches(bench, FAST_LINK, QUICK_ENOUGH) as group_of_servers:
        bench.turns(bench.scale.cold, group_of_servers, group, measure)
    add_difference(added, first)


def far_herd(bench: Bench):
    thing = bench.things["128 MiB"]
    group = bench.table.group(FAR_HERD)
    last = group.row("s to the last", budget=Budget(1.02, "direct"))
    first = group.row("ms", "first byte of the body, median")
    gets = group.row("count", "upstream GETs", budget=Budget(1))

    def measure(server):
        clients = 1 if server.name == "direct" else SLOW_HERD
        with emptied(bench, server):
            before = bench.upstream_gets(thing)
            got = loads.pull(server.port, thing, clients, seconds=SLOW_HERD_SECONDS)
        last.add(server.name, got.seconds)
        first.add(server.name, statistics.median(got.first_byte_ms))
        gets.add(server.name, bench.upstream_gets(thing) - before)
    with far_caches(bench, SLOW_LINK, QUICK_ENOUGH) as group_of_servers:
        bench.turns(bench.scale.herd, group_of_servers, group, measure)


# -- an image --------------------------------------------------------------------------------

def pull_image(port: int, image: dict[str, objects.Object]) -> float:
    """The manifest, then all blobs, some at once, as containerd does; seconds, all bytes checked."""
    blobs = [thing for thing in image.values() if thing.kind == "blobs"]
    left = iter(blobs)          # the threads take from it; next() is one step

    def fetch(connection: Connection, thing: objects.Object):
        answer = connection.ask("GET", thing.target, thing.fields)
        if answer.status != 200 or answer.sha256 != thing.digest:
            raise loads.LoadError(f"{thing.name}: status {answer.status}, or wrong bytes")

    def take(_):
        with Connection(("127.0.0.1", port), timeout=COLD_SECONDS) as connection:
            for thing in left:
                fetch(connection, thing)
    begin = time.monotonic()
    with Connection(("127.0.0.1", port), timeout=COLD_SECONDS) as connection:
        fetch(connection, image["manifest"])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(take, range(AT_ONCE)))
    return time.monotonic() - begin


def far_image(bench: Bench):
    image = objects.make_image(FOLDER / "objects", LAYERS, MIB)
    objects.push(bench.upstream, image)
    group = bench.table.group(f"a cold image of {LAYERS} layers of 1 MiB, {AT_ONCE} at a time, "
                              "125 MB/s, round trip 20 ms")
    total = group.row("s")
    requests = group.row("count", "upstream requests", budget=Budget(len(image)))

    def measure(server):
        with emptied(bench, server):
            before = len(bench.upstream.accesses())
            total.add(server.name, pull_image(server.port, image))
        requests.add(server.name, len(bench.upstream.accesses()) - before)
    with far_caches(bench, FAST_LINK, [*QUICK_ENOUGH, "registry"]) as group_of_servers:
        bench.turns(bench.scale.cold, group_of_servers, group, measure)


def miss_plots(table: Table) -> list[Plot]:
    loads_of_misses = [("512 MiB", MISS), (f"{HERD} × 128 MiB", HERD_TITLE),
                       ("512 MiB, far", FAR_MISS), (f"{SLOW_HERD} × 128 MiB, far", FAR_HERD)]
    return plot("misses", "What is not held: one client, and herds",
                "clients × bytes; far: over links of 125 and 20 MB/s, round trip 20 ms",
                [(label, table.find(title)) for label, title in loads_of_misses],
                "s to the last byte", logarithmic=True)


MISS_NOTE = (
    "raw fill is the limit: one thread receives the body, hashes it and writes it to a file, "
    "another one sends it from there; that is all it does, for one client. nginx does not hash: "
    "its limit is the same without the hash.")
LINK_NOTE = (
    "The link is a relay on loopback (link.c) between the caches and the upstream: a rate for all "
    "connections together, 10 ms each way, one round trip more for a new connection; no loss, no "
    "slow start. direct is a download through the link without a cache.")

PHASES = [Phase("miss", "A miss", miss, quick=True, note=MISS_NOTE, plots=miss_plots),
          Phase("herd", "A herd on something that is not held", herd, quick=True),
          Phase("far-miss", "A miss over a long link", far_miss, note=LINK_NOTE),
          Phase("far-herd", "A herd over a long link", far_herd, note=LINK_NOTE),
          Phase("far-image", "An image over a long link", far_image, note=LINK_NOTE)]
