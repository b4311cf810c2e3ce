"""Memory: idle, for each idle connection, with slow clients."""

import loads
import objects
from phase import Bench, Phase, running
from server import Raw, Server
from table import Budget

IDLE_CONNECTIONS = 1000
SLOW_CLIENTS, SLOW_RATE, SLOW_SECONDS = 64, 1 << 20, 2


def fresh_memory(server: Server, thing: objects.Object):
    """After a start and one answer."""
    server.stop()
    server.start()
    loads.pull(server.port, thing)
    return server.memory()


def idle_memory(bench: Bench, raw: Raw, caches: list):
    thing = bench.things["manifest"]
    group = bench.table.group("resident memory, idle")
    idle = group.row("MiB", budget=Budget(10))
    shared = group.row("MiB", "shared pages counted once (PSS)")
    each = group.row("bytes", f"for each of {IDLE_CONNECTIONS:,} idle connections",
                     budget=Budget(1024))

    def measure(server):
        before = fresh_memory(server, thing)
        with loads.idle_connections(server.port, thing, IDLE_CONNECTIONS):
            added = server.memory().rss - before.rss
        idle.add(server.name, before.rss / objects.MIB)
        shared.add(server.name, before.pss / objects.MIB)
        each.add(server.name, added / IDLE_CONNECTIONS)
    bench.warm_turns(bench.scale.memory, raw, caches, group, measure)


def slow_memory(bench: Bench, raw: Raw, caches: list):
    thing = bench.things["512 MiB"]
    group = bench.table.group(f"memory added by {SLOW_CLIENTS} slow clients on a 512 MiB hit")
    slow = group.row("MiB", budget=Budget(8))

    def measure(server):
        before = fresh_memory(server, thing)
        with slow_clients(server.port, thing):
            added = server.memory().rss - before.rss
        slow.add(server.name, added / objects.MIB)
    bench.warm_turns(bench.scale.memory, raw, caches, group, measure)


def slow_clients(port: int, thing: objects.Object):
    argv = loads.slow_pull_argv(port, thing, SLOW_CLIENTS, SLOW_RATE, SLOW_SECONDS + 1)
    return running("slow-clients", argv, SLOW_SECONDS)


def memory(bench: Bench):
    with bench.warm_caches(lean=True) as caches:
        with bench.raw(bench.things["manifest"]) as raw:
            idle_memory(bench, raw, caches)
        with bench.raw(bench.things["512 MiB"]) as raw:
            slow_memory(bench, raw, caches)


NOTE = ("Resident memory of the server and its children after a start and one answer. varnish and "
        "trafficserver are set for little memory here (fewer threads, small caches in RAM), and "
        "varnish holds the 512 MiB in memory before the slow clients come. The idle connections "
        "are ours, each has had one answer; pull plays the slow clients (1 MiB/s each).")

PHASES = [Phase("memory", "Memory", memory, quick=True, note=NOTE)]
