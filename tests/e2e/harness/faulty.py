"""A scriptable upstream: it answers as told, well or badly, and remembers what it was asked.

It runs an asyncio loop in a thread of its own. What a path answers may be changed between requests.
"""

import asyncio
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse
from dataclasses import dataclass, field, replace

from .httpclient import digest_of
from .net import free_port, until

_PIECE = 1 << 16
_REASONS = {200: "OK", 206: "Partial Content", 304: "Not Modified", 307: "Temporary Redirect"}


class Gate:
    """What holds a body back until the test opens it."""

    def __init__(self):
        self._open = threading.Event()

    def open(self):
        self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()


@dataclass
class Reply:
    """One answer. Offsets count the body bytes of this answer, also when it is a range."""
    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    head_delay: float = 0           # seconds before the status line
    rate: int = 0                   # body bytes per second; 0: as fast as they go
    stop_at: int | None = None      # after so many body bytes ...
    then: str = "close"             # ... close, reset, stall (silent for ever)
    hold_at: int | None = None      # after so many body bytes wait for the gate
    gate: Gate | None = None
    length: int | None = None       # a Content-Length that is not the body's
    framing: str = "length"         # length, chunked, unterminated (no last chunk), close
    raw: bytes | None = None        # these bytes and nothing else, then close
    ranges: bool = True             # answer a Range with 206


@dataclass
class Seen:
    """One request as it came in, and what became of its answer."""
    method: str
    target: str
    headers: list[tuple[str, str]]
    at: float
    body: bytes = field(default=b"", repr=False)
    status: int = 0
    sent: int = 0                   # body bytes handed to the kernel
    finished: bool = False
    left: bool = False              # the peer went away before the end

    @property
    def path(self) -> str:
        return urllib.parse.urlsplit(self.target).path

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None


def oci_error(status: int, code: str, **headers) -> Reply:
    """An error answer as registries give it."""
    body = json.dumps({"errors": [{"code": code, "message": code.lower(), "detail": {}}]})
    fields = {"Content-Type": "application/json",
              **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Reply(status, fields, body.encode())


def hanging() -> Reply:
    """The connection is taken and nothing is ever said."""
    return Reply(head_delay=3600)


class Faulty:
    """The server. Paths are looked up as `METHOD /path`, then `/path`, then the fallback."""

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0):
        self.port = port or free_port()
        self.scheme = "https" if tls else "http"
        self.requests: list[Seen] = []
        self.fallback = oci_error(404, "NAME_UNKNOWN")
        self.busy = 0               # answers going out now
        self.most_busy = 0
        self.connections = 0        # accepted so far
        self._tls = tls
        self._scripts: dict[str, list] = {}
        self._loop = asyncio.new_event_loop()
        self._server = None
        self._tasks: set[asyncio.Task] = set()

    # -- life ------------------------------------------------------------------------------

    def start(self) -> "Faulty":
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.listen()
        return self

    def listen(self):
        """Accept connections (again)."""
        self._call(self._listen())

    def refuse(self):
        """Stop listening and reset what is open: connections are refused from now on."""
        self._call(self._refuse())

    def stop(self):
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self):
        self._server = await asyncio.start_server(
            self._connection, "127.0.0.1", self.port, ssl=self._tls, limit=1 << 20,
            backlog=1024, reuse_address=True)

    async def _refuse(self):
        if self._server:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    # -- what it answers -------------------------------------------------------------------

    def script(self, path: str, *replies):
        """Answers for a path, in turn; the last one stays. A callable gets the request (Seen)
        and returns a Reply."""
        self._scripts[path] = list(replies)

    def put_blob(self, repository: str, data: bytes, **behaviour) -> str:
        """Offer a blob; its digest."""
        digest = digest_of(data)
        self.script(f"/v2/{repository}/blobs/{digest}", self.blob_reply(data, **behaviour))
        return digest

    @staticmethod
    def blob_reply(data: bytes, **behaviour) -> Reply:
        return Reply(headers={"Content-Type": "application/octet-stream",
                              "Docker-Content-Digest": digest_of(data)},
                     body=data, **behaviour)

    def put_manifest(self, repository: str, tag: str, data: bytes,
                     media_type: str = "application/vnd.oci.image.manifest.v1+json",
                     **behaviour) -> str:
        """Offer a manifest under a tag and under its digest; the digest."""
        reply = self.manifest_reply(data, media_type, **behaviour)
        digest = digest_of(data)
        for reference in (tag, digest):
            self.script(f"/v2/{repository}/manifests/{reference}", reply)
        return digest

    @staticmethod
    def manifest_reply(data: bytes,
                       media_type: str = "application/vnd.oci.image.manifest.v1+json",
                       **behaviour) -> Reply:
        digest = digest_of(data)
        return Reply(headers={"Content-Type": media_type, "Docker-Content-Digest": digest,
                              "ETag": f'"{digest}"'}, body=data, ranges=False, **behaviour)

    def _reply_for(self, seen: Seen) -> Reply:
        for key in (f"{seen.method} {seen.path}", seen.path):
            replies = self._scripts.get(key)
            if replies:
                reply = replies.pop(0) if len(replies) > 1 else replies[0]
                return reply(seen) if callable(reply) else reply
        return self.fallback(seen) if callable(self.fallback) else self.fallback

    # -- what it saw -----------------------------------------------------------------------

    def seen(self, method: str = "", path_part: str = "") -> list[Seen]:
        return [request for request in list(self.requests)
                if method in ("", request.method) and path_part in request.target]

    def wait_seen(self, count: int, method: str = "", path_part: str = "",
                  timeout: float = 10) -> list[Seen]:
        """Wait until so many such requests were made."""
        return until(lambda: len(found := self.seen(method, path_part)) >= count and found,
                     timeout, f"{count} requests {method} {path_part}")

    def forget(self):
        self.requests.clear()

    # -- the server's own thread -----------------------------------------------------------

    async def _connection(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader, writer) -> bool:
        """One request and its answer; true if the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in head[1:] if line]
        seen = Seen(method, target, headers, time.monotonic())
        seen.body = await reader.readexactly(int(seen.header("Content-Length") or 0))
        self.requests.append(seen)
        reply = self._reply_for(seen)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            return await self._answer(seen, reply, reader, writer)
        except ConnectionError:
            seen.left = True
            raise
        finally:
            self.busy -= 1

    async def _answer(self, seen: Seen, reply: Reply, reader, writer) -> bool:
        await self._sleep_or_leave(reply.head_delay, reader)
        if reply.raw is not None:
            writer.write(reply.raw)
            await writer.drain()
            writer.close()
            return False
        reply = _ranged(seen, reply)
        seen.status = reply.status
        writer.write(_head(seen, reply))
        await writer.drain()
        goes_on = True
        if seen.method != "HEAD" and reply.status != 304:
            goes_on = await self._body(seen, reply, reader, writer)
        seen.finished = reply.stop_at is None
        return goes_on

    async def _sleep_or_leave(self, seconds: float, reader):
        """Sleep; a peer that leaves meanwhile ends it."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            _check_peer(reader)
            await asyncio.sleep(min(left, 0.05))

    async def _body(self, seen: Seen, reply: Reply, reader, writer) -> bool:
        """Send the body as told; false if the connection was broken on purpose."""
        begin = time.monotonic()
        piece = min(_PIECE, max(reply.rate // 20, 1)) if reply.rate else _PIECE
        end = len(reply.body) if reply.stop_at is None else min(reply.stop_at, len(reply.body))
        marks = {end} | ({reply.hold_at} if reply.hold_at is not None else set())
        while seen.sent < end:
            if seen.sent == reply.hold_at:
                await self._hold(reply.gate, reader)
            until_mark = min(mark for mark in marks if mark > seen.sent)
            data = reply.body[seen.sent:min(seen.sent + piece, until_mark)]
            writer.write(_framed(reply, data))
            await writer.drain()
            seen.sent += len(data)
            if reply.rate:
                ahead = seen.sent / reply.rate - (time.monotonic() - begin)
                await self._sleep_or_leave(ahead, reader)
        if reply.stop_at is not None:
            await self._break(reply, reader, writer)
            return False
        if reply.framing == "chunked":
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        elif reply.framing != "length" or reply.length not in (None, len(reply.body)):
            # Short of what was promised, or delimited by the end of the connection.
            writer.close()
            return False
        return True

    async def _hold(self, gate: Gate, reader):
        while not gate.is_open:
            _check_peer(reader)
            await asyncio.sleep(0.005)

    async def _break(self, reply: Reply, reader, writer):
        if reply.then == "stall":
            await self._sleep_or_leave(3600, reader)
        elif reply.then == "reset":
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        else:
            writer.close()


def _check_peer(reader):
    if reader.at_eof() or reader.exception():
        raise ConnectionResetError("peer left")


def _ranged(seen: Seen, reply: Reply) -> Reply:
    """The reply cut to the single range that was asked for, if any."""
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", seen.header("Range") or "")
    validators = (None, reply.headers.get("ETag"))
    if not asked or not reply.ranges or reply.status != 200 \
            or seen.header("If-Range") not in validators:
        return reply
    total, first = len(reply.body), int(asked[1])
    last = min(int(asked[2]) if asked[2] else total - 1, total - 1)
    if first >= total:
        return Reply(416, {"Content-Range": f"bytes */{total}"})
    headers = {**reply.headers, "Content-Range": f"bytes {first}-{last}/{total}"}
    return replace(reply, status=206, headers=headers, body=reply.body[first:last + 1])


def _head(seen: Seen, reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Whatever')}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if reply.framing in ("chunked", "unterminated"):
        lines.append("Transfer-Encoding: chunked")
    elif reply.framing == "length" and reply.status != 304:
        length = len(reply.body) if reply.length is None else reply.length
        lines.append(f"Content-Length: {length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def _framed(reply: Reply, data: bytes) -> bytes:
    if reply.framing in ("chunked", "unterminated"):
        return b"%x\r\n%b\r\n" % (len(data), data)
    return data
