"""The way out: verified TLS, a private CA, proxies, upstreams in order."""

import datetime
import ipaddress
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness import config
from harness.faulty import oci_error
from harness.images import DOCKER_MANIFEST, OCI_MANIFEST, random_bytes, small_manifest
from harness.net import free_port
from harness.tokens import basic

pytestmark = pytest.mark.quick

DATA = random_bytes(100_000, "egress")


def self_signed(folder, address: str):
    """(certificate file, server context) for an IP address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test upstream")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256()))
    file = folder / f"{address}.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    both = folder / f"{address}.both.pem"
    both.write_bytes(file.read_bytes() + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return file, context


def blob(upstream) -> str:
    return "/v2/library/out/blobs/" + upstream.put_blob("library/out", DATA)


def test_a_certificate_of_the_configured_ca_is_accepted(start_daemon, make_faulty, tmp_path):
    file, context = self_signed(tmp_path, "127.0.0.1")
    upstream = make_faulty(tls=context)
    daemon = start_daemon(config.hub(upstream.url), egress={"ca_file": str(file)})
    assert daemon.get(blob(upstream)).body == DATA


@pytest.mark.parametrize("address, ca", [("127.0.0.1", False), ("127.0.0.9", True)],
                         ids=["unknown CA", "another host's name"])
def test_a_certificate_that_does_not_verify_is_an_upstream_failure(start_daemon, make_faulty,
                                                                   tmp_path, address, ca):
    file, context = self_signed(tmp_path, address)
    upstream = make_faulty(tls=context)
    daemon = start_daemon(config.hub(upstream.url), egress={"ca_file": str(file)} if ca else {})
    assert daemon.get(blob(upstream)).status == 503
    assert upstream.requests == []


def test_the_configured_proxy_is_used(start_daemon, make_faulty):
    """The upstream's name exists for the proxy only."""
    proxy = make_faulty()
    target = blob(proxy)
    daemon = start_daemon(config.hub("http://registry.invalid"), egress={"proxy": proxy.url})
    assert daemon.get(target).body == DATA
    assert proxy.requests[-1].target == f"http://registry.invalid{target}"
    assert proxy.requests[-1].header("Proxy-Authorization") is None


def test_the_environments_proxy_is_used(make_daemon, make_faulty):
    proxy = make_faulty()
    target = blob(proxy)
    daemon = make_daemon(config.hub("http://registry.invalid"))
    daemon.process.env["http_proxy"] = proxy.url
    daemon.start()
    assert daemon.get(target).body == DATA


def test_no_proxy_is_obeyed(make_daemon, make_faulty, faulty):
    proxy = make_faulty()
    target = blob(faulty)
    daemon = make_daemon(config.hub(faulty.url))
    daemon.process.env.update(http_proxy=proxy.url, no_proxy="127.0.0.1")
    daemon.start()
    assert daemon.get(target).body == DATA
    assert proxy.requests == []


def test_the_proxys_password_goes_to_the_proxy_and_into_no_log(start_daemon, make_faulty):
    proxy = make_faulty()
    target = blob(proxy)
    daemon = start_daemon(config.hub("http://registry.invalid"),
                          egress={"proxy": proxy.url.replace("//", "//user:pr0xy-pw@")})
    assert daemon.get(target).body == DATA
    assert proxy.requests[-1].header("Proxy-Authorization") == basic("user", "pr0xy-pw")
    daemon.stop()
    log = daemon.process.errors() + daemon.process.output()
    assert "pr0xy-pw" not in log and basic("user", "pr0xy-pw")[6:] not in log


@pytest.mark.parametrize("failure", ["refused", "500", "429"])
def test_the_next_upstream_is_asked_when_one_fails(start_daemon, make_faulty, failure):
    first, second = make_faulty(), make_faulty()
    target = blob(second)
    if failure == "refused":
        first.refuse()
    else:
        first.script(target, oci_error(int(failure), "UNKNOWN"))
    daemon = start_daemon(config.hub(first.url, second.url))
    assert daemon.get(target).body == DATA


def test_no_encoding_is_asked_for_bodies_that_are_hashed(cache, faulty):
    """containerd asks for zstd and gzip even on blobs: the upstream must send plain bytes."""
    target = blob(faulty)
    answer = cache.get(target, [("Accept-Encoding", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5")])
    assert answer.body == DATA and answer.header("Content-Encoding") is None
    assert faulty.requests[-1].header("Accept-Encoding") in (None, "identity")


@pytest.mark.parametrize("accept", [
    [], [("Accept", "*/*")], [("Accept", OCI_MANIFEST)], [("Accept", DOCKER_MANIFEST)]],
    ids=["none", "any", "OCI only", "Docker only"])
def test_upstreams_are_told_every_type_of_manifest(cache, faulty, accept):
    """Whatever the client lists: registries answer another digest to who lists too little."""
    faulty.put_manifest("library/out", "1", small_manifest("types"))
    cache.get("/v2/library/out/manifests/1", accept)
    told = faulty.requests[0].header("Accept")
    for kind in ("vnd.docker.distribution.manifest.v2+json",
                 "vnd.docker.distribution.manifest.list.v2+json",
                 "vnd.oci.image.manifest.v1+json", "vnd.oci.image.index.v1+json"):
        assert f"application/{kind}" in told


def test_hop_by_hop_fields_are_not_passed_on(cache, faulty):
    target = blob(faulty)
    cache.get(target, [("Connection", "keep-alive, X-Secret"), ("X-Secret", "hop"),
                       ("TE", "trailers"), ("Upgrade", "h2c")])
    for name in ("X-Secret", "TE", "Upgrade"):
        assert faulty.requests[-1].header(name) is None


def test_an_upstream_that_is_not_there_is_503_at_once(start_daemon):
    daemon = start_daemon(config.hub(f"http://127.0.0.1:{free_port()}"))
    answer = daemon.get("/v2/library/out/manifests/1", timeout=5)
    assert answer.status == 503


def test_upstream_connections_are_kept(cache, faulty):
    for number in range(10):
        data = DATA + bytes([number])
        digest = faulty.put_blob("library/out", data)
        assert cache.get(f"/v2/library/out/blobs/{digest}").body == data
    assert faulty.connections <= 4
