"""What the registry protocol asks of a cache: types, pages, referrers, other digests, relaying."""

import hashlib
import re
import urllib.parse

import pytest

from harness import config
from harness.faulty import Reply
from harness.httpclient import ACCEPT_ALL, digest_of
from harness.images import DOCKER_MANIFEST, OCI_INDEX, random_bytes, small_manifest
from harness.net import until

pytestmark = pytest.mark.quick

TAG = "/v2/library/app/manifests/1"
DATA = random_bytes(200_000, "protocol")
INDEX = b'{"schemaVersion": 2, "mediaType": "%b", "manifests": []}' % OCI_INDEX.encode()
CHILD = b'{"schemaVersion": 2, "mediaType": "%b", "config": {}, "layers": []}' \
    % DOCKER_MANIFEST.encode()


# -- types of manifests ---------------------------------------------------------------------

@pytest.fixture
def negotiating(faulty):
    """A tag that is an index for those who take one, and one manifest for the others."""
    def answer(seen):
        if OCI_INDEX in (seen.header("Accept") or ""):
            return faulty.manifest_reply(INDEX, OCI_INDEX)
        return faulty.manifest_reply(CHILD, DOCKER_MANIFEST)
    faulty.script(TAG, answer)
    return faulty


OLD_CLIENT = [("Accept", DOCKER_MANIFEST)]


@pytest.mark.parametrize("first", ["old", "new"])
def test_a_client_that_takes_no_index_changes_nothing_for_the_others(cache, negotiating, first):
    """Whoever comes first: each keeps getting the type it can read."""
    for client in ("old", "new", "old", "new") if first == "old" else ("new", "old", "new"):
        answer = cache.get(TAG, OLD_CLIENT if client == "old" else [ACCEPT_ALL])
        expected = (CHILD, DOCKER_MANIFEST) if client == "old" else (INDEX, OCI_INDEX)
        assert (answer.body, answer.header("Content-Type")) == expected
        assert answer.header("Docker-Content-Digest") == digest_of(answer.body)


@pytest.mark.parametrize("accept", [[], [("Accept", "*/*")]], ids=["none", "any"])
def test_a_client_that_takes_anything_gets_what_is_held(cache, negotiating, accept):
    assert cache.get(TAG, accept).body == INDEX
    assert cache.get(TAG, [ACCEPT_ALL]).body == INDEX
    assert len(negotiating.seen("GET")) == 1


def test_the_accept_fields_order_and_split_do_not_matter(cache, negotiating):
    """dockerd sends a line per type, in random order: still one entry."""
    kinds = ACCEPT_ALL[1].split(", ")
    for order in (kinds, kinds[::-1]):
        assert cache.get(TAG, [("Accept", kind) for kind in order]).body == INDEX
    assert cache.get(TAG, [("Accept", ",".join(f"{kind};q=0.5" for kind in kinds))]).body == INDEX
    assert len(negotiating.seen("GET")) == 1


def test_a_manifests_bytes_are_served_verbatim(cache, faulty):
    """Odd white space, unknown keys: a changed byte would change the digest."""
    odd = b'\n{ "unknown" :\t[1.0e2], "schemaVersion":2,\r\n"mediaType":"%b","manifests":[ ]}\n ' \
        % OCI_INDEX.encode()
    digest = faulty.put_manifest("library/app", "1", odd, OCI_INDEX)
    for target in (TAG, f"/v2/library/app/manifests/{digest}"):
        for _ in range(2):
            answer = cache.get(target, [ACCEPT_ALL])
            assert (answer.body, answer.header("Docker-Content-Digest")) == (odd, digest)


def test_head_of_a_manifest_says_all_that_dockerd_needs(cache, faulty):
    """Digest without length would send dockerd to Docker Hub in silence."""
    digest = faulty.put_manifest("library/app", "1", INDEX, OCI_INDEX)
    for _ in range(2):
        answer = cache.head(TAG, [ACCEPT_ALL])
        assert (answer.status, answer.length) == (200, len(INDEX))
        assert answer.header("Content-Type") == OCI_INDEX
        assert answer.header("Docker-Content-Digest") == digest


def test_head_of_a_cold_blob_says_its_length(cache, faulty):
    digest = faulty.put_blob("library/app", DATA)
    answer = cache.head(f"/v2/library/app/blobs/{digest}")
    assert (answer.status, answer.length) == (200, len(DATA))
    assert cache.get(f"/v2/library/app/blobs/{digest}").body == DATA


def test_what_is_unknown_is_said_in_the_protocols_words(cache):
    unknown = "sha256:" + "0" * 64
    manifest = cache.get("/v2/library/app/manifests/nope", [ACCEPT_ALL])
    blob = cache.get(f"/v2/library/app/blobs/{unknown}")
    for answer, code in ((manifest, b"MANIFEST_UNKNOWN"), (blob, b"BLOB_UNKNOWN")):
        assert answer.status == 404 and answer.header("Content-Type") == "application/json"
        assert code in answer.body


def test_fields_that_would_mislead_clients_are_not_relayed(cache, faulty):
    faulty.script(TAG, Reply(headers={
        "Content-Type": OCI_INDEX, "Docker-Content-Digest": digest_of(INDEX),
        "X-Registry-Supports-Signatures": "1", "Docker-RateLimit-Source": "203.0.113.1",
        "Set-Cookie": "session=upstream", "Strict-Transport-Security": "max-age=1",
        "Connection": "X-Hop", "X-Hop": "1"}, body=INDEX))
    answer = cache.get(TAG, [ACCEPT_ALL])
    assert answer.body == INDEX
    for name in ("X-Registry-Supports-Signatures", "Docker-RateLimit-Source", "Set-Cookie",
                 "Strict-Transport-Security", "X-Hop"):
        assert answer.header(name) is None


# -- lists ----------------------------------------------------------------------------------

PAGES = [b'{"name": "library/app", "tags": ["a", "b"]}', b'{"name": "library/app", "tags": ["c"]}']


@pytest.fixture
def paged(start_daemon, faulty, request):
    """A tags/list of two pages; the first names the second by a Link."""
    path = "/v2/library/app/tags/list"

    def answer(seen):
        second = "last=b" in seen.target
        link = {} if second else {"Link": request.param.format(
            url=faulty.url, path=f"{path}?n=2&last=b")}
        return Reply(headers={"Content-Type": "application/json", **link}, body=PAGES[second])
    faulty.script(path, answer)
    return start_daemon(config.route("one", faulty.url, namespaces=["one.test"],
                                     hosts=["one.local"]))


@pytest.mark.parametrize("paged", ['<{path}>; rel="next"', '<{url}{path}>; rel="next"'],
                         indirect=True, ids=["relative", "absolute"])
@pytest.mark.parametrize("target, host", [
    ("/v2/one.test/library/app/tags/list?n=2", "cache.test"),
    ("/v2/library/app/tags/list?n=2&ns=one.test", "cache.test"),
    ("/v2/library/app/tags/list?n=2", "one.local")], ids=["path", "ns", "host"])
def test_the_next_page_is_asked_of_the_cache(paged, faulty, target, host):
    """The Link leads back to here, whichever way the namespace was named."""
    first = paged.get(target, [("Host", host)])
    assert first.body == PAGES[0]
    link = re.fullmatch(r'<([^>]+)>; ?rel="?next"?', first.header("Link"))[1]
    assert str(faulty.port) not in link
    resolved = urllib.parse.urlsplit(urllib.parse.urljoin(f"http://{host}{target}", link))
    assert resolved.netloc == host
    second = paged.get(f"{resolved.path}?{resolved.query}", [("Host", host)])
    assert second.body == PAGES[1]
    assert second.header("Link") is None


def test_pages_of_another_size_are_another_answer(cache, faulty):
    path = "/v2/library/app/tags/list"
    faulty.script(path, lambda seen: Reply(headers={"Content-Type": "application/json"},
                                           body=b'{"tags": ["%b"]}' % seen.target.encode()))
    for query in ("", "?n=1", "?n=2", "?n=2&last=x"):
        assert query.encode() + b'"' in cache.get(path + query).body


def test_referrers_keep_what_says_that_they_were_filtered(cache, faulty):
    target = "/v2/library/app/referrers/sha256:" + "1" * 64
    faulty.script(target, Reply(headers={"Content-Type": OCI_INDEX,
                                         "OCI-Filters-Applied": "artifactType"}, body=INDEX))
    for _ in range(2):
        answer = cache.get(f"{target}?artifactType=application%2Fspdx")
        assert answer.body == INDEX
        assert answer.header("Content-Type") == OCI_INDEX
        assert answer.header("OCI-Filters-Applied") == "artifactType"


# -- other digests, relaying ----------------------------------------------------------------

def test_a_blob_named_by_sha512_is_served(cache, faulty):
    digest = "sha512:" + hashlib.sha512(DATA).hexdigest()
    target = f"/v2/library/app/blobs/{digest}"
    faulty.script(target, Reply(body=DATA))
    for _ in range(2):
        assert cache.get(target).body == DATA


def test_a_lie_about_sha512_is_found_out(cache, faulty):
    target = "/v2/library/app/blobs/sha512:" + hashlib.sha512(b"other").hexdigest()
    faulty.script(target, Reply(body=DATA))
    answer = cache.get(target)
    assert answer.status != 200 or not answer.complete


def test_a_route_that_only_relays_stores_nothing(start_daemon, faulty):
    daemon = start_daemon(config.hub(faulty.url, cache=False))
    digest = faulty.put_blob("library/app", DATA)
    faulty.put_manifest("library/app", "1", small_manifest("relayed"))
    for _ in range(2):
        answer = daemon.get(f"/v2/library/app/blobs/{digest}")
        assert answer.body == DATA and answer.cache["fwd"] == "bypass"
        assert daemon.get(TAG, [ACCEPT_ALL]).body == small_manifest("relayed")
    assert len(faulty.seen("GET", digest)) == 2
    assert not daemon.blob_file(digest).exists()


def test_a_hit_says_so(cache, faulty):
    digest = faulty.put_blob("library/app", DATA)
    target = f"/v2/library/app/blobs/{digest}"
    miss = cache.get(target)
    assert miss.cache["fwd"] == "uri-miss" and miss.cache["fwd-status"] == "200"
    assert "hit" not in miss.cache
    hit = until(lambda: "hit" in (got := cache.get(target)).cache and got, 5, "a hit")
    assert "fwd" not in hit.cache and hit.body == DATA
