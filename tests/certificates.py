"""Certificates for servers and clients of tests, signed by authorities that are made here."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_YEAR = timedelta(days=365)
_NOT_TOLD = dict.fromkeys(
    ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
    False,
)


class Authority:
    """One that signs; `ca` is its own certificate as a file has it."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        authority = x509.BasicConstraints(ca=True, path_length=None)
        usage = x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **_NOT_TOLD)
        made = self._begun(self._name, self._key.public_key(), _YEAR).add_extension(authority, critical=True)
        self.ca = _text(made.add_extension(usage, critical=True).sign(self._key, hashes.SHA256()))

    def certificate(self, name: str = "someone", *, lasts: timedelta = _YEAR) -> bytes:
        """Certificate and key, for 127.0.0.1 and for clients. `lasts` below zero: it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        place = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        made = self._begun(_named(name), key.public_key(), lasts).add_extension(place, critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = made.add_extension(both, critical=False).add_extension(issuer, critical=False)
        plain = serialization.NoEncryption()
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        return _text(made.sign(self._key, hashes.SHA256())) + secret

    def _begun(self, name: x509.Name, key: ec.EllipticCurvePublicKey, lasts: timedelta) -> x509.CertificateBuilder:
        end = datetime.now(UTC) + lasts
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - 2 * _YEAR)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


def server(folder: Path, certificate: bytes, *, clients: bytes = b"") -> ssl.SSLContext:
    """`clients`: the authority of those that may come; without it, all may."""
    file = folder / "server.pem"
    file.write_bytes(certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    if clients:
        context.load_verify_locations(cadata=clients.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _text(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
