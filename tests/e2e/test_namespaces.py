"""Several upstream registries behind one daemon, with equal repository names."""

import pytest

from harness import config
from harness.httpclient import ACCEPT_ALL
from harness.images import random_bytes, small_manifest
from harness.net import free_port

pytestmark = pytest.mark.quick

MANIFESTS = {name: small_manifest(name) for name in ("one", "two", "hub")}


@pytest.fixture
def upstreams(make_faulty):
    """Each holds library/same:1, with a content of its own."""
    made = {name: make_faulty() for name in MANIFESTS}
    for name, upstream in made.items():
        upstream.put_manifest("library/same", "1", MANIFESTS[name])
    return made


@pytest.fixture
def cache(start_daemon, upstreams):
    return start_daemon(
        config.hub(upstreams["hub"].url),
        config.route("one", upstreams["one"].url, namespaces=["one.test", "one.test:5000"],
                     hosts=["one.local"]),
        config.route("two", upstreams["two"].url, namespaces=["two.test"], hosts=["two.local"]))


TAG = "library/same/manifests/1"


def body(cache, target: str, *headers) -> bytes:
    answer = cache.get(target, [ACCEPT_ALL, *headers])
    assert answer.status == 200, answer.body
    return answer.body


def test_the_namespace_in_the_query_chooses_the_upstream(cache):
    for _ in range(2):
        assert body(cache, f"/v2/{TAG}?ns=one.test") == MANIFESTS["one"]
        assert body(cache, f"/v2/{TAG}?ns=two.test") == MANIFESTS["two"]
        assert body(cache, f"/v2/{TAG}?ns=docker.io") == MANIFESTS["hub"]
        assert body(cache, f"/v2/{TAG}?ns=one.test%3A5000") == MANIFESTS["one"]


def test_the_host_chooses_the_upstream(cache):
    for _ in range(2):
        assert body(cache, f"/v2/{TAG}", ("Host", "one.local")) == MANIFESTS["one"]
        assert body(cache, f"/v2/{TAG}", ("Host", "TWO.local:5000")) == MANIFESTS["two"]
        assert body(cache, f"/v2/{TAG}", ("Host", "whatever.local")) == MANIFESTS["hub"]


def test_the_first_path_component_chooses_the_upstream(cache):
    for _ in range(2):
        assert body(cache, f"/v2/one.test/{TAG}") == MANIFESTS["one"]
        assert body(cache, f"/v2/two.test/{TAG}") == MANIFESTS["two"]
        assert body(cache, f"/v2/docker.io/{TAG}") == MANIFESTS["hub"]


def test_each_way_leads_to_the_same_held_copy(cache, upstreams):
    for target, host in ((f"/v2/{TAG}?ns=one.test", "x"), (f"/v2/{TAG}", "one.local"),
                         (f"/v2/one.test/{TAG}", "x")):
        assert body(cache, target, ("Host", host)) == MANIFESTS["one"]
    assert len(upstreams["one"].seen("GET")) == 1


def test_the_namespace_never_reaches_the_upstream(cache, upstreams):
    body(cache, f"/v2/{TAG}?ns=one.test")
    body(cache, f"/v2/two.test/{TAG}")
    for name in ("one", "two"):
        assert {seen.target for seen in upstreams[name].requests} == {f"/v2/{TAG}"}


def test_a_blob_of_one_registry_is_not_a_blob_of_the_other(cache, upstreams):
    """Law 7: bytes are shared by digest, permission is not."""
    data = random_bytes(50_000, "only in one")
    digest = upstreams["one"].put_blob("library/same", data)
    target = f"/v2/library/same/blobs/{digest}"
    assert cache.get(f"{target}?ns=one.test").body == data
    assert cache.get(f"{target}?ns=two.test").status == 404
    assert cache.get(f"{target}?ns=one.test").body == data


def test_a_blob_of_one_repository_is_not_a_blob_of_another(cache, upstreams):
    data = random_bytes(50_000, "only in one repository")
    digest = upstreams["one"].put_blob("library/same", data)
    assert cache.get(f"/v2/library/same/blobs/{digest}?ns=one.test").body == data
    assert cache.get(f"/v2/library/other/blobs/{digest}?ns=one.test").status == 404


@pytest.mark.parametrize("target", [
    f"/v2/{TAG}?ns=unknown.test", f"/v2/{TAG}?ns=", f"/v2/{TAG}?ns=one.test.evil",
    f"/v2/{TAG}?ns=one.test&ns=two.test"])
def test_a_namespace_that_nobody_configured_is_404(cache, upstreams, target):
    """The list of upstreams is closed; an ambiguous name is not guessed either."""
    answer = cache.get(target, [ACCEPT_ALL])
    assert answer.status in (400, 404)
    assert all(upstream.requests == [] for upstream in upstreams.values())


def test_a_404_for_an_unknown_namespace_lists_what_is_served(cache):
    answer = cache.get(f"/v2/{TAG}?ns=unknown.test", [ACCEPT_ALL])
    assert answer.status == 404
    for name in (b"docker.io", b"one.test", b"two.test"):
        assert name in answer.body


def test_a_host_in_the_path_that_nobody_configured_is_404(cache, upstreams):
    """`unknown.test/...` reads as a registry's name, not as a repository of the default route."""
    assert cache.get(f"/v2/unknown.test/{TAG}", [ACCEPT_ALL]).status == 404


def test_without_a_default_route_a_bare_name_is_404(start_daemon, upstreams):
    daemon = start_daemon(config.route("one", upstreams["one"].url, namespaces=["one.test"]))
    assert daemon.get(f"/v2/{TAG}", [ACCEPT_ALL]).status == 404
    assert daemon.get(f"/v2/{TAG}?ns=one.test", [ACCEPT_ALL]).status == 200


def test_without_a_default_route_the_v2_page_answers(start_daemon, upstreams):
    """podman and dockerd ask for it before they name a repository."""
    daemon = start_daemon(config.route("one", upstreams["one"].url, namespaces=["one.test"]))
    for host in ("x", "one.local"):
        answer = daemon.get("/v2/", [("Host", host)])
        assert answer.status == 200
        assert answer.header("Docker-Distribution-Api-Version") == "registry/2.0"


def test_a_listener_can_belong_to_one_route(start_daemon, upstreams):
    shared, own = free_port(), free_port()
    daemon = start_daemon(
        config.hub(upstreams["hub"].url),
        config.route("one", upstreams["one"].url, namespaces=["one.test"]), port=shared,
        listen=[{"address": f"127.0.0.1:{shared}"},
                {"address": f"127.0.0.1:{own}", "route": "one"}])
    assert body(daemon, f"/v2/{TAG}") == MANIFESTS["hub"]
    daemon.port = own
    assert body(daemon, f"/v2/{TAG}") == MANIFESTS["one"]


def test_library_is_inserted_for_docker_hub_only(cache, upstreams):
    """docker.io/same means docker.io/library/same; elsewhere names stay as they are."""
    assert body(cache, "/v2/docker.io/same/manifests/1") == MANIFESTS["hub"]
    assert body(cache, "/v2/same/manifests/1?ns=docker.io") == MANIFESTS["hub"]
    assert cache.get("/v2/one.test/same/manifests/1", [ACCEPT_ALL]).status == 404
    assert [seen.target for seen in upstreams["one"].seen("GET")] == ["/v2/same/manifests/1"]


def test_repository_names_may_hold_the_words_of_the_protocol(cache, upstreams):
    """Parsed from the right: `blobs`, `manifests` and `tags` are legal components of a name."""
    for repository in ("blobs/manifests", "a/tags/b", "tags/list", "manifests/blobs/x"):
        manifest = small_manifest(repository)
        upstreams["one"].put_manifest(repository, "1", manifest)
        assert body(cache, f"/v2/{repository}/manifests/1?ns=one.test") == manifest


def test_the_answer_names_the_namespace_that_scoped_it(cache):
    answer = cache.get(f"/v2/{TAG}?ns=one.test", [ACCEPT_ALL])
    assert answer.header("OCI-Namespace") == "one.test"
