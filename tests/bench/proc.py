"""What the kernel says about a server: CPU time and memory of it and all its children."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def _read(path: str) -> str:
    """A file of /proc; empty if its process has ended."""
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def tree(pid: int) -> list[int]:
    """The process, its children, theirs, and so on."""
    found = [pid]
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        tasks = []
    for task in tasks:
        for child in _read(f"/proc/{pid}/task/{task}/children").split():
            found += tree(int(child))
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time so far, with that of children that have ended."""
    ticks = 0
    for pid in pids:
        # The name, in parentheses, may hold spaces; after it come the fields from the third on.
        if stat := _read(f"/proc/{pid}/stat"):
            ticks += sum(int(field) for field in stat.rsplit(")", 1)[1].split()[11:15])
    return ticks / TICKS_PER_SECOND


@dataclass(frozen=True)
class Memory:
    """Bytes. rss counts a page that processes share once for each, pss once in all; anonymous is
    what is of no file."""
    rss: int
    pss: int
    anonymous: int


def memory(pids: list[int]) -> Memory:
    texts = [_read(f"/proc/{pid}/smaps_rollup") for pid in pids]

    def total(name: str) -> int:
        return sum(int(kib) << 10 for text in texts
                   for kib in re.findall(rf"^{name}:\s+(\d+) kB", text, re.M))
    return Memory(total("Rss"), total("Pss"), total("Anonymous"))


def written_bytes(pids: list[int]) -> int:
    """What was given to the disk, or to the cache that goes there in its time."""
    return sum(int(count) for pid in pids
               for count in re.findall(r"^write_bytes: (\d+)$", _read(f"/proc/{pid}/io"), re.M))
