"""Held bodies whose pages are not in memory, and files that somebody else has changed."""

import os
import statistics
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from harness import config
from harness.httpclient import Crowd, digest_of, download
from harness.images import random_bytes
from harness.net import until

pytestmark = pytest.mark.full

MIB = 1 << 20
BIG = random_bytes(24 * MIB, "cold")
SMALL = random_bytes(64 * 1024, "warm")
RATE = 8 * MIB                  # of the slowed disk, bytes per second
BLKIO = Path("/sys/fs/cgroup/blkio")


def target(digest: str) -> str:
    return f"/v2/library/cold/blobs/{digest}"


@pytest.fixture
def cache(start_daemon, faulty):
    """One worker, which holds both bodies."""
    daemon = start_daemon(config.hub(faulty.url), workers=1, log={"access": False})
    for data in (BIG, SMALL):
        digest = faulty.put_blob("library/cold", data)
        assert daemon.completed(target(digest)) == data
        daemon.wait_stored(digest)
    return daemon


def is_cold(fd: int) -> bool:
    try:
        os.preadv(fd, [bytearray(1)], 0, os.RWF_NOWAIT)
    except BlockingIOError:
        return True
    return False


def make_cold(file: Path):
    """Lets the kernel forget the file's pages, where that can be done."""
    with open(file, "rb") as opened:
        for _ in range(20):             # what is on its way to a client stays for a moment
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if is_cold(opened.fileno()):
                return
            time.sleep(0.1)
    pytest.skip("what is in this file system stays in memory")


@contextmanager
def slow_disk(daemon, rate: int):
    """All threads of the daemon together read no faster from the disk of its storage."""
    if os.geteuid() != 0 or not (BLKIO / "blkio.throttle.read_bps_device").exists():
        pytest.skip("slowing a disk takes root and the blkio controller of cgroup v1")
    device = daemon.storage.stat().st_dev
    group = BLKIO / f"yantian-test-{daemon.process.pid}"
    group.mkdir()
    try:
        with suppress(OSError):
            (group / "blkio.throttle.read_bps_device").write_text(
                f"{os.major(device)}:{os.minor(device)} {rate}")
        if not (group / "blkio.throttle.read_bps_device").read_text():
            pytest.skip("this disk cannot be slowed")
        (group / "cgroup.procs").write_text(str(daemon.process.pid))
        yield
    finally:
        (BLKIO / "cgroup.procs").write_text(str(daemon.process.pid))
        group.rmdir()


def small_hits(daemon, while_it_lasts) -> list[float]:
    """Seconds of each small hit."""
    took = []
    with daemon.connect() as client:
        while while_it_lasts():
            begun = time.monotonic()
            assert client.ask("GET", target(digest_of(SMALL))).body == SMALL
            took.append(time.monotonic() - begun)
            time.sleep(0.002)
    return took


def test_a_cold_body_does_not_hold_up_others(cache):
    """The disk takes three seconds for the big one, which a worker that waited for it would spend
    a quarter of a second at a time on."""
    make_cold(cache.blob_file(digest_of(BIG)))
    done = []

    def pull(_):
        try:
            return download(cache.address, target(digest_of(BIG)))
        finally:
            done.append(True)
    crowd = Crowd(1)
    with slow_disk(cache, RATE):
        begun = time.monotonic()
        crowd.start(pull)
        took = small_hits(cache, lambda: not done)
        got, = crowd.join()
        assert time.monotonic() - begun > 1, "the disk was not slow: this has shown nothing"
    assert (got.complete, got.digest) == (True, digest_of(BIG))
    assert cache.metric("yantian_cold_reads_total") >= 3
    assert statistics.quantiles(took, n=20)[-1] < 0.05, "p95 of small hits"


def test_many_clients_of_a_cold_body(cache):
    make_cold(cache.blob_file(digest_of(BIG)))
    for got in Crowd(16).run(lambda _: download(cache.address, target(digest_of(BIG)))):
        assert (got.complete, got.digest) == (True, digest_of(BIG))


@pytest.mark.parametrize("change", [Path.unlink, lambda file: os.truncate(file, 1000)],
                         ids=["removed", "shortened"])
def test_a_file_that_was_changed_under_us_is_a_miss_soon(cache, faulty, change):
    """It is open from the last hit; whoever is served from it may be cut off, but never deceived."""
    digest = digest_of(BIG)
    assert cache.completed(target(digest)) == BIG
    change(cache.blob_file(digest))

    def is_fetched_again():
        got = download(cache.address, target(digest))
        assert not got.complete or got.digest == digest
        return len(faulty.seen("GET", digest)) == 2
    until(is_fetched_again, 5, "the change to be noticed", interval=0.1)
    assert cache.completed(target(digest)) == BIG
