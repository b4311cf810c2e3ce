"""Index pages of a PyPI route: forms, links, redirects, validators, codings."""

import gzip
import json
import time
import urllib.parse

import pytest

from harness.faulty import Gate, Reply
from harness.httpclient import Crowd, fetch
from harness.net import free_port, until
from harness.pypi_index import (ACCEPT_HTML, ACCEPT_JSON, ACCEPT_PIP, HTML_TYPE, JSON_TYPE,
                                PLAIN_HTML, Upload, hexdigest, make_wheel)
from harness.pypi_pages import decoded, links, resolve, restored

pytestmark = pytest.mark.quick

PAGE = "/pypi/simple/demo/"
FORMS = {"json": ACCEPT_JSON, "html": ACCEPT_HTML}
# Two names of one form: everybody who takes one takes the other.
HTML_TYPES = (HTML_TYPE, PLAIN_HTML)
# Keys of no standard, and numbers that a careless reader of JSON spoils.
ODD = {"_odd": [12345678901234567890, 1e22, -0.0, None, {"url": 7, "files": []}],
       "x": "\u65e5\u672c \ud83d\ude00 \" \\ / </script>"}


def add_demo(index):
    """A project `demo` that uses all that pages may say."""
    yanked = make_wheel("demo", "2.0")
    yanked.yanked = 'broken & "bad" <really>'
    signed = Upload("demo-1.0.tar.gz", b"not a real archive", more={
        "gpg-sig": True, "_signature": "a signature", **ODD})
    attested = make_wheel("demo", "3.0")
    attested.provenance = f"{index.files.url}{attested.path}.provenance"
    unlisted = make_wheel("demo", "4.0")
    unlisted.hashes = {}
    index.add("demo", make_wheel("demo", "1.0"), yanked, signed, attested, unlisted, more={
        **ODD, "tracks": ["https://tracked.example.com/simple/demo/"],
        "alternate-locations": ["https://other.example.com/simple/demo/"]})


@pytest.fixture(scope="module")
def index(shared_index):
    """For tests that change nothing."""
    add_demo(shared_index)
    return shared_index


@pytest.fixture(scope="module")
def cache(shared_pypi, index):
    return shared_pypi


@pytest.fixture
def own_index(make_index):
    made = make_index()
    add_demo(made)
    return made


@pytest.fixture
def own_cache(start_daemon, own_index):
    return start_daemon(own_index.route())


# -- forms ----------------------------------------------------------------------------------

def test_a_json_page_is_the_upstreams_but_for_the_links(cache, index):
    answer = cache.get(PAGE, [ACCEPT_JSON])
    assert answer.header("Content-Type") == JSON_TYPE
    assert answer.body != index.json_page("demo")
    assert restored(answer.body) == index.json_page("demo")


def test_an_html_page_is_the_upstreams_but_for_the_links(cache, index):
    answer = cache.get(PAGE, [ACCEPT_HTML])
    assert answer.header("Content-Type").split(";")[0] in HTML_TYPES
    assert answer.body != index.html_page("demo")
    assert restored(answer.body) == index.html_page("demo")


@pytest.mark.parametrize("form", FORMS)
def test_links_are_relative_reversible_and_keep_their_hash(cache, index, form):
    found = links(cache.get(PAGE, [FORMS[form]]), PAGE)
    uploads = {upload.filename: upload for upload in index.projects["demo"].uploads}
    assert found.keys() == uploads.keys()
    for name, link in found.items():
        upload = uploads[name]
        assert link.href.split("#")[0] == f"files/{index.file_host}{upload.path}"
        assert link.target == f"{PAGE}files/{index.file_host}{upload.path}"
        if form == "html" and upload.listed:
            assert link.fragment == f"sha256={hexdigest(upload.data)}"


def test_what_json_says_of_a_file_is_kept(cache):
    found = links(cache.get(PAGE, [ACCEPT_JSON]), PAGE)
    yanked, plain = found["demo-2.0-py3-none-any.whl"].more, found["demo-1.0-py3-none-any.whl"].more
    assert yanked["yanked"] == 'broken & "bad" <really>' and plain["yanked"] is False
    for key in ("core-metadata", "data-dist-info-metadata", "upload-time", "size", "hashes"):
        assert plain[key]
    assert "dist-info-metadata" not in plain, "that key crashes pip of 2022 (PEP 714)"


def test_what_html_says_of_a_file_is_kept(cache):
    found = links(cache.get(PAGE, [ACCEPT_HTML]), PAGE)
    yanked, plain = found["demo-2.0-py3-none-any.whl"].more, found["demo-1.0-py3-none-any.whl"].more
    assert yanked["data-yanked"] == 'broken & "bad" <really>' and "data-yanked" not in plain
    assert plain["data-requires-python"] == ">=3.8"
    assert plain["data-core-metadata"] == plain["data-dist-info-metadata"]
    assert plain["data-core-metadata"].startswith("sha256=")


@pytest.mark.parametrize("form", FORMS)
def test_a_yank_is_undone_when_the_upstream_undoes_it(start_daemon, own_index, form):
    daemon = start_daemon(own_index.route(ttl="300ms", stale_while_refreshing="0s", patience="5s"))
    before = daemon.get(PAGE, [FORMS[form]]).body
    own_index.projects["demo"].uploads[1].yanked = False
    assert b"really" in before
    until(lambda: b"really" not in daemon.get(PAGE, [FORMS[form]]).body, 10, "no yank", 0.1)


@pytest.mark.parametrize("accept, form", [
    (None, "html"), ("*/*", "html"), (PLAIN_HTML, "html"), (HTML_TYPE, "html"),
    (JSON_TYPE, "json"), (ACCEPT_PIP[1], "json"),
    (f"{JSON_TYPE};q=0.2, {PLAIN_HTML};q=0.7", "html"),
    (f"{JSON_TYPE};q=0, {HTML_TYPE};q=0.1", "html"),
    (f"{JSON_TYPE};q=0.001", "json"), (JSON_TYPE.upper(), "json"),
    ("application/vnd.pypi.simple.latest+json", "json"),
    (f"image/png, {HTML_TYPE}; q=0.3;", "html")])
def test_the_form_is_negotiated(cache, accept, form):
    answer = cache.get(PAGE, [("Accept", accept)] if accept else [])
    assert answer.status == 200
    assert answer.header("Content-Type").split(";")[0] in (
        HTML_TYPES if form == "html" else (JSON_TYPE,))
    assert "accept" in answer.header("Vary").lower().replace("accept-encoding", "")
    assert links(answer, PAGE)


def test_who_takes_no_form_of_a_page_gets_406_or_plain_html(cache):
    answer = cache.get(PAGE, [("Accept", "image/png")])
    assert (answer.status, answer.header("Content-Type").split(";")[0]) in (
        (406, "text/plain"), (200, PLAIN_HTML))


def test_an_upstream_without_json_serves_everybody_html(own_cache, own_index):
    own_index.speaks_json = False
    answer = own_cache.get(PAGE, [ACCEPT_PIP])
    assert (answer.status, answer.header("Content-Type").split(";")[0]) == (200, PLAIN_HTML)
    assert len(links(answer, PAGE)) == 5
    only_json = own_cache.get(PAGE, [ACCEPT_JSON])
    assert only_json.status == 406 or only_json.header("Content-Type").startswith(PLAIN_HTML)


# -- names ----------------------------------------------------------------------------------

@pytest.mark.parametrize("given, right", [
    ("/pypi/simple", "/pypi/simple/"), ("/pypi/simple/demo", "/pypi/simple/demo/"),
    ("/pypi/simple/Demo/", "/pypi/simple/demo/"), ("/pypi/simple/DEMO", "/pypi/simple/demo/"),
    ("/pypi/simple/a.b__c-.-D/", "/pypi/simple/a-b-c-d/"),
    ("/pypi/simple/a.b", "/pypi/simple/a-b/"),
    ("/pypi/simple/Demo/?a=b", "/pypi/simple/demo/?a=b")])
def test_names_are_normalised_by_redirect(cache, index, given, right):
    index.forget()
    for host in ("cache.test", "evil.test:81"):
        answer = cache.get(given, [("Host", host), ACCEPT_PIP])
        assert answer.status == 301
        location = answer.header("Location")
        assert "evil" not in location and "//" not in location
        assert urllib.parse.urljoin(given, location).split("?")[0] == right.split("?")[0]
    assert index.pages.requests == []


@pytest.mark.parametrize("name", ["-demo", "demo-", ".", "de%20mo", "de%2fmo", "demo%00", "d\xe9mo",
                                  "%64emo%", "demo;x", "a" * 2000])
def test_a_name_that_can_name_nothing_is_refused(cache, index, name):
    index.forget()
    target = urllib.parse.quote(f"/pypi/simple/{name}/", safe="/%;")
    assert cache.get(target, [ACCEPT_PIP]).status in (400, 404)
    assert index.pages.requests == []


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_project_is_404_in_words(own_cache, own_index, form):
    answer = own_cache.get("/pypi/simple/absent/", [FORMS[form]])
    assert answer.status == 404
    assert answer.header("Content-Type").split(";")[0] == "text/plain"
    assert b"absent" in answer.body
    own_cache.get("/pypi/simple/absent/", [FORMS[form]])
    assert len(own_index.pages.requests) == 1, "a 404 is kept for a short while"


def test_other_paths_are_404_in_words(cache, index):
    index.forget()
    for target in ("/pypi/", "/pypi/other", "/pypi/simple/demo/x", "/pypi/simple/demo/files/",
                   "/pypi/pypi/demo", "/pypi/pypi/demo/json/x/y"):
        answer = cache.get(target)
        assert answer.status == 404 and answer.body, target
        assert answer.header("Content-Type").split(";")[0] == "text/plain"
    assert index.requests == []


# -- the list of projects, legacy JSON ------------------------------------------------------

@pytest.mark.parametrize("form", FORMS)
def test_the_list_of_projects(own_cache, own_index, form):
    own_index.add_wheel("another")
    answer = own_cache.get("/pypi/simple/", [FORMS[form]])
    assert answer.status == 200
    assert answer.header("X-PyPI-Last-Serial") == "1000"
    if form == "json":
        assert answer.body == own_index.root_page(JSON_TYPE)
    else:
        href = answer.body.split(b'href="')[1].split(b'"')[0].decode()
        assert resolve("/pypi/simple/", href)[0] == "/pypi/simple/demo/"


@pytest.mark.parametrize("target, count", [("/pypi/pypi/demo/json", 6),
                                           ("/pypi/pypi/demo/1.0/json", 2)])
def test_legacy_json_leads_to_files_here(cache, index, target, count):
    answer = cache.get(target)
    assert answer.status == 200
    assert answer.header("Content-Type").split(";")[0] == "application/json"
    version = "1.0" if "1.0" in target else None
    ours, theirs = json.loads(answer.body), json.loads(index.legacy_page("demo", version))
    lists = [ours["urls"], *ours.get("releases", {}).values()]
    originals = [theirs["urls"], *theirs.get("releases", {}).values()]
    files = [(file, original) for one, other in zip(lists, originals)
             for file, original in zip(one, other, strict=True)]
    assert len(files) == count
    for file, original in files:
        path, _ = resolve(target, file["url"])
        assert path == f"{PAGE}files/{original['url'].removeprefix('http://')}"
        file["url"] = original["url"]
    assert ours == theirs, "only the links to files may differ"
    downloaded = cache.get(resolve(target, json.loads(answer.body)["urls"][0]["url"])[0])
    assert downloaded.status == 200 and len(downloaded.body) == theirs["urls"][0]["size"]


def test_legacy_json_of_an_unknown_version_is_404(cache):
    assert cache.get("/pypi/pypi/demo/9.9/json").status == 404
    assert cache.get("/pypi/pypi/absent/json").status == 404


# -- validators and codings -----------------------------------------------------------------

@pytest.mark.parametrize("target", [PAGE, "/pypi/simple/", "/pypi/pypi/demo/json"])
def test_who_holds_the_page_gets_304(cache, target):
    first = cache.get(target, [ACCEPT_JSON])
    again = cache.get(target, [ACCEPT_JSON, ("If-None-Match", first.header("ETag"))])
    assert (again.status, again.body) == (304, b"")
    assert again.header("ETag") == first.header("ETag")
    other = cache.get(target, [ACCEPT_JSON, ("If-None-Match", '"another"')])
    assert (other.status, other.body) == (200, first.body)


def test_every_form_and_coding_has_an_etag_of_its_own(cache):
    seen = {}
    for form, accept in FORMS.items():
        for coding in ("identity", "gzip"):
            answer = cache.get(PAGE, [accept, ("Accept-Encoding", coding)])
            seen[form, coding] = answer.header("ETag")
    assert all(seen.values()) and len(set(seen.values())) == 4, seen
    wrong = cache.get(PAGE, [ACCEPT_JSON, ("If-None-Match", seen["html", "identity"])])
    assert wrong.status == 200


@pytest.mark.parametrize("upstream_gzips", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_pages_are_gzip_coded_for_who_takes_it(own_cache, own_index, form, upstream_gzips):
    own_index.sends_gzip = upstream_gzips
    plain = own_cache.get(PAGE, [FORMS[form]])
    assert plain.header("Content-Encoding") is None
    for _ in range(2):
        coded = own_cache.get(PAGE, [FORMS[form], ("Accept-Encoding", "br, gzip, deflate")])
        assert coded.header("Content-Encoding") == "gzip"
        assert gzip.decompress(coded.body) == plain.body
        assert "accept-encoding" in coded.header("Vary").lower()
    refused = own_cache.get(PAGE, [FORMS[form], ("Accept-Encoding", "gzip;q=0, identity")])
    assert refused.header("Content-Encoding") is None and refused.body == plain.body
    assert len(own_index.pages.requests) == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_refresh_asks_with_the_upstreams_own_validator(start_daemon, own_index, form):
    daemon = start_daemon(own_index.route(ttl="300ms", stale_while_refreshing="0s", patience="5s"))
    first = daemon.get(PAGE, [FORMS[form]])
    time.sleep(0.4)
    own_index.forget()
    again = daemon.get(PAGE, [FORMS[form]])
    assert (again.body, again.header("ETag")) == (first.body, first.header("ETag"))
    assert [seen.status for seen in own_index.pages.requests] == [304]
    assert int(again.cache.get("ttl", 0)) >= 0


@pytest.mark.parametrize("form", FORMS)
def test_a_new_file_shows_after_the_ttl(start_daemon, own_index, form):
    daemon = start_daemon(own_index.route(ttl="300ms", stale_while_refreshing="0s", patience="5s"))
    first = daemon.get(PAGE, [FORMS[form]])
    new = make_wheel("demo", "9.0")
    own_index.upload("demo", new)
    until(lambda: new.filename in links(daemon.get(PAGE, [FORMS[form]]), PAGE), 10,
          "the new file", 0.1)
    second = daemon.get(PAGE, [FORMS[form]])
    assert second.header("ETag") != first.header("ETag")
    assert daemon.get(links(second, PAGE)[new.filename].target).body == new.data


def test_the_serial_is_passed_on(cache):
    for accept in (ACCEPT_JSON, ACCEPT_HTML):
        assert cache.get(PAGE, [accept]).header("X-PyPI-Last-Serial") == "1000"


def test_clients_are_told_how_long_to_keep_what(start_daemon, own_index):
    daemon = start_daemon(own_index.route(ttl="20s"))
    page = daemon.get(PAGE, [ACCEPT_JSON])
    assert page.header("Cache-Control").replace(" ", "").split(",") == ["public", "max-age=20"]
    link = links(page, PAGE)["demo-1.0-py3-none-any.whl"]
    assert "immutable" in daemon.get(link.target).header("Cache-Control")


def test_a_head_request_says_what_a_get_would(cache):
    for accept in (ACCEPT_JSON, ACCEPT_HTML):
        answer, head = cache.get(PAGE, [accept]), cache.head(PAGE, [accept])
        assert (head.status, head.body) == (200, b"")
        for name in ("Content-Type", "ETag", "X-PyPI-Last-Serial"):
            assert head.header(name) == answer.header(name)


def test_one_upstream_request_serves_all_codings_of_a_form(own_cache, own_index):
    for coding in ("gzip", "identity"):
        for _ in range(2):
            decoded(own_cache.get(PAGE, [ACCEPT_JSON, ("Accept-Encoding", coding)]))
    assert len(own_index.pages.requests) == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_crowd_for_a_cold_page_costs_one_request(own_cache, own_index, form):
    bodies = Crowd(32).run(lambda _: own_cache.completed(PAGE, [FORMS[form]]))
    assert len(set(bodies)) == 1 and bodies[0]
    assert len(own_index.pages.requests) == 1


def test_a_page_streams(own_cache, own_index):
    """The first files arrive while the upstream holds back the rest."""
    own_index.add("long", *(make_wheel("long", f"1.{number}") for number in range(500)))
    body, gate = own_index.json_page("long"), Gate()
    own_index.pages.script("/simple/long/", Reply(
        headers={"Content-Type": JSON_TYPE}, body=body, hold_at=len(body) // 2, gate=gate))
    with own_cache.connect() as client:
        client.request("GET", "/pypi/simple/long/", [ACCEPT_JSON])
        head = client.read_head()
        parts = client.body_parts(head)
        received = next(parts)
        gate.open()
        assert restored(received + b"".join(parts)) == body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_writes_are_refused_in_words(cache, index, method):
    index.forget()
    answer = fetch(cache.address, method, "/pypi/", body=b"a wheel")
    assert answer.status == 405 and "GET" in answer.header("Allow")
    assert answer.header("Content-Type").split(";")[0] == "text/plain" and answer.body
    assert index.requests == []


# -- which upstream -------------------------------------------------------------------------

def test_the_next_upstream_is_asked_when_one_fails(start_daemon, make_index, own_index):
    """Links of its pages lead to its own files."""
    first = make_index()
    first.fail(Reply(503))
    own_index.own_files = True
    daemon = start_daemon(first.route(upstreams=[{"url": first.url}, {"url": own_index.url}]))
    upload = own_index.projects["demo"].uploads[0]
    assert links(daemon.get(PAGE, [ACCEPT_JSON]), PAGE)[upload.filename].target == \
        own_index.target("demo", upload)
    assert daemon.completed(own_index.target("demo", upload)) == upload.data


def test_an_upstream_may_be_the_simple_index_itself(start_daemon, own_index):
    """As indexes that live below a path of their own are."""
    daemon = start_daemon(own_index.route(upstreams=[{"url": f"{own_index.url}/simple"}]))
    upload = own_index.projects["demo"].uploads[0]
    target = links(daemon.get(PAGE, [ACCEPT_JSON]), PAGE)[upload.filename].target
    assert daemon.completed(target) == upload.data
    assert daemon.get("/pypi/pypi/demo/json").status == 404


# -- where the route is ---------------------------------------------------------------------

@pytest.mark.parametrize("selected_by", ["host", "listener"])
def test_a_route_without_a_prefix(make_daemon, own_index, selected_by):
    port = free_port()
    route = {name: value for name, value in own_index.route().items() if name != "prefix"}
    listen = {"address": f"127.0.0.1:{port}"}
    if selected_by == "host":
        route["hosts"] = ["pypi.test"]
    else:
        listen["route"] = "pypi"
    daemon = make_daemon(route, port=port, listen=[listen]).start()
    host = ("Host", "pypi.test")
    assert daemon.get("/simple/Demo", [host]).status == 301
    found = links(daemon.get("/simple/demo/", [ACCEPT_JSON, host]), "/simple/demo/")
    upload = own_index.projects["demo"].uploads[0]
    target = found[upload.filename].target
    assert target == own_index.target("demo", upload, prefix="")
    assert daemon.completed(target, [host]) == upload.data


# -- whose links ----------------------------------------------------------------------------

@pytest.mark.parametrize("fields", [
    [("Host", "evil.test")], [("Host", "evil.test:8080")],
    [("Host", "cache.test"), ("X-Forwarded-Host", "evil.test"), ("X-Forwarded-Proto", "https")],
    [("Host", "cache.test"), ("Forwarded", "host=evil.test;proto=https")],
    [("Host", "cache.test"), ("X-Forwarded-Prefix", "/evil.test")]])
def test_a_clients_host_field_is_in_nobodys_links(cache, fields):
    for accept in (ACCEPT_JSON, ACCEPT_HTML):
        poisoned = cache.get(PAGE, [accept, *fields])
        honest = cache.get(PAGE, [accept])
        assert poisoned.status == 200 and b"evil" not in poisoned.body
        assert poisoned.body == honest.body
