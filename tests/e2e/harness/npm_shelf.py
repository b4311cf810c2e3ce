"""An npm registry on the scriptable upstream: packuments in both forms with validators, tarballs,
accounts, and whatever lies a test wants."""

import gzip
import hashlib
import json
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from . import config
from .daemon import Daemon
from .faulty import Faulty, Reply, Seen
from .httpclient import Closed
from .net import until
from .npm_packages import ABBREVIATED, FULL, Package, packument

# A registry's own challenge: no client of the cache may ever see it.
CHALLENGE = 'Basic realm="the upstream\'s own"'


def npm_route(*urls, **keys) -> dict:
    """The npm route, at /npm unless told otherwise."""
    return config.route("npm", *urls, **{"protocol": "npm", "prefix": "/npm", **keys})


def npm_error(status: int, message: str, **headers) -> Reply:
    """An error as registries answer it."""
    fields = {"Content-Type": FULL,
              **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Reply(status, fields, json.dumps({"error": message}).encode(), ranges=False)


@dataclass
class Asked:
    """What the upstream was asked for one package."""
    packuments: list[Seen]
    tarballs: list[Seen]


@dataclass
class Shelf:
    """The packages on one upstream. By default everybody reads all of them."""
    upstream: Faulty
    gzips: bool = False             # packuments go out coded when that is accepted
    validators: bool = True         # packuments have an ETag, and it is honoured
    abbreviates: bool = True        # knows the abbreviated form
    delay: float = 0                # seconds before each answer
    # Per package: the values of Authorization that may read it; None: nobody needs one.
    readers: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self):
        self.upstream.fallback = npm_error(404, "Not found")

    @property
    def url(self) -> str:
        return self.upstream.url

    # -- what is offered -----------------------------------------------------------------------

    def put(self, *versions: Package, readers: set[str] | None = None):
        """Offer the versions of one package, the last one as latest."""
        name = versions[-1].name
        if readers is not None:
            self.readers[name] = readers
        self.put_document(name, packument(list(versions), self.url),
                          packument(list(versions), self.url, abbreviated=True))
        for package in versions:
            path = urlsplit(package.described(self.url)["dist"].get("tarball", "")).path
            self.upstream.script(path or package.tarball_path, self._tarball(package))

    def put_document(self, name: str, full: dict, abbreviated: dict):
        """Offer a packument, whatever is in it."""
        for path in packument_paths(name):
            self.upstream.script(path, self._packument(name, _encoded(full), _encoded(abbreviated)))

    def put_raw(self, name: str, *replies):
        """Answer for a packument as told."""
        for path in packument_paths(name):
            self.upstream.script(path, *replies)

    def put_tarball(self, package: Package, *replies):
        """Answer for a tarball as told."""
        self.upstream.script(package.tarball_path, *replies)

    def _late(self, reply: Reply) -> Reply:
        return replace(reply, head_delay=self.delay)

    def _refusal(self, name: str, seen: Seen) -> Reply | None:
        allowed = self.readers.get(name)
        if allowed is None or seen.header("Authorization") in allowed:
            return None
        if seen.header("Authorization"):
            return npm_error(403, "not for you")
        return npm_error(401, "log in first", WWW_Authenticate=CHALLENGE)

    def _packument(self, name: str, full: bytes, abbreviated: bytes):
        def reply(seen: Seen) -> Reply:
            short = self.abbreviates and ABBREVIATED in (seen.header("Accept") or "")
            return self._late(self._refusal(name, seen) or self._document(
                seen, abbreviated if short else full, ABBREVIATED if short else FULL))
        return reply

    def _document(self, seen: Seen, body: bytes, kind: str) -> Reply:
        headers = {"Content-Type": kind, "Vary": "Accept, Accept-Encoding",
                   "Cache-Control": "public, max-age=300"}
        coded = self.gzips and "gzip" in (seen.header("Accept-Encoding") or "")
        if self.validators:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:20]}{"-gz" * coded}"'
            if seen.header("If-None-Match") == headers["ETag"]:
                return Reply(304, headers)
        if coded:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 6, mtime=0)
        return Reply(headers=headers, body=body, ranges=False)

    def _tarball(self, package: Package):
        def reply(seen: Seen) -> Reply:
            return self._late(self._refusal(package.name, seen) or tarball_reply(package.data))
        return reply

    # -- what was asked ------------------------------------------------------------------------

    def asked(self, name: str) -> Asked:
        seen = [request for request in self.upstream.seen("GET")]
        return Asked([request for request in seen if request.path in packument_paths(name)],
                     [request for request in seen if request.path.startswith(f"/{name}/-/")])


def json_reply(document) -> Reply:
    return Reply(headers={"Content-Type": FULL}, body=_encoded(document), ranges=False)


def tarball_reply(data: bytes, **behaviour) -> Reply:
    return Reply(headers={"Content-Type": "application/octet-stream"}, body=data, **behaviour)


def packument_paths(name: str) -> list[str]:
    """The spellings of a packument's path."""
    return list(dict.fromkeys(f"/{name.replace('/', slash)}" for slash in ("%2f", "%2F", "/")))


def _encoded(document: dict) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


# -- asking the cache ----------------------------------------------------------------------------

def stored_blobs(daemon: Daemon) -> set[str]:
    """The digests of all blobs on disk; what is small lies in the index."""
    return {f"sha256:{file.name}" for file in (daemon.storage / "blobs").rglob("*")
            if file.is_file()}


def document_of(answer) -> dict:
    assert answer.status == 200 and answer.complete, f"{answer}: {answer.body[:300]!r}"
    return json.loads(answer.body)


def tarball_links(document: dict) -> dict[str, str]:
    """The link of each version."""
    return {version: described["dist"]["tarball"]
            for version, described in document["versions"].items()}


def error_of(answer) -> str:
    """The text that npm shows for an answer that is an error."""
    assert answer.status >= 400, f"{answer}: {answer.body[:300]!r}"
    assert answer.header("Content-Type") == FULL
    text = json.loads(answer.body)["error"]
    assert text
    return text


def completed(daemon, target: str, headers=()) -> bytes | None:
    """The body of a 200 that a client would take for whole; None if there is none."""
    try:
        answer = daemon.get(target, headers)
    except Closed:
        return None
    if answer.status != 200:
        assert error_of(answer)
    return answer.body if answer.status == 200 and answer.complete else None


def becomes(daemon, target: str, check, headers=()):
    """The next honest attempt succeeds."""
    def right():
        body = completed(daemon, target, headers)
        return body is not None and check(body)
    until(right, 10, f"the honest {target}", interval=0.1)
