"""Many clients and one cold blob: one fill, whoever comes and whoever leaves."""

import pytest

from harness import config
from harness.faulty import Gate
from harness.httpclient import Crowd, digest_of, download, fetch
from harness.images import random_bytes
from harness.net import until

pytestmark = pytest.mark.full

MIB = 1 << 20
CLIENTS = 64


@pytest.fixture(scope="module")
def blob():
    return random_bytes(128 * MIB, "herd")


@pytest.fixture
def cache(start_daemon, faulty):
    """Patient: this upstream shares one interpreter with the clients, which keep it busy."""
    return start_daemon(config.hub(faulty.url, ttl="1h"), egress={"stall_timeout": "60s"})


def target(digest: str) -> str:
    return f"/v2/library/herd/blobs/{digest}"


def test_sixty_four_clients_cause_one_upstream_get(cache, faulty, blob):
    digest = faulty.put_blob("library/herd", blob)
    answers = Crowd(CLIENTS).run(lambda _: download(cache.address, target(digest)))
    assert [(got.status, got.complete, got.digest) for got in answers] == \
        [(200, True, digest)] * CLIENTS
    assert len(faulty.seen("GET", digest)) == 1


def test_half_of_the_herd_leaves_in_the_middle(cache, faulty, blob):
    gate = Gate()
    digest = faulty.put_blob("library/herd", blob, hold_at=32 * MIB, gate=gate)

    def client(number):
        leaves = number % 2 == 0
        return download(cache.address, target(digest), leave_after=MIB if leaves else None)
    crowd = Crowd(CLIENTS)
    crowd.start(client)
    until(lambda: sum(outcome.value is not None for outcome in crowd.outcomes) == CLIENTS // 2,
          30, "half of the clients to have left")
    gate.open()
    stayed = crowd.join()[1::2]
    assert [(got.complete, got.digest) for got in stayed] == [(True, digest)] * (CLIENTS // 2)
    assert len(faulty.seen("GET", digest)) == 1


def test_the_fill_completes_when_every_client_has_left(cache, faulty, blob):
    gate = Gate()
    digest = faulty.put_blob("library/herd", blob, hold_at=32 * MIB, gate=gate)
    Crowd(8).run(lambda _: download(cache.address, target(digest), leave_after=MIB))
    gate.open()
    until(lambda: faulty.seen("GET", digest)[0].finished, 30, "the upstream's body to be taken")
    cache.wait_stored(digest)
    faulty.refuse()
    again = download(cache.address, target(digest))
    assert (again.complete, again.digest) == (True, digest)


def test_a_herd_on_a_cold_tag_causes_one_upstream_get(cache, faulty):
    """HEAD and GET of one tag, all at once."""
    manifest = b'{"schemaVersion": 2, "manifests": []}'
    digest = faulty.put_manifest("library/herd", "1", manifest,
                                 "application/vnd.oci.image.index.v1+json", head_delay=0.3)

    def client(number):
        return fetch(cache.address, "HEAD" if number % 2 else "GET",
                     "/v2/library/herd/manifests/1",
                     [("Accept", "application/vnd.oci.image.index.v1+json")])
    answers = Crowd(CLIENTS).run(client)
    assert {got.status for got in answers} == {200}
    assert {got.header("Docker-Content-Digest") for got in answers} == {digest}
    assert {got.sha256 for got in answers[0::2]} == {digest_of(manifest)}
    assert len(faulty.seen("GET")) == 1
    assert len(faulty.seen()) <= 2
