"""kill -9 during fills: what is served afterwards equals its hash, and the download goes on."""

import os
import random
import time

import pytest

from harness import config
from harness.faulty import Gate
from harness.httpclient import Closed, digest_of, download
from harness.images import random_bytes
from harness.net import until

MIB = 1 << 20
KILLS = 10 if os.environ.get("CHECK") else 100


@pytest.mark.quick
def test_a_fill_resumes_after_kill_9(start_daemon, faulty):
    gate = Gate()
    data = random_bytes(8 * MIB, "crash")
    digest = faulty.put_blob("library/crash", data, hold_at=6 * MIB, gate=gate)
    target = f"/v2/library/crash/blobs/{digest}"
    daemon = start_daemon(config.hub(faulty.url))
    with daemon.connect() as client:
        client.request("GET", target)
        client.read_head()
        client.read_exactly(5 * MIB)
        daemon.kill()
    gate.open()
    daemon.start()
    got = download(daemon.address, target)
    assert (got.status, got.complete, got.digest) == (200, True, digest)
    first, *_, last = faulty.seen("GET", digest)
    assert first.header("Range") is None
    resumed_at = int(last.header("Range").removeprefix("bytes=").removesuffix("-"))
    assert resumed_at >= 1 * MIB, "far less was kept than had arrived"
    daemon.wait_stored(digest)


@pytest.mark.quick
def test_partial_bytes_that_changed_on_disk_are_not_served(start_daemon, faulty):
    """After a power cut a partial file may hold zeros: the hash decides."""
    gate = Gate()
    data = random_bytes(4 * MIB, "rotten")
    digest = faulty.put_blob("library/crash", data, hold_at=3 * MIB, gate=gate)
    target = f"/v2/library/crash/blobs/{digest}"
    daemon = start_daemon(config.hub(faulty.url))
    with daemon.connect() as client:
        client.request("GET", target)
        client.read_head()
        client.read_exactly(2 * MIB)
        daemon.kill()
    gate.open()
    spoiled = [file for file in (daemon.storage / "partial").rglob("*")
               if file.is_file() and file.stat().st_size > MIB]
    assert spoiled, "no partial file was kept"
    for file in spoiled:
        with open(file, "r+b") as opened:
            opened.seek(MIB)
            opened.write(b"\0" * 4096)
    daemon.start()
    first = download(daemon.address, target)
    assert not first.complete or first.digest == digest
    until(lambda: download(daemon.address, target).digest == digest, 10, "an honest answer")
    daemon.wait_stored(digest)


@pytest.mark.quick
def test_a_lost_index_loses_no_blob(start_daemon, faulty):
    """Content named by digest is found again from blobs/."""
    data = random_bytes(MIB, "found again")
    digest = faulty.put_blob("library/crash", data)
    daemon = start_daemon(config.hub(faulty.url))
    target = f"/v2/library/crash/blobs/{digest}"
    assert daemon.get(target).body == data
    daemon.stop()
    for file in (daemon.storage / "index").iterdir():
        file.unlink()
    daemon.start()
    assert daemon.get(target).body == data
    daemon.wait_stored(digest)


@pytest.mark.quick
@pytest.mark.parametrize("offset, size", [(0, 1 << 20), (0, 100), (8192, 4096), (12288, 1 << 20)])
def test_a_damaged_index_is_put_aside_and_nothing_wrong_is_served(start_daemon, faulty, offset,
                                                                  size):
    """Whatever stands in the index: the daemon starts, and each body equals its hash."""
    data = random_bytes(MIB, "damaged")
    digest = faulty.put_blob("library/crash", data)
    daemon = start_daemon(config.hub(faulty.url))
    target = f"/v2/library/crash/blobs/{digest}"
    assert daemon.get(target).body == data
    daemon.stop()
    file = max((daemon.storage / "index").iterdir(), key=lambda found: found.stat().st_size)
    with open(file, "r+b") as opened:
        opened.seek(offset)
        opened.write(random_bytes(size, "garbage"))
    daemon.start()
    assert daemon.get(target).body == data
    daemon.restart()
    assert daemon.get(target).body == data


@pytest.mark.quick
def test_a_blob_that_was_lost_on_disk_is_fetched_again(start_daemon, faulty):
    """An index row without its bytes must not answer 500 for ever."""
    data = random_bytes(MIB, "lost")
    digest = faulty.put_blob("library/crash", data)
    daemon = start_daemon(config.hub(faulty.url))
    target = f"/v2/library/crash/blobs/{digest}"
    assert daemon.get(target).body == data
    daemon.stop()
    daemon.blob_file(digest).unlink()
    daemon.start()
    assert daemon.get(target).body == data


@pytest.mark.quick
def test_a_second_daemon_on_the_same_storage_is_refused(start_daemon, make_daemon, faulty):
    daemon = start_daemon(config.hub(faulty.url))
    second = make_daemon(config.hub(faulty.url), storage={"path": str(daemon.storage)})
    second.process.start()
    assert second.process.wait(10) == 1
    assert str(daemon.storage) in second.process.errors()
    assert daemon.get("/v2/").status == 200


class Torture:
    """Kills at random moments, then questions about everything that was asked for."""

    def __init__(self, daemon, upstream, seed: int):
        self.daemon = daemon
        self.upstream = upstream
        self.random = random.Random(seed)
        self.blobs = {}

    def new_blob(self) -> str:
        """One more blob upstream, of a random size and speed; its digest."""
        size = self.random.choice([1000, 20_000, MIB, 4 * MIB])
        data = self.random.randbytes(size)
        rate = self.random.choice([0, 20 * MIB])
        digest = self.upstream.put_blob("library/crash", data, rate=rate)
        self.blobs[digest] = data
        return digest

    def ask(self, digest: str):
        """Begin a download and see that not one wrong byte arrives; it may be cut short."""
        with self.daemon.connect() as client:
            client.request("GET", f"/v2/library/crash/blobs/{digest}")
            try:
                head = client.read_head()
                body = b"".join(client.body_parts(head))
            except (Closed, ConnectionError):
                return
            assert head.status == 200 and digest_of(body) == digest

    def kill_during_fills(self):
        for _ in range(3):
            client = self.daemon.connect()
            client.request("GET", f"/v2/library/crash/blobs/{self.new_blob()}")
        time.sleep(self.random.uniform(0, 0.12))
        self.daemon.kill()

    def check(self, digests):
        for digest in digests:
            self.ask(digest)
            got = download(self.daemon.address, f"/v2/library/crash/blobs/{digest}")
            assert (got.status, got.complete, got.digest) == (200, True, digest)


@pytest.mark.full
@pytest.mark.timeout(400)
def test_random_kills_never_spoil_a_byte(start_daemon, faulty, record_property):
    seed = int(os.environ.get("SEED", time.time()))
    record_property("kills", f"{KILLS} random kills, SEED={seed}")
    print(f"SEED={seed}")
    daemon = start_daemon(config.hub(faulty.url), log={"level": "warn"})
    torture = Torture(daemon, faulty, seed)
    for _ in range(KILLS):
        torture.kill_during_fills()
        daemon.start()
        torture.check(torture.random.sample(sorted(torture.blobs), 2))
    torture.check(torture.blobs)
    for file in (daemon.storage / "blobs").rglob("*"):
        if file.is_file():
            assert digest_of(file.read_bytes()) == f"sha256:{file.name}"
    until(lambda: not [file for file in (daemon.storage / "partial").rglob("*") if file.is_file()],
          10, "no litter in partial/")
