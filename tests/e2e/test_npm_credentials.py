"""`auth: passthrough`: what one user's credentials fetched is for those whose own credentials the
upstream has accepted; credentials go to the upstream's own origin and into no log."""

import time
from dataclasses import replace

import pytest

from harness.faulty import Reply
from harness.httpclient import Crowd, digest_of
from harness.images import random_bytes
from harness.net import until
from harness.npm_packages import ACCEPT_ABBREVIATED, ACCEPT_FULL, FULL, make_package, packument
from harness.npm_shelf import (CHALLENGE, document_of, error_of, json_reply, npm_error, npm_route,
                               stored_blobs, tarball_reply)
from harness.paths import sanitized
from harness.tokens import basic

pytestmark = pytest.mark.quick

SECRETS = {"alice": "Bearer npm_alices-t0ken", "bob": "Bearer npm_bobs-t0ken",
           "carol": basic("carol", "carols-passw0rd")}
PACKAGE = make_package("@alice/secret", size=100_000)
PACKUMENT, TARBALL = "/npm/@alice%2fsecret", "/npm/@alice/secret/-/secret-1.0.0.tgz"


def by(user: str | None) -> list[tuple[str, str]]:
    return [("Authorization", SECRETS[user])] if user else []


def get(daemon, target: str, user: str | None = None, *headers):
    return daemon.get(target, [*by(user), *headers])


@pytest.fixture
def private(shelf):
    """The package of alice and carol."""
    shelf.put(PACKAGE, readers={SECRETS["alice"], SECRETS["carol"]})
    return shelf


@pytest.fixture
def cache(start_daemon, private):
    return start_daemon(npm_route(private.url, auth="passthrough", ttl="1h"))


@pytest.fixture
def short(start_daemon, private):
    """Everything is asked again after a moment."""
    return start_daemon(npm_route(private.url, auth="passthrough", ttl="200ms",
                                  negative_ttl="200ms", stale_while_refreshing="0s", patience="2s"))


def assert_refused(answer, user: str | None):
    """As if it did not exist, or with a word about credentials; in any case nothing of it."""
    assert answer.status in ((401, 404) if user is None else (403, 404))
    assert error_of(answer)
    assert PACKAGE.data[100:200] not in answer.body and b"versions" not in answer.body
    challenge = answer.header("WWW-Authenticate") or ""
    assert CHALLENGE not in challenge and "upstream" not in challenge


# -- who gets what --------------------------------------------------------------------------------

@pytest.mark.parametrize("user", ["alice", "carol"])
def test_who_may_read_it_gets_it(cache, private, user):
    for accept in (ACCEPT_ABBREVIATED, ACCEPT_FULL):
        assert document_of(get(cache, PACKUMENT, user, accept))["name"] == PACKAGE.name
    for _ in range(2):
        answer = get(cache, TARBALL, user)
        assert (answer.status, answer.body) == (200, PACKAGE.data)
    for seen in private.upstream.seen("GET", "secret"):
        assert seen.header("Authorization") == SECRETS[user]


@pytest.mark.parametrize("other", ["bob", None])
@pytest.mark.parametrize("target", [PACKUMENT, TARBALL], ids=["packument", "tarball"])
def test_who_may_not_does_not_although_it_is_held(cache, target, other):
    for warm in (PACKUMENT, TARBALL):
        assert get(cache, warm, "alice", ACCEPT_ABBREVIATED).status == 200
    cache.wait_stored(PACKAGE.digest)
    for headers in ([], [ACCEPT_ABBREVIATED], [ACCEPT_FULL], [("Range", "bytes=0-99")],
                    [("If-None-Match", "*")], [("Cache-Control", "only-if-cached")]):
        assert_refused_or_504(get(cache, target, other, *headers), other)


def assert_refused_or_504(answer, user):
    if answer.status == 504:
        assert error_of(answer)
    else:
        assert_refused(answer, user)


@pytest.mark.parametrize("other", ["bob", None])
@pytest.mark.parametrize("target", [PACKUMENT, TARBALL], ids=["packument", "tarball"])
def test_head_tells_nothing_either(cache, target, other):
    assert get(cache, target, "alice").status == 200
    assert cache.head(target, by(other)).status in (401, 403, 404)


def test_a_second_user_is_asked_about_and_no_bytes_are_fetched_again(cache, private):
    """Law 7: bytes are shared, permission is not."""
    assert get(cache, TARBALL, "alice").body == PACKAGE.data
    cache.wait_stored(PACKAGE.digest)
    assert get(cache, TARBALL, "carol").body == PACKAGE.data
    asked = private.asked(PACKAGE.name)
    assert {seen.header("Authorization") for seen in asked.packuments} == {
        SECRETS["alice"], SECRETS["carol"]}
    assert len(asked.tarballs) == 1
    assert stored_blobs(cache) == {PACKAGE.digest}


def test_refused_first_does_not_harm_who_comes_later(cache):
    """Nobody's 404 or 401 is kept for somebody else."""
    for user in (None, "bob"):
        assert_refused(get(cache, PACKUMENT, user, ACCEPT_ABBREVIATED), user)
        assert_refused(get(cache, TARBALL, user), user)
    assert get(cache, PACKUMENT, "alice", ACCEPT_ABBREVIATED).status == 200
    assert get(cache, TARBALL, "alice").body == PACKAGE.data


def test_all_at_once(cache, private):
    """Questions of different users are never one question."""
    private.delay = 0.2
    users = ["alice", "bob", None] * 5
    for target in (PACKUMENT, TARBALL):
        answers = Crowd(len(users)).run(lambda number: get(cache, target, users[number]))
        for user, answer in zip(users, answers):
            if user == "alice":
                assert answer.status == 200
            else:
                assert_refused(answer, user)


def test_who_is_refused_does_not_spoil_it_for_who_waits_with_him(start_daemon, shelf):
    """Both may read the packument, the tarball only one; the other is the first to ask."""
    shelf.put(PACKAGE, readers={SECRETS["alice"], SECRETS["bob"]})
    shelf.put_tarball(PACKAGE, lambda seen: tarball_reply(PACKAGE.data)
                      if seen.header("Authorization") == SECRETS["alice"]
                      else replace(npm_error(403, "not you"), head_delay=0.4))
    daemon = start_daemon(npm_route(shelf.url, auth="passthrough"))

    def ask(number: int):
        time.sleep(0.15 * number)
        return get(daemon, TARBALL, ["bob", "alice"][number])
    refused, served = Crowd(2).run(ask)
    assert_refused(refused, "bob")
    assert (served.status, served.body) == (200, PACKAGE.data)


def test_a_hash_is_no_permission(cache, private):
    """Who knows the hash of a private tarball publishes a package that names it: the bytes are
    held, and not given away for that."""
    assert get(cache, TARBALL, "alice").status == 200
    cache.wait_stored(PACKAGE.digest)
    described = PACKAGE.described("")["dist"]
    private.put(make_package("bait").saying(integrity=described["integrity"],
                                            shasum=described["shasum"]))
    for user in ("bob", None):
        answer = get(cache, "/npm/bait/-/bait-1.0.0.tgz", user)
        assert answer.status != 200 or not answer.complete
        assert answer.body != PACKAGE.data


def test_two_accounts_may_see_two_documents(start_daemon, shelf):
    """One name, and a registry that shows each user another list of versions."""
    lists = {SECRETS["alice"]: "1.0.0", SECRETS["bob"]: "2.0.0", None: "0.1.0"}

    def reply(seen):
        version = lists[seen.header("Authorization")]
        return json_reply(packument([make_package("left", version)], shelf.url))
    shelf.put_raw("left", reply)
    daemon = start_daemon(npm_route(shelf.url, auth="passthrough", ttl="1h"))
    for _ in range(2):
        for user, version in (("alice", "1.0.0"), ("bob", "2.0.0"), (None, "0.1.0")):
            document = document_of(get(daemon, "/npm/left", user, ACCEPT_FULL))
            assert list(document["versions"]) == [version]


def test_personal_answers_are_not_for_caches_further_on(cache, private):
    private.put(make_package("public"))
    answer = get(cache, PACKUMENT, "alice", ACCEPT_ABBREVIATED)
    assert answer.header("Cache-Control") == "private, no-cache"
    assert "Authorization" in answer.header("Vary")
    assert "private" in get(cache, TARBALL, "alice").header("Cache-Control")
    public = get(cache, "/npm/public", None, ACCEPT_ABBREVIATED)
    assert "Authorization" in public.header("Vary")


def test_a_public_package_is_for_everybody(cache, private):
    package = make_package("public", size=100_000)
    private.put(package)
    for user in (None, "alice", "bob"):
        assert document_of(get(cache, "/npm/public", user, ACCEPT_ABBREVIATED))["name"] == "public"
        assert get(cache, "/npm/public/-/public-1.0.0.tgz", user).body == package.data
        cache.wait_stored(package.digest)
    assert len(private.asked("public").tarballs) == 1


# -- the end of a grant ---------------------------------------------------------------------------

def test_a_revoked_user_is_refused_once_the_grant_is_over(short, private):
    for target in (PACKUMENT, TARBALL):
        assert get(short, target, "alice", ACCEPT_ABBREVIATED).status == 200
    short.wait_stored(PACKAGE.digest)
    private.readers[PACKAGE.name] = {SECRETS["carol"]}
    time.sleep(0.3)
    for target in (PACKUMENT, TARBALL):
        assert_refused(get(short, target, "alice", ACCEPT_ABBREVIATED), "alice")
        assert get(short, target, "carol", ACCEPT_ABBREVIATED).status == 200


def test_what_became_private_is_not_served_to_nobody(start_daemon, shelf):
    """`public` holds only as long as an anonymous request succeeds."""
    package = make_package("left", size=100_000)
    shelf.put(package)
    daemon = start_daemon(npm_route(shelf.url, auth="passthrough", ttl="200ms", patience="2s",
                                    stale_while_refreshing="0s"))
    targets = ("/npm/left", "/npm/left/-/left-1.0.0.tgz")
    for target in targets:
        assert get(daemon, target).status == 200
    daemon.wait_stored(package.digest)
    shelf.readers["left"] = {SECRETS["alice"]}
    time.sleep(0.3)
    for target in targets:
        assert get(daemon, target).status in (401, 404)
        assert get(daemon, target, "alice").status == 200


@pytest.mark.parametrize("failure", ["503", "refused"])
def test_without_the_upstream_no_grant_is_prolonged(short, private, failure):
    """Nobody can say whether alice is still welcome, or bob: 503, and never what is held."""
    for target in (PACKUMENT, TARBALL):
        assert get(short, target, "alice").status == 200
    short.wait_stored(PACKAGE.digest)
    if failure == "503":
        private.put_raw(PACKAGE.name, npm_error(503, "maintenance"))
        private.put_tarball(PACKAGE, npm_error(503, "maintenance"))
    else:
        private.upstream.refuse()
    time.sleep(0.3)
    for user in ("alice", "bob", "carol", None):
        for target in (PACKUMENT, TARBALL):
            answer = get(short, target, user)
            assert answer.status == 503
            assert error_of(answer)


def test_within_the_grant_the_upstream_is_not_asked(cache, private):
    for target in (PACKUMENT, TARBALL):
        assert get(cache, target, "alice", ACCEPT_ABBREVIATED).status == 200
    cache.wait_stored(PACKAGE.digest)
    private.upstream.forget()
    for target in (PACKUMENT, TARBALL):
        assert get(cache, target, "alice", ACCEPT_ABBREVIATED).status == 200
    assert not private.upstream.seen()


# -- where credentials go, and where they do not --------------------------------------------------

def test_credentials_do_not_reach_a_file_host(start_daemon, shelf, make_faulty):
    files = make_faulty()
    files.script("/pool/left.tgz", tarball_reply(PACKAGE.data))
    shelf.put(PACKAGE.saying(tarball=f"{files.url}/pool/left.tgz"), readers={SECRETS["alice"]})
    daemon = start_daemon(npm_route(shelf.url, auth="passthrough",
                                    file_hosts=[f"127.0.0.1:{files.port}"]))
    assert get(daemon, TARBALL, "alice").body == PACKAGE.data
    assert [seen.header("Authorization") for seen in files.seen()] == [None]
    assert_refused(get(daemon, TARBALL, "bob"), "bob")
    assert_refused(get(daemon, TARBALL), None)


@pytest.mark.parametrize("status", [301, 302, 307])
def test_credentials_do_not_follow_a_redirect(start_daemon, shelf, make_faulty, status):
    files = make_faulty()
    files.script("/signed/left.tgz", tarball_reply(PACKAGE.data))
    shelf.put(PACKAGE, readers={SECRETS["alice"]})
    shelf.put_tarball(PACKAGE, lambda seen: Reply(
        status, {"Location": f"{files.url}/signed/left.tgz?signature=x"}))
    daemon = start_daemon(npm_route(shelf.url, auth="passthrough"))
    answer = get(daemon, TARBALL, "alice")
    assert (answer.status, answer.body) == (200, PACKAGE.data)
    assert [seen.header("Authorization") for seen in files.seen()] == [None]


def test_without_passthrough_no_credentials_are_sent(start_daemon, private):
    daemon = start_daemon(npm_route(private.url))
    own = {"Cookie": "session=c00kie", "npm-otp": "123456", "npm-session": "5e55", "Referer": "x",
           "npm-command": "ci", "pacote-version": "1.0", "pacote-pkg-id": "registry:secret"}
    answer = get(daemon, PACKUMENT, "alice", ACCEPT_ABBREVIATED, *own.items())
    assert answer.status == 403
    names = {name.lower() for seen in private.upstream.seen() for name, _ in seen.headers}
    assert "host" in names
    assert not names & {"authorization", *(name.lower() for name in own)}


def test_no_log_and_no_page_has_them(cache, private):
    otp = "918273"
    private.upstream.script("PUT /left", npm_error(403, "no"))
    for user in SECRETS:
        for target in (PACKUMENT, TARBALL, "/npm/nothing", "/npm/-/whoami"):
            get(cache, target, user)
        with cache.connect() as connection:
            connection.ask("PUT", "/npm/left", [*by(user), ("npm-otp", otp)], b"{}")
    pages = cache.admin("/metrics").body.decode()
    cache.stop()
    text = cache.process.errors() + cache.process.output() + pages
    secret = [value.split()[1] for value in SECRETS.values()] + ["carols-passw0rd", otp]
    assert [one for one in secret if one in text] == []


def test_the_store_has_no_credentials(cache):
    get(cache, PACKUMENT, "alice")
    get(cache, TARBALL, "carol")
    cache.stop()
    for file in cache.storage.rglob("*"):
        data = file.read_bytes() if file.is_file() else b""
        for value in SECRETS.values():
            assert value.split()[1].encode() not in data
    assert stored_blobs(cache) == {PACKAGE.digest}


# -- writes and accounts --------------------------------------------------------------------------

WRITES = [
    ("PUT", "/left"), ("PUT", "/@alice%2fsecret"), ("DELETE", "/left/-rev/1-a"),
    ("PUT", "/left/-rev/1-a"), ("DELETE", "/left/-/left-1.0.0.tgz/-rev/1-a"),
    ("PUT", "/-/package/left/dist-tags/next"), ("DELETE", "/-/package/left/dist-tags/next"),
    ("PUT", "/-/user/org.couchdb.user:alice"), ("POST", "/-/v1/login"),
    ("POST", "/-/npm/v1/tokens"), ("DELETE", "/-/user/token/abc"),
]


def test_writes_go_through_as_they_are(cache, private):
    told = b'{"ok": true, "token": "npm_new"}'
    for method, target in WRITES:
        private.upstream.forget()
        private.upstream.script(f"{method} {target}", Reply(
            201, {"Content-Type": FULL, "Set-Cookie": "a=b"}, told))
        body = b'{"name": "left"}' if method != "DELETE" else b""
        with cache.connect() as connection:
            answer = connection.ask(method, f"/npm{target}", [
                *by("alice"), ("Content-Type", FULL), ("npm-otp", "123456")], body)
        assert (answer.status, answer.body) == (201, told), f"{method} {target}"
        assert "no-store" in answer.header("Cache-Control")
        seen = private.upstream.seen()
        assert [(one.method, one.target, one.body) for one in seen] == [(method, target, body)]
        assert seen[0].header("Authorization") == SECRETS["alice"]
        assert seen[0].header("npm-otp") == "123456"


def test_what_is_personal_is_asked_each_time(cache, private):
    names = {SECRETS["alice"]: "alice", SECRETS["bob"]: "bob"}

    def reply(seen):
        name = names.get(seen.header("Authorization"))
        return json_reply({"username": name}) if name else npm_error(401, "who are you?")
    for target in ("/-/whoami", "/-/npm/v1/user", "/-/npm/v1/tokens"):
        private.upstream.script(target, reply)
        for user in ("alice", "bob", "alice", "bob"):
            assert document_of(get(cache, f"/npm{target}", user)) == {"username": user}
        assert get(cache, f"/npm{target}").status == 401
        assert len(private.upstream.seen("GET", target)) == 5


def test_a_big_package_is_published_in_little_memory(cache, private):
    body = random_bytes(16 << 20, "publication")
    private.upstream.script("PUT /left", lambda seen: json_reply({"got": digest_of(seen.body)}))
    before = cache.resident_kib()
    with cache.connect(timeout=60) as connection:
        answer = connection.ask("PUT", "/npm/left", [*by("alice"), ("Content-Type", FULL)], body)
    assert document_of(answer) == {"got": digest_of(body)}
    assert sanitized() or cache.resident_kib() - before < 8 << 10


def test_what_a_write_is_told_is_passed_on(cache, private):
    for status in (400, 401, 403, 409, 422):
        private.upstream.script("PUT /left", npm_error(status, "you cannot publish over it"))
        with cache.connect() as connection:
            answer = connection.ask("PUT", "/npm/left", [*by("alice"), ("Content-Type", FULL)],
                                    b"{}")
        assert answer.status == status
        assert error_of(answer) == "you cannot publish over it"


def test_what_is_published_is_seen_at_once(cache, private):
    """By who published it, although ttl is an hour."""
    old, new = make_package("left"), make_package("left", "2.0.0")
    private.put(old)
    for accept in (ACCEPT_ABBREVIATED, ACCEPT_FULL):
        assert list(document_of(get(cache, "/npm/left", "alice", accept))["versions"]) == ["1.0.0"]
    private.upstream.script("PUT /left", Reply(201, {"Content-Type": FULL}, b"{}"))
    private.put(old, new)
    with cache.connect() as connection:
        assert connection.ask("PUT", "/npm/left", [*by("alice"), ("Content-Type", FULL)],
                              b"{}").status == 201
    for accept in (ACCEPT_ABBREVIATED, ACCEPT_FULL):
        until(lambda: "2.0.0" in document_of(get(cache, "/npm/left", "alice", accept))["versions"],
              5, "the new version", interval=0.1)
    assert get(cache, "/npm/left/-/left-2.0.0.tgz", "alice").body == new.data
