"""Files of a PyPI route: only what a held page names, verified, from allowed hosts alone."""

import socket
import time

import pytest

from harness.faulty import Reply
from harness.httpclient import Crowd
from harness.images import random_bytes
from harness.net import free_port, until
from harness.pypi_index import ACCEPT_HTML, ACCEPT_JSON, hexdigest, make_wheel
from harness.pypi_pages import links

pytestmark = pytest.mark.quick

PAGE = "/pypi/simple/demo/"
FORMS = {"json": ACCEPT_JSON, "html": ACCEPT_HTML}


@pytest.fixture
def cache(start_daemon, index):
    return start_daemon(index.route(negative_ttl="250ms"))


# -- what is served -------------------------------------------------------------------------

@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_fetched_once_and_kept(cache, index, wheel, wheel_target, form):
    link = links(cache.get(PAGE, [FORMS[form]]), PAGE)[wheel.filename]
    assert link.target == wheel_target
    for _ in range(3):
        answer = cache.get(wheel_target)
        assert (answer.status, answer.body) == (200, wheel.data)
    assert answer.cache.keys() >= {"hit"}
    assert index.file_gets() == [wheel.filename]
    cache.wait_stored(wheel.digest)


def test_a_file_is_served_when_the_upstream_is_gone(cache, index, wheel, wheel_target):
    assert cache.completed(wheel_target) == wheel.data
    cache.wait_stored(wheel.digest)
    index.stop()
    assert cache.completed(wheel_target) == wheel.data
    assert cache.completed(PAGE, [ACCEPT_JSON]) is not None


@pytest.mark.parametrize("speaks_json", [True, False])
def test_a_lockfile_that_leads_straight_to_a_file_works_on_a_cold_cache(cache, index, wheel,
                                                                        wheel_target, speaks_json):
    """The cache fetches the page itself."""
    index.speaks_json = speaks_json
    answer = cache.get(wheel_target)
    assert (answer.status, answer.body) == (200, wheel.data)
    assert [seen.path for seen in index.requests] == ["/simple/demo/", wheel.path]


@pytest.mark.parametrize("metadata_first", [True, False])
def test_metadata_is_served_and_is_the_wheels(cache, index, wheel, wheel_target, metadata_first):
    if not metadata_first:
        assert cache.completed(wheel_target) == wheel.data
    for _ in range(2):
        answer = cache.get(f"{wheel_target}.metadata")
        assert (answer.status, answer.body) == (200, wheel.metadata)
    assert index.file_gets(f"{wheel.filename}.metadata") == [f"{wheel.filename}.metadata"]


def test_metadata_is_verified(cache, wheel, wheel_target):
    listed = {"sha256": hexdigest(b"other metadata")}
    wheel.more = {"core-metadata": listed, "data-dist-info-metadata": listed}
    assert cache.completed(f"{wheel_target}.metadata") is None


def test_what_stands_beside_a_file_is_served_too(cache, index, wheel, wheel_target):
    wheel.more = {"gpg-sig": True, "_signature": "a signature"}
    wheel.provenance = f"{index.files.url}{wheel.path}.provenance"
    assert cache.completed(f"{wheel_target}.asc") == b"a signature"
    assert cache.completed(f"{wheel_target}.provenance") == b'{"version": 1}'
    assert cache.get(f"{wheel_target}.sig").status == 404


def test_a_provenance_may_change(start_daemon, index, wheel, wheel_target):
    wheel.provenance = f"{index.files.url}{wheel.path}.provenance"
    daemon = start_daemon(index.route(ttl="300ms", stale_while_refreshing="0s"))
    assert daemon.completed(f"{wheel_target}.provenance") == b'{"version": 1}'
    index.files.script(f"{wheel.path}.provenance", Reply(body=b'{"version": 2}'))
    until(lambda: daemon.completed(f"{wheel_target}.provenance") == b'{"version": 2}', 10,
          "the new provenance", 0.1)


@pytest.mark.parametrize("listed, asked", [
    ("demo-1.0+cpu.whl", "demo-1.0%2Bcpu.whl"), ("demo-1.0%2Bcpu.whl", "demo-1.0+cpu.whl"),
    ("demo-1!2.0~x.whl", "demo-1%212.0%7Ex.whl"), ("demo%20a.whl", "demo%20a.whl"),
    ("d%C3%A9mo.whl", "d%c3%a9mo.whl")])
def test_clients_spell_paths_anew(cache, index, listed, asked):
    """pip quotes a link again before it asks: "+" and ":" come escaped."""
    odd = make_wheel("demo")
    odd.url = f"{index.files.url}/odd/{listed}"
    index.add("demo", odd)
    index.files.script(f"/odd/{listed}", Reply(body=odd.data))
    for host in (index.file_host, index.file_host.replace(":", "%3A")):
        assert cache.completed(f"{PAGE}files/{host}/odd/{asked}") == odd.data
    assert [seen.target for seen in index.files.requests] == [f"/odd/{listed}"]


def test_parts_of_a_file(cache, wheel, wheel_target):
    """As pip and uv read the directory at the end of a wheel."""
    assert cache.head(wheel_target).header("Accept-Ranges") == "bytes"
    for _ in range(2):
        answer = cache.get(wheel_target, [("Range", "bytes=-1000")])
        assert (answer.status, answer.body) == (206, wheel.data[-1000:])
    whole = cache.get(wheel_target)
    again = cache.get(wheel_target, [("Range", "bytes=5-9"), ("If-Range", whole.header("ETag"))])
    assert (again.status, again.body) == (206, wheel.data[5:10])


def test_a_crowd_for_a_cold_file_costs_one_page_and_one_file(cache, index, wheel, wheel_target):
    bodies = Crowd(16).run(lambda _: cache.completed(wheel_target))
    assert bodies == [wheel.data] * 16
    assert [seen.path for seen in index.requests] == ["/simple/demo/", wheel.path]


def test_a_files_bytes_are_not_coded(cache, wheel, wheel_target, index):
    """pip hashes the raw bytes."""
    answer = cache.get(wheel_target, [("Accept-Encoding", "gzip, deflate, br")])
    assert answer.body == wheel.data and answer.header("Content-Encoding") is None
    assert index.files.requests[-1].header("Accept-Encoding") in (None, "identity")


# -- what no page names ---------------------------------------------------------------------

def test_a_file_that_no_page_names_is_404_and_is_not_fetched(cache, index, wheel, wheel_target):
    other = make_wheel("other", data=random_bytes(100_000, "other"))
    index.add("other", other)
    for path in (other.path, f"{wheel.path}.exe", "/packages/x.whl", "/"):
        assert cache.get(f"{PAGE}files/{index.file_host}{path}").status == 404
    assert index.files.requests == [] and cache.stored_files() == []
    assert cache.completed(wheel_target) == wheel.data, "the page names this one"


def test_a_file_of_an_unknown_project_is_404(cache, index, wheel):
    answer = cache.get(f"/pypi/simple/absent/files/{index.file_host}{wheel.path}")
    assert answer.status == 404
    assert index.files.requests == []


def test_a_file_newer_than_the_held_page_is_found(cache, index):
    """The page is asked for once more before the answer is 404."""
    index.add_wheel("demo")
    assert cache.completed(PAGE, [ACCEPT_JSON])
    new = make_wheel("demo", "2.0")
    assert cache.get(index.target("demo", new)).status == 404
    index.upload("demo", new)
    time.sleep(0.35)
    until(lambda: cache.completed(index.target("demo", new)) == new.data, 5, "the new file")
    time.sleep(0.35)
    index.forget()
    for _ in range(10):
        assert cache.get(index.target("demo", make_wheel("demo", "3.0"))).status == 404
    assert len(index.requests) <= 2, "absent files must not make a storm of pages"


def test_a_file_whose_name_is_like_another_is_not_taken_for_it(cache, index, wheel):
    for path in (wheel.path[:-1], wheel.path.upper(), wheel.path + "/", "/x" + wheel.path,
                 wheel.path + "?x=1", wheel.path.replace("/packages", "//packages")):
        assert cache.get(f"{PAGE}files/{index.file_host}{path}").status in (400, 404), path
    assert index.files.requests == []


# -- which hosts ----------------------------------------------------------------------------

def test_a_host_that_is_not_allowed_is_refused_in_words(start_daemon, index, wheel, wheel_target):
    daemon = start_daemon(index.route(file_hosts=[]))
    assert links(daemon.get(PAGE, [ACCEPT_JSON]), PAGE)[wheel.filename].target == wheel_target
    answer = daemon.get(wheel_target)
    assert answer.status == 403
    assert answer.header("Content-Type").split(";")[0] == "text/plain"
    assert b"file_hosts" in answer.body
    assert index.files.requests == []


@pytest.mark.parametrize("allowed", ["127.0.0.1", "127.0.0.1:PORT"])
def test_a_host_may_be_allowed_on_any_port_or_on_one(start_daemon, index, wheel, wheel_target,
                                                     allowed):
    daemon = start_daemon(index.route(file_hosts=[allowed.replace("PORT", str(index.files.port))]))
    assert daemon.completed(wheel_target) == wheel.data


def test_another_port_of_an_allowed_host_is_refused(start_daemon, index, wheel_target):
    daemon = start_daemon(index.route(file_hosts=[f"127.0.0.1:{free_port()}"]))
    assert daemon.get(wheel_target).status == 403
    assert index.files.requests == []


def test_a_file_hosts_address_in_words_is_resolved_and_used(start_daemon, index, wheel):
    """By name: the upstream is on loopback, so a name for loopback is right."""
    if socket.gethostbyname("localhost") != "127.0.0.1":
        pytest.skip("localhost is not 127.0.0.1 here")
    host = f"localhost:{index.files.port}"
    wheel.url = f"http://{host}{wheel.path}"
    daemon = start_daemon(index.route(file_hosts=["localhost"]))
    link = links(daemon.get(PAGE, [ACCEPT_JSON]), PAGE)[wheel.filename]
    assert daemon.completed(link.target) == wheel.data


# Where clouds keep what machines must not tell. Other kinds are in the unit tests: what is tried in
# vain here would leave the machine.
PRIVATE = ["169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]"]


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_private_address_is_refused_though_it_is_allowed(start_daemon, index, is_listed):
    """An index must not make the cache ask machines behind the wall."""
    bad = [make_wheel("demo", f"1.{number}") for number in range(len(PRIVATE))]
    for upload, host in zip(bad, PRIVATE):
        upload.url = f"http://{host}/latest/{upload.filename}"
    index.add("demo", *bad)
    daemon = start_daemon(index.route(**({"file_hosts": PRIVATE} if is_listed else {})))
    found = links(daemon.get(PAGE, [ACCEPT_JSON]), PAGE)
    for upload, host in zip(bad, PRIVATE):
        leads_to = found[upload.filename].target
        asked = {f"{PAGE}files/{host}/latest/{upload.filename}"}
        if leads_to != "about:invalid":
            assert leads_to.startswith(f"{PAGE}files/")
            asked.add(leads_to)
        for target in asked:
            begin = time.monotonic()
            assert daemon.get(target).status in (400, 403), target
            assert time.monotonic() - begin < 0.5, f"{host} was tried"
    assert daemon.stored_files() == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "017700000001", "127.1"])
def test_a_host_in_disguise_is_not_the_allowed_one(shared_pypi, shared_index, host):
    name = f"disguised-{host}".replace(".", "-")
    wheel = make_wheel(name)
    port = shared_index.files.port
    wheel.url = f"http://{host}:{port}{wheel.path}"
    shared_index.add(name, wheel)
    answer = shared_pypi.get(f"/pypi/simple/{name}/files/{host}:{port}{wheel.path}")
    assert answer.status in (400, 403)
    assert not shared_index.files.seen("GET", wheel.filename)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x",
                                 "dict://127.0.0.1/x", "http:///x"])
def test_other_schemes_are_refused(shared_pypi, shared_index, url):
    shared_index.files.forget()
    for path in (url, url.split("://")[1], url.replace(":", "%3A")):
        answer = shared_pypi.get(f"{PAGE}files/{path}")
        assert answer.status in (400, 403, 404) and b"root:" not in answer.body
    assert shared_index.files.requests == [] and shared_pypi.stored_files() == []


def test_a_redirect_to_a_foreign_or_private_host_is_not_followed(cache, index, wheel, wheel_target,
                                                                 make_faulty):
    stranger = make_faulty()
    stranger.fallback = Reply(body=wheel.data)
    index.files.script(wheel.path, Reply(302, {"Location": "http://169.254.169.254/x"}))
    begin = time.monotonic()
    assert cache.completed(wheel_target) is None
    assert time.monotonic() - begin < 4
    index.files.script(wheel.path, Reply(302, {"Location": f"{index.pages.url}/moved"}))
    index.pages.script("/moved", Reply(body=wheel.data))
    until(lambda: cache.completed(wheel_target) == wheel.data, 10, "the honest redirect", 0.3)


# -- dots in every encoding -----------------------------------------------------------------

DOTS = ["..", "%2e%2e", "%2E%2e", ".%2e", "%2e.", "..%2f", "..%2F", "%2e%2e%2f", "..%5c", "..%5C",
        "..;", "%252e%252e", "%252e%252e%252f", "%c0%ae%c0%ae", "%uff0e%uff0e", "..%00", "..%0d%0a",
        "...%2f.", ".", "%2e", "%2f..", "%5c%2e%2e"]


@pytest.mark.parametrize("dots", DOTS)
def test_dots_lead_nowhere(shared_pypi, shared_index, dots):
    wheel = shared_index.add_wheel("dots")
    shared_index.forget()
    page, host = "/pypi/simple/dots/", shared_index.file_host
    for target in (f"{page}files/{host}/packages/{dots}/secret.whl",
                   f"{page}files/{host}/{dots}{wheel.path}",
                   f"{page}files/{dots}/{host}{wheel.path}",
                   f"/pypi/simple/{dots}/secret", f"/pypi/simple/{dots}/dots/",
                   f"{page}{dots}/other/", f"/pypi/{dots}/simple/dots/",
                   f"/pypi/pypi/{dots}/json", f"/pypi/pypi/dots/{dots}/json",
                   f"/{dots}/pypi/simple/dots/"):
        assert shared_pypi.get(target).status in (400, 403, 404), target
    asked = {seen.target for seen in shared_index.requests}
    assert asked <= {"/simple/dots/"}, "only the honest page may have been asked for"
    assert shared_pypi.stored_files() == []


# -- service mode ---------------------------------------------------------------------------

def test_a_clients_credentials_go_nowhere_in_service_mode(cache, index, wheel, wheel_target):
    mine = [("Authorization", "Basic c2VjcmV0OnNlY3JldA=="), ("Cookie", "a=b"),
            ("Proxy-Authorization", "Basic c2VjcmV0OnNlY3JldA==")]
    assert cache.completed(PAGE, [ACCEPT_JSON, *mine])
    assert cache.completed(wheel_target, mine) == wheel.data
    for seen in index.requests:
        for name in ("Authorization", "Cookie", "Proxy-Authorization"):
            assert seen.header(name) is None


def test_a_links_secrets_are_in_no_log(cache, index):
    """Links of some indexes are signed: who knows the query may fetch."""
    signed = make_wheel("demo")
    signed.url = f"{index.files.url}/get/{signed.filename}?X-Signature=5ecretOfTheLink"
    index.add("demo", signed)
    index.files.script(f"/get/{signed.filename}", Reply(body=signed.data))
    link = links(cache.get(PAGE, [ACCEPT_JSON]), PAGE)[signed.filename]
    assert cache.completed(link.target) == signed.data
    assert "5ecretOfTheLink" in index.files.requests[0].target
    cache.stop()
    assert "5ecret" not in cache.process.errors() + cache.process.output()
