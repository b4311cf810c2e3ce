"""A Python package index as upstream: simple pages in HTML and in JSON with all that the standards
know, legacy JSON, files and their metadata on an origin of their own, accounts, private projects.

Both origins are scriptable servers (harness/faulty.py): a path, or all of them, may be told to
fail.
"""

import gzip
import hashlib
import html
import json
import re
import zipfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from . import config
from .faulty import Faulty, Reply, Seen
from .tokens import basic

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"
PLAIN_HTML = "text/html"
ACCEPT_JSON = ("Accept", JSON_TYPE)
ACCEPT_HTML = ("Accept", HTML_TYPE)
# What pip sends.
ACCEPT_PIP = ("Accept", f"{JSON_TYPE}, {HTML_TYPE}; q=0.1, {PLAIN_HTML}; q=0.01")


def normal(name: str) -> str:
    """A project's name as simple pages spell it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def hexdigest(data: bytes, kind: str = "sha256") -> str:
    return hashlib.new(kind, data).hexdigest()


@dataclass
class Upload:
    """One file of a project, and what the index says about it."""
    filename: str
    data: bytes = field(repr=False)
    version: str = "1.0"
    metadata: bytes | None = None               # of a wheel
    uploaded: str = "2024-05-06T07:08:09.123456Z"
    requires_python: str = ">=3.8"
    yanked: bool | str = False
    hashes: dict | None = None                  # listed instead of the true ones
    size: int | None = None                     # listed instead of the true one
    url: str | None = None                      # linked instead of where it is; no hash is added
    provenance: str | None = None
    more: dict = field(default_factory=dict)    # further keys of the JSON form

    @property
    def path(self) -> str:
        """Where it is on its server: digits of a hash of the content, then the name."""
        digits = hashlib.blake2b(self.data, digest_size=32).hexdigest()
        return f"/packages/{digits[:2]}/{digits[2:4]}/{digits[4:]}/{self.filename}"

    @property
    def listed(self) -> dict:
        return {"sha256": hexdigest(self.data)} if self.hashes is None else self.hashes

    @property
    def digest(self) -> str:
        return "sha256:" + hexdigest(self.data)


@dataclass
class Project:
    name: str
    uploads: list[Upload]
    serial: int = 1000
    more: dict = field(default_factory=dict)    # further keys of the page's JSON form
    readers: set[str] | None = None             # the users who may see it; None: everybody


def make_wheel(name: str, version: str = "1.0", requires=(), data: bytes = b"") -> Upload:
    """A small wheel that can be installed: one module, which knows its version."""
    stem = f"{name.replace('-', '_')}-{version}"
    module = f"{name.replace('-', '_')}.py"
    metadata = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}",
                          *(f"Requires-Dist: {one}" for one in requires), ""]).encode()
    info = f"{stem}.dist-info"
    files = {module: f'__version__ = "{version}"\n'.encode(), f"{info}/METADATA": metadata,
             f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
                              b"Tag: py3-none-any\n"}
    if data:
        files[f"{name.replace('-', '_')}_data.bin"] = data
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"]).encode()
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file, content in files.items():
            archive.writestr(zipfile.ZipInfo(file, (2020, 1, 1, 0, 0, 0)), content)
    return Upload(f"{stem}-py3-none-any.whl", packed.getvalue(), version, metadata)


def load_file(file: Path) -> tuple[str, Upload]:
    """A real wheel or source distribution: its project and itself."""
    data = file.read_bytes()
    if file.suffix != ".whl":
        name, version = file.name.removesuffix(".tar.gz").rsplit("-", 1)
        return normal(name), Upload(file.name, data, version, requires_python="")
    name, version = file.name.split("-")[:2]
    with zipfile.ZipFile(file) as archive:
        member = next(one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        metadata = archive.read(member)
    needs = re.search(rb"^Requires-Python: (.*)$", metadata, re.M)
    return normal(name), Upload(file.name, data, version, metadata,
                                requires_python=needs[1].decode().strip() if needs else "")


class Index:
    """The index. Attributes may be changed between requests."""

    def __init__(self, pages: Faulty, files: Faulty):
        self.pages = pages
        self.files = files
        self.projects: dict[str, Project] = {}
        self.serial = 1000              # of the list of projects
        self.speaks_json = True
        self.sends_gzip = True
        self.own_files = False          # files are on the pages' origin
        self.metadata_attributes = ["data-dist-info-metadata", "data-core-metadata"]
        self.accounts: dict[str, str] = {}      # user: password
        self.mend()

    # -- what it has -----------------------------------------------------------------------

    def add(self, name: str, *uploads: Upload, **more) -> Project:
        self.projects[normal(name)] = project = Project(normal(name), list(uploads), **more)
        return project

    def add_wheel(self, name: str, version: str = "1.0", **more) -> Upload:
        """A project with one small wheel."""
        upload = make_wheel(name, version)
        self.add(name, upload, **more)
        return upload

    def add_folder(self, folder: Path):
        """Everything that `pip download` left in a folder."""
        for file in sorted(folder.glob("*.whl")) + sorted(folder.glob("*.tar.gz")):
            name, upload = load_file(file)
            self.add(name, *(self.projects[name].uploads if name in self.projects else []), upload)

    def upload(self, name: str, upload: Upload):
        """One more file of a project, and a serial that says so."""
        project = self.projects[name]
        project.uploads.append(upload)
        project.serial += 1

    # -- how it fails ----------------------------------------------------------------------

    def fail(self, reply: Reply):
        """Everything that is asked of either origin is answered so."""
        self.pages.fallback = self.files.fallback = reply

    def mend(self):
        """Answer honestly (again)."""
        self.pages.fallback = self._answer
        self.files.fallback = self._file

    def stop(self):
        """Connections are refused from now on."""
        self.pages.refuse()
        self.files.refuse()

    def forget(self):
        """Empty the access logs."""
        self.pages.forget()
        self.files.forget()

    @property
    def requests(self) -> list[Seen]:
        return [*self.pages.requests, *self.files.requests]

    def file_gets(self, filename: str = "") -> list[str]:
        """The names of the files that were fetched, metadata among them."""
        names = [seen.path.rsplit("/", 1)[1] for seen in self.requests
                 if seen.method == "GET" and seen.path.startswith("/packages/")]
        return [name for name in names if filename in ("", name)]

    @property
    def url(self) -> str:
        return self.pages.url

    @property
    def file_server(self) -> Faulty:
        return self.pages if self.own_files else self.files

    @property
    def file_host(self) -> str:
        """Host and port that serve the files."""
        return f"127.0.0.1:{self.file_server.port}"

    def route(self, **keys) -> dict:
        """A route of the daemon with this index as its upstream."""
        return config.route("pypi", self.url, **{
            "protocol": "pypi", "prefix": "/pypi", "file_hosts": [self.file_host], "ttl": "1h",
            **keys})

    def target(self, name: str, upload: Upload, prefix: str = "/pypi") -> str:
        """Where a client of the daemon asks for a file of a project."""
        return f"{prefix}/simple/{name}/files/{self.file_host}{upload.path}"

    # -- pages -----------------------------------------------------------------------------

    def link(self, upload: Upload) -> str:
        """A file's URL as the pages have it, without fragment."""
        return self.file_server.url + upload.path if upload.url is None else upload.url

    def json_page(self, name: str) -> bytes:
        """A project's page as it is sent; its odd spacing shows who writes JSON anew."""
        project = self.projects[name]
        files = [self._json_file(upload) for upload in project.uploads]
        page = {"alternate-locations": [], "files": files,
                "meta": {"_last-serial": project.serial, "api-version": "1.4"},
                "name": name, "project-status": {"status": "active"},
                "versions": sorted({upload.version for upload in project.uploads}), **project.more}
        return json.dumps(page, indent=1, separators=(" ,", " :  ")).encode()

    def _json_file(self, upload: Upload) -> dict:
        digest = upload.metadata is not None and {"sha256": hexdigest(upload.metadata)}
        return {"core-metadata": digest, "data-dist-info-metadata": digest,
                "filename": upload.filename, "hashes": upload.listed,
                "provenance": upload.provenance, "requires-python": upload.requires_python or None,
                "size": len(upload.data) if upload.size is None else upload.size,
                "upload-time": upload.uploaded, "url": self.link(upload), "yanked": upload.yanked,
                **upload.more}

    def html_page(self, name: str, base: str = "") -> bytes:
        """The same; `base` is an href for <base>."""
        project = self.projects[name]
        base = f'<base href="{html.escape(base)}">' if base else ""
        anchors = "\n".join(self._anchor(upload) for upload in project.uploads)
        return (f'<!DOCTYPE html>\n<html>\n  <head>\n    {base}'
                '<meta name="pypi:repository-version" content="1.4">\n'
                f'    <title>Links for {name}</title>\n  </head>\n  <body>\n'
                f'    <h1>Links for {name}</h1>\n{anchors}\n</body>\n</html>\n'
                f'<!--SERIAL {project.serial}-->').encode()

    def _anchor(self, upload: Upload) -> str:
        fragment = "".join(f"#{kind}={digest}" for kind, digest in list(upload.listed.items())[:1])
        more = {"href": self.link(upload) + ("" if upload.url else fragment)}
        if upload.requires_python:
            more["data-requires-python"] = upload.requires_python
        if upload.metadata is not None:
            listed = f"sha256={hexdigest(upload.metadata)}"
            more |= {name: listed for name in self.metadata_attributes}
        if upload.yanked is not False:
            more["data-yanked"] = upload.yanked if upload.yanked is not True else ""
        if upload.provenance:
            more["data-provenance"] = upload.provenance
        words = " ".join(f'{key}="{html.escape(value)}"' for key, value in more.items())
        return f"    <a {words} >{upload.filename}</a><br />"

    def root_page(self, media_type: str) -> bytes:
        if media_type == JSON_TYPE:
            return json.dumps({"meta": {"_last-serial": self.serial, "api-version": "1.4"},
                               "projects": [{"_last-serial": project.serial, "name": name}
                                            for name, project in self.projects.items()]}).encode()
        anchors = "\n".join(f'<a href="/simple/{name}/">{name}</a>' for name in self.projects)
        return f"<!DOCTYPE html>\n<html><body>\n{anchors}\n</body></html>".encode()

    def legacy_page(self, name: str, version: str | None) -> bytes | None:
        """/pypi/NAME/json, /pypi/NAME/VERSION/json."""
        project = self.projects[name]
        releases = {}
        for upload in project.uploads:
            releases.setdefault(upload.version, []).append({
                "digests": {"md5": hexdigest(upload.data, "md5"), **upload.listed},
                "filename": upload.filename, "packagetype": "bdist_wheel",
                "size": len(upload.data), "upload_time_iso_8601": upload.uploaded,
                "url": self.link(upload), "yanked": bool(upload.yanked)})
        shown = version or project.uploads[-1].version
        if shown not in releases:
            return None
        info = {"name": name, "version": shown, "requires_dist": None,
                "home_page": f"{self.url}/home", "package_url": f"https://{name}.example.com/"}
        page = {"info": info, "last_serial": project.serial, "releases": releases,
                "urls": releases[shown], "vulnerabilities": []}
        if version:
            del page["releases"]
        return json.dumps(page, separators=(", ", ":")).encode()

    # -- answers ---------------------------------------------------------------------------

    def _answer(self, seen: Seen) -> Reply:
        """Of the origin that has the pages."""
        user = self._user(seen)
        if user == "unknown":
            return self._unauthorized()
        found = re.fullmatch(r"/simple/(?:([^/]+)/)?", seen.path)
        if found:
            return self._page(seen, found[1], user)
        found = re.fullmatch(r"/pypi/([^/]+)(?:/([^/]+))?/json", seen.path)
        if found and self._readable(found[1], user):
            page = self.legacy_page(found[1], found[2])
            if page:
                return self._validated(seen, page, "application/json", self._serial(found[1]))
        return self._file(seen, user)

    def _page(self, seen: Seen, name: str | None, user: str | None) -> Reply:
        media_type = self._negotiate(seen.header("Accept") or "")
        if name is None:
            return self._validated(seen, self.root_page(media_type), media_type,
                                   {"X-PyPI-Last-Serial": str(self.serial)})
        if name not in self.projects:
            return _not_found()
        if not self._readable(name, user):
            return self._unauthorized() if user is None else _not_found()
        page = self.json_page(name) if media_type == JSON_TYPE else self.html_page(name)
        return self._validated(seen, page, media_type, self._serial(name))

    def _serial(self, name: str) -> dict:
        return {"X-PyPI-Last-Serial": str(self.projects[name].serial)}

    def _negotiate(self, accept: str) -> str:
        weights = {}
        for part in accept.split(","):
            name, *parameters = (word.strip().lower() for word in part.split(";"))
            weight = [word[2:] for word in parameters if word.startswith("q=")]
            weights[name] = float(weight[0]) if weight else 1.0
        offered = [JSON_TYPE, HTML_TYPE, PLAIN_HTML] if self.speaks_json else [PLAIN_HTML]
        return max(offered, key=lambda one: (weights.get(one, 0), one == PLAIN_HTML))

    def _validated(self, seen: Seen, body: bytes, media_type: str, headers: dict) -> Reply:
        """200 or 304, gzip-coded for who takes it."""
        coded = self.sends_gzip and "gzip" in (seen.header("Accept-Encoding") or "")
        etag = f'"{hexdigest(body)[:24]}{"-gzip" if coded else ""}"'
        headers = {"Content-Type": media_type, "ETag": etag, "Vary": "Accept, Accept-Encoding",
                   "Cache-Control": "max-age=600, public", **headers}
        if seen.header("If-None-Match") == etag:
            return Reply(304, headers)
        if coded:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, mtime=0)
        return Reply(headers=headers, body=body, ranges=False)

    def _file(self, seen: Seen, user: str | None = None) -> Reply:
        """Of either origin, if it has files: a wheel, a source distribution, a wheel's metadata."""
        found = [(name, upload) for name, project in self.projects.items()
                 for upload in project.uploads if seen.path.startswith(upload.path)]
        if not found:
            return _not_found()
        # On the file host URLs are secrets enough; the pages' origin knows its users.
        if self.own_files and not any(self._readable(name, user) for name, _ in found):
            return self._unauthorized() if user is None else _not_found()
        upload = found[0][1]
        return _file_reply(upload, seen.path.removeprefix(upload.path))

    # -- accounts --------------------------------------------------------------------------

    def _user(self, seen: Seen) -> str | None:
        """Who asks; None: nobody; "unknown": credentials that are wrong."""
        given = seen.header("Authorization")
        if given is None:
            return None
        known = {basic(user, password): user for user, password in self.accounts.items()}
        return known.get(given, "unknown")

    def _readable(self, name: str, user: str | None) -> bool:
        project = self.projects.get(name)
        return project is not None and (project.readers is None or user in project.readers)

    @staticmethod
    def _unauthorized() -> Reply:
        return Reply(401, {"WWW-Authenticate": 'Basic realm="realm of the upstream"',
                           "Content-Type": "text/plain"}, b"who are you?")


def _not_found() -> Reply:
    return Reply(404, {"Content-Type": "text/html"}, b"<h1>not found</h1>")


def _file_reply(upload: Upload, suffix: str) -> Reply:
    """A file, or what stands beside it under a longer name."""
    beside = {"": upload.data, ".metadata": upload.metadata, ".asc": upload.more.get("_signature"),
              ".provenance": b'{"version": 1}' if upload.provenance else None}
    data = beside.get(suffix)
    if data is None:
        return _not_found()
    data = data.encode() if isinstance(data, str) else data
    return Reply(headers={"Content-Type": "application/octet-stream",
                          "ETag": f'"{hexdigest(data)[:32]}"',
                          "Cache-Control": "max-age=365000000, immutable, public"}, body=data)


def long_page(index: Index, name: str, size: int) -> bytes:
    """A JSON page of about this size: the project's first file again and again."""
    page = index.json_page(name)
    begin, end = page.index(b"  {\n   \"core"), page.index(b"\n  }") + len(b"\n  }")
    entry = page[begin:end]
    return page[:begin] + b" ,\n".join([entry] * (size // len(entry))) + page[end:]
