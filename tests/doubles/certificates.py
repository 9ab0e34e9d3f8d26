"""A certificate authority for tests, good for a day unless told otherwise."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

_DAY: Final = (dt.timedelta(hours=-1), dt.timedelta(days=1))


class Authority:
    """Writes PEM files below ``directory``; ``ca`` is its own certificate, signed by itself or by ``above``."""

    def __init__(
        self,
        directory: Path,
        name: str = "ca",
        above: Authority | None = None,
        valid: tuple[dt.timedelta, dt.timedelta] = _DAY,
    ) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"test authority {name}")
        signer = above or self
        certificate = signer._signed(self._name, self._key.public_key(), valid, authority=True)
        self.ca = directory / f"{name}.pem"
        self.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, name: str, password: bytes | None = None, valid: tuple[dt.timedelta, dt.timedelta] = _DAY
    ) -> tuple[Path, Path]:
        """A certificate for 127.0.0.1 and its key; ``valid`` from and until, reckoned from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(_name(name), key.public_key(), valid, authority=False)
        cert_file, key_file = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password is not None:
            encryption = serialization.BestAvailableEncryption(password)
        key_file.touch(0o600)
        key_file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        return cert_file, key_file

    def _signed(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePublicKey,
        valid: tuple[dt.timedelta, dt.timedelta],
        *,
        authority: bool,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=name,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now + valid[0],
            not_valid_after=now + valid[1],
        )
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        return builder.add_extension(here, critical=False).sign(self._key, hashes.SHA256())


def fingerprint(file: Path) -> str:
    """SHA-256 of the first certificate in a PEM file, as records have it."""
    return x509.load_pem_x509_certificates(file.read_bytes())[0].fingerprint(hashes.SHA256()).hex()


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
