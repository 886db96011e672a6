"""HTTP framing against the webhook: a grammar of request lines, headers, bodies and trailing bytes."""

import json
from random import Random

from tests.fuzz.case import Case, Place, damaged, split
from tests.fuzz.generators import bodies

_METHODS = (b"POST",) * 12 + (
    b"GET",
    b"HEAD",
    b"PUT",
    b"OPTIONS",
    b"CONNECT",
    b"PRI",
    b"post",
    b"",
    b"\xff",
    b"A" * 9000,
)
_VERSIONS = (b"HTTP/1.1",) * 14 + (b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"http/1.1", b"", b"HTTP/1.1 x")
_ENDS = (b"\r\n",) * 14 + (b"\n", b"\r", b"\r\n ")
_HEADERS = (
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Upgrade, HTTP2-Settings",
    b"Upgrade: h2c",
    b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZQ==",
    b"Expect: 100-continue",
    b"Expect: x",
    b"X-Forwarded-For: ::ffff:203.0.113.9",
    b"X-Forwarded-For: \xff, ,1",
    b"Authorization: Bearer \xc3\xa9",
    b"Authorization: Basic x",
    b"Content-Type: text/plain",
    b"no colon here",
    b": no name",
    b"Bad Name: x",
    b"Nul: \x00",
    b"Host: evil.example",
    b"Host:",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5, 5",
    b"Content-Length: 0x10",
    b"Content-Length: 3",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding:\tchunked",
    b"Trailer: x",
    b"Content-Encoding: gzip",
    b"Cookie: " + b"a" * 20_000,
    b"X: " + b"b" * 70_000,
)


def make(rng: Random, place: Place) -> Case:
    """Return the bytes that one connection sends."""
    seeds = place.corpus.get("http", [])
    if seeds and rng.random() < 0.1:
        sent = damaged(rng, rng.choice(seeds).replace(b"$PATH", place.path.encode()))
    else:
        sent = b"".join(_request(rng, place) for _ in range(rng.choice((1, 1, 1, 2, 4))))
    if rng.random() < 0.1:
        sent = damaged(rng, sent)
    if rng.random() < 0.1:
        sent += rng.choice((b"\r\n", b"garbage", b"\x16\x03\x01\x02\x00\x01", rng.randbytes(40)))
    if rng.random() < 0.1:
        sent = sent[: rng.randrange(len(sent) + 1)]
    return Case(split(rng, sent), hangs_up=rng.random() < 0.1)


def _request(rng: Random, place: Place) -> bytes:
    body = json.dumps(bodies.event(rng)).encode("utf-8", "surrogatepass") if rng.random() < 0.8 else b""
    headers = [rng.choice(_HEADERS) for _ in range(rng.choice((0, 0, 1, 2, 5)))]
    if rng.random() < 0.02:
        headers += [b"H%d: v" % n for n in range(rng.choice((101, 2_000)))]
    match rng.randrange(10):
        case 0:
            body = _chunked(rng, body)
            headers.append(b"Transfer-Encoding: chunked")
        case 1:
            headers.append(b"Content-Length: %d" % max(0, len(body) + rng.choice((-7, -1, 1, 7))))
        case _:
            headers.append(b"Content-Length: %d" % len(body))
    if rng.random() < 0.95:
        headers.insert(0, b"Host: 127.0.0.1")
    end = rng.choice(_ENDS)
    line = rng.choice(_METHODS) + b" " + _target(rng, place) + b" " + rng.choice(_VERSIONS)
    return end.join([line, *headers, b"", b""]) + body


def _target(rng: Random, place: Place) -> bytes:
    path = place.path.encode()
    odd = (
        path + b"/",
        path + b"?a=b",
        path + b"#x",
        path[:-1],
        path + b"%00",
        path.replace(b"t", b"%74", 1),
        b"//" + path,
        b"http://127.0.0.1" + path,
        b"*",
        b"/",
        b"/tapcart_webhooks",
        b"/tapcart_webhooks/",
        b"/tapcart_webhooks/%FF",
        b"/metrics",
        b"/registry/subjects",
        b"/\xff\xfe",
        b"/" + b"a" * 70_000,
        b"",
    )
    return path if rng.random() < 0.7 else rng.choice(odd)


def _chunked(rng: Random, body: bytes) -> bytes:
    made, rest = b"", body
    while rest:
        cut = rng.randrange(1, len(rest) + 1)
        piece, rest = rest[:cut], rest[cut:]
        size = b"%x" % len(piece)
        odd = (
            size,
            size,
            size,
            size.upper(),
            b"0" + size,
            size + b";a=b",
            size + b" ",
            b"-1",
            b"g",
            b"f" * 17,
        )
        made += rng.choice(odd) + b"\r\n" + piece + rng.choice((b"\r\n",) * 9 + (b"", b"\n"))
    return made + rng.choice((b"0\r\n\r\n",) * 4 + (b"0\r\nTrailer: x\r\n\r\n", b"0\r\n", b""))
