"""Packuments as clients get them: two forms, links that lead here, validators for each form, base
and coding, and nothing else changed."""

import gzip
import json
import time

import pytest

from harness import httpclient
from harness.faulty import Gate, Reply
from harness.httpclient import Crowd
from harness.net import free_port, until
from harness.npm_packages import (ABBREVIATED, ACCEPT_ABBREVIATED, ACCEPT_FULL, FULL, PUBLISHED,
                                  make_package, packument)
from harness.npm_shelf import (document_of, error_of, json_reply, npm_route, packument_paths,
                               tarball_links, tarball_reply)

pytestmark = pytest.mark.quick

ACCEPT_GZIP = ("Accept-Encoding", "gzip, deflate")
FORMS = {"abbreviated": (ACCEPT_ABBREVIATED, ABBREVIATED), "full": (ACCEPT_FULL, FULL)}


@pytest.fixture
def cache(start_daemon, shelf):
    return start_daemon(npm_route(shelf.url, ttl="1h"))


@pytest.fixture
def left(shelf):
    """Two versions of a package are offered."""
    versions = [make_package("left", "1.0.0"), make_package("left", "1.1.0", license="MIT",
                                                            dependencies={"right": "^2.0.0"})]
    shelf.put(*versions)
    return versions


def base_of(daemon) -> str:
    """What links start with for a client that names the daemon by its address."""
    return f"http://127.0.0.1:{daemon.port}/npm"


def get(daemon, target: str = "/npm/left", *headers):
    return daemon.get(target, [("Host", f"127.0.0.1:{daemon.port}"), *headers])


def hit(daemon, target: str, *headers):
    """The answer once it is a hit."""
    return until(lambda: "hit" in (answer := get(daemon, target, *headers)).cache and answer, 5,
                 f"a hit for {target}")


# -- forms ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_fetched_once_and_says_what_it_is(cache, shelf, left, form):
    accept, kind = FORMS[form]
    miss = get(cache, "/npm/left", accept)
    again = hit(cache, "/npm/left", accept)
    for answer in (miss, again):
        assert answer.header("Content-Type") == kind
        assert document_of(answer) == packument(left, base_of(cache), form == "abbreviated")
    asked = shelf.asked("left")
    assert len(asked.packuments) == 1 and not asked.tarballs
    assert (ABBREVIATED in asked.packuments[0].header("Accept")) == (form == "abbreviated")


def test_the_forms_are_kept_apart(cache, left):
    for _ in range(2):
        for accept, kind in FORMS.values():
            answer = get(cache, "/npm/left", accept)
            assert answer.header("Content-Type") == kind
            assert ("readme" in document_of(answer)) == (kind == FULL)
            assert "Accept" in answer.header("Vary")


@pytest.mark.parametrize("accept", [[], [("Accept", "*/*")],
                                    [("Accept", "application/json; q=1.0, */*")]])
def test_who_does_not_ask_for_less_gets_the_whole(cache, left, accept):
    """yarn berry sends no Accept; pnpm's is the last one."""
    assert document_of(get(cache, "/npm/left", *accept)) == packument(left, base_of(cache))


def test_a_registry_that_knows_one_form_only(cache, shelf, left):
    """The type that the upstream names is shown: pnpm decides by it whether there is a `time`."""
    shelf.abbreviates = False
    answer = get(cache, "/npm/left", ACCEPT_ABBREVIATED)
    assert answer.header("Content-Type") == FULL
    assert document_of(answer) == packument(left, base_of(cache))


# -- names ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", packument_paths("@scope/left"))
def test_a_scoped_package_in_every_spelling(cache, shelf, path):
    package = make_package("@scope/left")
    shelf.put(package)
    document = document_of(get(cache, f"/npm{path}", ACCEPT_ABBREVIATED))
    assert tarball_links(document) == {
        "1.0.0": f"{base_of(cache)}/@scope/left/-/left-1.0.0.tgz"}
    answer = get(cache, "/npm/@scope/left/-/left-1.0.0.tgz")
    assert (answer.status, answer.body) == (200, package.data)


def test_all_spellings_are_one_object(cache, shelf):
    shelf.put(make_package("@scope/left"))
    for path in packument_paths("@scope/left"):
        hit(cache, f"/npm{path}", ACCEPT_ABBREVIATED)
    assert len(shelf.asked("@scope/left").packuments) == 1


def test_a_scoped_tarball_in_the_other_spelling(cache, shelf):
    """yarn berry asks so first."""
    package = make_package("@scope/left")
    shelf.put(package)
    for slash in ("%2f", "%2F"):
        answer = get(cache, f"/npm/@scope{slash}left/-/left-1.0.0.tgz")
        assert (answer.status, answer.body) == (200, package.data)


def test_old_names_with_capitals_are_kept_apart(cache, shelf):
    """Names were once free in case: JSONStream is another package than jsonstream."""
    for name in ("JSONStream", "jsonstream"):
        shelf.put(make_package(name))
    for name in ("JSONStream", "jsonstream"):
        assert document_of(get(cache, f"/npm/{name}", ACCEPT_FULL))["name"] == name


def test_an_unknown_package_is_404_in_the_words_of_npm(cache, shelf):
    for _ in range(2):
        answer = get(cache, "/npm/nothing", ACCEPT_ABBREVIATED)
        assert answer.status == 404
        assert error_of(answer)
    assert len(shelf.asked("nothing").packuments) == 1, "the 404 is remembered for a while"


@pytest.mark.parametrize("item", ["1.0.0", "latest"])
def test_the_document_of_one_version(cache, shelf, item):
    package = make_package("left")
    shelf.put(package)
    shelf.upstream.script(f"/left/{item}", json_reply(package.described(shelf.url)))
    document = document_of(get(cache, f"/npm/left/{item}", ACCEPT_FULL))
    assert document == package.described(base_of(cache))


# -- what is changed and what is not --------------------------------------------------------------

ODD_DOCUMENT = """{
  "_id": "odd", "name": "odd", "modified": "%(published)s",
  "dist-tags": {"latest": "1.0.0", "next": "2.0.0-rc.1+build.7"},
  "versions": {
    "1.0.0": {"name": "odd", "version": "1.0.0", "unknown": [1.50, 12345678901234567890, -0.0, 1e5],
      "tarball": "%(url)s/odd/-/odd-1.0.0.tgz",
      "dist": {"shasum": "%(zeros)s", "tarball": "%(url)s/odd/-/odd-1.0.0.tgz", "fileCount": 3,
        "signatures": [{"keyid": "SHA256:x", "sig": "MEUCIQ\\/\\u002b=="}],
        "attestations": {"url": "%(url)s/-/npm/v1/attestations/odd@1.0.0",
                         "provenance": {"predicateType": "https://slsa.dev/provenance/v1"}}},
      "dist2": {"tarball": "%(url)s/stay"}},
    "2.0.0-rc.1+build.7": {"version": "2.0.0-rc.1+build.7", "name": "odd",
      "dist": {"tarball": "%(url)s\\/odd\\/-\\/odd-2.0.0-rc.1.tgz", "shasum": "%(zeros)s"}}},
  "dist": {"tarball": "%(url)s/top"},
  "readme": "a \\"link\\": %(url)s/odd/-/odd-1.0.0.tgz \\u00e9 \u00e9 \U0001f600 \\ud83d\\ude00",
  "empty": {}, "none": null, "list": [], "yes": true
}"""


def ordered(body: bytes | str):
    """The document with the order of its keys, and its numbers as they are written."""
    return json.loads(body, object_pairs_hook=list, parse_int=str, parse_float=str)


def test_nothing_but_the_tarballs_links_is_changed(cache, shelf):
    text = ODD_DOCUMENT % {"url": shelf.url, "zeros": "0" * 40, "published": PUBLISHED}
    shelf.put_raw("odd", Reply(headers={"Content-Type": FULL}, body=text.encode()))
    answer = get(cache, "/npm/odd", ACCEPT_FULL)
    base = base_of(cache)
    expected = text.replace(
        f'"tarball": "{shelf.url}/odd/-/odd-1.0.0.tgz", "fileCount"',
        f'"tarball": "{base}/odd/-/odd-1.0.0.tgz", "fileCount"').replace(
        f'{shelf.url}\\/odd\\/-\\/odd-2.0.0-rc.1.tgz', f"{base}/odd/-/odd-2.0.0-rc.1.tgz")
    assert answer.status == 200 and answer.complete
    assert ordered(answer.body) == ordered(expected)


def test_links_are_canonical_whatever_the_upstreams_look_like(cache, shelf):
    """pnpm leaves links of exactly this shape out of its lockfile."""
    paths = {"1.0.0": "/files/aa/bb/left.tgz", "2.0.0": "/left/download/left-2.0.0.tgz?key=1",
             "3.0.0-beta.1+exp.sha": "/left/-/left-3.0.0-beta.1.tgz"}
    shelf.put(*(make_package("left", version).saying(tarball=shelf.url + path)
                for version, path in paths.items()))
    links = tarball_links(document_of(get(cache, "/npm/left", ACCEPT_ABBREVIATED)))
    base = base_of(cache)
    assert links == {"1.0.0": f"{base}/left/-/left-1.0.0.tgz",
                     "2.0.0": f"{base}/left/-/left-2.0.0.tgz",
                     "3.0.0-beta.1+exp.sha": f"{base}/left/-/left-3.0.0-beta.1.tgz"}


# -- where links lead -----------------------------------------------------------------------------

def test_links_start_with_the_host_that_the_client_named(cache, left):
    for host in ("cache.test", "cache.test:8080", "[::1]:4873"):
        document = document_of(cache.get("/npm/left", [("Host", host), ACCEPT_ABBREVIATED]))
        assert tarball_links(document)["1.0.0"] == f"http://{host}/npm/left/-/left-1.0.0.tgz"


def test_public_url_is_what_links_start_with(start_daemon, shelf, left):
    daemon = start_daemon(npm_route(shelf.url), public_url="https://packages.example.com/mirror")
    for host in ("cache.test", "evil.test"):
        document = document_of(daemon.get("/npm/left", [("Host", host), ACCEPT_ABBREVIATED]))
        assert tarball_links(document)["1.0.0"] == \
            "https://packages.example.com/mirror/npm/left/-/left-1.0.0.tgz"


def test_a_listener_of_its_own_has_no_prefix(make_daemon, shelf, left):
    port = free_port()
    daemon = make_daemon(npm_route(shelf.url))
    daemon.settings["listen"].append({"address": f"127.0.0.1:{port}", "route": "npm"})
    daemon.write_config()
    daemon.start()
    host = ("Host", f"127.0.0.1:{port}")
    document = document_of(httpclient.fetch(("127.0.0.1", port), "GET", "/left",
                                            [host, ACCEPT_ABBREVIATED]))
    assert tarball_links(document)["1.1.0"] == f"http://127.0.0.1:{port}/left/-/left-1.1.0.tgz"
    answer = httpclient.fetch(("127.0.0.1", port), "GET", "/left/-/left-1.1.0.tgz", [host])
    assert (answer.status, answer.body) == (200, left[1].data)
    assert len(shelf.asked("left").tarballs) == 1
    assert get(daemon, "/npm/left/-/left-1.1.0.tgz").body == left[1].data
    assert len(shelf.asked("left").tarballs) == 1, "one object, whichever way it is asked for"


def test_a_host_of_its_own_has_no_prefix(start_daemon, shelf, left):
    daemon = start_daemon(npm_route(shelf.url, hosts=["npm.test"]))
    document = document_of(daemon.get("/left", [("Host", "npm.test"), ACCEPT_ABBREVIATED]))
    assert tarball_links(document)["1.1.0"] == "http://npm.test/left/-/left-1.1.0.tgz"
    assert daemon.get("/left/-/left-1.1.0.tgz", [("Host", "npm.test")]).body == left[1].data
    assert daemon.get("/left", [("Host", "other.test")]).status == 404


def test_an_upstream_below_a_path(start_daemon, shelf):
    package = make_package("left")
    document = packument([package], f"{shelf.url}/api/npm")
    shelf.upstream.script("/api/npm/left", json_reply(document))
    shelf.upstream.script("/api/npm/left/-/left-1.0.0.tgz", tarball_reply(package.data))
    daemon = start_daemon(npm_route(f"{shelf.url}/api/npm"))
    assert document_of(get(daemon)) == packument([package], base_of(daemon))
    assert get(daemon, "/npm/left/-/left-1.0.0.tgz").body == package.data


# -- validators, codings, freshness ---------------------------------------------------------------

def views(daemon) -> list[list]:
    """Requests whose answers differ: by form, by base, by coding."""
    hosts = [("Host", "one.test"), ("Host", "two.test")]
    accepts = [ACCEPT_ABBREVIATED, ACCEPT_FULL]
    return [[host, accept, *coding] for host in hosts for accept in accepts
            for coding in ([], [ACCEPT_GZIP])]


def test_every_view_has_its_own_etag(cache, shelf, left):
    """A client that moved from one base to another must not keep its old links."""
    etags = [cache.get("/npm/left", view).header("ETag") for view in views(cache)]
    assert None not in etags
    assert len(set(etags)) == len(etags)
    upstream = {seen.header("ETag") for seen in shelf.upstream.seen()}
    assert not upstream & set(etags)


def test_a_client_that_has_it_gets_304_for_its_own_view_only(cache, left):
    etags = [cache.get("/npm/left", view).header("ETag") for view in views(cache)]
    for number, view in enumerate(views(cache)):
        for other, etag in enumerate(etags):
            answer = cache.get("/npm/left", [*view, ("If-None-Match", etag)])
            assert answer.status == (304 if other == number else 200)
        listed = cache.get("/npm/left", [*view, ("If-None-Match", ", ".join(['"x"', *etags]))])
        assert listed.status == 304 and listed.header("ETag") == etags[number]


def test_if_modified_since_does_not_count_beside_if_none_match(cache, left):
    """pnpm sends both, and takes the date from the body."""
    future = ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")
    hit(cache, "/npm/left", ACCEPT_ABBREVIATED)
    assert get(cache, "/npm/left", ACCEPT_ABBREVIATED, ("If-None-Match", '"other"'),
               future).status == 200


@pytest.mark.parametrize("gzips", [False, True], ids=["plain upstream", "upstream with gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_gzip_for_who_takes_it_and_plain_for_the_others(start_daemon, make_shelf, gzips, form):
    shelf = make_shelf(gzips=gzips)
    versions = [make_package("left", f"1.0.{number}") for number in range(200)]
    shelf.put(*versions)
    daemon = start_daemon(npm_route(shelf.url, ttl="1h"))
    accept = FORMS[form][0]
    coded, plain = get(daemon, "/npm/left", accept, ACCEPT_GZIP), get(daemon, "/npm/left", accept)
    for answer in (coded, hit(daemon, "/npm/left", accept, ACCEPT_GZIP)):
        assert answer.header("Content-Encoding") == "gzip"
        assert gzip.decompress(answer.body) == plain.body
        assert len(answer.body) < len(plain.body) / 2
        assert "Accept-Encoding" in answer.header("Vary")
    for answer in (plain, hit(daemon, "/npm/left", accept)):
        assert answer.header("Content-Encoding") is None
        assert document_of(answer) == packument(versions, base_of(daemon), form == "abbreviated")
    refused = get(daemon, "/npm/left", accept, ("Accept-Encoding", "gzip;q=0, identity"))
    assert refused.header("Content-Encoding") is None
    assert len(shelf.asked("left").packuments) == 1


def test_head_says_what_get_says(cache, left):
    hit(cache, "/npm/left", ACCEPT_ABBREVIATED)
    target, headers = "/npm/left", [("Host", f"127.0.0.1:{cache.port}"), ACCEPT_ABBREVIATED]
    got, head = cache.get(target, headers), cache.head(target, headers)
    assert head.status == 200 and head.body == b""
    for name in ("Content-Type", "Content-Length", "ETag", "Vary", "Cache-Control"):
        assert head.header(name) == got.header(name) is not None


def test_head_of_what_is_not_held(cache, left):
    answer = cache.head("/npm/left", [ACCEPT_ABBREVIATED])
    assert answer.status == 200 and answer.header("Content-Type") == ABBREVIATED
    assert cache.head("/npm/nothing", [ACCEPT_ABBREVIATED]).status == 404


def test_clients_are_told_how_long_it_is_good(start_daemon, shelf, left):
    for ttl, seconds in (("1h", 300), ("30s", 30)):
        daemon = start_daemon(npm_route(shelf.url, ttl=ttl))
        answer = hit(daemon, "/npm/left", ACCEPT_ABBREVIATED)
        assert answer.header("Cache-Control") == f"public, max-age={seconds}"
        assert int(answer.header("Age")) <= 5
        assert 0 < int(answer.cache["ttl"]) <= (3600 if ttl == "1h" else 30)


def test_a_refresh_is_conditional_and_leaves_the_made_one_as_it_is(start_daemon, shelf, left):
    daemon = start_daemon(npm_route(shelf.url, ttl="200ms", stale_while_refreshing="0s"))
    first = get(daemon, "/npm/left", ACCEPT_ABBREVIATED)
    time.sleep(0.3)
    again = get(daemon, "/npm/left", ACCEPT_ABBREVIATED, ("If-None-Match", first.header("ETag")))
    assert again.status == 304
    asked = shelf.asked("left").packuments
    assert [seen.status for seen in asked] == [200, 304]
    fresh = get(daemon, "/npm/left", ACCEPT_ABBREVIATED)
    assert fresh.body == first.body and int(fresh.cache["ttl"]) >= 0


@pytest.mark.parametrize("validators", [True, False])
def test_a_new_version_is_seen_in_every_view(start_daemon, make_shelf, validators):
    shelf = make_shelf(validators=validators)
    old, new = make_package("left", "1.0.0"), make_package("left", "2.0.0")
    shelf.put(old)
    daemon = start_daemon(npm_route(shelf.url, ttl="200ms", stale_while_refreshing="0s",
                                    patience="5s"))
    before = [daemon.get("/npm/left", view) for view in views(daemon)]
    shelf.put(old, new)
    time.sleep(0.3)
    for view, answer in zip(views(daemon), before):
        newer = daemon.get("/npm/left", [*view, ("If-None-Match", answer.header("ETag"))])
        assert newer.status == 200, "the new document under the old ETag"
        coded = newer.header("Content-Encoding") == "gzip"
        document = json.loads(gzip.decompress(newer.body) if coded else newer.body)
        assert document["dist-tags"] == {"latest": "2.0.0"}


# -- many clients, and clients that do not stay ---------------------------------------------------

@pytest.fixture
def halved(shelf):
    """A packument of a megabyte, of which the upstream gives one half before the gate opens."""
    versions = [make_package("left", f"1.0.{number}") for number in range(3000)]
    body = json.dumps(packument(versions, shelf.url)).encode()
    gate = Gate()
    shelf.put_raw("left", Reply(headers={"Content-Type": FULL}, body=body, ranges=False,
                                hold_at=len(body) // 2, gate=gate))
    return gate, len(body)


def test_the_first_bytes_do_not_wait_for_the_last(cache, halved):
    gate, size = halved
    with cache.connect() as connection:
        connection.request("GET", "/npm/left", [ACCEPT_FULL])
        head, got = connection.read_head(), 0
        for part in connection.body_parts(head):
            got += len(part)
            if got > size // 4:
                gate.open()
        assert got > size // 2 and gate.is_open
    assert head.status == 200 and head.header("Content-Type") == FULL


def test_a_client_that_leaves_does_not_end_it(cache, shelf, halved):
    gate, _ = halved
    with cache.connect() as connection:
        connection.request("GET", "/npm/left", [("Host", f"127.0.0.1:{cache.port}"), ACCEPT_FULL])
        next(connection.body_parts(connection.read_head()))
        connection.reset()
    gate.open()
    assert len(document_of(hit(cache, "/npm/left", ACCEPT_FULL))["versions"]) == 3000
    assert len(shelf.asked("left").packuments) == 1


def test_many_clients_cause_one_question(cache, shelf, left):
    """Although they ask for three bases and in two codings."""
    shelf.delay = 0.2

    def ask(number: int) -> bytes:
        coding = [ACCEPT_GZIP] if number % 2 else []
        answer = cache.get("/npm/left", [("Host", f"host-{number % 3}.test"), ACCEPT_FULL, *coding])
        assert answer.status == 200 and answer.complete
        return gzip.decompress(answer.body) if coding else answer.body
    bodies = Crowd(30).run(ask)
    assert len(set(bodies)) == 3
    assert len(shelf.asked("left").packuments) == 1


def test_a_client_that_names_no_host(cache, shelf, left):
    """HTTP/1.0: nobody can say where links should lead; a tarball has none."""
    with cache.connect() as connection:
        connection.send(b"GET /npm/left HTTP/1.0\r\n\r\n")
        assert error_of(connection.response())
    with cache.connect() as connection:
        connection.send(b"GET /npm/left/-/left-1.0.0.tgz HTTP/1.0\r\n\r\n")
        assert connection.response().body == left[0].data


def test_what_is_held_outlives_a_restart(cache, shelf, left):
    first = hit(cache, "/npm/left", ACCEPT_ABBREVIATED, ACCEPT_GZIP)
    cache.restart()
    again = get(cache, "/npm/left", ACCEPT_ABBREVIATED, ACCEPT_GZIP)
    assert (again.body, again.header("ETag")) == (first.body, first.header("ETag"))
    assert "hit" in again.cache
    assert len(shelf.asked("left").packuments) == 1
