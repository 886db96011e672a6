"""Names of servers -> a private authority and a certificate for each server, as PEM files in a folder.

`ca.pem` is for clients, `ca.key` for nobody but the next call, `<server>.pem` (key and certificate) for the
server. Invariants: a second call keeps the authority and renews the servers' certificates; keys are readable
by their owner only. Source: RFC 5280; Apache Kafka's documentation of PEM stores.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

from runtime.command import CommandError

_AUTHORITY_DAYS = 3650
_CLOCKS_DIFFER = timedelta(hours=1)


class CertificateFolderError(CommandError):
    """The folder holds no usable authority."""


def issue(folder: Path, server: str, hosts: Sequence[str], days: int) -> Path:
    """Write the certificate of a server for these names and addresses; return its file."""
    key, authority = _authority(folder)
    own = ec.generate_private_key(ec.SECP256R1())
    made = (
        _builder(server, own, days)
        .issuer_name(authority.subject)
        .add_extension(x509.SubjectAlternativeName([*map(_name, hosts)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_authority_id(authority), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{server}.pem"
    _write(path, _pem(own) + _certificate_pem(made) + _certificate_pem(authority))
    return path


def _authority(folder: Path) -> tuple[CertificateIssuerPrivateKeyTypes, x509.Certificate]:
    key_path, path = folder / "ca.key", folder / "ca.pem"
    if not key_path.exists() and not path.exists():
        _make_authority(key_path, path)
    try:
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise CertificateFolderError(f"{folder}: holds no usable ca.key and ca.pem: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise CertificateFolderError(f"{folder}: ca.key is not the key of ca.pem")
    return key, certificate


def _make_authority(key_path: Path, path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("Tapline's private authority", key, _AUTHORITY_DAYS)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    made = (
        builder.issuer_name(_subject("Tapline's private authority"))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _pem(key))
    _write(path, _certificate_pem(made), 0o644)


def _builder(name: str, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + timedelta(days=days))
    )


def _authority_id(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    found = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none)


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file whole, so that no server reads half of it."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    new.replace(path)
