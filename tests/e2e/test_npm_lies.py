"""A registry, or somebody on the way to it, that lies: nothing wrong is completed or stored,
nothing is fetched from where it should not, and the next honest attempt succeeds."""

import gzip
import json
import re

import pytest

from harness.faulty import Reply
from harness.images import random_bytes
from harness.net import until
from harness.npm_packages import (ACCEPT_ABBREVIATED, ACCEPT_FULL, FULL, integrity_of,
                                  make_package, packument)
from harness.npm_shelf import (becomes, completed, document_of, error_of, json_reply, npm_route,
                               stored_blobs, tarball_links, tarball_reply)

pytestmark = pytest.mark.quick

TARGET = "/npm/left/-/left-1.0.0.tgz"
PACKAGE = make_package("left", size=100_000)
DATA = PACKAGE.data


@pytest.fixture
def cache(start_daemon, shelf):
    """Every question goes to the upstream again after a moment."""
    return start_daemon(npm_route(shelf.url, ttl="200ms", negative_ttl="0s", patience="500ms",
                                  stale_while_refreshing="0s"),
                        egress={"stall_timeout": "500ms"}, client={"wait_timeout": "5s"})


# -- tarballs -------------------------------------------------------------------------------------

LIES = {
    "other bytes of the same length": dict(body=random_bytes(len(DATA), "lie")),
    "one bit flipped at the end": dict(body=DATA[:-1] + bytes([DATA[-1] ^ 1])),
    "shorter, honest length": dict(body=DATA[:5000]),
    "longer, honest length": dict(body=DATA + b"more"),
    "empty": dict(body=b""),
    "no last chunk": dict(body=DATA[:5000], framing="unterminated"),
    "less promised than sent": dict(body=DATA, length=5000),
    "a login page": dict(body=b"<html>please log in</html>", headers={"Content-Type": "text/html"}),
    "not modified, unasked": dict(status=304),
    "no content": dict(status=204),
    "garbage": dict(raw=b"\x00\xff garbage \r\n\r\n"),
}


@pytest.mark.parametrize("hashes", ["integrity", "shasum"])
@pytest.mark.parametrize("lie", LIES)
def test_no_client_completes_a_wrong_tarball(cache, shelf, lie, hashes):
    shelf.put(PACKAGE if hashes == "integrity" else PACKAGE.saying(integrity=None))
    shelf.put_tarball(PACKAGE, Reply(**LIES[lie]))
    assert completed(cache, TARGET) is None
    assert stored_blobs(cache) == set()
    shelf.put(PACKAGE)
    becomes(cache, TARGET, lambda body: body == DATA)


def test_an_integrity_that_is_not_the_tarballs(cache, shelf):
    """As after a packument was tampered with."""
    shelf.put(PACKAGE.saying(integrity=integrity_of(b"something else")))
    assert completed(cache, TARGET) is None
    assert stored_blobs(cache) == set()
    shelf.put(PACKAGE)
    becomes(cache, TARGET, lambda body: body == DATA)


def test_a_shasum_does_not_help_a_wrong_integrity(cache, shelf):
    """The strongest hash decides, however right the weak one is."""
    right_shasum = PACKAGE.described("")["dist"]["shasum"]
    shelf.put(PACKAGE.saying(integrity=integrity_of(b"something else"), shasum=right_shasum))
    assert completed(cache, TARGET) is None
    assert stored_blobs(cache) == set()


# -- packuments -----------------------------------------------------------------------------------

HONEST = json.dumps(packument([PACKAGE], "http://127.0.0.1:1")).encode()
NO_DOCUMENTS = {
    "a login page": (b"<!DOCTYPE html><html>please log in</html>", "text/html"),
    "a login page that is called JSON": (b"<!DOCTYPE html><html>please log in</html>", FULL),
    "a login page after white space": (b" " * 70_000 + b"<html>", FULL),
    "JSON cut off, honest length": (HONEST[:-20], FULL),
    "JSON and then more": (HONEST + b"{}", FULL),
    "nothing": (b"", FULL),
    "a list": (b'[{"name": "left"}]', FULL),
    "a string": (b'"left"', FULL),
    "bytes that are no UTF-8": (HONEST.replace(b"# left", b"# \xff\xfe"), FULL),
    "deeper than any packument": (b'{"a":' * 5000 + b"1" + b"}" * 5000, FULL),
    "another type": (HONEST, "application/octet-stream"),
    "no gzip, but called so": (b"\x1f\x8b" + b"\x00" * 100, FULL, "gzip"),
    "a coding that nobody asked for": (HONEST, FULL, "br"),
}


def no_document(kind: str) -> Reply:
    body, content_type, *coding = NO_DOCUMENTS[kind]
    headers = {"Content-Type": content_type}
    if coding:
        headers["Content-Encoding"] = coding[0]
    return Reply(headers=headers, body=body, ranges=False)


@pytest.mark.parametrize("kind", NO_DOCUMENTS)
def test_what_is_no_packument_is_not_kept(cache, shelf, kind):
    shelf.put_raw("left", no_document(kind))
    for headers in ([ACCEPT_ABBREVIATED], [ACCEPT_FULL, ("Accept-Encoding", "gzip")]):
        body = completed(cache, "/npm/left", headers)
        assert body is None, f"served {body[:200]!r}"
    assert completed(cache, TARGET) is None
    assert stored_blobs(cache) == set()
    shelf.put(PACKAGE)
    becomes(cache, "/npm/left", lambda body: json.loads(body)["name"] == "left",
            [ACCEPT_ABBREVIATED])
    becomes(cache, TARGET, lambda body: body == DATA)


@pytest.mark.parametrize("kind", NO_DOCUMENTS)
def test_a_held_packument_survives_a_bad_answer(cache, shelf, kind):
    """Law 4: a mutable entry is replaced only by a complete, well-formed answer."""
    shelf.put(PACKAGE)
    held = completed(cache, "/npm/left", [ACCEPT_ABBREVIATED])
    shelf.put_raw("left", no_document(kind))

    def warned():
        answer = cache.get("/npm/left", [ACCEPT_ABBREVIATED])
        assert (answer.status, answer.body) == (200, held)
        return answer.header("Warning")
    assert until(warned, 5, "a stale answer", interval=0.1).startswith("299 ")
    shelf.put(PACKAGE, make_package("left", "2.0.0"))
    becomes(cache, "/npm/left", lambda body: "2.0.0" in json.loads(body)["versions"],
            [ACCEPT_ABBREVIATED])


def test_a_coded_packument_that_is_cut_off(cache, shelf):
    coded = gzip.compress(json.dumps(packument(
        [make_package("left", f"1.0.{number}") for number in range(300)], shelf.url)).encode())
    headers = {"Content-Type": FULL, "Content-Encoding": "gzip"}
    shelf.put_raw("left", Reply(headers=headers, body=coded[:-9], ranges=False))
    assert completed(cache, "/npm/left", [ACCEPT_FULL]) is None
    shelf.put(PACKAGE)
    becomes(cache, "/npm/left", lambda body: json.loads(body)["name"] == "left", [ACCEPT_FULL])


# -- links to elsewhere ---------------------------------------------------------------------------

# Links that no public registry would make; {port} is where something would answer.
ELSEWHERE = {
    "another port": "http://127.0.0.1:{port}/left/-/left-1.0.0.tgz",
    "the metadata service": "http://169.254.169.254/latest/meta-data/left-1.0.0.tgz",
    "the metadata service as a number": "http://2852039166/left-1.0.0.tgz",
    "the metadata service in IPv6": "http://[::ffff:169.254.169.254]/left-1.0.0.tgz",
    "another loopback address": "http://127.0.0.2:{port}/left/-/left-1.0.0.tgz",
    "the same port by another name": "http://localhost:{port}/left/-/left-1.0.0.tgz",
    "a file": "file:///etc/passwd",
    "a file on a host": "file://127.0.0.1/etc/passwd",
    "ftp": "ftp://127.0.0.1:{port}/left-1.0.0.tgz",
    "gopher": "gopher://127.0.0.1:{port}/_GET",
    "no scheme": "//127.0.0.1:{port}/left/-/left-1.0.0.tgz",
    "a user": "http://127.0.0.1@127.0.0.1:{port}/left/-/left-1.0.0.tgz",
    "script": "javascript:alert(1)",
    "line ends": "http://127.0.0.1:{port}/a\r\nX-Injected: yes\r\n\r\n/left-1.0.0.tgz",
    "nothing": "",
}


@pytest.mark.parametrize("link", ELSEWHERE)
def test_tarballs_on_other_hosts_are_refused(cache, shelf, make_faulty, link):
    canary = make_faulty()
    canary.fallback = tarball_reply(DATA)
    shelf.put(PACKAGE.saying(tarball=ELSEWHERE[link].format(port=canary.port)))
    document = document_of(cache.get("/npm/left", [("Host", "cache.test"), ACCEPT_ABBREVIATED]))
    assert tarball_links(document)["1.0.0"] == f"http://cache.test{TARGET}"
    answer = cache.get(TARGET)
    assert 400 <= answer.status < 600, "served from elsewhere"
    assert error_of(answer)
    assert not canary.seen()
    assert not shelf.asked("left").tarballs
    assert stored_blobs(cache) == set()
    shelf.put(PACKAGE)
    becomes(cache, TARGET, lambda body: body == DATA)


def test_the_refusal_names_the_remedy(cache, shelf, make_faulty):
    shelf.put(PACKAGE.saying(tarball=f"{make_faulty().url}/left-1.0.0.tgz"))
    answer = cache.get(TARGET)
    assert answer.status == 403 and "file_hosts" in error_of(answer)


@pytest.mark.parametrize("named", ["127.0.0.1", "host and port"])
def test_file_hosts_are_trusted(start_daemon, shelf, make_faulty, named):
    files = make_faulty()
    host = f"127.0.0.1:{files.port}" if named == "host and port" else named
    daemon = start_daemon(npm_route(shelf.url, file_hosts=[host]))
    files.script("/pool/left.tgz", tarball_reply(DATA))
    shelf.put(PACKAGE.saying(tarball=f"{files.url}/pool/left.tgz"))
    answer = daemon.get(TARGET)
    assert (answer.status, answer.body) == (200, DATA)


def test_link_local_addresses_are_refused_even_if_trusted(start_daemon, shelf):
    """Nobody keeps packages there; it is where clouds keep their secrets."""
    daemon = start_daemon(npm_route(shelf.url, file_hosts=["169.254.169.254"]))
    shelf.put(PACKAGE.saying(tarball="http://169.254.169.254/left-1.0.0.tgz"))
    answer = daemon.get(TARGET)
    assert answer.status == 403
    assert error_of(answer)


def test_a_redirect_to_elsewhere_gets_no_further_than_a_redirect(cache, shelf):
    shelf.put(PACKAGE)
    shelf.put_tarball(PACKAGE, Reply(302, {"Location": "http://169.254.169.254/x.tgz"}),)
    assert completed(cache, TARGET) is None
    assert stored_blobs(cache) == set()


# -- the Host field -------------------------------------------------------------------------------

EVIL_HOSTS = ["evil.test", "evil.test:8080", "127.0.0.1.evil.test"]
NO_HOSTS = ['evil.test"', "evil.test/path", "user@evil.test", "evil.test?x", "evil.test#x",
            "evil test", "<script>", "evil.test\\@cache.test", "a,b"]


def test_the_host_of_one_client_does_not_reach_another(cache, shelf):
    shelf.put(PACKAGE)
    for host in [*EVIL_HOSTS, "cache.test", *EVIL_HOSTS, "cache.test"]:
        body = completed(cache, "/npm/left", [("Host", host), ACCEPT_ABBREVIATED])
        assert tarball_links(json.loads(body))["1.0.0"] == f"http://{host}{TARGET}"
        assert host != "cache.test" or b"evil" not in body


def test_what_is_no_host_is_refused(cache, shelf):
    shelf.put(PACKAGE)
    for host in NO_HOSTS:
        answer = cache.get("/npm/left", [("Host", host), ACCEPT_ABBREVIATED])
        assert answer.status == 400, host


def test_a_request_without_a_host_of_its_own(cache, shelf):
    """An absolute request line counts for more than the field (RFC 9112 3.2.2)."""
    shelf.put(PACKAGE)
    body = completed(cache, "http://cache.test/npm/left",
                     [("Host", "evil.test"), ACCEPT_ABBREVIATED])
    assert b"evil" not in body


def test_no_other_field_changes_links(cache, shelf):
    shelf.put(PACKAGE)
    fields = [("X-Forwarded-Host", "evil.test"), ("X-Host", "evil.test"),
              ("Forwarded", "host=evil.test;proto=https"), ("X-Forwarded-Proto", "https"),
              ("X-Forwarded-Prefix", "/evil"), ("X-Original-URL", "/evil")]
    body = completed(cache, "/npm/left", [("Host", "cache.test"), *fields, ACCEPT_ABBREVIATED])
    assert tarball_links(json.loads(body))["1.0.0"] == f"http://cache.test{TARGET}"


def test_with_a_public_url_no_host_counts(start_daemon, shelf):
    shelf.put(PACKAGE)
    daemon = start_daemon(npm_route(shelf.url), public_url="http://cache.test")
    for evil in EVIL_HOSTS:
        for accept in (ACCEPT_ABBREVIATED, ACCEPT_FULL):
            answer = daemon.get("/npm/left", [("Host", evil), accept])
            assert tarball_links(document_of(answer))["1.0.0"] == f"http://cache.test{TARGET}"
            assert b"evil" not in answer.body


# -- paths that climb -----------------------------------------------------------------------------

CLIMBING = [
    "/npm/../secret", "/npm/left/../../secret", "/npm/%2e%2e/secret", "/npm/%2E%2E/secret",
    "/npm/.%2e/secret", "/npm/%2e./secret", "/npm/..%2fsecret", "/npm/%2e%2e%2fsecret",
    "/npm/@scope%2f..", "/npm/@scope%2f%2e%2e", "/npm/@scope/../secret", "/npm/@..%2fsecret",
    "/npm/@%2e%2e%2fsecret", "/npm/left/-/../secret.tgz", "/npm/left/-/..%2fsecret.tgz",
    "/npm/left/-/%2e%2e%2fsecret.tgz", "/npm/left/-/..%2f..%2fsecret.tgz", "/npm/left/-/..",
    "/npm/left/%2e%2e", "/npm/left/..%2f..%2fsecret", "/npm/left\\..\\secret",
    "/npm/left/-/..%5csecret.tgz", "/npm/%252e%252e/secret", "/npm/..%252fsecret",
    "/npm/left/-/%252e%252e%252fsecret.tgz", "/npm/%c0%ae%c0%ae/secret", "/npm/..;/secret",
    "/npm/left/-/left-1.0.0.tgz/../../../secret", "/npm//secret/../left", "/npm/./left/../secret",
    "/npm/-/package/..%2fsecret/dist-tags", "/npm/-/v1/../../secret", "/npm/%00/../secret",
    "/npm/-/npm/v1/attestations/..%2f..%2fsecret@1.0.0", "/npm/left/%2e%2e%2f%2e%2e%2fsecret",
]


def test_no_path_climbs(cache, shelf):
    shelf.put(PACKAGE)
    for path in ("/secret", "/secret.tgz", "/left/secret.tgz", "/left/-/secret.tgz"):
        shelf.upstream.script(path, json_reply({"name": "secret", "versions": {}}))
    for target in CLIMBING:
        answer = cache.get(target, [ACCEPT_FULL])
        assert answer.status in (400, 404), target
        asked = [seen.target.lower() for seen in shelf.upstream.seen()]
        assert not [one for one in asked if "secret" in one or ".." in one or "%2e" in one], target
    assert stored_blobs(cache) == set()


CLIMBING_VERSIONS = ["../../../secret", "1.0.0/../../../secret", "..%2f..%2fsecret",
                     "1.0.0\\..\\secret", "1.0.0\r\nX: y", '1.0.0"', "1.0.0?x#y"]


def test_no_version_climbs(cache, shelf):
    """A key of `versions` becomes part of a link."""
    for number, version in enumerate(CLIMBING_VERSIONS):
        name = f"left-{number}"
        versions = [make_package(name), make_package(name, version)]
        shelf.put_document(name, packument(versions, shelf.url),
                           packument(versions, shelf.url, abbreviated=True))
        body = completed(cache, f"/npm/{name}", [("Host", "cache.test"), ACCEPT_ABBREVIATED])
        link = tarball_links(json.loads(body))[version] if body else ""
        allowed = rf"(http://cache\.test/npm/{name}/-/[\w.+~%-]+|about:invalid)?"
        assert re.fullmatch(allowed, link) and "%2f" not in link.lower(), version
