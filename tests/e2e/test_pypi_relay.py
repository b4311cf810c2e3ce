"""`cache: false` on a PyPI route: the same answers, made on the fly, and nothing is kept."""

import gzip

import pytest

from harness.faulty import Gate, Reply
from harness.net import free_port
from harness.pypi_index import ACCEPT_HTML, ACCEPT_JSON, ACCEPT_PIP, hexdigest, make_wheel
from harness.pypi_pages import links, restored
from harness.tokens import basic

pytestmark = pytest.mark.quick

PAGE = "/pypi/simple/demo/"
FORMS = {"json": ACCEPT_JSON, "html": ACCEPT_HTML}


@pytest.fixture
def cache(start_daemon, index, wheel):
    return start_daemon(index.route(cache=False),
                        egress={"response_timeout": "1s", "stall_timeout": "500ms"})


@pytest.mark.parametrize("form", FORMS)
def test_pages_have_our_links_and_come_from_the_upstream_each_time(cache, index, wheel_target,
                                                                   form):
    for count in (1, 2, 3):
        answer = cache.get(PAGE, [FORMS[form]])
        original = index.json_page("demo") if form == "json" else index.html_page("demo")
        assert answer.status == 200 and restored(answer.body) == original != answer.body
        assert [link.target for link in links(answer, PAGE).values()] == [wheel_target]
        assert len(index.pages.requests) == count
    assert "hit" not in answer.cache


def test_a_change_shows_at_once(cache, index):
    before = cache.completed(PAGE, [ACCEPT_JSON])
    index.upload("demo", make_wheel("demo", "2.0"))
    assert cache.completed(PAGE, [ACCEPT_JSON]) not in (None, before)


def test_gzip_and_legacy_json_work_too(cache, index, wheel_target):
    coded = cache.get(PAGE, [ACCEPT_JSON, ("Accept-Encoding", "gzip")])
    body = gzip.decompress(coded.body) if coded.header("Content-Encoding") else coded.body
    assert restored(body) == index.json_page("demo")
    assert wheel_target.split("/files/")[1].encode() in cache.completed("/pypi/pypi/demo/json")


def test_files_are_relayed_and_nothing_is_stored(cache, index, wheel, wheel_target):
    for count in (1, 2):
        assert cache.completed(wheel_target) == wheel.data
        assert cache.completed(f"{wheel_target}.metadata") == wheel.metadata
        assert len(index.file_gets(wheel.filename)) == count
    assert cache.stored_files() == []
    index.stop()
    for target in (PAGE, wheel_target, f"{wheel_target}.metadata"):
        assert cache.get(target, [ACCEPT_JSON]).status == 503


def test_a_file_streams(cache, index, wheel, wheel_target):
    """The first bytes arrive while the upstream holds back the rest."""
    gate = Gate()
    index.files.script(wheel.path, Reply(body=wheel.data, hold_at=100_000, gate=gate))
    with cache.connect() as client:
        client.request("GET", wheel_target)
        assert client.read_head().status == 200
        first = client.read_exactly(50_000)
        gate.open()
        assert first + client.read_exactly(len(wheel.data) - 50_000) == wheel.data


def test_the_same_is_refused(cache, start_daemon, index, wheel_target):
    other = make_wheel("other")
    index.add("other", other)
    assert cache.get(index.target("demo", other)).status == 404
    assert cache.get(f"{PAGE}files/169.254.169.254/x.whl").status in (403, 404)
    assert cache.get("/pypi/simple/absent/", [ACCEPT_PIP]).status == 404
    assert cache.get("/pypi/simple/%2e%2e/x/").status in (400, 404)
    strict = start_daemon(index.route(cache=False, file_hosts=[f"127.0.0.1:{free_port()}"]))
    assert strict.get(wheel_target).status == 403
    assert index.files.requests == []


@pytest.mark.parametrize("reply", [Reply(500), Reply(503), Reply(429), Reply(raw=b"")],
                         ids=["500", "503", "429", "closed"])
def test_a_failing_upstream_is_no_404(cache, index, wheel_target, reply):
    index.fail(reply)
    for target in (PAGE, wheel_target):
        assert cache.get(target, [ACCEPT_JSON]).status in (429, 500, 502, 503, 504)


def test_no_client_completes_a_wrong_file(cache, index, wheel, wheel_target):
    index.files.script(wheel.path, Reply(body=wheel.data[:-1] + b"x"))
    assert cache.completed(wheel_target) is None
    wheel.hashes = {"sha256": hexdigest(b"other")}
    index.files.script(wheel.path, index.files.fallback)
    assert cache.completed(wheel_target) is None
    wheel.hashes = None
    assert cache.completed(wheel_target) == wheel.data


def test_a_broken_upstream_breaks_the_answer(cache, index, wheel, wheel_target):
    index.files.script(wheel.path, Reply(body=wheel.data[:1000], length=len(wheel.data)))
    assert cache.completed(wheel_target) is None
    index.pages.script("/simple/demo/", Reply(
        headers={"Content-Type": "application/vnd.pypi.simple.v1+json"}, body=b'{"files": [{"'))
    assert cache.completed(PAGE, [ACCEPT_JSON]) is None


def test_passthrough_works_without_a_cache_too(start_daemon, index, wheel):
    index.own_files, index.accounts = True, {"alice": "a", "bob": "b"}
    index.projects["demo"].readers = {"alice"}
    daemon = start_daemon(index.route(cache=False, auth="passthrough"))
    alice, bob = ([("Authorization", basic(*account))] for account in index.accounts.items())
    target = index.target("demo", wheel)
    for _ in range(2):
        assert daemon.completed(PAGE, [ACCEPT_JSON, *alice])
        assert daemon.completed(target, alice) == wheel.data
        assert daemon.completed(target, bob) is None and daemon.completed(target) is None
    assert daemon.stored_files() == []
