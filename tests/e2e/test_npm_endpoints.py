"""What a registry has besides packages: search, tags, keys, audits, accounts, and writes."""

import gzip
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from harness.faulty import Reply
from harness.net import until
from harness.npm_packages import ACCEPT_ABBREVIATED, FULL, make_package
from harness.npm_shelf import document_of, error_of, json_reply, npm_error, npm_route

pytestmark = pytest.mark.quick

BULK = "/-/npm/v1/security/advisories/bulk"
QUICK = "/-/npm/v1/security/audits/quick"


@pytest.fixture
def cache(start_daemon, shelf):
    return start_daemon(npm_route(shelf.url, ttl="1h"))


def ask(daemon, method: str, target: str, headers=(), body: bytes = b""):
    with daemon.connect() as connection:
        return connection.ask(method, target, headers, body)


# -- what is held as any document -----------------------------------------------------------------

DOCUMENTS = {
    "search": ("/-/v1/search?text=left&size=20", {"objects": [], "total": 0}),
    "tags": ("/-/package/left/dist-tags", {"latest": "1.0.0"}),
    "tags of a scoped package": ("/-/package/@scope%2fleft/dist-tags", {"latest": "1.0.0"}),
    "keys": ("/-/npm/v1/keys", {"keys": [{"keyid": "SHA256:x", "key": "MFkw"}]}),
    "attestations": ("/-/npm/v1/attestations/left@1.0.0", {"attestations": []}),
    "attestations of a scoped package": ("/-/npm/v1/attestations/@scope%2fleft@1.0.0",
                                         {"attestations": []}),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_small_documents_are_fetched_once(cache, shelf, kind):
    target, document = DOCUMENTS[kind]
    path = target.partition("?")[0]
    shelf.upstream.script(path, json_reply(document))
    for _ in range(2):
        answer = cache.get(f"/npm{target}")
        assert document_of(answer) == document
        assert answer.header("Content-Type") == FULL
        until(lambda: "hit" in cache.get(f"/npm{target}").cache, 5, "a hit")
    asked, = [urlsplit(seen.target) for seen in shelf.upstream.seen("GET")]
    assert asked.path == path
    assert parse_qs(asked.query) == parse_qs(urlsplit(target).query)


def test_searches_differ_by_their_words(cache, shelf):
    shelf.upstream.script("/-/v1/search", lambda seen: json_reply({"asked": seen.target}))
    for words in ("a", "b", "a%20b", "a&from=20"):
        document = document_of(cache.get(f"/npm/-/v1/search?text={words}"))
        assert document["asked"].startswith("/-/v1/search?")
        assert f"text={words.partition('&')[0]}" in document["asked"]


@pytest.mark.parametrize("kind", ["search", "tags", "keys", "attestations"])
def test_a_registry_without_them_is_404(cache, kind):
    """npm verifies no signatures when there are no keys; a 503 would be an error."""
    answer = cache.get(f"/npm{DOCUMENTS[kind][0]}")
    assert answer.status == 404
    assert error_of(answer)


def test_ping_asks_nobody(cache, shelf):
    shelf.upstream.refuse()
    answer = cache.get("/npm/-/ping?write=true")
    assert answer.status == 200 and json.loads(answer.body) == {}
    assert not shelf.upstream.seen()


# -- audits ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("target", [BULK, QUICK])
def test_an_audit_is_relayed_with_its_coded_body(cache, shelf, target):
    """npm sends it gzip-coded; two audits are two questions, whatever is held."""
    shelf.upstream.script(f"POST {target}", lambda seen: json_reply(
        {"asked": gzip.decompress(seen.body).decode()}))
    for version in ("1.0.0", "2.0.0"):
        question = json.dumps({"left": [version]})
        body = gzip.compress(question.encode())
        answer = ask(cache, "POST", f"/npm{target}",
                     [("Content-Type", FULL), ("Content-Encoding", "gzip")], body)
        assert document_of(answer) == {"asked": question}
        seen = shelf.upstream.seen("POST")[-1]
        assert seen.body == body
        assert seen.header("Content-Type") == FULL
        assert seen.header("Content-Encoding") == "gzip"
    assert len(shelf.upstream.seen("POST")) == 2


def test_a_big_audit(cache, shelf):
    """As a monorepo asks it."""
    question = json.dumps({f"package-{number}": ["1.0.0"] for number in range(100_000)}).encode()
    shelf.upstream.script(f"POST {BULK}", lambda seen: json_reply({"size": len(seen.body)}))
    answer = ask(cache, "POST", f"/npm{BULK}", [("Content-Type", FULL)], question)
    assert document_of(answer) == {"size": len(question)}
    assert shelf.upstream.seen("POST")[0].body == question


def test_what_an_audit_is_told_is_passed_on(cache, shelf):
    """npm falls back to the old endpoint by the status."""
    for status in (400, 404, 410, 500):
        shelf.upstream.script(f"POST {BULK}", npm_error(status, "no audits here"))
        answer = ask(cache, "POST", f"/npm{BULK}", [("Content-Type", FULL)], b"{}")
        assert answer.status == status
        assert error_of(answer) == "no audits here"


def test_an_audit_is_asked_once_even_if_it_fails(cache, shelf):
    """A POST is not repeated on the client's behalf."""
    shelf.upstream.script(f"POST {BULK}", Reply(raw=b""))
    answer = ask(cache, "POST", f"/npm{BULK}", [("Content-Type", FULL)], b"{}")
    assert answer.status in (502, 503)
    assert error_of(answer)
    assert len(shelf.upstream.seen("POST")) == 1


def test_an_audit_with_credentials_goes_without_them(cache, shelf):
    """This route is nobody's account."""
    shelf.upstream.script(f"POST {BULK}", json_reply({}))
    ask(cache, "POST", f"/npm{BULK}",
        [("Content-Type", FULL), ("Authorization", "Bearer t0ken"), ("Cookie", "a=b"),
         ("npm-otp", "123456")], b"{}")
    seen = shelf.upstream.seen("POST")[0]
    assert seen.header("Authorization") is None and seen.header("Cookie") is None
    assert seen.header("npm-otp") is None


# -- writes, without an account -------------------------------------------------------------------

WRITES = [
    ("PUT", "/left"), ("PUT", "/@scope%2fleft"), ("PUT", "/left/-rev/1-a"),
    ("DELETE", "/left/-rev/1-a"),
    ("DELETE", "/left/-/left-1.0.0.tgz/-rev/1-a"), ("PUT", "/-/package/left/dist-tags/next"),
    ("POST", "/-/package/left/dist-tags"), ("DELETE", "/-/package/left/dist-tags/next"),
    ("PUT", "/-/user/org.couchdb.user:alice"), ("POST", "/-/v1/login"), ("GET", "/-/whoami"),
    ("GET", "/-/npm/v1/tokens"), ("POST", "/-/npm/v1/tokens"), ("DELETE", "/-/user/token/abc"),
    ("GET", "/-/npm/v1/user"), ("POST", "/-/package/left/access"), ("PATCH", "/left"),
]


def test_writes_and_accounts_are_refused_in_words(cache, shelf):
    for method, target in WRITES:
        answer = ask(cache, method, f"/npm{target}",
                     [("Authorization", "Bearer t0ken"), ("Content-Type", FULL)],
                     b"" if method in ("GET", "DELETE") else b'{"name": "left"}')
        assert answer.status in (404, 405), f"{method} {target}"
        assert len(error_of(answer)) > 10
    assert not shelf.upstream.seen()


def test_a_refused_write_changes_nothing(cache, shelf):
    package = make_package("left")
    shelf.put(package)
    before = cache.get("/npm/left", [ACCEPT_ABBREVIATED])
    assert ask(cache, "PUT", "/npm/left", [("Content-Type", FULL)], b"{}").status == 405
    after = cache.get("/npm/left", [ACCEPT_ABBREVIATED])
    assert document_of(after) == document_of(before)
    assert "hit" in after.cache


def test_other_paths_are_404_in_words(cache):
    for target in ("/npm", "/npm/", "/npm/-/", "/npm/-/all", "/npm/-/nothing/at/all",
                   "/npm/left/-/", "/npm/@scope", "/npm/@scope/", "/npm/left/1.0.0/more"):
        answer = cache.get(target)
        assert answer.status in (400, 404), target
        assert error_of(answer)


NO_NAMES = ["left%20pad", "left%22pad", "%2e", "..%2fx", ".left", "_left", "@/left", "@scope%2f",
            "@scope%2f.left", "node_modules%2fleft", "x" * 300, "left%00", "left%0d%0aX:y",
            "%ff%fe", "left\\pad"]


def test_what_can_be_no_name_is_not_asked_for(cache, shelf):
    for name in NO_NAMES:
        assert cache.get(f"/npm/{name}").status in (400, 404), name
    assert not shelf.upstream.seen()
