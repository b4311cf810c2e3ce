"""A full or failing disk makes the cache a relay; it fails no pull."""

import pytest

from harness import config
from harness.httpclient import ACCEPT_ALL, Crowd, download
from harness.images import random_bytes, small_manifest
from harness.net import until

pytestmark = pytest.mark.full

MIB = 1 << 20
SMALL, BIG = random_bytes(2 * MIB, "small"), random_bytes(40 * MIB, "big")


@pytest.fixture
def cache(tiny_disk, start_daemon, faulty):
    """The bound is far beyond the disk: the daemon meets ENOSPC."""
    return start_daemon(config.hub(faulty.url), storage={"path": str(tiny_disk / "storage"),
                                                         "max_size": "1GiB"})


def pull(daemon, digest: str):
    got = download(daemon.address, f"/v2/library/full/blobs/{digest}")
    assert (got.status, got.complete, got.digest) == (200, True, digest)


def test_a_body_that_does_not_fit_is_relayed(cache, faulty):
    small = faulty.put_blob("library/full", SMALL)
    big = faulty.put_blob("library/full", BIG)
    for digest in (small, big, small, big):
        pull(cache, digest)
    assert cache.process.running


def test_many_bodies_fill_the_disk_and_are_all_served(cache, faulty):
    digests = [faulty.put_blob("library/full", SMALL + bytes([number])) for number in range(20)]
    for digest in digests * 2:
        pull(cache, digest)


def test_manifests_are_served_from_a_full_disk(cache, faulty, tiny_disk):
    fill_up(tiny_disk)
    for number in range(5):
        manifest = small_manifest(f"full {number}")
        faulty.put_manifest("library/full", str(number), manifest)
        assert cache.get(f"/v2/library/full/manifests/{number}", [ACCEPT_ALL]).body == manifest


def fill_up(folder):
    with open(folder / "filler", "wb") as filler:
        try:
            while True:
                filler.write(b"\0" * MIB)
                filler.flush()
        except OSError:
            pass


def test_room_is_used_again_once_there_is_some(cache, faulty, tiny_disk):
    fill_up(tiny_disk)
    first = faulty.put_blob("library/full", SMALL)
    pull(cache, first)
    (tiny_disk / "filler").unlink()
    cache.storage = tiny_disk / "storage"

    def stored():
        pull(cache, first)
        return cache.blob_file(first).exists()
    until(stored, 30, "the blob to be stored", interval=0.5)


def test_a_herd_on_a_full_disk_gets_its_bytes(cache, faulty, tiny_disk):
    """Several followers of one fill that cannot be written any more."""
    big = faulty.put_blob("library/full", BIG)
    Crowd(8).run(lambda _: pull(cache, big))
