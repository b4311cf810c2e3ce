"""Redirects are followed by the cache, and no credential follows with them."""

import json

import pytest

from harness import config
from harness.faulty import Reply, oci_error
from harness.httpclient import ACCEPT_ALL
from harness.images import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Blob, random_bytes
from harness.tokens import basic

pytestmark = pytest.mark.quick

DATA = random_bytes(200_000, "stored elsewhere")
SIGNATURE = "X-Amz-Signature=5ecretSignatureOfTheUrl"


@pytest.fixture
def storage(make_faulty):
    """Where the registry's redirects lead: another origin."""
    return make_faulty()


def redirect(location: str, status: int = 307) -> Reply:
    return Reply(status, {"Location": location})


@pytest.fixture
def redirected(faulty, storage):
    """A blob that the registry answers with a redirect to a signed URL; the target."""
    digest = faulty.put_blob("library/far", DATA)
    target = f"/v2/library/far/blobs/{digest}"
    storage.script("/bucket/object", storage.blob_reply(DATA))
    faulty.script(target, redirect(f"{storage.url}/bucket/object?{SIGNATURE}"))
    return target


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_and_not_relayed(cache, faulty, storage, redirected, status):
    faulty.script(redirected, redirect(f"{storage.url}/bucket/object?{SIGNATURE}", status))
    for _ in range(2):
        answer = cache.get(redirected)
        assert (answer.status, answer.body) == (200, DATA)
        assert answer.header("Location") is None
    assert [seen.target for seen in storage.requests] == [f"/bucket/object?{SIGNATURE}"]


def test_no_credential_reaches_the_redirects_target(start_daemon, faulty, storage, redirected,
                                                    token_server):
    """Neither the client's, nor the cache's token."""
    moved = redirect(f"{storage.url}/bucket/object?{SIGNATURE}")

    def guarded(seen):
        if seen.header("Authorization") is None:
            return oci_error(401, "UNAUTHORIZED", WWW_Authenticate=token_server.challenge(
                "repository:library/far:pull"))
        return moved
    faulty.script(redirected, guarded)
    daemon = start_daemon(config.hub(faulty.url))
    answer = daemon.get(redirected, [("Authorization", basic("client", "pw")),
                                     ("Cookie", "session=client")])
    assert answer.body == DATA
    assert faulty.requests[-1].header("Authorization").startswith("Bearer ")
    for seen in storage.requests:
        assert seen.header("Authorization") is None and seen.header("Cookie") is None


def test_a_clients_own_credentials_go_nowhere(cache, faulty):
    """The route is in service mode: what a client sends along is for nobody."""
    digest = faulty.put_blob("library/near", DATA)
    answer = cache.get(f"/v2/library/near/blobs/{digest}", [
        ("Authorization", basic("client", "hub-password")), ("Cookie", "session=client"),
        ("Proxy-Authorization", basic("client", "proxy-password"))])
    assert answer.body == DATA
    for seen in faulty.requests:
        for name in ("Authorization", "Cookie", "Proxy-Authorization"):
            assert seen.header(name) is None


def test_a_token_of_one_upstream_is_not_shown_to_the_next(start_daemon, make_faulty,
                                                          token_server):
    first, second = make_faulty(), make_faulty()

    def guarded(seen):
        if seen.header("Authorization") is None:
            return oci_error(401, "UNAUTHORIZED", WWW_Authenticate=token_server.challenge(
                "repository:library/far:pull"))
        return oci_error(500, "UNKNOWN")
    digest = second.put_blob("library/far", DATA)
    first.script(f"/v2/library/far/blobs/{digest}", guarded)
    daemon = start_daemon(config.hub(first.url, second.url))
    assert daemon.get(f"/v2/library/far/blobs/{digest}").body == DATA
    assert token_server.requests
    assert all(seen.header("Authorization") is None for seen in second.requests)


def test_a_relative_redirect_is_followed(cache, faulty, redirected):
    faulty.script(redirected, redirect("/elsewhere/object"))
    faulty.script("/elsewhere/object", faulty.blob_reply(DATA))
    assert cache.get(redirected).body == DATA


def test_several_hops_are_followed(cache, faulty, storage, redirected):
    faulty.script(redirected, redirect("/hop/1"))
    faulty.script("/hop/1", redirect("/hop/2", 302))
    faulty.script("/hop/2", redirect(f"{storage.url}/bucket/object"))
    assert cache.get(redirected).body == DATA


def test_a_redirect_in_circles_ends(cache, faulty, redirected):
    faulty.script(redirected, redirect(redirected))
    assert cache.get(redirected).status == 503
    assert len(faulty.requests) < 40


@pytest.mark.parametrize("location", [
    "file:///etc/passwd", "gopher://127.0.0.1/x", "ftp://127.0.0.1/x", "dict://127.0.0.1:1/x",
    "http://", "//", "http://127.0.0.1:99999/x", "http://user:pw@127.0.0.1:1/x", "", "http:///x",
    "http://127.0.0.1:1/x\ty"])
def test_a_redirect_to_nowhere_good_is_a_failure(cache, faulty, redirected, location):
    faulty.script(redirected, redirect(location))
    answer = cache.get(redirected)
    assert answer.status == 503 and b"root:" not in answer.body


def test_a_redirects_target_is_verified_too(cache, faulty, storage, redirected):
    storage.script("/bucket/object", Reply(body=b"not what was asked for"))
    answer = cache.get(redirected)
    assert answer.status != 200 or not answer.complete
    storage.script("/bucket/object", storage.blob_reply(DATA))
    cache.wait_body(redirected, DATA)


def test_a_broken_download_asks_the_registry_for_a_new_url(cache, faulty, storage, redirected):
    """A signed URL may have expired by then: the resuming request starts at the registry."""
    storage.script("/bucket/object", storage.blob_reply(DATA, stop_at=100_000))
    storage.script("/bucket/renewed", storage.blob_reply(DATA))
    faulty.script(redirected, redirect(f"{storage.url}/bucket/object?{SIGNATURE}"),
                  redirect(f"{storage.url}/bucket/renewed?{SIGNATURE}"))
    assert cache.get(redirected).body == DATA
    assert storage.seen("GET", "renewed")[0].status == 206


def test_nothing_secret_is_in_any_log(cache, redirected):
    """At level debug: neither the signed URL's query nor what the client sent."""
    cache.get(f"{redirected}?token=queryTokenOfTheClient", [
        ("Authorization", basic("client", "hub-password")),
        ("Cookie", "session=c00kieOfTheClient")])
    log = cache.process.errors() + cache.process.output()
    for secret in ("5ecretSignature", basic("client", "hub-password"), "hub-password",
                   "c00kieOfTheClient"):
        assert secret not in log


def test_the_urls_of_a_layer_are_never_fetched(cache, faulty, storage):
    """`urls` in a manifest are anybody's; the cache asks its upstreams only."""
    layer = Blob(OCI_LAYER, DATA).descriptor(urls=[f"{storage.url}/layer"])
    manifest = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
                           "config": Blob(OCI_CONFIG, b"{}").descriptor(),
                           "layers": [layer]}).encode()
    faulty.put_manifest("library/far", "1", manifest)
    assert cache.get("/v2/library/far/manifests/1", [ACCEPT_ALL]).body == manifest
    assert cache.get(f"/v2/library/far/blobs/{layer['digest']}").status == 404
    assert storage.requests == []
