"""A repository of Debian packages, made on the spot, and apt with a root of its own."""

import email.utils
import gzip
import hashlib
import os
from pathlib import Path

from .faulty import Faulty, Reply, Seen
from .process import run

_MADE = email.utils.formatdate(1_600_000_000, usegmt=True)


def build_package(folder: Path, name: str, payload: bytes) -> Path:
    """A package with one file."""
    tree = folder / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <n@example.com>\n"
        "Description: made for a test\n")
    (tree / "usr" / "share" / name).mkdir(parents=True)
    (tree / "usr" / "share" / name / "payload").write_bytes(payload)
    file = folder / f"{name}_1.0_all.deb"
    run(["dpkg-deb", "--build", "--root-owner-group", tree, file])
    return file


class Repository:
    """The distribution `stable` with its only component, served as a plain web server would."""

    def __init__(self, server: Faulty, *packages: Path):
        self.files = {f"/pool/main/{file.name}": file.read_bytes() for file in packages}
        index = "\n".join(map(_stanza, packages)).encode()
        packed = gzip.compress(index, mtime=0)
        for name in ("Packages.gz", f"by-hash/SHA256/{hashlib.sha256(packed).hexdigest()}"):
            self.files[f"/dists/stable/main/binary-amd64/{name}"] = packed
        self.files["/dists/stable/Release"] = _release(index, packed).encode()
        server.fallback = self._answer

    def _answer(self, seen: Seen) -> Reply:
        body = self.files.get(seen.path)
        if body is None:
            return Reply(404, {"Content-Type": "text/html"}, b"<h1>Not Found</h1>")
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        headers = {"Last-Modified": _MADE, "ETag": etag}
        if seen.header("If-None-Match") == etag or seen.header("If-Modified-Since") == _MADE:
            return Reply(304, headers)
        return Reply(200, headers, body)


def _stanza(file: Path) -> str:
    data = file.read_bytes()
    control = run(["dpkg-deb", "--field", file]).stdout
    return (f"{control.strip()}\nFilename: pool/main/{file.name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n")


def _release(index: bytes, packed: bytes) -> str:
    """apt wants the sum of what it unpacks as well."""
    sums = "\n".join(f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-amd64/{name}"
                     for name, data in (("Packages", index), ("Packages.gz", packed)))
    return ("Origin: test\nSuite: stable\nCodename: stable\nArchitectures: amd64\n"
            f"Components: main\nDate: {_MADE}\nAcquire-By-Hash: yes\nSHA256:\n{sums}\n")


class Apt:
    """apt that knows one repository and nothing of this machine."""

    def __init__(self, root: Path, url: str):
        self.root = root
        for folder in ("lists/partial", "cache/archives/partial", "etc", "downloads"):
            (root / folder).mkdir(parents=True)
        (root / "status").touch()
        (root / "etc" / "sources.list").write_text(f"deb [trusted=yes] {url} stable main\n")
        settings = {
            "Dir::State": root, "Dir::State::lists": root / "lists",
            "Dir::State::status": root / "status", "Dir::Cache": root / "cache",
            "Dir::Etc": root / "etc", "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Parts": "/dev/null", "Dir::Log": root, "APT::Architecture": "amd64",
            "APT::Sandbox::User": "root", "Acquire::Languages": "none", "Acquire::Retries": "0",
            "Acquire::http::Proxy": "DIRECT",
        }
        self.config = root / "apt.conf"
        self.config.write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))

    def get(self, *words):
        run(["apt-get", *words], env={"APT_CONFIG": str(self.config), "LC_ALL": "C",
                                      "PATH": os.environ["PATH"]},
            cwd=self.root / "downloads")

    def update(self):
        self.get("update", "--error-on=any")

    def download(self, package: str) -> bytes:
        self.get("download", package)
        return (self.root / "downloads" / f"{package}_1.0_all.deb").read_bytes()
