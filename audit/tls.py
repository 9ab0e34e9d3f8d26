"""TLS of one port: what its files hold, judged before it is used, and how new files take the place of old ones.

Each file is read once. What was judged is what is used, also where somebody writes the file at that moment: OpenSSL
gets the bytes in memory.

TLS 1.2 and 1.3 alone, with forward secrecy and authenticated ciphers (RFC 9325 §4.2). A client certificate is either
not asked for or required: one that may be left out would lock nobody out. It opens the channel and names no principal;
that is for the signature of the request.

Not handled here: which files (``audit.config``), when they are read again (``audit.reload``), revocation: an authority
whose client is to be shut out is replaced.
"""

from __future__ import annotations

import datetime as dt
import os
import ssl
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from audit.errors import ConfigInvalid
from audit.setting_files import read_setting_file

if TYPE_CHECKING:
    from audit.config import PortSection, Settings

#: How long before its end a certificate is to be replaced, in days.
RENEW_DAYS: Final = 30
#: Of TLS 1.2; 1.3 has none but good ones.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Tls(NamedTuple):
    """What a port's files come to.

    Attributes:
        context: For new connections.
        fingerprint: SHA-256 of the port's own certificate (DER), in hex.
        clients: SHA-256 of the file of client authorities, in hex; empty where no certificate is asked for.
        expires: When the first certificate of the chain does, UTC.
    """

    context: ssl.SSLContext
    fingerprint: str
    clients: str
    expires: dt.datetime


class SwitchedContext(ssl.SSLContext):
    """Begins each connection under the context that is in force then; those that are open keep theirs.

    Whoever listens holds this one for good. A new context also has new keys for session tickets, so that nobody who
    was let in by an authority that is trusted no more resumes a session.

    Attributes:
        inner: The context in force; set it at any time, from the event loop's thread.
    """

    inner: ssl.SSLContext

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the standard library's signature
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection; called by the event loop."""
        return self.inner.wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def load(name: str, port: PortSection) -> Tls | None:
    """Read and judge a port's TLS files.

    Args:
        name: Of the port's section, for messages.
        port: Its settings, validated.

    Returns:
        What they come to; None where the port speaks no TLS.

    Raises:
        ConfigInvalid: One cannot be used; names the setting, the file, and what is wrong with it.
    """
    if not port.tls:
        return None
    certificate = f"{name}.tls_cert_file = {port.tls_cert_file!r}"
    key = f"{name}.tls_key_file = {port.tls_key_file!r}"
    authorities = f"{name}.tls_client_ca_file = {port.tls_client_ca_file!r}"
    chain_pem = read_setting_file(certificate, port.tls_cert_file)
    key_pem = read_setting_file(key, port.tls_key_file, secret=True)
    clients_pem = read_authorities(authorities, port.tls_client_ca_file) if port.tls_client_ca_file else b""
    chain = _certificates(certificate, chain_pem)
    _judge_key(certificate, chain, key, key_pem)
    _judge_chain(certificate, chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        _load_pair(context, chain_pem, key_pem)
    except (ssl.SSLError, OSError) as error:  # too weak a key, say
        raise ConfigInvalid(f"{certificate} and {key} cannot be used: {error}") from error
    if port.tls_client_ca_file:
        try:
            context.load_verify_locations(cadata=clients_pem.decode("ascii", "ignore"))  # comments may be anything
        except ssl.SSLError as error:
            raise ConfigInvalid(f"{authorities} cannot be used: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return Tls(
        context,
        sha256(chain[0].public_bytes(Encoding.DER)).hexdigest(),
        sha256(clients_pem).hexdigest() if clients_pem else "",
        min(one.not_valid_after_utc for one in chain),
    )


def expiring(name: str, port: PortSection, tls: Tls | None) -> str:
    """Say that a certificate is to be replaced, and how; empty while there is time."""
    left = tls.expires - _now() if tls is not None else dt.timedelta.max
    if tls is None or left >= dt.timedelta(days=RENEW_DAYS):
        return ""
    when = f"expires on {tls.expires:%Y-%m-%d}" if left >= dt.timedelta() else f"expired on {tls.expires:%Y-%m-%d}"
    return (
        f"the certificate of {name}.tls_cert_file = {port.tls_cert_file!r} {when}: put a new one and its key in place, "
        "then have the server take them with SIGHUP"
    )


def examine(settings: Settings) -> tuple[list[str], list[str]]:
    """Look at the TLS files of both ports as they are on disk.

    Returns:
        What would keep a start or a reload from going on, and what should be done soon.
    """
    problems, advice = [], []
    for name, port in settings.ports:
        try:
            advice.append(expiring(name, port, load(name, port)))
        except ConfigInvalid as error:
            problems.append(str(error))
    return problems, [text for text in advice if text]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _certificates(setting: str, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigInvalid(f"{setting} holds no PEM certificates") from error


def _judge_key(certificate: str, chain: list[x509.Certificate], key: str, pem: bytes) -> None:
    try:
        public = load_pem_private_key(pem, password=None).public_key()
    except TypeError as error:  # so says the library of a key with a password
        raise ConfigInvalid(f"{key} is encrypted, and nobody could be asked for its password: decrypt it") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigInvalid(f"{key} holds no PEM private key") from error
    try:
        owned = [one.public_key() == public for one in chain]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigInvalid(f"{certificate} has a key of a kind that is not supported: {error}") from error
    if not any(owned):
        raise ConfigInvalid(f"{key} is not the key of {certificate}: the two files belong to different certificates")
    if not owned[0]:
        raise ConfigInvalid(
            f"{certificate} is in the wrong order: the server's own certificate, of which {key} is the key, stands at "
            f"place {owned.index(True) + 1} and must come first, each one after it being the issuer of the one before"
        )


def _judge_chain(setting: str, chain: list[x509.Certificate]) -> None:
    for place, (issued, issuer) in enumerate(pairwise(chain), 2):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise ConfigInvalid(
                f"{setting} is no chain: the certificate at place {place} ({_subject(issuer)}) did not issue the one "
                f"before it ({_subject(issued)}); put the server's own first, then its issuer, and so on"
            ) from error
    now = _now()
    for one in chain:
        if one.not_valid_after_utc < now:
            raise ConfigInvalid(f"{setting}: {_subject(one)} expired at {one.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}")
        if one.not_valid_before_utc > now:
            raise ConfigInvalid(
                f"{setting}: {_subject(one)} is valid only from {one.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ} on: is "
                "this machine's clock right?"
            )


def read_authorities(setting: str, file: str) -> bytes:
    """Read and judge a file of certificates that sign others'.

    Args:
        setting: Setting and file, as messages begin.
        file: Where it is.

    Returns:
        Its bytes, PEM.

    Raises:
        ConfigInvalid: It cannot be used.
    """
    pem = read_setting_file(setting, file)
    authorities = _certificates(setting, pem)
    if all(one.not_valid_after_utc < _now() for one in authorities):
        raise ConfigInvalid(f"{setting}: all authorities in it have expired, so they sign nothing that is good")
    for one in authorities:
        try:
            authority = one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
            continue  # OpenSSL judges it at each handshake
        if not authority:
            raise ConfigInvalid(
                f"{setting}: {_subject(one)} is no authority: name the certificate that signed the others"
            )
    return pem


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()[:200] or "a certificate without a subject"


def _load_pair(context: ssl.SSLContext, chain: bytes, key: bytes) -> None:
    """Have OpenSSL take both from memory, which it reads by a file's name only."""
    memory = os.memfd_create("tls")
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(key.rstrip() + b"\n" + chain)
        context.load_cert_chain(f"/proc/self/fd/{memory}", password="")  # never ask at the terminal
    finally:
        os.close(memory)
