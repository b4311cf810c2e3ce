"""npm packages: small ones made on the spot, real ones out of npm's own cache, and packuments."""

import base64
import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field, replace

from .httpclient import digest_of
from .npm_tools import TOOLS

PUBLISHED = "2020-02-02T02:02:02.000Z"
ABBREVIATED = "application/vnd.npm.install-v1+json"
FULL = "application/json"
# What npm and pnpm send for an install, and for a document with everything.
ACCEPT_ABBREVIATED = ("Accept", f"{ABBREVIATED}; q=1.0, application/json; q=0.8, */*")
ACCEPT_FULL = ("Accept", FULL)

# What the abbreviated form tells of a version.
_ABBREVIATED_KEYS = {"name", "version", "dependencies", "optionalDependencies", "peerDependencies",
                     "peerDependenciesMeta", "bin", "engines", "os", "cpu", "dist",
                     "hasInstallScript", "deprecated"}


def integrity_of(data: bytes, algorithm: str = "sha512") -> str:
    """Subresource integrity, as packuments and lockfiles have it."""
    digest = hashlib.new(algorithm, data).digest()
    return f"{algorithm}-{base64.b64encode(digest).decode()}"


def shasum_of(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@dataclass(frozen=True)
class Package:
    """One version of a package: its tarball, and what its publisher says of it."""
    name: str
    version: str
    data: bytes = field(repr=False)
    manifest: dict = field(repr=False)
    dist: dict = field(default_factory=dict)    # over what is true; None: left out

    @property
    def file(self) -> str:
        """The canonical name of the tarball: without scope and without build metadata."""
        return f"{self.name.rpartition('/')[2]}-{self.version.partition('+')[0]}.tgz"

    @property
    def tarball_path(self) -> str:
        return f"/{self.name}/-/{self.file}"

    @property
    def digest(self) -> str:
        return digest_of(self.data)

    def saying(self, **dist) -> "Package":
        """The same, with something else in `dist`."""
        return replace(self, dist={**self.dist, **dist})

    def described(self, base: str) -> dict:
        """The version as a packument has it; base is what the registry's links start with."""
        dist = {"integrity": integrity_of(self.data), "shasum": shasum_of(self.data),
                "tarball": base + self.tarball_path, **self.dist}
        kept = {key: value for key, value in dist.items() if value is not None}
        return {**self.manifest, "_id": f"{self.name}@{self.version}", "dist": kept}


def make_package(name: str, version: str = "1.0.0", size: int = 0, **manifest) -> Package:
    """A package that exports its own name and version; the same recipe gives the same bytes."""
    manifest = {"name": name, "version": version, "main": "index.js", **manifest}
    files = {"package.json": json.dumps(manifest).encode(),
             "index.js": f"module.exports = {json.dumps(f'{name}@{version}')};\n".encode()}
    if size:
        files["padding.bin"] = hashlib.shake_128(f"{name}@{version}".encode()).digest(size)
    return Package(name, version, _tarball(files), manifest)


def _tarball(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(out.getvalue(), 6, mtime=0)


def packument(packages: list[Package], base: str, abbreviated: bool = False) -> dict:
    """The document of one package with these versions; the last one is the latest."""
    last = packages[-1]
    versions = {package.version: package.described(base) for package in packages}
    if abbreviated:
        versions = {version: {key: value for key, value in described.items()
                              if key in _ABBREVIATED_KEYS}
                    for version, described in versions.items()}
    document = {"name": last.name, "dist-tags": {"latest": last.version}, "versions": versions,
                "modified": PUBLISHED}
    if not abbreviated:
        document |= {"_id": last.name, "readme": f"# {last.name}\n",
                     "time": {"created": PUBLISHED, "modified": PUBLISHED,
                              **{package.version: PUBLISHED for package in packages}}}
    return document


# -- real packages --------------------------------------------------------------------------

# What the project of the tests depends on: the registry itself, with some 300 packages.
PROJECT = "verdaccio"
_MODULES = "node_modules/"


def _locked() -> dict:
    """What is installed for the tests, by its place (`node_modules/a/node_modules/b`)."""
    lock = json.loads((TOOLS / "node_modules" / ".package-lock.json").read_text())
    return lock["packages"]


def _place(locked: dict, dependent: str, name: str) -> str | None:
    """Where a package finds one of its dependencies: in its own folder, or further out."""
    while True:
        place = f"{dependent}/{_MODULES}{name}" if dependent else _MODULES + name
        if place in locked:
            return place
        if not dependent:
            return None
        dependent = dependent.rpartition(f"/{_MODULES}")[0]


def _closure(locked: dict) -> list[str]:
    """The places of the project's package and of all it depends on."""
    found, open_ = [], [_MODULES + PROJECT]
    while open_:
        place = open_.pop()
        if place in found:
            continue
        found.append(place)
        entry = locked[place]
        for kind in ("dependencies", "optionalDependencies", "peerDependencies"):
            places = (_place(locked, place, name) for name in entry.get(kind, {}))
            open_ += [place for place in places if place]
    return found


def _cached_bytes(integrity: str) -> bytes:
    """A tarball out of npm's cache, where it lies under its digest."""
    algorithm, encoded = integrity.split("-", 1)
    digest = base64.b64decode(encoded).hex()
    return (TOOLS / "cache" / "_cacache" / "content-v2" / algorithm / digest[:2] / digest[2:4]
            / digest[4:]).read_bytes()


def _from_tarball(data: bytes) -> Package:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        entry = next(name for name in tar.getnames()
                     if name.count("/") == 1 and name.endswith("/package.json"))
        manifest = json.load(tar.extractfile(entry))
    return Package(manifest["name"], manifest["version"], data, manifest)


def project_packages() -> list[Package]:
    """The real packages of the project, each version once."""
    locked = _locked()
    integrities = {locked[place]["integrity"] for place in _closure(locked)}
    packages = [_from_tarball(_cached_bytes(integrity)) for integrity in sorted(integrities)]
    return sorted(packages, key=lambda package: (package.name, package.version))
