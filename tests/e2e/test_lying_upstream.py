"""An upstream that lies, cuts short, resets, stalls or babbles: no client completes a wrong body,
nothing wrong is stored, and the next honest attempt succeeds."""

import pytest

from harness import config
from harness.faulty import Reply, oci_error
from harness.httpclient import ACCEPT_ALL, digest_of
from harness.images import OCI_MANIFEST, random_bytes, small_manifest

DATA = random_bytes(300_000, "honest")
OTHER = random_bytes(300_000, "lie")
DIGEST = digest_of(DATA)
TARGET = f"/v2/library/lied/blobs/{DIGEST}"
TAG = "/v2/library/lied/manifests/1"

DISHONEST = {
    "other bytes of the same length": dict(body=OTHER),
    "one bit flipped at the end": dict(body=DATA[:-1] + bytes([DATA[-1] ^ 1])),
    "shorter body, honest length": dict(body=DATA[:1000]),
    "longer body, honest length": dict(body=DATA + b"more"),
    "empty body": dict(body=b""),
    "other bytes without a length": dict(body=OTHER, framing="close"),
    "short body without a length": dict(body=DATA[:1000], framing="close"),
    "other bytes in chunks": dict(body=OTHER, framing="chunked"),
    "cut off one byte before the end": dict(body=DATA, stop_at=len(DATA) - 1),
    "stalled one byte before the end": dict(body=DATA, stop_at=len(DATA) - 1, then="stall"),
    "no last chunk": dict(body=DATA[:1000], framing="unterminated"),
    "more promised than sent": dict(body=DATA, length=len(DATA) + 1000),
    "less promised than sent": dict(body=DATA, length=1000),
    "garbage for a status line": dict(raw=b"\x00\xff garbage \r\n\r\n"),
    "garbage fields": dict(raw=b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nxx"),
    "two lengths": dict(
        raw=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nxxx"),
    "closed without a word": dict(raw=b""),
    "closed in the fields": dict(raw=b"HTTP/1.1 200 OK\r\nContent-"),
    "a login page": dict(body=b"<html>please log in</html>", headers={"Content-Type": "text/html"}),
    "not modified, unasked": dict(status=304),
    "no content": dict(status=204),
    "partial, unasked": dict(status=206, body=DATA[:1000],
                             headers={"Content-Range": f"bytes 0-999/{len(DATA)}"}),
}

# The connection breaks in mid-body again and again: the fill is resumed for a while, with growing
# pauses, before it is given up.
BREAKING = {
    "cut off": dict(body=DATA, stop_at=1000, ranges=False),
    "cut off before the first byte": dict(body=DATA, stop_at=0),
    "reset": dict(body=DATA, stop_at=1000, then="reset", ranges=False),
    "stalled": dict(body=DATA, stop_at=1000, then="stall", ranges=False),
}


@pytest.fixture
def cache(start_daemon, faulty):
    return start_daemon(config.hub(faulty.url, ttl="1s", patience="500ms",
                                   stale_while_refreshing="250ms"),
                        egress={"stall_timeout": "500ms"}, client={"wait_timeout": "5s"})


@pytest.mark.quick
@pytest.mark.parametrize("lie", DISHONEST)
def test_no_client_completes_a_wrong_blob(cache, faulty, lie):
    try_lie_then_truth(cache, faulty, Reply(**DISHONEST[lie]))


@pytest.mark.full
@pytest.mark.parametrize("kind", BREAKING)
def test_no_client_completes_a_blob_that_breaks_again_and_again(cache, faulty, kind):
    try_lie_then_truth(cache, faulty, Reply(**BREAKING[kind]))


def try_lie_then_truth(cache, faulty, lie: Reply):
    faulty.script(TARGET, lie)
    assert cache.completed(TARGET) in (None, DATA)
    stored = cache.blob_file(DIGEST)
    assert not stored.exists() or digest_of(stored.read_bytes()) == DIGEST

    faulty.script(TARGET, faulty.blob_reply(DATA))
    assert cache.completed(TARGET) == DATA, "the next honest attempt failed"


LIES_ABOUT_MANIFESTS = {
    "a login page": dict(body=b"<html>please log in</html>", headers={"Content-Type": "text/html"}),
    "a login page that is called a manifest": dict(body=b"<html>please log in</html>",
                                                   headers={"Content-Type": OCI_MANIFEST}),
    "a digest that is not the body's": dict(body=small_manifest("lie"), headers={
        "Content-Type": OCI_MANIFEST, "Docker-Content-Digest": digest_of(b"another")}),
    "cut off": dict(body=small_manifest("new"), stop_at=100,
                    headers={"Content-Type": OCI_MANIFEST}),
    "empty": dict(body=b"", headers={"Content-Type": OCI_MANIFEST}),
    "no last chunk": dict(body=small_manifest("new")[:100], framing="unterminated",
                          headers={"Content-Type": OCI_MANIFEST}),
    "garbage": dict(raw=b"garbage\r\n\r\n"),
}


@pytest.mark.quick
@pytest.mark.parametrize("lie", LIES_ABOUT_MANIFESTS)
def test_a_held_tag_survives_a_bad_answer(cache, faulty, lie):
    """Law 4: a mutable entry is replaced only by a complete, well-formed answer."""
    manifest = small_manifest("held")
    faulty.put_manifest("library/lied", "1", manifest)
    assert cache.completed(TAG, [ACCEPT_ALL]) == manifest

    faulty.script(TAG, Reply(**LIES_ABOUT_MANIFESTS[lie]))
    cache.wait_stale(TAG)
    answer = cache.get(TAG, [ACCEPT_ALL])
    assert (answer.status, answer.body) == (200, manifest)

    newer = small_manifest("newer")
    faulty.put_manifest("library/lied", "1", newer)
    cache.wait_body(TAG, newer)


@pytest.mark.quick
@pytest.mark.parametrize("lie", LIES_ABOUT_MANIFESTS)
def test_a_bad_answer_for_a_cold_tag_is_not_stored(cache, faulty, lie):
    faulty.script(TAG, Reply(**LIES_ABOUT_MANIFESTS[lie]))
    wrong = cache.completed(TAG, [ACCEPT_ALL])
    assert wrong is None, f"served {wrong!r}"
    manifest = small_manifest("honest")
    faulty.put_manifest("library/lied", "1", manifest)
    cache.wait_body(TAG, manifest)


@pytest.mark.quick
def test_a_manifest_by_digest_is_verified(cache, faulty):
    manifest = small_manifest("by digest")
    path = f"/v2/library/lied/manifests/{digest_of(manifest)}"
    faulty.script(path, faulty.manifest_reply(small_manifest("lie")))
    assert cache.completed(path, [ACCEPT_ALL]) is None
    faulty.script(path, faulty.manifest_reply(manifest))
    assert cache.completed(path, [ACCEPT_ALL]) == manifest


@pytest.mark.quick
def test_a_manifest_without_end_is_given_up(cache, faulty):
    """Law 8: a manifest has a bound; 16 MiB of JSON is none."""
    huge = b'{"schemaVersion": 2, "mediaType": "%s", "x": "%s"}' % (
        OCI_MANIFEST.encode(), b"x" * (16 << 20))
    faulty.put_manifest("library/lied", "1", huge)
    assert cache.completed(TAG, [ACCEPT_ALL]) is None


@pytest.mark.quick
@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_an_upstreams_error_is_no_404_and_is_not_kept(cache, faulty, status):
    """Law 5."""
    faulty.script(TARGET, oci_error(status, "UNKNOWN"))
    answer = cache.get(TARGET)
    assert answer.status == 503
    assert answer.header("Retry-After") is not None
    faulty.script(TARGET, faulty.blob_reply(DATA))
    cache.wait_body(TARGET, DATA)


@pytest.mark.quick
def test_the_next_upstream_is_tried_after_a_lie(start_daemon, make_faulty):
    liar, honest = make_faulty(), make_faulty()
    daemon = start_daemon(config.hub(liar.url, honest.url))
    liar.script(TARGET, oci_error(500, "UNKNOWN"))
    honest.put_blob("library/lied", DATA)
    assert daemon.completed(TARGET) == DATA
