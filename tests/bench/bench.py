#!/usr/bin/env python3
"""Yantian beside its peers, in one run on one machine.

    bench.py [--quick] [--only PHASE]...

Every server caches the same upstream, a reference registry with real objects; all of it is on
127.0.0.1, in a network of its own (network.py). The servers take turns, so that a busy moment of
the machine hits all of them. Writes build/bench/report.md and prints it; the exit status is 1 only
if a run of Yantian failed, not for a budget that is missed. Run by `make bench` and
`make bench-quick`. How to add a phase: phase.py.
"""

import argparse
import os
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import loads                                            # noqa: E402
import network                                          # noqa: E402
import objects                                          # noqa: E402
import phase_cold_disk                                  # noqa: E402
import phase_fill_cost                                  # noqa: E402
import phase_hits                                       # noqa: E402
import phase_memory                                     # noqa: E402
import phase_misses                                     # noqa: E402
import phase_packument                                  # noqa: E402
import phase_scale                                      # noqa: E402
import report                                           # noqa: E402
from harness.registry import Registry                   # noqa: E402
from phase import FOLDER, FULL, QUICK, Bench, Phase, say  # noqa: E402
from table import YANTIAN                               # noqa: E402

MODULES = [phase_hits, phase_misses, phase_fill_cost, phase_packument, phase_scale,
           phase_cold_disk, phase_memory]
PHASES: dict[str, Phase] = {phase.name: phase for module in MODULES for phase in module.PHASES}


def prepare_upstream(stack: ExitStack) -> tuple[Registry, dict[str, objects.Object]]:
    say("objects, and the upstream registry that has them")
    things = objects.make(FOLDER / "objects")
    upstream = Registry(FOLDER / "run" / "upstream", FOLDER / "upstream-storage")
    stack.callback(upstream.stop)
    upstream.start()
    objects.push(upstream, things)
    return upstream, things


def measure(quick: bool, phases: list[Phase]) -> tuple[str, bool]:
    """The report, and whether every run of Yantian came to its end. Each phase that is done is in
    the report at once: a run that is broken off is not lost."""
    begin, load_before = time.monotonic(), os.getloadavg()[0]
    loads.allow_many_connections()
    shutil.rmtree(FOLDER / "run", ignore_errors=True)
    with ExitStack() as stack:
        bench = Bench(QUICK if quick else FULL, *prepare_upstream(stack))
        for number, phase in enumerate(phases):
            bench.table.section(phase.title, phase.note)
            phase.run(bench)
            text = report.write(bench, phases[:number + 1], load_before, time.monotonic() - begin)
    shutil.rmtree(FOLDER / "run")
    sound = all(server != YANTIAN for server, _ in bench.table.failures)
    return text, sound


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
    network.isolate()
    phases = [phase for phase in PHASES.values()
              if (phase.name in options.only if options.only else phase.quick or not options.quick)]
    text, sound = measure(options.quick, phases)
    print(text)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
