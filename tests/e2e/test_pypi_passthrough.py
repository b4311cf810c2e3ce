"""`auth: passthrough` on a PyPI route: what one user's credentials fetched is served to who could
fetch it with credentials of their own, and to nobody else."""

import time

import pytest

from harness.faulty import Reply
from harness.httpclient import Crowd
from harness.images import random_bytes
from harness.net import until
from harness.pypi_index import ACCEPT_HTML, ACCEPT_JSON, make_wheel
from harness.pypi_pages import links
from harness.tokens import basic

pytestmark = pytest.mark.quick

SECRET, TEAM, OPEN = "/pypi/simple/secret/", "/pypi/simple/team/", "/pypi/simple/open/"
PASSWORDS = {"alice": "alices-Pa55word", "bob": "bobs-Pa55word"}


def login(user: str, password: str | None = None) -> list[tuple[str, str]]:
    return [("Authorization", basic(user, password or PASSWORDS[user]))]


ALICE, BOB, NOBODY = login("alice"), login("bob"), []
WRONG = login("alice", "guessed")
# Whoever is not alice.
OTHERS = {"bob": BOB, "nobody": NOBODY, "a wrong password": WRONG,
          "a bearer": [("Authorization", "Bearer alice")],
          "her name alone": login("alice", ":")}


@pytest.fixture
def index(index):
    """Its files are on its own origin, for who may read their project."""
    index.own_files = True
    index.accounts = dict(PASSWORDS)
    for name, readers in {"secret": {"alice"}, "team": {"alice", "bob"}, "open": None}.items():
        index.add(name, make_wheel(name, data=random_bytes(100_000, name)), readers=readers)
    return index


@pytest.fixture
def cache(start_daemon, index):
    return start_daemon(index.route(auth="passthrough"))


@pytest.fixture
def short(start_daemon, index):
    """Everything is asked for again soon."""
    return start_daemon(index.route(auth="passthrough", ttl="300ms", stale_while_refreshing="0s",
                                    negative_ttl="250ms", patience="500ms"),
                        egress={"response_timeout": "1s"})


def file_target(index, name: str) -> str:
    return index.target(name, index.projects[name].uploads[0])


def data_of(index, name: str) -> bytes:
    return index.projects[name].uploads[0].data


def everything_of(index, name: str) -> list[str]:
    """All that there is to ask of a project."""
    file = file_target(index, name)
    return [f"/pypi/simple/{name}/", f"/pypi/pypi/{name}/json", f"/pypi/pypi/{name}/1.0/json", file,
            f"{file}.metadata"]


def fetch_everything(daemon, index, name: str, who):
    """A client that may have it all gets it all, twice."""
    for target in everything_of(index, name) * 2:
        assert daemon.completed(target, [ACCEPT_JSON, *who]), target
    assert daemon.completed(f"/pypi/simple/{name}/", [ACCEPT_HTML, *who])


def check_refused(daemon, index, name: str, who):
    path = index.projects[name].uploads[0].path
    for target in everything_of(index, name):
        for accept in (ACCEPT_JSON, ACCEPT_HTML):
            answer = daemon.get(target, [accept, *who])
            assert answer.status in (401, 403, 404), (target, answer.status)
            assert path in target or path.encode() not in answer.body


# -- who gets what --------------------------------------------------------------------------

def test_everybody_gets_what_is_theirs(cache, index):
    fetch_everything(cache, index, "secret", ALICE)
    fetch_everything(cache, index, "team", ALICE)
    fetch_everything(cache, index, "team", BOB)
    fetch_everything(cache, index, "open", NOBODY)
    fetch_everything(cache, index, "open", BOB)
    assert cache.completed(file_target(index, "secret"), ALICE) == data_of(index, "secret")


@pytest.mark.parametrize("other", OTHERS)
def test_a_private_project_is_not_served_to_others(cache, index, other):
    check_refused(cache, index, "secret", OTHERS[other])
    fetch_everything(cache, index, "secret", ALICE)
    check_refused(cache, index, "secret", OTHERS[other])
    fetch_everything(cache, index, "secret", ALICE)


def test_a_file_asked_for_first_is_no_way_around_the_page(cache, index):
    file = file_target(index, "secret")
    for who in (BOB, NOBODY):
        assert cache.completed(file, who) is None
    assert cache.completed(file, ALICE) == data_of(index, "secret")
    for who in (BOB, NOBODY):
        assert cache.completed(file, who) is None


@pytest.mark.parametrize("other", ["bob", "nobody"])
def test_nothing_leaks_by_other_kinds_of_requests(cache, index, other):
    who = OTHERS[other]
    fetch_everything(cache, index, "secret", ALICE)
    etag = cache.get(SECRET, [ACCEPT_JSON, *ALICE]).header("ETag")
    file = file_target(index, "secret")
    for target in everything_of(index, "secret"):
        assert cache.head(target, [ACCEPT_JSON, *who]).status in (401, 403, 404)
        for more in (("If-None-Match", etag), ("If-None-Match", "*"), ("Range", "bytes=0-9"),
                     ("Cache-Control", "only-if-cached"), ("Cache-Control", "max-stale=99999")):
            assert cache.get(target, [ACCEPT_JSON, more, *who]).status in (401, 403, 404, 412, 504)
    etag = cache.get(file, ALICE).header("ETag")
    assert cache.get(file, [("If-None-Match", etag), *who]).status in (401, 403, 404)
    assert cache.get(file, [("If-None-Match", etag), *ALICE]).status == 304


def test_a_crowd_of_everybody_for_a_cold_page(cache, index):
    """Requests of different users are not one until each is allowed."""
    askers = [ALICE, BOB, NOBODY, WRONG] * 6
    file = file_target(index, "secret")
    for target in (SECRET, file):
        bodies = Crowd(len(askers)).run(
            lambda number: cache.completed(target, [ACCEPT_JSON, *askers[number]]))
        for who, body in zip(askers, bodies):
            assert bool(body) == (who is ALICE), who


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_is_denied_to_one_user_is_not_denied_to_the_next(cache, index, status):
    """The page names the file to both; its origin gives it to alice alone."""
    upload = alice_alone(index, Reply(status))
    file = index.target("team", upload)
    assert cache.completed(file, BOB) is None
    assert cache.completed(file, ALICE) == upload.data


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_is_denied_to_one_user_is_not_denied_to_who_waits_too(cache, index, status):
    upload = alice_alone(index, Reply(status, head_delay=0.4))
    file = index.target("team", upload)
    for who in (BOB, ALICE):
        assert cache.completed(TEAM, [ACCEPT_JSON, *who])

    def ask(number: int) -> bytes | None:
        if number == 0:
            return cache.completed(file, BOB)
        index.pages.wait_seen(1, "GET", upload.filename)
        return cache.completed(file, ALICE)
    assert Crowd(4).run(ask) == [None] + [upload.data] * 3


def alice_alone(index, denial: Reply):
    """A file of `team` that is denied so to everybody else."""
    upload = index.projects["team"].uploads[0]
    index.pages.script(upload.path, lambda seen: index.pages.fallback(seen)
                       if seen.header("Authorization") == ALICE[0][1] else denial)
    return upload


def test_another_projects_page_is_no_way_in(cache, index):
    """The file's path below a project that bob may see."""
    file = file_target(index, "secret")
    assert cache.completed(file, ALICE) == data_of(index, "secret")
    for project in ("open", "team"):
        assert cache.get(file.replace("/secret/files", f"/{project}/files"), BOB).status == 404


def test_the_same_bytes_may_be_secret_here_and_open_there(cache, index):
    """Bytes are shared by digest; permission is not."""
    same = index.projects["secret"].uploads[0]
    index.add("open", same)
    assert cache.completed(file_target(index, "open"), NOBODY) == same.data
    assert cache.completed(file_target(index, "secret"), NOBODY) is None
    assert cache.completed(file_target(index, "secret"), ALICE) == same.data
    assert len(cache.stored_files()) == 1


def test_another_users_file_costs_no_second_download(cache, index):
    """Bob's own page proves the digest; the bytes are here."""
    assert cache.completed(file_target(index, "team"), ALICE) == data_of(index, "team")
    cache.wait_stored(index.projects["team"].uploads[0].digest)
    assert cache.completed(file_target(index, "team"), BOB) == data_of(index, "team")
    assert len(index.file_gets()) == 1


# -- what clients are told ------------------------------------------------------------------

def test_who_showed_nothing_is_asked_by_our_own_challenge(cache, index):
    """Never the upstream's: a client would hand its password to whatever that names."""
    for target in (SECRET, file_target(index, "secret")):
        answer = cache.get(target, [ACCEPT_JSON])
        assert answer.status == 401
        challenge = answer.header("WWW-Authenticate")
        assert challenge.startswith("Basic realm=") and "upstream" not in challenge


def test_who_showed_wrong_credentials_is_refused(cache):
    assert cache.get(SECRET, [ACCEPT_JSON, *WRONG]).status in (401, 403)
    assert cache.get(SECRET, [ACCEPT_JSON, *BOB]).status in (403, 404)


def test_pages_with_credentials_are_private(cache):
    answer = cache.get(SECRET, [ACCEPT_JSON, *ALICE])
    assert "private" in answer.header("Cache-Control")
    assert "public" not in answer.header("Cache-Control")
    assert "authorization" in answer.header("Vary").lower()


# -- revocation -----------------------------------------------------------------------------

def revoke_account(index):
    index.accounts["alice"] = "another password"


def revoke_project(index):
    index.projects["secret"].readers = {"bob"}


def remove_project(index):
    del index.projects["secret"]


@pytest.mark.parametrize("revoke", [revoke_account, revoke_project, remove_project])
def test_revoking_takes_effect_within_the_grant(short, index, revoke):
    fetch_everything(short, index, "secret", ALICE)
    targets = everything_of(index, "secret")
    revoke(index)

    def refused():
        return all(short.get(target, [ACCEPT_JSON, *ALICE]).status in (401, 403, 404)
                   for target in targets)
    until(refused, 10, "alice to be refused", 0.1)
    time.sleep(0.3)
    assert refused(), "and she stays refused"


def test_giving_access_takes_effect_soon(short, index):
    assert short.completed(SECRET, [ACCEPT_JSON, *BOB]) is None
    index.projects["secret"].readers = {"alice", "bob"}
    until(lambda: short.completed(SECRET, [ACCEPT_JSON, *BOB]), 10, "bob to be served", 0.2)
    assert short.completed(file_target(index, "secret"), BOB) == data_of(index, "secret")


def test_a_project_that_becomes_private_is_hidden_from_nobody(short, index):
    fetch_everything(short, index, "open", NOBODY)
    targets = everything_of(index, "open")
    index.projects["open"].readers = {"alice"}
    until(lambda: all(short.get(target, [ACCEPT_JSON]).status in (401, 403, 404)
                      for target in targets), 10, "anonymous clients to be refused", 0.2)


@pytest.mark.parametrize("failure", [Reply(500), Reply(429)], ids=["500", "429"])
def test_a_failing_upstream_gives_nothing_to_others(short, index, failure):
    fetch_everything(short, index, "secret", ALICE)
    index.fail(failure)
    time.sleep(0.4)
    for target in (SECRET, file_target(index, "secret")):
        for who in (BOB, NOBODY, WRONG):
            assert short.get(target, [ACCEPT_JSON, *who]).status in (401, 403, 404, 503)


def test_what_credentials_brought_is_served_while_the_grant_lasts_and_never_stale(
        start_daemon, index):
    long, short = (start_daemon(index.route(auth="passthrough", ttl=ttl, patience="300ms"))
                   for ttl in ("1h", "300ms"))
    file = file_target(index, "secret")
    for daemon in (long, short):
        fetch_everything(daemon, index, "secret", ALICE)
    time.sleep(0.4)
    index.stop()
    for target in (SECRET, file):
        assert long.completed(target, [ACCEPT_JSON, *ALICE]), target
        assert short.get(target, [ACCEPT_JSON, *ALICE]).status == 503, target
        for daemon in (long, short):
            assert daemon.get(target, [ACCEPT_JSON, *BOB]).status == 503


# -- where credentials go -------------------------------------------------------------------

def secrets() -> list[str]:
    return [*PASSWORDS.values(), *(basic(*account)[6:] for account in PASSWORDS.items())]


def test_credentials_never_reach_a_file_host(start_daemon, index):
    index.own_files = False
    daemon = start_daemon(index.route(auth="passthrough"))
    fetch_everything(daemon, index, "secret", ALICE)
    assert index.files.requests
    for seen in index.files.requests:
        assert seen.header("Authorization") is None
    assert {seen.header("Authorization") for seen in index.pages.requests} == {ALICE[0][1]}


def test_a_file_host_knows_nobody_and_others_get_nothing(start_daemon, index):
    """Whoever knows the URL could fetch it there; here the page must name it to them."""
    index.own_files = False
    daemon = start_daemon(index.route(auth="passthrough"))
    file = file_target(index, "secret")
    assert daemon.completed(file, ALICE) == data_of(index, "secret")
    for who in (BOB, NOBODY):
        assert daemon.completed(file, who) is None


@pytest.mark.parametrize("what", ["page", "file"])
def test_credentials_do_not_follow_a_redirect_to_another_origin(cache, index, what):
    upload = index.projects["secret"].uploads[0]
    path = "/simple/secret/" if what == "page" else upload.path
    index.pages.script(path, Reply(302, {"Location": f"{index.files.url}/moved"}))
    body = index.json_page("secret") if what == "page" else upload.data
    index.files.script("/moved", Reply(
        headers={"Content-Type": "application/vnd.pypi.simple.v1+json"}, body=body))
    cache.get(SECRET if what == "page" else file_target(index, "secret"), [ACCEPT_JSON, *ALICE])
    assert index.files.seen("GET", "/moved"), "the redirect was not followed at all"
    for seen in index.files.requests:
        assert seen.header("Authorization") is None


def test_credentials_do_not_follow_a_link_to_another_port_of_the_upstream(start_daemon, index):
    """Same host, other port: another origin."""
    index.own_files = False
    daemon = start_daemon(index.route(auth="passthrough", file_hosts=["127.0.0.1"]))
    assert daemon.completed(file_target(index, "secret"), ALICE) == data_of(index, "secret")
    assert [seen.header("Authorization") for seen in index.files.requests] == [None]


def test_nothing_but_the_authorization_goes_upstream(cache, index):
    mine = [("Cookie", "session=1"), ("Proxy-Authorization", ALICE[0][1])]
    assert cache.completed(SECRET, [ACCEPT_JSON, *ALICE, *mine])
    for seen in index.requests:
        assert seen.header("Cookie") is None and seen.header("Proxy-Authorization") is None


@pytest.mark.parametrize("own_files", [True, False])
def test_no_secret_is_in_a_log_or_in_the_storage(start_daemon, index, own_files):
    index.own_files = own_files
    daemon = start_daemon(index.route(auth="passthrough"))
    fetch_everything(daemon, index, "secret", ALICE)
    check_refused(daemon, index, "secret", BOB)
    daemon.stop()
    written = [daemon.process.errors().encode(), daemon.process.output().encode(),
               *(file.read_bytes() for file in daemon.storage.rglob("*") if file.is_file())]
    assert any(b"/simple/secret/" in text for text in written), "nothing was searched"
    for secret in secrets():
        assert not any(secret.encode() in text for text in written), secret


def test_who_is_who_is_known_after_a_restart(cache, index):
    fetch_everything(cache, index, "secret", ALICE)
    cache.restart()
    check_refused(cache, index, "secret", BOB)
    fetch_everything(cache, index, "secret", ALICE)


# -- links ----------------------------------------------------------------------------------

def test_everybody_sees_their_own_page_of_a_project(cache, index):
    """The upstream may show different files to different users."""
    more = make_wheel("team", "2.0")

    def page(seen):
        if seen.header("Authorization") == ALICE[0][1]:
            index.projects["team"].uploads.append(more)
            try:
                return index.pages.fallback(seen)
            finally:
                index.projects["team"].uploads.pop()
        return index.pages.fallback(seen)
    index.pages.script("/simple/team/", page)
    for _ in range(2):
        assert more.filename in links(cache.get(TEAM, [ACCEPT_JSON, *ALICE]), TEAM)
        assert more.filename not in links(cache.get(TEAM, [ACCEPT_JSON, *BOB]), TEAM)
    assert cache.get(index.target("team", more), BOB).status == 404
