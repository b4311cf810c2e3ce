"""Logs: the same fields in text and JSON, a line per request, nothing secret, nothing forged."""

import json

import pytest

from harness import config
from harness.httpclient import ACCEPT_ALL
from harness.images import small_manifest
from harness.net import until
from harness.tokens import basic

pytestmark = pytest.mark.quick

TARGET = "/v2/library/logged/manifests/1"


@pytest.fixture(params=["text", "json"])
def cache(start_daemon, faulty, request):
    return start_daemon(config.hub(faulty.url), log={"format": request.param, "level": "debug"})


def request_lines(daemon, count: int) -> list[dict]:
    return until(lambda: len(lines := daemon.log("request")) >= count and lines, 5,
                 f"{count} access lines")


def request_line(daemon, answer) -> dict:
    """The one access line of an answer."""
    wanted = answer.header("X-Request-Id")
    found = until(lambda: [line for line in daemon.log("request") if line["id"] == wanted], 5,
                  f"the access line of {wanted}")
    assert len(found) == 1
    return found[0]


def test_one_line_per_request_with_all_fields(cache, faulty):
    manifest = small_manifest("logged")
    faulty.put_manifest("library/logged", "1", manifest)
    miss = cache.get(TARGET, [ACCEPT_ALL])
    hit = until(lambda: "hit" in (got := cache.get(TARGET, [ACCEPT_ALL])).cache and got, 5, "a hit")
    lines = [request_line(cache, answer) for answer in (miss, hit)]
    for line in lines:
        assert line["target"] == TARGET
        assert line["level"] == "info"
        assert line["client"].startswith("127.0.0.1:")
        assert line["method"] == "GET" and line["route"] == "hub"
        assert int(line["status"]) == 200 and int(line["bytes"]) >= len(manifest)
        assert int(line["ms"]) >= 0
    assert [line["cache"] for line in lines] == ["miss", "hit"]


def test_every_line_can_be_parsed(cache):
    cache.get(TARGET, [ACCEPT_ALL])
    cache.stop()
    lines = [line for line in cache.process.errors().splitlines() if line]
    assert len(cache.log()) == len(lines)
    events = [line["event"] for line in cache.log()]
    for event in ("started", "listening", "stopped"):
        assert event in events


def test_text_and_json_have_the_same_fields(start_daemon, faulty):
    faulty.put_manifest("library/logged", "1", small_manifest("logged"))
    fields = {}
    for kind in ("text", "json"):
        daemon = start_daemon(config.hub(faulty.url), log={"format": kind, "level": "debug"})
        daemon.get(TARGET, [ACCEPT_ALL])
        daemon.get("/v2/")
        request_lines(daemon, 2)
        daemon.stop()
        fields[kind] = [(line["event"], list(line)) for line in daemon.log()
                        if line["event"] in ("request", "listening", "started", "stopped")]
    assert fields["text"] == fields["json"]


def test_a_client_cannot_forge_a_line(cache):
    """Attacker's bytes are escaped: still one line per request."""
    evil = "/v2/library/x%0a/manifests/1?a=%22%0d%0a2026-01-01T00:00:00.000Z%20info%20forged"
    cache.get(evil)
    cache.get("/v2/x\"y=1/manifests/1", [("User-Agent", 'a" level=error b="\xe9\\')])
    request_lines(cache, 2)
    cache.stop()
    lines = [line for line in cache.process.errors().splitlines() if line]
    assert len(cache.log()) == len(lines)
    assert all(line["event"] != "forged" for line in cache.log())


def test_nothing_secret_is_logged(cache):
    secrets = ["hub-password", basic("user", "hub-password"), "c00kie", "t0ken-of-the-url",
               "proxy-s3cret"]
    cache.get(f"{TARGET}?access_token={secrets[3]}", [
        ACCEPT_ALL, ("Authorization", secrets[1]), ("Cookie", f"session={secrets[2]}"),
        ("Proxy-Authorization", basic("user", secrets[4])), ("X-Registry-Auth", secrets[0])])
    cache.get(f"http://user:{secrets[0]}@x{TARGET}", [("Host", "x")])
    cache.stop()
    log = cache.process.errors() + cache.process.output()
    assert [secret for secret in secrets if secret in log] == []


def test_tokens_and_the_account_are_not_logged(start_daemon, make_registry, stock, token_server,
                                               tmp_path):
    password = "s3cret-of-the-account"
    token_server.account = ("yantian", password)
    registry = make_registry(auth=token_server.registry_auth(tmp_path))
    (tmp_path / "password").write_text(password)
    daemon = start_daemon(config.hub({"url": registry.url, "username": "yantian",
                                      "password_file": str(tmp_path / "password")}))
    image = stock["hello"]
    assert daemon.get(f"/v2/{image.repository}/manifests/{image.tag}", [ACCEPT_ALL]).status == 200
    daemon.stop()
    log = daemon.process.errors() + daemon.process.output()
    assert token_server.issued
    for secret in [password, basic("yantian", password)[6:], *token_server.issued,
                   *(token.split(".")[2] for token in token_server.issued)]:
        assert secret not in log


def test_the_access_log_can_be_switched_off(start_daemon, faulty):
    daemon = start_daemon(config.hub(faulty.url), log={"access": False, "level": "info"})
    assert daemon.get("/v2/").status == 200
    daemon.stop()
    assert daemon.log("request") == []


def test_a_json_line_is_one_object(start_daemon, faulty):
    daemon = start_daemon(config.hub(faulty.url), log={"format": "json"})
    daemon.get("/v2/")
    daemon.stop()
    for line in daemon.process.errors().splitlines():
        assert {"time", "level", "event"} <= set(json.loads(line))
