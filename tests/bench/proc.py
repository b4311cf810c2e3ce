"""What the kernel says about a server: CPU time and memory of it and all its children."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """The process, its children, theirs, and so on."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += tree(int(child))
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time so far."""
    ticks = 0
    for pid in pids:
        # The name, in parentheses, may hold spaces; after it come the fields from the third on.
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_SECOND


@dataclass(frozen=True)
class Memory:
    """Bytes. rss counts a page that processes share once for each, pss once in all."""
    rss: int
    pss: int


def memory(pids: list[int]) -> Memory:
    rss = pss = 0
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        rss += int(re.search(r"^Rss:\s+(\d+) kB", text, re.M)[1]) << 10
        pss += int(re.search(r"^Pss:\s+(\d+) kB", text, re.M)[1]) << 10
    return Memory(rss, pss)
