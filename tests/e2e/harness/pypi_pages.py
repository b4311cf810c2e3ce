"""Simple pages as clients read them."""

import gzip
import html.parser
import json
import re
import urllib.parse
from dataclasses import dataclass

from .httpclient import Response
from .pypi_index import JSON_TYPE


@dataclass(frozen=True)
class Link:
    """One file that a page names."""
    filename: str
    href: str           # as the page has it
    target: str         # what a client asks for: an absolute path here, or a URL elsewhere
    fragment: str
    more: dict          # the other attributes, or keys


class _Anchors(html.parser.HTMLParser):
    """The anchors of a page, and its base."""

    def __init__(self):
        super().__init__()
        self.base = ""
        self.anchors: list[tuple[dict, str]] = []
        self._open: dict | None = None

    def handle_starttag(self, tag, attrs):
        if tag == "base":
            self.base = self.base or dict(attrs).get("href") or ""
        if tag == "a":
            self._open = {name: value or "" for name, value in attrs}

    def handle_data(self, data):
        if self._open is not None:
            self.anchors.append((self._open, data.strip()))
            self._open = None


def decoded(answer: Response) -> bytes:
    coding = answer.header("Content-Encoding")
    assert coding in (None, "gzip"), coding
    return gzip.decompress(answer.body) if coding else answer.body


def links(answer: Response, target: str) -> dict[str, Link]:
    """The files that the page at target names, by filename."""
    assert answer.status == 200 and answer.complete, (answer.status, answer.body[:200])
    if answer.header("Content-Type") == JSON_TYPE:
        files = json.loads(decoded(answer))["files"]
        found = [(file.pop("filename"), file.pop("url"), file) for file in files]
        base = target
    else:
        page = _Anchors()
        page.feed(decoded(answer).decode())
        found = [(name, attributes.pop("href"), attributes) for attributes, name in page.anchors]
        base = urllib.parse.urljoin(_here(target), page.base)
    return {name: Link(name, href, *resolve(base, href), more) for name, href, more in found}


def _here(target: str) -> str:
    return urllib.parse.urljoin("http://cache.test", target)


def resolve(base: str, href: str) -> tuple[str, str]:
    """Where a link leads from the page at base: a path here or a URL elsewhere; its fragment."""
    url, fragment = urllib.parse.urldefrag(urllib.parse.urljoin(_here(base), href))
    return url.removeprefix(_here("")), fragment


def restored(body: bytes) -> bytes:
    """A page of ours with the upstream's absolute links: what was rewritten can be undone."""
    return re.sub(rb'"files/([^/"]+)/', rb'"http://\1/', body)
