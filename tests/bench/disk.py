"""What the machine allows to do with its disk: forget what is cached of it, and make it slow."""

import os
from contextlib import contextmanager
from pathlib import Path

DROP = Path("/proc/sys/vm/drop_caches")
BLKIO = Path("/sys/fs/cgroup/blkio")
LIMIT = "blkio.throttle.read_bps_device"
PIECE = 1 << 20


def can_drop_caches() -> bool:
    return os.access(DROP, os.W_OK)


def drop_caches():
    """No page of any file stays in memory, but what is mapped and in use."""
    os.sync()
    DROP.write_text("3")


def read_anew(path: Path):
    """Other pages of memory hold the file then, in pieces as large as reading ahead makes them: how
    it was written no longer counts."""
    with path.open("rb", buffering=0) as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while file.read(PIECE):
            pass


def _device(path: Path) -> str | None:
    """MAJOR:MINOR of the disk that holds the path; None if it is on no disk of its own."""
    number = os.stat(path).st_dev
    place = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not place.exists():
        return None
    disk = place.resolve().parent if (place / "partition").exists() else place
    return (disk / "dev").read_text().strip()


def why_not_slowed(path: Path) -> str:
    """Empty: it can be done."""
    if not can_drop_caches():
        return "caches cannot be dropped here"
    if not (BLKIO / LIMIT).exists() or not os.access(BLKIO, os.W_OK):
        return "there is no cgroup (v1, blkio) that could slow the disk here"
    return "" if _device(path) else "the folder is on no disk of its own"


@contextmanager
def slowed(pids: list[int], path: Path, bytes_per_second: float):
    """Reads of these processes from the path's disk take their time."""
    group = BLKIO / f"yantian-bench-{os.getpid()}"
    group.mkdir()
    try:
        (group / LIMIT).write_text(f"{_device(path)} {bytes_per_second:.0f}")
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            (BLKIO / "cgroup.procs").write_text(pid)
        group.rmdir()
