"""The report: the machine, how it was measured, the table; and all samples beside it."""

import json
import os
import platform
import re
import time
from pathlib import Path

import network
import plots
from harness.paths import yantian
from harness.process import run
from phase import FOLDER, GIB, Bench, Phase

HOW = (
    "Medians, in parentheses the least and the most. The servers take turns, with a gap between "
    "them; another one is first in each round. The load tools run on the same CPUs and everything "
    "is on loopback: trust ratios. raw sends one fixed answer and does nothing else; raw fill "
    "stores what it passes on, checks its hash and does nothing else: both are limits, not peers. "
    "nginx is the better of tcp_nopush on (nopush) and off, row by row. A budget is met or not by "
    "the medians of this run; ~ stands where the rounds contradict each other so much that chance may "
    "have decided (sign test, 10 %). Server CPU is of the server and its children, from /proc. Access "
    "logs are off unless a section says otherwise. All samples are in samples.json.")
PROGRAMS = [["nginx", "-v"], ["varnishd", "-V"], ["traffic_server", "-V"],
            ["docker-registry", "--version"], ["wrk", "-v"], ["h2load", "--version"]]


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def _version(argv: list) -> str:
    try:
        done = run(argv, check=False)
    except FileNotFoundError:
        return f"{argv[0]} is not installed"
    return (done.stdout or done.stderr).splitlines()[0].strip()


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    kernel = os.uname()
    return "\n".join([
        f"- {os.cpu_count()} CPUs, {_processor()}, {memory:.0f} GiB of memory",
        f"- {kernel.sysname} {kernel.release} {kernel.machine}, TCP with "
        f"{network.congestion_control()}",
        *(f"- {_version(argv)}" for argv in [[yantian(), "version"], *PROGRAMS]),
    ])


def _text(bench: Bench, images: list[str], load_before: float, seconds: float) -> str:
    scale = bench.scale
    load = (f"Runs of each server: hits {scale.hits}; {scale.close} of those that a budget compares, "
            f"where it is near; small hits beside big packuments {scale.crowd}, misses {scale.cold}, "
            f"herds {scale.herd}, memory {scale.memory}. Load average before: {load_before:.2f}. Took {seconds:.0f} s.")
    parts = ["# Yantian beside its peers", time.strftime("%Y-%m-%d %H:%M"), _machine(), HOW, load,
             bench.table.markdown()]
    if bench.table.failures:
        failures = [f"- {server}, {why}" for server, why in bench.table.failures]
        parts += ["## Runs that failed and are not counted", "\n".join(failures)]
    if images:
        parts += ["## Plots", "\n\n".join(images)]
    return "\n\n".join(parts) + "\n"


def write(bench: Bench, phases: list[Phase], load_before: float, seconds: float) -> str:
    """The text, which is also in report.md; the samples and the plots beside it."""
    samples = json.dumps(bench.table.samples(), indent=1, ensure_ascii=False)
    (FOLDER / "samples.json").write_text(samples + "\n")
    drawn = [plot for phase in phases if phase.plots for plot in phase.plots(bench.table)]
    text = _text(bench, plots.write(FOLDER, drawn), load_before, seconds)
    (FOLDER / "report.md").write_text(text)
    return text
