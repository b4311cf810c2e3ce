"""A PyPI upstream that lies, breaks, fails or falls behind: no client completes a wrong answer,
nothing wrong is stored, what is held is served, and the next honest attempt succeeds."""

import time

import pytest

from harness.faulty import Reply, hanging
from harness.images import random_bytes
from harness.net import until
from harness.pypi_index import ACCEPT_HTML, ACCEPT_JSON, JSON_TYPE, hexdigest

quick = pytest.mark.quick
full = pytest.mark.full

PAGE = "/pypi/simple/demo/"
FORMS = {"json": ACCEPT_JSON, "html": ACCEPT_HTML}


@pytest.fixture
def cache(start_daemon, index):
    """Short waits: an upstream that stalls is given up."""
    return start_daemon(index.route(negative_ttl="500ms"),
                        egress={"response_timeout": "1s", "stall_timeout": "500ms"},
                        client={"wait_timeout": "5s"})


# -- lies -----------------------------------------------------------------------------------

def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


LIES = {
    "one bit flipped": lambda data: Reply(body=flipped(data)),
    "other bytes": lambda data: Reply(body=random_bytes(len(data), "lie")),
    "a shorter body, honest length": lambda data: Reply(body=data[:1000]),
    "a longer body, honest length": lambda data: Reply(body=data + b"more"),
    "more promised than sent": lambda data: Reply(body=data[:1000], length=len(data)),
    "no last chunk": lambda data: Reply(body=data[:1000], framing="unterminated"),
    "other bytes in chunks": lambda data: Reply(body=flipped(data), framing="chunked"),
    "short without a length": lambda data: Reply(body=data[:1000], framing="close"),
    "empty": lambda data: Reply(),
    "a login page": lambda data: Reply(headers={"Content-Type": "text/html"}, body=b"<html>hello"),
    "garbage": lambda data: Reply(raw=b"\0\xff\r\n\r\n"),
    "not modified, unasked": lambda data: Reply(304),
    "partial, unasked": lambda data: Reply(206, {"Content-Range": f"bytes 0-9/{len(data)}"},
                                           body=data[:10]),
}


@quick
@pytest.mark.parametrize("lie", LIES)
def test_no_client_completes_a_wrong_file(cache, index, wheel, wheel_target, lie):
    """Nothing wrong is stored, and the next honest attempt succeeds."""
    index.files.script(wheel.path, LIES[lie](wheel.data))
    assert cache.completed(wheel_target) is None
    assert not cache.blob_file(wheel.digest).exists()
    assert not any(name.startswith("blobs/") for name in cache.stored_files())
    index.files.script(wheel.path, index.files.fallback)
    until(lambda: cache.completed(wheel_target) == wheel.data, 5, "the honest attempt", 0.2)


HASHES = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]


@quick
@pytest.mark.parametrize("kind", HASHES)
@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_not_what_the_page_lists_is_refused(cache, index, wheel, wheel_target, kind,
                                                           form):
    wheel.hashes, index.speaks_json = {kind: hexdigest(b"other", kind)}, form == "json"
    assert cache.completed(wheel_target) is None
    assert not any(name.startswith("blobs/") for name in cache.stored_files())


@quick
def test_a_weak_hash_that_is_right_does_not_outvote_a_strong_one(cache, wheel, wheel_target):
    wheel.hashes = {"md5": hexdigest(wheel.data, "md5"), "sha256": hexdigest(b"other")}
    assert cache.completed(wheel_target) is None


@quick
@pytest.mark.parametrize("kind", [*HASHES, "blake2b"])
def test_every_kind_of_hash_that_pages_list_serves(cache, wheel, wheel_target, kind):
    """One that is not computed here is no reason to refuse: the client checks it."""
    wheel.hashes = {kind: hexdigest(wheel.data, kind)}
    assert cache.completed(wheel_target) == wheel.data


@quick
@pytest.mark.parametrize("size", [1, 199_999])
def test_a_file_that_is_longer_than_listed_is_refused(cache, wheel, wheel_target, size):
    wheel.size = size
    assert cache.completed(wheel_target) is None


@quick
def test_a_file_that_is_shorter_than_listed_is_refused(cache, wheel, wheel_target):
    """No hash vouches for it."""
    wheel.hashes, wheel.size = {}, len(wheel.data) + 1
    assert cache.completed(wheel_target) is None


# -- failures -------------------------------------------------------------------------------

FAILURES = {
    "429": Reply(429, {"Retry-After": "60"}), "500": Reply(500), "502": Reply(502),
    "503": Reply(503), "504": Reply(504), "hang": hanging(), "closed": Reply(raw=b""),
    "garbage": Reply(raw=b"garbage\r\n\r\n"),
}
TARGETS = {"page": PAGE, "list": "/pypi/simple/", "legacy": "/pypi/pypi/demo/json"}


# Every failure of one kind of page, two failures of the others; and those that take no time.
MATRIX = [(what, failure) for what in [*TARGETS, "file", "metadata"] for failure in FAILURES
          if what == "page" or failure in ("503", "hang")]
QUICK = [("page", "429"), ("page", "500"), ("page", "closed"), ("list", "503"), ("file", "503")]
SLOW = [row for row in MATRIX if row not in QUICK]


def check_unavailable(answer):
    assert answer.status == 503
    assert answer.header("Content-Type").split(";")[0] == "text/plain"
    assert int(answer.header("Retry-After")) > 0


@quick
@pytest.mark.parametrize("what, failure", QUICK)
def test_what_is_not_held_is_503_and_never_404(cache, index, wheel_target, what, failure):
    check_not_held(cache, index, wheel_target, what, failure)


@full
@pytest.mark.parametrize("what, failure", SLOW)
def test_what_is_not_held_is_503_and_never_404_either(cache, index, wheel_target, what, failure):
    check_not_held(cache, index, wheel_target, what, failure)


def check_not_held(cache, index, wheel_target, what: str, failure: str):
    index.fail(FAILURES[failure])
    target = {**TARGETS, "file": wheel_target, "metadata": f"{wheel_target}.metadata"}[what]
    begin = time.monotonic()
    check_unavailable(cache.get(target, [ACCEPT_JSON]))
    assert time.monotonic() - begin < 6


@full
def test_an_upstream_that_comes_back_is_used_again(cache, index, wheel, wheel_target):
    index.fail(Reply(503))
    for _ in range(3):
        check_unavailable(cache.get(wheel_target))
    index.mend()
    until(lambda: cache.completed(wheel_target) == wheel.data, 20, "the upstream to be used again",
          0.1)


@quick
@pytest.mark.parametrize("failure", [name for name in FAILURES if name != "hang"])
def test_a_file_of_a_held_page_is_503_when_its_host_fails(cache, index, wheel_target, failure):
    assert cache.completed(PAGE, [ACCEPT_JSON])
    index.files.fallback = FAILURES[failure]
    check_unavailable(cache.get(wheel_target))


@pytest.fixture
def stale_soon(start_daemon, index):
    return start_daemon(index.route(ttl="300ms", stale_while_refreshing="0s", patience="500ms"))


@quick
@pytest.mark.parametrize("what, failure", [("page", "500"), ("page", "hang")])
def test_what_is_held_is_served_within_patience(stale_soon, index, wheel, what, failure):
    check_held(stale_soon, index, what, failure)


@full
@pytest.mark.parametrize("what, failure", [row for row in MATRIX if row[0] in TARGETS])
def test_what_is_held_is_served_whatever_fails(stale_soon, index, wheel, what, failure):
    check_held(stale_soon, index, what, failure)


def check_held(daemon, index, what: str, failure: str):
    first = daemon.get(TARGETS[what], [ACCEPT_JSON])
    assert first.status == 200
    index.fail(FAILURES[failure])
    time.sleep(0.4)
    begin = time.monotonic()
    answer = daemon.get(TARGETS[what], [ACCEPT_JSON])
    assert time.monotonic() - begin < 2, "patience was 500 ms"
    assert (answer.status, answer.body) == (200, first.body)
    assert "hit" in answer.cache and int(answer.cache["ttl"]) < 0


@quick
def test_a_file_of_a_stale_page_is_served_when_only_the_index_is_down(stale_soon, index, wheel,
                                                                      wheel_target):
    assert stale_soon.completed(PAGE, [ACCEPT_JSON])
    index.pages.fallback = Reply(503)
    time.sleep(0.4)
    assert stale_soon.completed(wheel_target) == wheel.data


@quick
@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_gone_upstream_is_404(cache, index, wheel, wheel_target, status):
    index.files.script(wheel.path, Reply(status))
    assert cache.get(wheel_target).status in (404, 410)
    index.files.script(wheel.path, index.files.fallback)
    until(lambda: cache.completed(wheel_target) == wheel.data, 10, "the file to be found", 0.2)


@quick
@pytest.mark.parametrize("status", [401, 403])
def test_what_the_upstream_denies_is_403(cache, index, wheel, wheel_target, status):
    denial = Reply(status, {"WWW-Authenticate": 'Basic realm="realm of the upstream"'})
    index.files.script(wheel.path, denial)
    index.pages.script("/simple/private/", denial)
    for asked in (wheel_target, "/pypi/simple/private/"):
        answer = cache.get(asked, [ACCEPT_JSON])
        assert answer.status == 403
        assert answer.header("WWW-Authenticate") is None


# -- pages that are none --------------------------------------------------------------------

def bad_json(body: bytes, **keys) -> Reply:
    return Reply(headers={"Content-Type": JSON_TYPE, **keys.pop("headers", {})}, body=body, **keys)


BAD_PAGES = {
    "HTML where JSON was promised": bad_json(b"<!DOCTYPE html><html>please log in</html>"),
    "JSON that is cut off": bad_json(b'{"meta": {"api-version": "1.1"}, "files": [{"url": "a'),
    "JSON that ends after a file": bad_json(b'{"files": [{"url": "a", "filename": "a"}'),
    "JSON and something more": bad_json(b'{"meta": {}, "name": "demo", "files": []} {}'),
    "a list": bad_json(b"[]"),
    "a word": bad_json(b'"files"'),
    "nothing": bad_json(b""),
    "a broken escape": bad_json(b'{"name": "\\x", "files": []}'),
    "brackets without end": bad_json(b'{"x": ' + b"[" * 200_000),
    "gzip that is none": bad_json(b"plain", headers={"Content-Encoding": "gzip"}),
    "an unknown coding": bad_json(b"xx", headers={"Content-Encoding": "compress"}),
    "another type": Reply(headers={"Content-Type": "application/octet-stream"}, body=b"{}"),
    "no type": Reply(body=b'{"meta": {}, "name": "demo", "files": []}'),
    "shorter than promised": bad_json(b'{"meta": {}, "name": "demo", "files": []}', length=500),
    "no last chunk": bad_json(b'{"meta": {}, "name": "demo", "files": []}',
                              framing="unterminated"),
}


@quick
def test_bad_pages_replace_no_held_ones(stale_soon, index):
    """Each of its own project, all at once."""
    pages = {f"/pypi/simple/bad-{number}/": bad for number, bad in enumerate(BAD_PAGES)}
    for target in pages:
        index.add_wheel(target.split("/")[3])
    held = {target: stale_soon.completed(target, [ACCEPT_JSON]) for target in pages}
    assert all(held.values())
    for target, bad in pages.items():
        index.pages.script(target.removeprefix("/pypi"), BAD_PAGES[bad])
    index.forget()
    time.sleep(0.4)
    for target, bad in pages.items():
        assert stale_soon.completed(target, [ACCEPT_JSON]) == held[target], bad
        assert index.pages.seen("GET", target.removeprefix("/pypi")), f"{bad}: was not asked for"
        name = target.split("/")[3]
        wheel = index.projects[name].uploads[0]
        assert stale_soon.completed(index.target(name, wheel)) == wheel.data, bad


@quick
@pytest.mark.parametrize("bad", BAD_PAGES)
def test_a_bad_page_is_not_completed_nor_kept(cache, index, wheel, wheel_target, bad):
    index.pages.script("/simple/demo/", BAD_PAGES[bad])
    assert cache.completed(PAGE, [ACCEPT_JSON]) is None
    assert cache.completed(wheel_target) is None
    index.pages.script("/simple/demo/", index.pages.fallback)
    until(lambda: cache.completed(PAGE, [ACCEPT_JSON]), 10, "the honest page", 0.2)
    assert cache.completed(wheel_target) == wheel.data


@quick
@pytest.mark.parametrize("form", FORMS)
def test_a_serial_that_goes_backwards_is_refused(start_daemon, index, wheel, form):
    check_serial(start_daemon, index, wheel, FORMS[form], lambda daemon: None)


@full
@pytest.mark.parametrize("form", FORMS)
def test_a_serial_is_remembered_after_a_restart(start_daemon, index, wheel, form):
    check_serial(start_daemon, index, wheel, FORMS[form], lambda daemon: daemon.restart())


def check_serial(start_daemon, index, wheel, accept, interlude):
    """An old copy from a mirror that lags would hide releases, and undo yanks."""
    daemon = start_daemon(index.route(ttl="300ms", stale_while_refreshing="0s", patience="5s"))
    wheel.yanked = "yes, withdrawn"
    first = daemon.get(PAGE, [accept])
    project = index.projects["demo"]
    project.serial, wheel.yanked = 999, False
    interlude(daemon)
    time.sleep(0.4)
    answer = daemon.get(PAGE, [accept])
    assert (answer.status, answer.body) == (200, first.body)
    assert answer.header("X-PyPI-Last-Serial") == "1000"
    project.serial = 1001
    until(lambda: b"withdrawn" not in daemon.get(PAGE, [accept]).body, 10, "the new page", 0.1)
    assert daemon.get(PAGE, [accept]).header("X-PyPI-Last-Serial") == "1001"
