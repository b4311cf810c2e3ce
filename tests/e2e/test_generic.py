"""The generic route: a reverse proxy that caches as the upstream says (RFC 9111), keeps for good what
the configuration calls immutable, and passes other methods on."""

import time

import pytest

from harness import config
from harness.daemon import check_config
from harness.faulty import Reply
from harness.httpclient import Crowd, request_bytes
from harness.images import random_bytes
from harness.net import until

pytestmark = pytest.mark.quick

# Routes as an operator would write them; the upstreams' URLs are put in by the tests.
APT = {"immutable": ["/pool/**", "/dists/**/by-hash/**"], "ttl": "10m"}
MAVEN = {"immutable": ["**/*.jar", "**/*.pom", "**/*.jar.sha1", "**/*.pom.sha1"]}
CONDA = {"immutable": ["**/*.conda", "**/*.tar.bz2"]}

LONG_AGO = "Sat, 01 Jan 2000 00:00:00 GMT"


def generic(upstream, name="site", **keys) -> dict:
    return config.route(name, upstream.url, protocol="generic", prefix=f"/{name}",
                        **{"ttl": "1h", "patience": "500ms", **keys})


def reply(body: bytes, status: int = 200, **fields) -> Reply:
    """Fields by name, with _ for -."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return Reply(status, {"Content-Type": "text/plain", **headers}, body)


def get_stored(daemon, target: str, headers=()):
    """A GET whose answer is in the store, if it may be stored, when this returns."""
    before = len(daemon.log("fill"))
    answer = daemon.get(target, headers)
    if "hit" not in answer.cache:
        until(lambda: len(daemon.log("fill")) > before, 10, f"the fill of {target} to end")
    return answer


@pytest.fixture
def site(start_daemon, faulty):
    """A daemon with a generic route to the faulty upstream at /site."""
    return start_daemon(generic(faulty))


# -- freshness ------------------------------------------------------------------------------

def test_what_is_fresh_is_not_asked_for(site, faulty):
    faulty.script("/a", reply(b"one", Cache_Control="max-age=60", X_Kept="yes", Set_Cookie="a=b"))
    first, second = site.get("/site/a"), site.get("/site/a")
    assert (first.body, second.body) == (b"one", b"one")
    assert "stored" in first.cache and "hit" in second.cache
    assert second.header("X-Kept") == "yes"
    assert first.header("Set-Cookie") is None and second.header("Set-Cookie") is None
    assert len(faulty.seen()) == 1


def test_what_is_stale_is_validated(site, faulty):
    def answer(seen):
        if seen.header("If-None-Match") == '"1"':
            return reply(b"", 304, ETag='"1"', Cache_Control="max-age=60", X_Told="later")
        return reply(b"one", ETag='"1"', Cache_Control="max-age=0", X_Told="first")
    faulty.script("/a", answer)
    answers = [get_stored(site, "/site/a") for _ in range(3)]
    assert [got.body for got in answers] == [b"one"] * 3
    assert [got.header("X-Told") for got in answers] == ["first", "later", "later"]
    assert "hit" in answers[2].cache
    assert len(faulty.seen()) == 2


def test_last_modified_is_worth_a_tenth_of_its_age(start_daemon, faulty):
    daemon = start_daemon(generic(faulty, ttl="2s"))
    faulty.script("/a", reply(b"one", Last_Modified=LONG_AGO))
    get_stored(daemon, "/site/a")
    assert int(daemon.get("/site/a").cache["ttl"]) <= 2, "a guess is bounded by the route's ttl"
    time.sleep(2.2)
    daemon.get("/site/a")
    assert [seen.header("If-Modified-Since") for seen in faulty.seen()] == [None, LONG_AGO]


def test_an_answer_that_says_nothing_is_not_kept(site, faulty):
    faulty.script("/a", reply(b"one"), reply(b"two"))
    assert [site.get("/site/a").body for _ in range(2)] == [b"one", b"two"]
    assert "stored" not in site.get("/site/a").cache


@pytest.mark.parametrize("directive", ["no-store", "private", "private=\"x\""])
def test_what_may_not_be_stored(site, faulty, directive):
    faulty.script("/a", reply(b"one", ETag='"1"', Cache_Control=f"max-age=60, {directive}"))
    site.get("/site/a")
    site.get("/site/a")
    assert [seen.header("If-None-Match") for seen in faulty.seen()] == [None, None]


def test_a_client_that_wants_it_checked(site, faulty):
    faulty.script("/a", reply(b"one", ETag='"1"', Cache_Control="max-age=60"), reply(b"", 304))
    get_stored(site, "/site/a")
    site.get("/site/a", [("Cache-Control", "no-cache")])
    assert len(faulty.seen()) == 1, "it was fetched a moment ago"
    time.sleep(2.2)
    assert site.get("/site/a", [("Cache-Control", "no-cache")]).body == b"one"
    assert len(faulty.seen()) == 2


def test_only_if_cached(site, faulty):
    faulty.script("/a", reply(b"one", Cache_Control="max-age=60"))
    only = [("Cache-Control", "only-if-cached")]
    assert site.get("/site/a", only).status == 504
    get_stored(site, "/site/a")
    assert site.get("/site/a", only).body == b"one"
    assert len(faulty.seen()) == 1


def test_a_failing_upstream(site, faulty):
    faulty.script("/may", reply(b"may", Cache_Control="max-age=1"))
    faulty.script("/must", reply(b"must", Cache_Control="max-age=1, must-revalidate"))
    site.get("/site/may")
    site.get("/site/must")
    time.sleep(1.2)
    faulty.refuse()
    held = site.get("/site/may")
    assert (held.status, held.body) == (200, b"may")
    assert held.header("Warning") and int(held.cache["ttl"]) < 0
    assert site.get("/site/must").status == 503
    assert site.get("/site/other").status == 503


def test_a_crowd_costs_one_request(site, faulty):
    body = random_bytes(300_000, "crowd")
    faulty.script("/a", Reply(200, {"Cache-Control": "max-age=60"}, body, rate=600_000))
    assert set(Crowd(10).run(lambda _: site.get("/site/a").body)) == {body}
    assert len(faulty.seen()) == 1


# -- immutable ------------------------------------------------------------------------------

def test_what_is_immutable_is_never_asked_for_again(start_daemon, faulty):
    daemon = start_daemon(generic(faulty, "debian", **APT))
    faulty.script("/pool/a.deb", reply(b"deb", Cache_Control="no-cache"))
    daemon.get("/debian/pool/a.deb")
    faulty.refuse()
    again = daemon.get("/debian/pool/a.deb", [("Cache-Control", "max-age=0")])
    assert (again.status, again.body) == (200, b"deb")
    assert "immutable" in again.header("Cache-Control")


@pytest.mark.parametrize("keys, immutable, mutable", [
    (APT, "/pool/main/a/a_1_all.deb", "/dists/sid/InRelease"),
    (APT, "/dists/sid/main/binary-amd64/by-hash/SHA256/0123", "/dists/sid/main/Packages.gz"),
    (MAVEN, "/org/a/1.0/a-1.0.jar", "/org/a/maven-metadata.xml"),
    (CONDA, "/noarch/a-1-py_0.conda", "/noarch/repodata.json"),
])
def test_examples_of_routes(start_daemon, faulty, keys, immutable, mutable):
    daemon = start_daemon(generic(faulty, **keys))
    assert check_config(daemon.config_file).returncode == 0
    for path in (immutable, mutable):
        faulty.script(path, reply(b"x", Cache_Control="max-age=0", ETag='"1"'))
        get_stored(daemon, f"/site{path}")
        get_stored(daemon, f"/site{path}")
    assert len(faulty.seen(path_part=immutable)) == 1
    assert len(faulty.seen(path_part=mutable)) == 2


# -- names, variants, statuses ----------------------------------------------------------------

def test_queries_are_names_of_their_own(site, faulty):
    faulty.fallback = lambda seen: reply(seen.target.encode(), Cache_Control="max-age=60")
    for target in ("/a?x=1", "/a?x=2", "/a", "/a?x=1"):
        assert site.get(f"/site{target}").body == target.encode()
    assert len(faulty.seen()) == 3


def test_variants(site, faulty):
    faulty.script("/a", lambda seen: reply(f"for {seen.header('Flavour')}".encode(),
                                           Cache_Control="max-age=60", Vary="Flavour"))
    for _ in range(2):
        for flavour in ("sweet", "sour"):
            answer = get_stored(site, "/site/a", [("Flavour", flavour)])
            assert answer.body == f"for {flavour}".encode()
        assert get_stored(site, "/site/a").body == b"for None"
    assert len(faulty.seen()) == 3


def test_what_all_clients_share_makes_no_variant(site, faulty):
    faulty.script("/a", reply(b"one", Cache_Control="max-age=60",
                              Vary="Accept-Encoding, Cookie, User-Agent"))
    site.get("/site/a", [("Accept-Encoding", "gzip"), ("Cookie", "a=b"), ("User-Agent", "x")])
    assert "hit" in site.get("/site/a", [("Cookie", "c=d"), ("User-Agent", "y")]).cache
    seen = faulty.seen()[0]
    assert seen.header("Cookie") is None and seen.header("Accept-Encoding") == "identity"


def test_absence(site, faulty):
    faulty.script("/told", reply(b"no such thing", 404, Cache_Control="max-age=60"))
    for _ in range(2):
        answer = site.get("/site/told")
        assert (answer.status, answer.body) == (404, b"no such thing")
        assert site.get("/site/untold").status == 404
    assert len(faulty.seen(path_part="/told")) == 1
    assert len(faulty.seen(path_part="/untold")) == 1, "an ordinary 404 is remembered for a while"


@pytest.mark.parametrize("status", [203, 302, 403, 423])
def test_other_statuses_are_passed_on(site, faulty, status):
    faulty.script("/a", reply(b"so it is", status, Retry_After="5"))
    for _ in range(2):
        answer = site.get("/site/a")
        assert (answer.status, answer.body) == (status, b"so it is")
        assert answer.header("Retry-After") == "5"
    assert len(faulty.seen()) == 2


def test_a_challenge_is_not_passed_on(site, faulty):
    faulty.script("/a", reply(b"", 401, WWW_Authenticate='Bearer realm="http://evil.test/"'))
    answer = site.get("/site/a")
    assert answer.status == 403
    assert answer.header("WWW-Authenticate") is None


def test_a_head_is_asked_for_and_stores_nothing(site, faulty):
    faulty.script("/a", reply(b"one", Cache_Control="max-age=60"))
    assert site.head("/site/a").length == 3
    assert [seen.method for seen in faulty.seen()] == ["HEAD"]
    get_stored(site, "/site/a")
    assert "hit" in site.head("/site/a").cache


# -- parts and conditions -----------------------------------------------------------------------

def test_a_range_of_what_is_not_held_fetches_all_of_it(site, faulty):
    body = random_bytes(100_000, "range")
    faulty.script("/a", Reply(200, {"Cache-Control": "max-age=60"}, body))
    part = site.get("/site/a", [("Range", "bytes=10-19")])
    assert (part.status, part.body) == (206, body[10:20])
    assert site.get("/site/a").body == body
    assert [seen.header("Range") for seen in faulty.seen()] == [None]


def test_conditions_are_answered_here(site, faulty):
    faulty.script("/a", reply(b"one", ETag='"1"', Last_Modified=LONG_AGO,
                              Cache_Control="max-age=60"))
    site.get("/site/a")
    assert site.get("/site/a", [("If-None-Match", '"1"')]).status == 304
    assert site.get("/site/a", [("If-None-Match", '"2"')]).status == 200
    assert site.get("/site/a", [("If-Modified-Since", LONG_AGO)]).status == 304
    assert len(faulty.seen()) == 1


# -- other methods ------------------------------------------------------------------------------

def test_a_change_is_passed_on_and_outdates_what_is_held(site, faulty):
    faulty.script("GET /a", reply(b"old", Cache_Control="max-age=60"),
                  reply(b"new", Cache_Control="max-age=60"))
    faulty.script("PUT /a", reply(b"done", 201, X_Told="yes"))
    assert site.get("/site/a").body == b"old"
    with site.connect() as client:
        answer = client.ask("PUT", "/site/a", [("Content-Type", "text/x"), ("Cookie", "a=b"),
                                               ("Authorization", "Basic eDp5")], b"new")
    assert (answer.status, answer.body, answer.header("X-Told")) == (201, b"done", "yes")
    seen = faulty.seen("PUT")[0]
    assert (seen.body, seen.header("Content-Type")) == (b"new", "text/x")
    assert seen.header("Cookie") is None and seen.header("Authorization") is None
    assert site.get("/site/a").body == b"new"


def test_a_change_that_failed_outdates_nothing(site, faulty):
    faulty.script("GET /a", reply(b"old", Cache_Control="max-age=60"), reply(b"new"))
    faulty.script("DELETE /a", reply(b"no", 409))
    site.get("/site/a")
    with site.connect() as client:
        assert client.ask("DELETE", "/site/a").status == 409
    assert site.get("/site/a").body == b"old"


def test_the_caches_own_account_changes_nothing(start_daemon, faulty, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    upstream = {"url": faulty.url, "username": "cache", "password_file": str(secret)}
    daemon = start_daemon(config.route("site", upstream, protocol="generic", prefix="/site"))
    with daemon.connect() as client:
        assert client.ask("DELETE", "/site/a").status == 405
    assert not faulty.seen()


def test_trace_is_refused(site, faulty):
    with site.connect() as client:
        client.send(request_bytes("TRACE", "/site/a"))
        assert client.response().status == 405
    assert not faulty.seen()


# -- without a cache ----------------------------------------------------------------------------

def test_a_route_that_stores_nothing(start_daemon, faulty):
    daemon = start_daemon(generic(faulty, cache=False, immutable=["**/*.deb"]))
    body = random_bytes(100_000, "relay")
    for path in ("/a", "/a.deb"):
        faulty.script(path, Reply(200, {"Cache-Control": "max-age=60", "ETag": '"1"'}, body))
        for _ in range(2):
            answer = daemon.get(f"/site{path}")
            assert (answer.body, answer.cache["fwd"]) == (body, "bypass")
        assert daemon.get(f"/site{path}", [("If-None-Match", '"1"')]).status == 304
    assert len(faulty.seen()) == 6
    assert daemon.stored_files() == []


# -- credentials --------------------------------------------------------------------------------

def test_credentials_of_clients_reach_the_upstream_and_keep_to_themselves(start_daemon, faulty):
    daemon = start_daemon(generic(faulty, auth="passthrough"))

    def answer(seen):
        who = seen.header("Authorization")
        if who is None:
            return reply(b"", 401, WWW_Authenticate='Basic realm="upstream"')
        return reply(who.encode(), Cache_Control="public, max-age=60")
    faulty.script("/a", answer)
    for _ in range(2):
        for who in ("Basic YTph", "Basic Yjpi"):
            assert daemon.get("/site/a", [("Authorization", who)]).body == who.encode()
    assert len(faulty.seen()) == 2
    refused = daemon.get("/site/a")
    assert refused.status == 401
    assert "upstream\"" not in refused.header("WWW-Authenticate")
