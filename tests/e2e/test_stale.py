"""Freshness of tags: how they are refreshed, and what is served when that fails."""

import time

import pytest

from harness import config
from harness.faulty import Reply, hanging, oci_error
from harness.httpclient import ACCEPT_ALL, Crowd
from harness.images import OCI_INDEX, small_manifest
from harness.net import until

pytestmark = pytest.mark.quick

TAG = "/v2/library/app/manifests/1"
OLD, NEW = small_manifest("old"), small_manifest("new")

FAILURES = {
    "429": oci_error(429, "TOOMANYREQUESTS", Retry_After="60"),
    "500": oci_error(500, "UNKNOWN"),
    "502": Reply(502, {"Content-Type": "text/html"}, b"<h1>Bad Gateway</h1>"),
    "503": oci_error(503, "UNAVAILABLE"),
    "504": Reply(504),
    "hang": hanging(),
    "garbage": Reply(raw=b"garbage\r\n\r\n"),
    "closed": Reply(raw=b""),
}


def tag_route(upstream, **keys) -> dict:
    return config.hub(upstream.url, **{"ttl": "1s", "stale_while_refreshing": "0s",
                                       "patience": "500ms", **keys})


@pytest.fixture
def held(start_daemon, faulty):
    """start(key=...): a daemon that holds OLD under the tag, past its ttl; nothing is served
    without asking first, unless the route's keys say so."""
    def start(**keys):
        daemon = start_daemon(tag_route(faulty, **keys))
        faulty.put_manifest("library/app", "1", OLD)
        assert daemon.get(TAG, [ACCEPT_ALL]).body == OLD
        faulty.forget()
        time.sleep(1.2)
        return daemon
    return start


def get(daemon):
    return daemon.get(TAG, [ACCEPT_ALL])


@pytest.mark.parametrize("failure", FAILURES)
def test_what_is_held_is_served_when_the_upstream_fails(held, faulty, failure):
    daemon = held()
    faulty.script(TAG, FAILURES[failure])
    begin = time.monotonic()
    answer = get(daemon)
    assert time.monotonic() - begin < 2, "patience was 500 ms"
    assert (answer.status, answer.body) == (200, OLD)
    assert "hit" in answer.cache and int(answer.cache["ttl"]) < 0
    assert answer.cache["fwd"] == "stale"
    if failure.isdigit():
        assert answer.cache["fwd-status"] == failure
    assert answer.header("Warning").startswith("299 ")


def test_what_is_held_is_served_when_connections_are_refused(held, faulty):
    daemon = held()
    faulty.refuse()
    answer = get(daemon)
    assert (answer.status, answer.body) == (200, OLD)
    assert answer.cache["fwd"] == "stale" and "fwd-status" not in answer.cache


@pytest.mark.parametrize("failure", FAILURES)
def test_what_is_not_held_is_503_and_never_404(cache, faulty, failure):
    faulty.script(TAG, FAILURES[failure])
    begin = time.monotonic()
    answer = get(cache)
    assert time.monotonic() - begin < 10
    assert answer.status == 503
    assert answer.header("Content-Type") == "application/json"
    assert b'"errors"' in answer.body
    assert answer.header("Retry-After") is not None


def test_an_upstream_that_is_down_is_known_to_be_down(start_daemon, faulty):
    """After a few time-outs the next miss does not wait for one more."""
    faulty.fallback = hanging()
    daemon = start_daemon(config.hub(faulty.url), egress={"response_timeout": "1s"})
    for number in range(4):
        daemon.get(f"/v2/library/app/manifests/{number}", [ACCEPT_ALL])
    begin = time.monotonic()
    assert daemon.get("/v2/library/app/manifests/last", [ACCEPT_ALL]).status == 503
    assert time.monotonic() - begin < 0.5


def test_an_upstream_that_comes_back_is_used_again(cache, faulty):
    faulty.refuse()
    for _ in range(5):
        assert get(cache).status == 503
    faulty.listen()
    faulty.put_manifest("library/app", "1", NEW)
    cache.wait_body(TAG, NEW, timeout=20)


def test_an_unchanged_tag_is_refreshed_by_head_alone(held, faulty):
    daemon = held()
    answer = get(daemon)
    assert answer.body == OLD and int(answer.cache.get("ttl", 0)) >= 0
    assert [seen.method for seen in faulty.requests] == ["HEAD"]


def test_a_moved_tag_costs_one_head_and_one_get(held, faulty):
    daemon = held(patience="5s")
    digest = faulty.put_manifest("library/app", "1", NEW)
    answer = get(daemon)
    assert answer.body == NEW
    assert answer.header("Docker-Content-Digest") == digest
    assert [seen.method for seen in faulty.requests] == ["HEAD", "GET"]


def test_a_tag_that_moves_back_costs_no_get(held, faulty):
    """The digest that HEAD names is held already, by its digest."""
    daemon = held(patience="5s")
    faulty.put_manifest("library/app", "1", NEW)
    assert get(daemon).body == NEW
    faulty.put_manifest("library/app", "1", OLD)
    faulty.forget()
    time.sleep(1.2)
    assert get(daemon).body == OLD
    assert [seen.method for seen in faulty.requests] == ["HEAD"]


def test_a_head_without_digest_is_followed_by_a_get(held, faulty):
    daemon = held(patience="5s")
    faulty.put_manifest("library/app", "1", NEW)
    faulty.script(f"HEAD {TAG}", Reply(headers={"Content-Type": "application/json"}, body=NEW))
    assert get(daemon).body == NEW


def test_an_upstream_without_head_is_asked_by_get(held, faulty):
    daemon = held(patience="5s")
    faulty.put_manifest("library/app", "1", NEW)
    faulty.script(f"HEAD {TAG}", Reply(405))
    assert get(daemon).body == NEW


def test_a_fresh_tag_asks_nobody(cache, faulty):
    faulty.put_manifest("library/app", "1", OLD)
    for _ in range(3):
        assert get(cache).body == OLD
        assert cache.head(TAG, [ACCEPT_ALL]).status == 200
    assert len(faulty.seen("GET")) == 1


def test_no_cache_of_a_client_is_no_purge(cache, faulty):
    """Routine of many clients; honoured at most once in a few seconds."""
    faulty.put_manifest("library/app", "1", OLD)
    for _ in range(10):
        assert cache.get(TAG, [ACCEPT_ALL, ("Cache-Control", "no-cache")]).body == OLD
    assert len(faulty.requests) <= 3


def test_stale_while_refreshing_answers_at_once(held, faulty):
    """The held copy goes out without any wait; the refresh behind it brings the new one."""
    daemon = held(stale_while_refreshing="1m", patience="5s")
    faulty.put_manifest("library/app", "1", NEW, head_delay=1.0)
    begin = time.monotonic()
    answer = get(daemon)
    assert time.monotonic() - begin < 0.5
    assert answer.body == OLD and int(answer.cache["ttl"]) < 0
    daemon.wait_body(TAG, NEW)


def test_patience_bounds_the_wait_and_the_refresh_goes_on(held, faulty):
    daemon = held(patience="500ms")
    faulty.put_manifest("library/app", "1", NEW, head_delay=1.0)
    begin = time.monotonic()
    answer = get(daemon)
    waited = time.monotonic() - begin
    assert answer.body == OLD and 0.4 < waited < 1.0
    daemon.wait_body(TAG, NEW)


def test_many_clients_of_a_stale_tag_cause_one_refresh(held, faulty):
    daemon = held(patience="5s")
    faulty.put_manifest("library/app", "1", NEW, head_delay=0.3)
    answers = Crowd(32).run(lambda _: get(daemon))
    assert {answer.body for answer in answers} == {NEW}
    assert [seen.method for seen in faulty.requests] == ["HEAD", "GET"]


def test_stale_for_is_the_end_of_it(held, faulty):
    daemon = held(stale_for="1s")
    faulty.script(TAG, FAILURES["503"])
    time.sleep(1.2)
    assert get(daemon).status == 503


def test_a_404_is_believed_and_kept_for_a_short_while(start_daemon, faulty):
    daemon = start_daemon(tag_route(faulty, negative_ttl="1s"))
    for _ in range(3):
        answer = get(daemon)
        assert answer.status == 404 and b"MANIFEST_UNKNOWN" in answer.body
    assert len(faulty.requests) <= 2
    faulty.put_manifest("library/app", "1", NEW)
    daemon.wait_body(TAG, NEW, timeout=5)


def test_a_404_ends_a_held_tag_but_not_its_digest(held, faulty):
    """The tag was deleted upstream; who names the digest still gets the bytes."""
    daemon = held(patience="5s")
    faulty.script(TAG, oci_error(404, "MANIFEST_UNKNOWN"))
    assert get(daemon).status == 404
    digest = faulty.manifest_reply(OLD).headers["Docker-Content-Digest"]
    assert daemon.get(f"/v2/library/app/manifests/{digest}", [ACCEPT_ALL]).body == OLD


def test_a_negative_entry_does_not_outlive_an_outage(start_daemon, faulty):
    """404, then the upstream fails: 503, because nobody knows any more."""
    daemon = start_daemon(tag_route(faulty, negative_ttl="1s"))
    assert get(daemon).status == 404
    faulty.script(TAG, FAILURES["503"])
    until(lambda: get(daemon).status == 503, 5, "the negative entry to end", interval=0.2)


def test_a_429_is_not_asked_again_before_retry_after(held, faulty):
    daemon = held()
    faulty.script(TAG, FAILURES["429"])
    for _ in range(5):
        assert get(daemon).body == OLD
    assert len(faulty.requests) <= 2


def test_what_is_named_by_digest_never_becomes_stale(held, faulty):
    daemon = held()
    faulty.refuse()
    digest = faulty.manifest_reply(OLD).headers["Docker-Content-Digest"]
    answer = daemon.get(f"/v2/library/app/manifests/{digest}", [ACCEPT_ALL])
    assert (answer.status, answer.body) == (200, OLD)
    assert int(answer.cache.get("ttl", "1")) > 0
    assert answer.header("Warning") is None


def test_tags_list_and_referrers_are_served_when_the_upstream_is_gone(start_daemon, faulty):
    daemon = start_daemon(tag_route(faulty))
    digest = "sha256:" + "0" * 64
    lists = [("/v2/library/app/tags/list", "application/json",
              b'{"name": "library/app", "tags": ["1"]}'),
             (f"/v2/library/app/referrers/{digest}", OCI_INDEX,
              b'{"schemaVersion": 2, "mediaType": "%b", "manifests": []}' % OCI_INDEX.encode())]
    for target, kind, data in lists:
        faulty.script(target, Reply(headers={"Content-Type": kind}, body=data))
        assert daemon.get(target).body == data
    time.sleep(1.2)
    faulty.refuse()
    for target, kind, data in lists:
        answer = daemon.get(target)
        assert (answer.status, answer.body) == (200, data)
        assert answer.header("Content-Type") == kind
        assert int(answer.cache["ttl"]) < 0
