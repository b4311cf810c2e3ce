"""How held pages of a PyPI route are refreshed, whatever validators, redirects and codings the
upstream has."""

import gzip
import time

import pytest

from harness.faulty import Reply
from harness.net import until
from harness.pypi_index import ACCEPT_HTML, ACCEPT_JSON, JSON_TYPE, make_wheel
from harness.pypi_pages import links

pytestmark = pytest.mark.quick

PAGE = "/pypi/simple/demo/"
VALIDATORS = {
    "strong ETag": {"ETag": '"1"'}, "weak ETag": {"ETag": 'W/"1"'},
    "date": {"Last-Modified": "Mon, 02 Nov 2026 10:00:00 GMT"}, "none": {},
}


@pytest.fixture
def cache(start_daemon, index):
    return start_daemon(index.route(ttl="300ms", stale_while_refreshing="0s", patience="5s",
                                    negative_ttl="300ms"))


def page_reply(index, headers: dict):
    """The page of `demo` with these validators; asked by one of them it is not modified."""
    def reply(seen):
        asked = seen.header("If-None-Match") or seen.header("If-Modified-Since")
        if asked is not None:
            return Reply(304 if asked in headers.values() else 400, headers)
        return Reply(headers={"Content-Type": JSON_TYPE, **headers}, body=index.json_page("demo"))
    return reply


@pytest.mark.parametrize("kind", VALIDATORS)
def test_a_page_is_refreshed_by_whatever_validator_there_is(cache, index, wheel, kind):
    index.pages.script("/simple/demo/", page_reply(index, VALIDATORS[kind]))
    for _ in range(2):
        first = cache.get(PAGE, [ACCEPT_JSON])
        assert first.status == 200 and wheel.filename in links(first, PAGE)
        index.forget()
        time.sleep(0.4)
        again = cache.get(PAGE, [ACCEPT_JSON])
        assert (again.status, again.body) == (200, first.body)
        assert [seen.status for seen in index.pages.requests] == [304 if VALIDATORS[kind] else 200]
    held = cache.get(PAGE, [ACCEPT_JSON, ("If-None-Match", again.header("ETag"))])
    assert held.status == 304, "the client's own validator is ours, and always there"


@pytest.mark.parametrize("kind", VALIDATORS)
def test_a_new_page_has_a_new_etag(cache, index, wheel, kind):
    """With a gzip-coded and a plain copy held, both change."""
    headers = dict(VALIDATORS[kind])
    index.pages.script("/simple/demo/", page_reply(index, headers))
    codings = ("gzip", "identity")
    before = [etag_of_held(cache, one) for one in codings]
    assert len(set(before)) == 2
    new = make_wheel("demo", "2.0")
    index.upload("demo", new)
    headers.update({name: value.replace("1", "2") for name, value in headers.items()})
    index.pages.script("/simple/demo/", Reply(
        headers={"Content-Type": JSON_TYPE, **headers}, body=index.json_page("demo")))
    time.sleep(0.4)
    for one, old in zip(codings, before):
        after = cache.get(PAGE, [ACCEPT_JSON, ("Accept-Encoding", one), ("If-None-Match", old)])
        assert after.status == 200 and new.filename in links(after, PAGE)
        assert etag_of_held(cache, one) not in before


def etag_of_held(daemon, coding: str) -> str:
    """An answer that is made while it is sent may have none yet."""
    return until(lambda: daemon.get(PAGE, [ACCEPT_JSON, ("Accept-Encoding", coding)])
                 .header("ETag"), 5, "an ETag")


def test_the_etag_of_a_coded_page_is_its_own(cache, wheel):
    for _ in range(2):
        coded = cache.get(PAGE, [ACCEPT_JSON, ("Accept-Encoding", "gzip")])
        plain = cache.get(PAGE, [ACCEPT_JSON])
        assert gzip.decompress(coded.body) == plain.body
        for etag, status in [(coded.header("ETag"), 304), (plain.header("ETag"), 200)]:
            again = cache.get(PAGE, [ACCEPT_JSON, ("Accept-Encoding", "gzip"),
                                     ("If-None-Match", etag)])
            assert again.status == status, etag


def test_a_page_may_be_read_in_parts(cache, wheel):
    whole = cache.get(PAGE, [ACCEPT_JSON])
    for _ in range(2):
        part = cache.get(PAGE, [ACCEPT_JSON, ("Range", "bytes=10-19")])
        assert (part.status, part.body) in ((206, whole.body[10:20]), (200, whole.body))


@pytest.mark.parametrize("restarted", [False, True])
def test_links_of_a_page_that_is_elsewhere_lead_from_there(cache, index, wheel, restarted):
    """The upstream redirects; relative links belong to where the redirect ends, also after the page
    was found unchanged, and by another run of the daemon."""
    wheel.url = f"below/{wheel.filename}"
    index.pages.script("/simple/demo/", Reply(302, {"Location": "/moved/here/"}))
    index.pages.script("/moved/here/", page_reply(index, {"ETag": '"1"'}))
    index.pages.script(f"/moved/here/below/{wheel.filename}", Reply(body=wheel.data))
    host = f"127.0.0.1:{index.pages.port}"
    target = f"{PAGE}files/{host}/moved/here/below/{wheel.filename}"
    for _ in range(2):
        for accept in (ACCEPT_JSON, ACCEPT_HTML):
            assert links(cache.get(PAGE, [accept]), PAGE)[wheel.filename].target == target
        if restarted:
            cache.restart()
        time.sleep(0.4)
    assert cache.completed(target) == wheel.data


def test_a_project_that_is_gone_is_gone_and_comes_back(cache, index, wheel):
    assert cache.completed(PAGE, [ACCEPT_JSON])
    project = index.projects.pop("demo")
    until(lambda: cache.get(PAGE, [ACCEPT_JSON]).status == 404, 5, "404", 0.1)
    index.projects["demo"] = project
    until(lambda: cache.completed(PAGE, [ACCEPT_JSON]), 15, "the page", 0.2)


def test_a_client_that_leaves_does_not_end_the_fetch(cache, index, wheel):
    body = index.json_page("demo")
    index.pages.script("/simple/demo/", Reply(
        headers={"Content-Type": JSON_TYPE}, body=body, rate=len(body) * 3))
    with cache.connect() as client:
        client.request("GET", PAGE, [ACCEPT_JSON])
        index.pages.wait_seen(1, "GET", "/simple/demo/")
        client.reset()
    until(lambda: index.pages.requests[0].finished, 5, "the fetch to end")
    assert not index.pages.requests[0].left
    assert cache.completed(PAGE, [ACCEPT_JSON])


def test_hits_say_their_age(start_daemon, index, wheel):
    """Else who caches behind this cache takes pages for younger than they are."""
    daemon = start_daemon(index.route())
    daemon.get(PAGE, [ACCEPT_JSON])
    aged = until(lambda: int((answer := daemon.get(PAGE, [ACCEPT_JSON])).header("Age", "0"))
                 and answer, 3, "an Age above 0", 0.1)
    assert "hit" in aged.cache and int(aged.header("Age")) <= 3
