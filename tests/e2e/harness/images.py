"""Container images made on the spot from Debian's static busybox.

Everything is deterministic: the same recipe gives the same digests, so a registry's storage that
is kept under build/e2e-cache stays good from run to run.
"""

import gzip
import io
import json
import random
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from .httpclient import Connection, digest_of
from .paths import CACHE

BUSYBOX = Path("/bin/busybox")
APPLETS = ["sh", "cat", "echo", "ls", "wc", "httpd", "wget", "sleep"]

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"

BIG_LAYER = 512 << 20


@dataclass(frozen=True)
class Blob:
    """Bytes with their type: a layer, a config or a manifest."""
    media_type: str
    data: bytes = field(repr=False)
    diff_id: str = ""               # layers: the digest of the uncompressed tar

    @property
    def digest(self) -> str:
        return digest_of(self.data)

    def descriptor(self, **more) -> dict:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data),
                **more}


@dataclass(frozen=True)
class Image:
    """One image: what to push, in the order in which to push it, and what running it prints."""
    repository: str
    tag: str
    blobs: list[Blob]
    manifests: list[Blob]           # children first; the last one is what the tag names
    prints: str = ""
    children: dict = field(default_factory=dict)    # architecture → manifest

    @property
    def top(self) -> Blob:
        return self.manifests[-1]

    @property
    def digest(self) -> str:
        return self.top.digest


# -- parts ----------------------------------------------------------------------------------

def _tar(files: dict) -> bytes:
    """A tar of files; a value is the bytes, or a string: the target of a symbolic link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def gzip_layer(files: dict, media_type: str = DOCKER_LAYER) -> Blob:
    tar = _tar(files)
    return Blob(media_type, gzip.compress(tar, 6, mtime=0), digest_of(tar))


def zstd_layer(files: dict) -> Blob:
    tar = _tar(files)
    return Blob(OCI_LAYER + "+zstd", zstandard.compress(tar, 3), digest_of(tar))


def plain_layer(files: dict) -> Blob:
    tar = _tar(files)
    return Blob(OCI_LAYER, tar, digest_of(tar))


def busybox_files() -> dict:
    return {"bin/busybox": BUSYBOX.read_bytes(),
            **{f"bin/{applet}": "busybox" for applet in APPLETS}}


def random_bytes(size: int, seed: str) -> bytes:
    """Incompressible bytes that are the same in every run."""
    source = random.Random(seed)
    piece = 64 << 20            # randbytes has a limit of its own
    return b"".join(source.randbytes(min(piece, size - done)) for done in range(0, size, piece))


def _config(layers: list[Blob], architecture: str, command: list[str], media_type: str) -> Blob:
    document = {
        "architecture": architecture, "os": "linux", "created": "2026-01-01T00:00:00Z",
        "config": {"Cmd": command, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created_by": "test"} for _ in layers],
    }
    return Blob(media_type, json.dumps(document).encode())


def _manifest(config: Blob, layers: list[Blob], media_type: str) -> Blob:
    document = {"schemaVersion": 2, "mediaType": media_type, "config": config.descriptor(),
                "layers": [layer.descriptor() for layer in layers]}
    return Blob(media_type, json.dumps(document, indent=3).encode())


def _index(entries: list[dict]) -> Blob:
    return Blob(OCI_INDEX, json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX,
                                       "manifests": entries}).encode())


def _single(repository: str, tag: str, layers: list[Blob], command: list[str], prints: str,
            oci: bool = True) -> Image:
    """An image for this machine's architecture only."""
    config = _config(layers, "amd64", command, OCI_CONFIG if oci else DOCKER_CONFIG)
    manifest = _manifest(config, layers, OCI_MANIFEST if oci else DOCKER_MANIFEST)
    return Image(repository, tag, [*layers, config], [manifest], prints)


# -- whole images -----------------------------------------------------------------------------

def hello(repository: str = "library/busybox", tag: str = "1.35",
          greeting: str = "hello through the cache") -> Image:
    """Small and runnable, in Docker's own types: two layers."""
    layers = [gzip_layer(busybox_files()), gzip_layer({"greeting": f"{greeting}\n".encode()})]
    return _single(repository, tag, layers, ["/bin/cat", "/greeting"], greeting, oci=False)


def forty_layers() -> Image:
    layers = [gzip_layer(busybox_files())]
    layers += [gzip_layer({f"layers/{number:02}": random_bytes(2000, f"layer {number}")})
               for number in range(39)]
    return _single("library/forty", "1", layers, ["/bin/sh", "-c", "ls /layers | wc -l"], "39",
                   oci=False)


def zstd() -> Image:
    layers = [zstd_layer(busybox_files()), zstd_layer({"greeting": b"unpacked from zstd\n"})]
    return _single("library/zstd", "1", layers, ["/bin/cat", "/greeting"], "unpacked from zstd")


def big() -> Image:
    """One layer of 512 MiB that no compression makes smaller."""
    layers = [gzip_layer(busybox_files(), OCI_LAYER + "+gzip"),
              plain_layer({"big": random_bytes(BIG_LAYER, "big layer")})]
    return _single("library/big", "1", layers, ["/bin/wc", "-c", "/big"], f"{BIG_LAYER} /big")


def small_manifest(note: str) -> bytes:
    """A well-formed manifest without layers; another note makes another digest."""
    empty = Blob(OCI_CONFIG, b"{}")
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
                       "config": empty.descriptor(), "layers": [],
                       "annotations": {"note": note}}).encode()


def _child(architecture: str, name: str) -> tuple[list[Blob], Blob]:
    layers = [gzip_layer(busybox_files(), OCI_LAYER + "+gzip"),
              gzip_layer({"greeting": f"{name} for {architecture}\n".encode()},
                         OCI_LAYER + "+gzip")]
    config = _config(layers, architecture, ["/bin/cat", "/greeting"], OCI_CONFIG)
    return [*layers, config], _manifest(config, layers, OCI_MANIFEST)


def _platform(architecture: str) -> dict:
    return {"platform": {"architecture": architecture, "os": "linux"}}


def multi_arch() -> Image:
    """An index with a manifest for amd64 and one for arm64 (of which only the text differs)."""
    blobs, children = [], {}
    for architecture in ("amd64", "arm64"):
        parts, children[architecture] = _child(architecture, "built")
        blobs += parts
    index = _index([manifest.descriptor(**_platform(architecture))
                    for architecture, manifest in children.items()])
    return Image("library/multi", "1", blobs, [*children.values(), index], "built for amd64",
                 children)


def attested() -> Image:
    """An index as BuildKit writes it: the image, and an attestation for it."""
    blobs, manifest = _child("amd64", "attested")
    statement = Blob("application/vnd.in-toto+json", json.dumps({
        "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://slsa.dev/v0.2",
        "subject": [{"name": "image", "digest": {"sha256": manifest.digest[7:]}}],
        "predicate": {}}).encode())
    config = Blob(OCI_CONFIG, json.dumps({"architecture": "unknown", "os": "unknown", "config": {},
                                          "rootfs": {"type": "layers", "diff_ids":
                                                     [statement.digest]}}).encode())
    attestation = _manifest(config, [statement], OCI_MANIFEST)
    index = _index([
        manifest.descriptor(**_platform("amd64")),
        attestation.descriptor(
            platform={"architecture": "unknown", "os": "unknown"},
            annotations={"vnd.docker.reference.type": "attestation-manifest",
                         "vnd.docker.reference.digest": manifest.digest}),
    ])
    return Image("library/attested", "1", [*blobs, statement, config],
                 [manifest, attestation, index], "attested for amd64",
                 {"amd64": manifest, "unknown": attestation})


# -- pushing ----------------------------------------------------------------------------------

def _expect(response, *statuses):
    assert response.status in statuses, f"{response.status}: {response.body[:500]!r}"
    return response


def _push_blob(connection: Connection, repository: str, blob: Blob):
    if connection.ask("HEAD", f"/v2/{repository}/blobs/{blob.digest}").status == 200:
        return
    begun = _expect(connection.ask("POST", f"/v2/{repository}/blobs/uploads/",
                                   [("Content-Length", "0")]), 202)
    location = begun.header("Location").split("/v2/", 1)[1]
    _expect(connection.ask("PUT", f"/v2/{location}&digest={blob.digest}",
                           [("Content-Type", "application/octet-stream")], blob.data), 201)


def push(address: tuple[str, int], image: Image, repository: str = "", tag: str = ""):
    """Push an image to a registry that lets anyone in."""
    repository, tag = repository or image.repository, tag or image.tag
    with Connection(address, timeout=60) as connection:
        for blob in image.blobs:
            _push_blob(connection, repository, blob)
        for manifest in image.manifests:
            reference = tag if manifest is image.top else manifest.digest
            _expect(connection.ask("PUT", f"/v2/{repository}/manifests/{reference}",
                                   [("Content-Type", manifest.media_type)], manifest.data), 201)


def holds(address: tuple[str, int], image: Image) -> bool:
    """True if the registry has exactly this image under its tag."""
    with Connection(address) as connection:
        answer = connection.ask("HEAD", f"/v2/{image.repository}/manifests/{image.tag}",
                                [("Accept", image.top.media_type)])
    return answer.header("Docker-Content-Digest") == image.digest


REGISTRY_STORAGE = CACHE / "registry"
