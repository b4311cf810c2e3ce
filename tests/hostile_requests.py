"""Hostile HTTP/1.1 requests: name, raw bytes, what the server must do.

REJECTED  one answer, 400 (or 413, 414, 431, 501, 505 where that is the right one), then close;
          nothing after the bad message may be read as a second request.
REFUSED   framed well, so the connection may go on; the answer is a 4xx or 5xx.
ACCEPTED  with the number of requests in the row: so many answers of 200.
Bytes are sent on one connection.
"""

_SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def _get(*lines: bytes) -> bytes:
    """A request for the page that is always there, with more field lines."""
    return b"\r\n".join([b"GET /v2/ HTTP/1.1", b"Host: x", *lines, b"", b""])


def _post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"POST /a HTTP/1.1", b"Host: x", *lines, b"", body])


def _chunked(body: bytes) -> bytes:
    return _post(b"Transfer-Encoding: chunked", body=body)


def _target(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"


MESSAGE_LENGTH = [
    ("length and chunked together", _post(
        b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + _SMUGGLED)),
    ("chunked and length together", _post(
        b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"0\r\n\r\n" + _SMUGGLED)),
    ("two different lengths", _post(b"Content-Length: 0", b"Content-Length: 5", body=b"AAAAA")),
    ("two different lengths in one field", _post(b"Content-Length: 0, 5", body=b"AAAAA")),
    ("signed length", _post(b"Content-Length: +5", body=b"AAAAA")),
    ("negative length", _post(b"Content-Length: -1", body=_SMUGGLED)),
    ("hexadecimal length", _post(b"Content-Length: 0x5", body=b"AAAAA")),
    ("length with a space inside", _post(b"Content-Length: 5 5", body=b"AAAAA")),
    ("empty length", _post(b"Content-Length:", body=_SMUGGLED)),
    ("length that overflows 64 bits", _post(b"Content-Length: 18446744073709551616",
                                            body=_SMUGGLED)),
    ("length of forty digits", _post(b"Content-Length: " + b"9" * 40, body=_SMUGGLED)),
    ("fractional length", _post(b"Content-Length: 5.0", body=b"AAAAA")),
]

TRANSFER_CODING = [
    ("unknown transfer coding", _post(b"Transfer-Encoding: foo", body=_SMUGGLED)),
    ("chunked is not the last coding", _post(b"Transfer-Encoding: chunked, identity",
                                             body=b"0\r\n\r\n" + _SMUGGLED)),
    ("chunked twice", _post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n")),
    ("chunked in two fields", _post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked",
                                    body=b"0\r\n\r\n")),
    ("chunked with a vertical tab", _post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n")),
    ("chunked in quotes", _post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n")),
    ("chunked in HTTP/1.0", b"POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                            b"0\r\n\r\n" + _SMUGGLED),
    ("empty transfer coding", _post(b"Transfer-Encoding:", body=_SMUGGLED)),
]

CHUNKS = [
    ("hexadecimal prefix in a chunk size", _chunked(b"0x5\r\nAAAAA\r\n0\r\n\r\n")),
    ("no line end after chunk data", _chunked(b"5\r\nAAAAA0\r\n\r\n")),
    ("bare line feed after a chunk size", _chunked(b"5\nAAAAA\r\n0\r\n\r\n")),
    ("bare line feed after chunk data", _chunked(b"5\r\nAAAAA\n0\r\n\r\n")),
    ("signed chunk size", _chunked(b"+5\r\nAAAAA\r\n0\r\n\r\n")),
    ("negative chunk size", _chunked(b"-1\r\n" + _SMUGGLED)),
    ("empty chunk size", _chunked(b"\r\nAAAAA\r\n0\r\n\r\n")),
    ("space before a chunk size", _chunked(b" 5\r\nAAAAA\r\n0\r\n\r\n")),
    ("chunk size that overflows 64 bits", _chunked(b"10000000000000005\r\nAAAAA\r\n0\r\n\r\n")),
    ("chunk size of letters", _chunked(b"xyz\r\nAAAAA\r\n0\r\n\r\n")),
    ("line feed in a chunk extension", _chunked(b"5;a\nb\r\nAAAAA\r\n0\r\n\r\n")),
    ("chunk extension of 100 KiB", _chunked(b"5;" + b"a" * 100_000 + b"\r\nAAAAA\r\n0\r\n\r\n")),
    ("NUL in a trailer", _chunked(b"0\r\nX: a\0b\r\n\r\n")),
    ("trailer without a colon", _chunked(b"0\r\nX\r\n\r\n")),
]

FIELDS = [
    ("space before the colon", _post(b"Content-Length : 38", body=_SMUGGLED + b"       \r\n")),
    ("tab before the colon", _get(b"X\t: a")),
    ("two Host fields", _get(b"Host: y")),
    ("two equal Host fields", _get(b"Host: x")),
    ("no Host in HTTP/1.1", b"GET /v2/ HTTP/1.1\r\n\r\n"),
    ("Host with a slash", b"GET /v2/ HTTP/1.1\r\nHost: x/y\r\n\r\n"),
    ("Host with a space", b"GET /v2/ HTTP/1.1\r\nHost: x y\r\n\r\n"),
    ("Host with user information", b"GET /v2/ HTTP/1.1\r\nHost: user@x\r\n\r\n"),
    ("NUL in a value", _get(b"X: a\0b")),
    ("NUL in a name", _get(b"X\0Y: a")),
    ("bare carriage return in a value", _get(b"X: a\rb")),
    ("control byte in a value", _get(b"X: a\x01b")),
    ("DEL in a value", _get(b"X: a\x7fb")),
    ("folded field line", _get(b"X: a", b" b")),
    ("folded with a tab", _get(b"X: a", b"\tb")),
    ("field line that starts with a space", b"GET /v2/ HTTP/1.1\r\n Host: x\r\n\r\n"),
    ("empty field name", _get(b": a")),
    ("field line without a colon", _get(b"no colon here")),
    ("high byte in a name", _get(b"X\xe9: a")),
    ("parenthesis in a name", _get(b"X(y): a")),
    ("bare line feeds", b"GET /v2/ HTTP/1.1\nHost: x\n\n"),
    ("one bare line feed", b"GET /v2/ HTTP/1.1\r\nHost: x\nX: y\r\n\r\n"),
    ("carriage return before the name", _get(b"\rX: a")),
    ("one field of 70,000 bytes", _get(b"X: " + b"a" * 70_000)),
    ("a field name of 70,000 bytes", _get(b"a" * 70_000 + b": x")),
    ("twenty thousand fields", _get(*[b"X: y"] * 20_000)),
]

REQUEST_LINE = [
    ("unknown minor version", b"GET /v2/ HTTP/1.9\r\nHost: x\r\n\r\n"),
    ("HTTP/2.0 in a request line", b"GET /v2/ HTTP/2.0\r\nHost: x\r\n\r\n"),
    ("HTTP/0.9", b"GET /v2/\r\n\r\n"),
    ("lower-case protocol name", b"GET /v2/ http/1.1\r\nHost: x\r\n\r\n"),
    ("version of two digits", b"GET /v2/ HTTP/1.10\r\nHost: x\r\n\r\n"),
    ("version without a dot", b"GET /v2/ HTTP/11\r\nHost: x\r\n\r\n"),
    ("no target", b"GET  HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("no method", b" /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("two spaces before the target", b"GET  /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("two spaces before the version", b"GET /v2/  HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("space after the version", b"GET /v2/ HTTP/1.1 \r\nHost: x\r\n\r\n"),
    ("tab between the parts", b"GET\t/v2/\tHTTP/1.1\r\nHost: x\r\n\r\n"),
    ("space in the target", _target(b"/a b")),
    ("control byte in the target", _target(b"/v2/\x01")),
    ("NUL in the target", _target(b"/v2/\0")),
    ("high byte in the target", _target(b"/v2/\xe9")),
    ("fragment in the target", _target(b"/v2/#x")),
    ("target without a slash", _target(b"v2/")),
    ("method with a slash", b"G/T /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("target of 70,000 bytes", _target(b"/v2/" + b"a" * 70_000)),
    ("TLS hello on a plain port", bytes.fromhex("16030100a5010000a10303") + b"\x5a" * 160),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
]

REFUSED = [
    ("asterisk for GET", _target(b"*")),
    ("method of 10,000 letters", b"A" * 10_000 + b" /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("CONNECT", b"CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n"),
    ("dot segments", _target(b"/v2/../etc/passwd")),
    ("encoded dot segments", _target(b"/v2/%2e%2e/x/manifests/1")),
    ("half-encoded dot segments", _target(b"/v2/.%2E/x/manifests/1")),
    ("encoded NUL", _target(b"/v2/x%00/manifests/1")),
    ("backslash", _target(b"/v2/..\\x/manifests/1")),
    ("encoded backslash", _target(b"/v2/..%5cx/manifests/1")),
    ("percent without digits", _target(b"/v2/x%zz/manifests/1")),
    ("percent at the end", _target(b"/v2/x%")),
]

REJECTED = [*MESSAGE_LENGTH, *TRANSFER_CODING, *CHUNKS, *FIELDS, *REQUEST_LINE]

ACCEPTED = [
    ("plain", _get(), 1),
    ("two requests in one segment", _get() * 2, 2),
    ("twenty requests in one segment", _get() * 20, 20),
    ("HTTP/1.0 without Host", b"GET /v2/ HTTP/1.0\r\n\r\n", 1),
    ("empty line before the request", b"\r\n" + _get(), 1),
    ("length of zero", _get(b"Content-Length: 0"), 1),
    ("field without a value", _get(b"X:"), 1),
    ("spaces and tabs round a value", _get(b"X: \t a \t "), 1),
    ("high bytes in a value", _get(b"X: caf\xc3\xa9"), 1),
    ("field names in any case", b"GET /v2/ HTTP/1.1\r\nhOsT: x\r\n\r\n", 1),
    ("Host of an IPv6 address", b"GET /v2/ HTTP/1.1\r\nHost: [::1]:5000\r\n\r\n", 1),
    ("target in absolute form", b"GET http://x/v2/ HTTP/1.1\r\nHost: x\r\n\r\n", 1),
    ("one field of 60,000 bytes", _get(b"X: " + b"a" * 60_000), 1),
    ("Connection: close", _get(b"Connection: close") + _SMUGGLED, 1),
    ("chunk size in upper case after a GET", _get(b"Transfer-Encoding: Chunked") +
     b"A\r\nAAAAAAAAAA\r\n0\r\n\r\n" + _get(), 2),
    ("chunk extension on a small body", _get(b"Transfer-Encoding: chunked") +
     b'5;a=b;c="d"\r\nAAAAA\r\n0\r\n\r\n' + _get(), 2),
    ("trailers after a small body", _get(b"Transfer-Encoding: chunked") +
     b"5\r\nAAAAA\r\n0\r\nX: y\r\n\r\n" + _get(), 2),
]
