"""A certificate authority for tests, and a server that uses its certificates."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Issues certificates; its own is in `path`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of the tests")])
        self.path = folder / "authority.pem"
        own = self._builder(self._name, self._key, 365).issuer_name(self._name)
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.path.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, days: int = 90, host: str = "localhost") -> Path:
        """Return a file with a key and a certificate that expires in `days` (negative: in the past)."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        names: list[x509.GeneralName] = [x509.DNSName(host), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = self._builder(name, key, days).issuer_name(self._name)
        builder = builder.add_extension(
            x509.SubjectAlternativeName(names if host == "localhost" else names[:1]), critical=False
        )
        path = self._folder / f"{host}-{days}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        return path

    @staticmethod
    def _builder(name: x509.Name, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=400))
            .not_valid_after(now + timedelta(days=days, hours=1))
        )


class Server:
    """An HTTPS server on its own port. `show` changes its certificate while it runs."""

    def __init__(self, certificate: Path, handler: type[BaseHTTPRequestHandler]) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.show(certificate)
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.socket = self._context.wrap_socket(
            self.http.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self.http.server_port

    def show(self, certificate: Path) -> None:
        """Use this certificate from now on."""
        self._context.load_cert_chain(certificate)


@contextmanager
def serving(certificate: Path, handler: type[BaseHTTPRequestHandler]) -> Iterator[Server]:
    """Yield a running server."""
    server = Server(certificate, handler)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


@contextmanager
def tls_front(certificate: Path, upstream: int) -> Iterator[int]:
    """Yield a port that ends TLS and passes all bytes on to a port of this machine, and back."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Handler(socketserver.BaseRequestHandler):
        """One connection."""

        def handle(self) -> None:
            """Pass bytes on until one side ends."""
            with (
                suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as secured,
                socket.create_connection(("127.0.0.1", upstream)) as plain,
            ):
                back = threading.Thread(target=_pass_on, args=(plain, secured), daemon=True)
                back.start()
                _pass_on(secured, plain)
                back.join()

    class Front(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Front(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
