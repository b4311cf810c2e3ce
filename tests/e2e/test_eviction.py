"""The simple size bound: max_size holds, the oldest use goes first, what is served stays served."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from harness import config
from harness.faulty import Gate
from harness.httpclient import ACCEPT_ALL, digest_of, download
from harness.images import random_bytes, small_manifest
from harness.net import until

pytestmark = pytest.mark.full

MIB = 1 << 20
BOUND = 24 * MIB
BLOBS = [random_bytes(4 * MIB, f"eviction {number}") for number in range(12)]
DIGESTS = [digest_of(blob) for blob in BLOBS]


def target(number: int) -> str:
    return f"/v2/library/many/blobs/{DIGESTS[number]}"


@pytest.fixture
def cache(start_daemon, faulty):
    for blob in BLOBS:
        faulty.put_blob("library/many", blob)
    return start_daemon(config.hub(faulty.url), storage={"max_size": "24MiB"})


def bytes_on_disk(daemon) -> int:
    """Blobs and partial files; the index has a size of its own."""
    return sum(file.stat().st_blocks * 512
               for folder in ("blobs", "partial")
               for file in (daemon.storage / folder).rglob("*") if file.is_file())


def fetch(daemon, number: int):
    got = download(daemon.address, target(number))
    assert (got.status, got.complete, got.digest) == (200, True, DIGESTS[number])


def test_the_bound_is_held(cache):
    for number in range(len(BLOBS)):
        fetch(cache, number)
        # A client has its blob before that is committed and others are unlinked.
        until(lambda: bytes_on_disk(cache) <= BOUND + 2 * len(BLOBS[0]), 5, "eviction to keep up")
    until(lambda: bytes_on_disk(cache) <= BOUND, 5, "the bound to be held again")
    until(lambda: not list((cache.storage / "partial").iterdir()), 5, "all to be committed")
    held = [digest for digest in DIGESTS if cache.blob_file(digest).exists()]
    assert len(held) >= 4, "far more was removed than had to go"


def test_the_oldest_use_goes_first(cache):
    """Blob 0 is used all the time, so it outlives those that came after it."""
    for number in range(len(BLOBS)):
        fetch(cache, number)
        # Until it is committed it cannot be evicted: blob 0 might be all that can.
        until(cache.blob_file(DIGESTS[number]).exists, 5, "it to be committed")
        fetch(cache, 0)
    until(lambda: bytes_on_disk(cache) <= BOUND, 5, "the bound to be held again")
    assert cache.blob_file(DIGESTS[0]).exists()
    assert not cache.blob_file(DIGESTS[1]).exists()


def test_what_is_evicted_is_fetched_again(cache, faulty):
    for number in [*range(len(BLOBS)), 0]:
        fetch(cache, number)
    assert len(faulty.seen("GET", DIGESTS[0])) == 2


def test_what_is_being_served_stays_served(cache):
    """A client that is slow on blob 0 gets all of it, although it is evicted meanwhile."""
    fetch(cache, 0)
    with cache.connect(receive_buffer=4096) as slow:
        slow.request("GET", target(0))
        slow.read_head()
        begun = slow.read_exactly(1000)
        for number in range(1, len(BLOBS)):
            fetch(cache, number)
        assert begun + slow.read_exactly(len(BLOBS[0]) - 1000) == BLOBS[0]


def unlinked_files_held_open(daemon) -> list[str]:
    """Their space is not free, although no folder shows them."""
    links = []
    for link in Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):           # closed meanwhile
            links.append(os.readlink(link))
    return [name for name in links
            if name.startswith(str(daemon.storage)) and name.endswith(" (deleted)")]


def test_what_is_evicted_frees_its_space(cache):
    """A file that was just served stays open for a while; not so when it is evicted."""
    for number in range(len(BLOBS)):
        fetch(cache, number)
        cache.wait_stored(DIGESTS[number])
        fetch(cache, number)
    until(lambda: bytes_on_disk(cache) <= BOUND, 5, "the bound to be held again")
    until(lambda: not unlinked_files_held_open(cache), 5, "evicted files to be closed")


def test_a_slow_client_holds_its_own_file_only(cache):
    """Law 3, and no more than that: when it is gone, so is the file."""
    fetch(cache, 0)
    with cache.connect(receive_buffer=4096) as slow:
        slow.request("GET", target(0))
        slow.read_head()
        for number in range(1, len(BLOBS)):
            fetch(cache, number)
            cache.wait_stored(DIGESTS[number])
            fetch(cache, number)
        until(lambda: not cache.blob_file(DIGESTS[0]).exists(), 5, "blob 0 to be evicted")
        until(lambda: len(unlinked_files_held_open(cache)) == 1, 5, "the others to be closed")
        assert slow.read_exactly(len(BLOBS[0])) == BLOBS[0]
    until(lambda: not unlinked_files_held_open(cache), 5, "blob 0 to be closed")


def test_the_bound_counts_after_a_restart_too(cache):
    for number in range(5):
        fetch(cache, number)
    cache.restart()
    for number in range(5, len(BLOBS)):
        fetch(cache, number)
    until(lambda: bytes_on_disk(cache) <= BOUND, 5, "the bound to be held")


def test_a_body_bigger_than_the_store_is_still_served(cache, faulty):
    """Law 9: a full disk makes the cache a relay."""
    huge = random_bytes(32 * MIB, "bigger than the store")
    digest = faulty.put_blob("library/many", huge)
    got = download(cache.address, f"/v2/library/many/blobs/{digest}")
    assert (got.status, got.complete, got.digest) == (200, True, digest)
    until(lambda: bytes_on_disk(cache) <= BOUND, 5, "the bound to be held")


def test_evicted_manifests_are_a_miss_not_an_error(cache, faulty):
    manifest = small_manifest("evicted")
    faulty.put_manifest("library/many", "1", manifest)
    for number in [None, *range(len(BLOBS)), None]:
        if number is None:
            answer = cache.get("/v2/library/many/manifests/1", [ACCEPT_ALL])
            assert (answer.status, answer.body) == (200, manifest)
        else:
            fetch(cache, number)


def test_a_fill_in_progress_is_not_evicted(cache, faulty):
    gate = Gate()
    data = random_bytes(8 * MIB, "in progress")
    digest = faulty.put_blob("library/many", data, hold_at=6 * MIB, gate=gate)
    with cache.connect() as follower:
        follower.request("GET", f"/v2/library/many/blobs/{digest}")
        follower.read_head()
        for number in range(8):
            fetch(cache, number)
        gate.open()
        assert follower.read_exactly(len(data)) == data
