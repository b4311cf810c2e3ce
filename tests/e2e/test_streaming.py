"""The first byte goes out when the upstream's first byte is in, not when the body is complete."""

import time

import pytest

from harness import config
from harness.faulty import Gate, oci_error
from harness.httpclient import download
from harness.images import random_bytes
from harness.net import until

pytestmark = pytest.mark.quick

KIB = 1 << 10
DATA = random_bytes(512 * KIB, "streaming")


def target(digest: str) -> str:
    return f"/v2/library/slow/blobs/{digest}"


@pytest.fixture
def held_half(faulty):
    """A blob of which the upstream sends one half, then waits for the gate: (digest, gate)."""
    gate = Gate()
    yield faulty.put_blob("library/slow", DATA, hold_at=256 * KIB, gate=gate), gate
    gate.open()


def test_headers_arrive_before_the_body_is_there(cache, held_half):
    digest, _ = held_half
    with cache.connect(timeout=5) as client:
        client.request("GET", target(digest))
        head = client.read_head()
    assert (head.status, head.length) == (200, len(DATA))
    assert head.header("Docker-Content-Digest") == digest
    assert head.cache["fwd"] == "uri-miss"


def test_a_follower_gets_bytes_as_they_come(cache, held_half):
    """Two clients, the second one late: both have the first half while the rest is not there."""
    digest, gate = held_half
    with cache.connect(timeout=5) as first, cache.connect(timeout=5) as second:
        for client in (first, second):
            client.request("GET", target(digest))
            client.read_head()
            assert client.read_exactly(250 * KIB) == DATA[:250 * KIB]
        gate.open()
        for client in (first, second):
            assert client.read_exactly(262 * KIB) == DATA[250 * KIB:]


def test_a_slow_upstream_is_followed_at_its_pace(cache, faulty):
    digest = faulty.put_blob("library/slow", DATA, rate=512 * KIB)
    got = download(cache.address, target(digest))
    assert (got.complete, got.digest) == (True, digest)
    assert got.head_after < 0.5 and got.first_byte_after < 0.6
    assert got.seconds > 0.8


def test_the_second_client_is_said_to_be_collapsed(cache, held_half):
    digest, _ = held_half
    with cache.connect() as first, cache.connect() as second:
        for client in (first, second):
            client.request("GET", target(digest))
        heads = [first.read_head(), second.read_head()]
    assert ["collapsed" in head.cache for head in heads].count(True) == 1


def test_the_last_byte_waits_for_the_digest(cache, faulty):
    """All but the last byte may be sent on; the upstream's last one is still to come."""
    gate = Gate()
    digest = faulty.put_blob("library/slow", DATA, hold_at=len(DATA) - 1, gate=gate)
    with cache.connect(timeout=5) as client:
        client.request("GET", target(digest))
        client.read_head()
        begun = client.read_exactly(len(DATA) - 64 * KIB)
        gate.open()
        assert begun + client.read_exactly(64 * KIB) == DATA


@pytest.mark.parametrize("size", [0, 1, 2])
def test_the_smallest_bodies_arrive_whole(cache, faulty, size):
    digest = faulty.put_blob("library/slow", DATA[:size])
    for _ in range(2):
        answer = cache.get(target(digest))
        assert (answer.status, answer.complete, answer.body) == (200, True, DATA[:size])


def test_a_range_on_a_miss_starts_one_whole_fill(cache, faulty):
    digest = faulty.put_blob("library/slow", DATA)
    answer = cache.get(target(digest), [("Range", "bytes=1000-1999")])
    assert (answer.status, answer.body) == (206, DATA[1000:2000])
    assert answer.header("Content-Range") == f"bytes 1000-1999/{len(DATA)}"
    assert cache.get(target(digest)).body == DATA
    asked = faulty.seen("GET", digest)
    assert len(asked) == 1 and asked[0].header("Range") is None


def test_parallel_open_ranges_on_a_miss_start_one_fill(cache, held_half, faulty):
    """containerd's parallel pull: every chunk an open range, left after one chunk."""
    digest, gate = held_half
    with cache.connect() as first, cache.connect() as second, cache.connect() as third:
        for client, offset in ((first, 0), (second, 64 * KIB), (third, 128 * KIB)):
            client.request("GET", target(digest), [("Range", f"bytes={offset}-")])
            head = client.read_head()
            assert head.status == 206
            assert head.header("Content-Range") == f"bytes {offset}-{len(DATA) - 1}/{len(DATA)}"
            assert client.read_exactly(64 * KIB) == DATA[offset:offset + 64 * KIB]
    gate.open()
    assert cache.get(target(digest)).body == DATA
    assert len(faulty.seen("GET", digest)) == 1


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_broken_upstream_connection_is_resumed_with_range(cache, faulty, then):
    digest = faulty.put_blob("library/slow", DATA)
    path = target(digest)
    faulty.script(path, faulty.blob_reply(DATA, stop_at=200 * KIB, then=then),
                  faulty.blob_reply(DATA))
    answer = cache.get(path)
    assert (answer.complete, answer.sha256) == (True, digest)
    first, second = faulty.seen("GET", digest)
    assert first.header("Range") is None
    resumed_at = int(second.header("Range").removeprefix("bytes=").removesuffix("-"))
    assert 0 < resumed_at <= 200 * KIB
    assert second.status == 206


def test_a_stalled_upstream_is_resumed_with_range(start_daemon, faulty):
    daemon = start_daemon(config.hub(faulty.url), egress={"stall_timeout": "500ms"})
    digest = faulty.put_blob("library/slow", DATA)
    faulty.script(target(digest), faulty.blob_reply(DATA, stop_at=200 * KIB, then="stall"),
                  faulty.blob_reply(DATA))
    answer = daemon.get(target(digest))
    assert (answer.complete, answer.sha256) == (True, digest)
    assert faulty.seen("GET", digest)[1].status == 206


def test_an_upstream_that_ignores_the_resuming_range_is_read_again(cache, faulty):
    """A 200 to a Range request: the bytes that are held already must not be doubled."""
    digest = faulty.put_blob("library/slow", DATA)
    faulty.script(target(digest), faulty.blob_reply(DATA, stop_at=200 * KIB),
                  faulty.blob_reply(DATA, ranges=False))
    answer = cache.get(target(digest))
    assert (answer.complete, answer.sha256) == (True, digest)


def test_an_upstream_that_resumes_at_the_wrong_place_is_not_believed(cache, faulty):
    """A 206 for another range than the one that was asked for."""
    digest = faulty.put_blob("library/slow", DATA)
    wrong = faulty.blob_reply(DATA[100 * KIB:], ranges=False)
    wrong.status = 206
    wrong.headers["Content-Range"] = f"bytes {100 * KIB}-{len(DATA) - 1}/{len(DATA)}"
    faulty.script(target(digest), faulty.blob_reply(DATA, stop_at=200 * KIB), wrong,
                  faulty.blob_reply(DATA))
    answer = cache.get(target(digest))
    assert not answer.complete or answer.sha256 == digest
    until(lambda: cache.get(target(digest)).sha256 == digest, 10, "an honest answer")


def test_the_fill_resumes_on_the_next_upstream(start_daemon, make_faulty):
    """Bytes with a known digest are the same wherever they come from."""
    first, second = make_faulty(), make_faulty()
    daemon = start_daemon(config.hub(first.url, second.url))
    digest = first.put_blob("library/slow", DATA)
    second.put_blob("library/slow", DATA)
    first.script(target(digest), first.blob_reply(DATA, stop_at=200 * KIB),
                 oci_error(503, "UNAVAILABLE"))
    answer = daemon.get(target(digest))
    assert (answer.complete, answer.sha256) == (True, digest)
    assert second.seen("GET", digest)[0].status == 206


def test_a_fill_goes_on_at_full_speed_beside_a_slow_client(cache, faulty):
    """The client's pace is its own: the upstream is read to the end before the client is."""
    big = random_bytes(32 << 20, "slow client")
    digest = faulty.put_blob("library/slow", big)
    with cache.connect(receive_buffer=4096) as client:
        client.request("GET", target(digest))
        client.read_head()
        until(lambda: faulty.seen("GET", digest)[0].finished, 10, "the fill to end")
        begin = time.monotonic()
        body = client.read_exactly(len(big))
        assert time.monotonic() - begin < 20
    assert body == big
