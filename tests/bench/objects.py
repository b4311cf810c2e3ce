"""What is served: real objects, pushed to the upstream registry over its own API."""

import hashlib
import http.client
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from harness.httpclient import digest_of
from harness.registry import Registry

REPOSITORY = "library/bench"
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
KIB, MIB = 1 << 10, 1 << 20
SIZES = {"4 KiB": 4 * KIB, "64 KiB": 64 * KIB, "1 MiB": MIB, "128 MiB": 128 * MIB,
         "512 MiB": 512 * MIB}
PIECE = 4 * MIB


@dataclass(frozen=True)
class Object:
    """One thing to ask for; its bytes are in a file."""
    name: str
    path: Path
    digest: str
    kind: str                   # "blobs" or "manifests"
    media_type: str
    tag: str = ""               # asked for by it; "": by digest

    @property
    def target(self) -> str:
        return f"/v2/{REPOSITORY}/{self.kind}/{self.tag or self.digest}"

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Of a request for it."""
        return [("Accept", MANIFEST_TYPE)]

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def descriptor(self) -> dict:
        return {"mediaType": self.media_type, "size": self.size, "digest": self.digest}


def _digest_of_file(path: Path) -> str:
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            hasher.update(piece)
    return "sha256:" + hasher.hexdigest()


def _make_blob(folder: Path, name: str, size: int) -> Object:
    """Incompressible bytes, kept from run to run."""
    path = folder / name.replace(" ", "")
    if not path.exists() or path.stat().st_size != size:
        with open(path, "wb") as file:
            for done in range(0, size, PIECE):
                file.write(os.urandom(min(PIECE, size - done)))
    media_type = CONFIG_TYPE if size < 64 * KIB else LAYER_TYPE
    return Object(name, path, _digest_of_file(path), "blobs", media_type)


def _with_manifest(path: Path, blobs: list[Object]) -> dict[str, Object]:
    """The blobs, and the manifest of an image made of them, by name; the first is the config."""
    config, *layers = blobs
    document = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config.descriptor(),
                "layers": [layer.descriptor() for layer in layers]}
    path.write_text(json.dumps(document, indent=3))
    manifest = Object("manifest", path, digest_of(path.read_bytes()), "manifests", MANIFEST_TYPE)
    return {thing.name: thing for thing in [*blobs, manifest]}


def make(folder: Path) -> dict[str, Object]:
    """One blob of each size, and a manifest: under its digest, and as "tag" under its tag."""
    folder.mkdir(parents=True, exist_ok=True)
    blobs = [_make_blob(folder, name, size) for name, size in SIZES.items()]
    things = _with_manifest(folder / "manifest", blobs)
    return {**things, "tag": replace(things["manifest"], name="tag", tag="latest")}


def make_image(folder: Path, layers: int, size: int) -> dict[str, Object]:
    """An image of many layers."""
    folder.mkdir(parents=True, exist_ok=True)
    blobs = [_make_blob(folder, "config", 4 * KIB),
             *(_make_blob(folder, f"layer {number}", size) for number in range(layers))]
    return _with_manifest(folder / "manifest-of-layers", blobs)


class _Client:
    """The few requests that a push takes."""

    def __init__(self, registry: Registry):
        self.connection = http.client.HTTPConnection(*registry.address, timeout=120)

    def ask(self, expected: int, method: str, target: str, body=None, **fields: str):
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        self.connection.request(method, target, body=body, headers=headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if expected and answer.status != expected:
            raise RuntimeError(f"{method} {target}: {answer.status} {text[:300]!r}")
        return answer

    def push_blob(self, blob: Object):
        if self.ask(0, "HEAD", blob.target).status == 200:
            return
        begun = self.ask(202, "POST", f"/v2/{REPOSITORY}/blobs/uploads/")
        place = "/v2/" + begun.getheader("Location").split("/v2/", 1)[1]
        with open(blob.path, "rb") as body:
            self.ask(201, "PUT", f"{place}&digest={blob.digest}", body,
                     Content_Length=str(blob.size), Content_Type="application/octet-stream")


def push(registry: Registry, objects: dict[str, Object]):
    client = _Client(registry)
    for thing in objects.values():          # blobs before the manifest that names them
        if thing.kind == "blobs":
            client.push_blob(thing)
        else:
            client.ask(201, "PUT", thing.target, thing.path.read_bytes(),
                       Content_Type=thing.media_type)
    client.connection.close()
