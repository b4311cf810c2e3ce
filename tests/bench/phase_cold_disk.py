"""A cold disk: what others feel when a client takes a blob that is on disk and not in memory."""

import json
from contextlib import contextmanager, nullcontext

import disk
import loads
from phase import FOLDER, Bench, Phase, running
from phase_misses import store_one
from table import YANTIAN, Group

CONNECTIONS = 16
SLOW_DISK = 20e6                # bytes per second
RUN_IN_SECONDS, SECONDS = 0.3, 2


@contextmanager
def held(bench: Bench):
    """Yantian and nginx with the big blob on disk."""
    caches = [cache for cache in bench.cold_caches() if cache.name in (YANTIAN, "nginx")]
    try:
        for cache in caches:
            cache.start()
            loads.pull(cache.port, bench.things["manifest"])
            store_one(cache, bench.things["512 MiB"])
        yield caches
    finally:
        for cache in caches:
            cache.stop()


@contextmanager
def cold_client(port: int, thing):
    """Takes the blob while it lasts; the result gets its bytes per second at the end."""
    argv = loads.slow_pull_argv(port, thing, 1, 1 << 30, RUN_IN_SECONDS + SECONDS)
    result = {}
    with running("cold-client", argv, RUN_IN_SECONDS) as client:
        yield result
    got = json.loads(client.output())
    result["rate"] = got["bytes"] / got["seconds"]


def title(what: str) -> str:
    return f"p99 of small hits, {CONNECTIONS} connections, beside a 512 MiB hit from {what}"


def beside_cold(bench: Bench, caches: list, group: Group, slow: bool):
    small, big = bench.things["manifest"], bench.things["512 MiB"]
    beside = group.row("ms")
    without = group.row("ms", "p99 without it")
    least = group.row("ratio", "requests/s, beside ÷ without", more_is_better=True)
    rate = group.row("MB/s", "what the client gets of the disk", more_is_better=True)

    def measure(cache):
        alone = loads.wrk(cache.port, small, CONNECTIONS, bench.scale.seconds)
        disk.drop_caches()
        loads.pull(cache.port, small)
        slowed = disk.slowed(cache.pids(), cache.storage, SLOW_DISK) if slow else nullcontext()
        with slowed, cold_client(cache.port, big) as client:
            got = loads.wrk(cache.port, small, CONNECTIONS, SECONDS)
        without.add(cache.name, alone.p99_ms)
        beside.add(cache.name, got.p99_ms)
        least.add(cache.name, got.per_second / alone.per_second)
        rate.add(cache.name, client["rate"] / 1e6)
    bench.turns(bench.scale.cold, caches, group, measure)


def run(bench: Bench):
    if not disk.can_drop_caches():
        bench.table.group(title("the disk")).row("skipped: only root can drop the caches")
        return
    with held(bench) as caches:
        beside_cold(bench, caches, bench.table.group(title("the disk")), slow=False)
        group = bench.table.group(title(f"a disk of {SLOW_DISK / 1e6:.0f} MB/s"))
        if why := disk.why_not_slowed(FOLDER):
            group.row(f"skipped: {why}")
        else:
            beside_cold(bench, caches, group, slow=True)


NOTE = (
    "The kernel's caches are dropped, then one client pulls a big blob while wrk asks for a small "
    "manifest. The disk is slowed by cgroup v1 (blkio) for the server alone.")

PHASES = [Phase("cold-disk", "A cold disk", run, note=NOTE)]
