"""Nothing can be pushed, deleted or listed through the cache."""

import json

import pytest


from harness.clients import Skopeo

DIGEST = "sha256:" + "a" * 64


def errors(answer) -> list[str]:
    assert answer.header("Content-Type") == "application/json"
    return [error["code"] for error in json.loads(answer.body)["errors"]]


@pytest.mark.quick
@pytest.mark.parametrize("method, target", [
    ("POST", "/v2/library/app/blobs/uploads/"),
    ("POST", f"/v2/library/app/blobs/uploads/?mount={DIGEST}&from=library/other"),
    ("PATCH", "/v2/library/app/blobs/uploads/some-session"),
    ("PUT", f"/v2/library/app/blobs/uploads/some-session?digest={DIGEST}"),
    ("PUT", "/v2/library/app/manifests/1"),
    ("DELETE", "/v2/library/app/manifests/1"),
    ("DELETE", f"/v2/library/app/blobs/{DIGEST}"),
])
def test_every_way_to_write_is_405_unsupported(cache, faulty, method, target):
    with cache.connect() as client:
        answer = client.ask(method, target, body=b"x" * 1000)
    assert answer.status == 405
    assert errors(answer) == ["UNSUPPORTED"]
    assert faulty.requests == []


@pytest.mark.quick
def test_the_catalog_is_not_offered(cache, faulty):
    answer = cache.get("/v2/_catalog")
    assert answer.status in (404, 405)
    assert errors(answer) == ["UNSUPPORTED"]
    assert faulty.requests == []


@pytest.mark.quick
@pytest.mark.parametrize("target, code", [
    ("/v2/Library/App/manifests/1", "NAME_INVALID"),
    ("/v2/library/app/manifests/" + "t" * 129, "MANIFEST_INVALID"),
    ("/v2/library/app/manifests/sha256:abc", "DIGEST_INVALID"),
    ("/v2/library/app/blobs/sha256:abc", "DIGEST_INVALID"),
    (f"/v2/library/app/blobs/{DIGEST.upper()}", "DIGEST_INVALID"),
    (f"/v2/library/app/blobs/{DIGEST}0", "DIGEST_INVALID"),
    (f"/v2/library//app/blobs/{DIGEST}", "NAME_INVALID"),
])
def test_what_is_not_well_formed_never_reaches_the_upstream(cache, faulty, target, code):
    answer = cache.get(target)
    assert answer.status in (400, 404)
    assert len(errors(answer)) == 1
    assert faulty.requests == []


@pytest.mark.quick
@pytest.mark.parametrize("target", ["/", "/v1/search", "/v2", "/v2/library/app", "/nothing",
                                    "/v2/library/app/blobs/"])
def test_a_path_that_is_none_is_answered_in_kind(cache, faulty, target):
    """404 and a body that says what is served here, or for /v2 the same as /v2/."""
    answer = cache.get(target)
    assert answer.status in ((200, 301, 307, 308, 404) if target == "/v2" else (400, 404))
    assert faulty.requests == []


@pytest.mark.full
def test_a_docker_push_is_refused_in_words(cache, tmp_path, registry, stock):
    """The client's own message names the reason."""
    image = stock["hello"]
    source = f"docker://127.0.0.1:{registry.port}/{image.repository}:{image.tag}"
    done = Skopeo(tmp_path).skopeo(
        "copy", "--src-tls-verify=false", "--dest-tls-verify=false", source,
        f"docker://127.0.0.1:{cache.port}/library/new:1", check=False)
    assert done.returncode != 0
    assert "pull-through cache" in done.stderr.lower() or "unsupported" in done.stderr.lower()
