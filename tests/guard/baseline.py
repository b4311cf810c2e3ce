"""The figures that are asked for, and whether measured ones agree with them."""

import json
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from harness.paths import yantian
from harness.process import run

FILE = Path(__file__).resolve().parent / "baseline.json"

# Instructions may be so many more or fewer: other code around them moves them a little. What is far
# below its figure fails too, because a loss of all that was won would go unseen.
MORE, FEWER = 0.03, 0.05
SLACK = 30                      # for parts that have few: where memory lies moves them too
# An update does not write what differs by less: it is chance.
CHANCE = 0.003


@dataclass(frozen=True)
class Verdict:
    result: str                 # passed, failed or skipped
    text: str


def made_with() -> dict[str, str]:
    """What instructions depend on besides the source."""
    comment = run(["readelf", "-p", ".comment", yantian()]).stdout
    clang = re.search(r"clang version ([\d.]+)", comment)
    gcc = re.search(r"GCC: \(.*\) ([\d.]+)", comment)
    return {"architecture": platform.machine(), "libc": os.confstr("CS_GNU_LIBC_VERSION"),
            "compiler": f"clang {clang[1]}" if clang else f"gcc {gcc[1]}"}


def difference(here: dict, there: dict) -> str:
    """What of it differs so that instructions cannot be compared; empty if nothing does. Of a
    compiler only the major version counts."""
    def major(made: dict) -> dict:
        return {**made, "compiler": made["compiler"].split(".")[0]}
    return ", ".join(f"{value} here, {major(there)[key]} in the baseline"
                     for key, value in major(here).items() if value != major(there)[key])


def _show(value: int | dict | None) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count:g} {call}" for call, count in value.items()) or "no call"
    return "nothing" if value is None else str(value)


def _judge_instructions(value: int, asked: int) -> tuple[str, str]:
    change = f", {value / asked - 1:+.1%}"
    if value > asked + max(asked * MORE, SLACK):
        return "failed", f"{change}: dearer than it was"
    if value < asked - max(asked * FEWER, SLACK):
        return "failed", f"{change}: cheaper; `tests/guard/run --update` keeps what was won"
    return "passed", change


def judge(measured: dict, asked: dict) -> list[Verdict]:
    """A verdict on each row that was measured or is asked for."""
    verdicts = []
    for row in {**asked, **measured}:
        value, wanted = measured.get(row), asked.get(row)
        if isinstance(value, int) and isinstance(wanted, int):
            result, why = _judge_instructions(value, wanted)
        else:
            result, why = ("passed" if value == wanted else "failed"), ""
        if result == "failed" or why:
            why = f"; baseline {_show(wanted)}{why}"
        verdicts.append(Verdict(result, f"{row}: {_show(value)}{why}"))
    return verdicts


def load() -> dict:
    return json.loads(FILE.read_text())


def renew(figures: dict) -> list[str]:
    """Write the figures; a line for each row that changes."""
    before, changes = load() if FILE.exists() else {}, []
    for kind, rows in figures.items():
        old = before.get(kind, {})
        for row, value in rows.items():
            known = old.get(row)
            if isinstance(value, int) and known and abs(value - known) <= known * CHANCE:
                rows[row] = known
        changes += [f"{row}: {_show(old.get(row))} -> {_show(rows.get(row))}"
                    for row in {**old, **rows} if old.get(row) != rows.get(row)]
    FILE.write_text(json.dumps(figures, indent=1) + "\n")
    return changes
