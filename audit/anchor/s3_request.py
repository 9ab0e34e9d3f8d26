"""One signed request to an S3 server, bounded in time and size, of which it is known whether it may have been taken.

Signing, credentials and HTTP are awscrt's, which the product has for its checksums: it finds credentials where every
AWS tool does (environment, profile files, the roles of containers and hosts) and renews them, and its requests end at a
deadline however slowly a server drips. boto3 would be much more code, and tries again by itself: an anchor must know of
every attempt. Buckets are named in the path, which every S3 server takes.

Each request has a connection of its own: one that was kept could have been closed by the server unnoticed, and a swap
sent into it would be one of unknown fate.

Not handled here: what is asked, and what an answer means (``audit.anchor.s3``).
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import time
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from awscrt.auth import (
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSignedBodyHeaderType,
    AwsSigningAlgorithm,
    AwsSigningConfig,
    aws_sign_request,
)
from awscrt.exceptions import AwsCrtError
from awscrt.http import HttpClientConnection, HttpHeaders, HttpRequest
from awscrt.io import (
    ClientBootstrap,
    ClientTlsContext,
    DefaultHostResolver,
    EventLoopGroup,
    SocketOptions,
    TlsContextOptions,
    TlsVersion,
)

from audit.note import MAX_NOTE_BYTES
from audit.setting_files import read_setting_file
from audit.tls import read_authorities

if TYPE_CHECKING:
    from concurrent.futures import Future

#: Seconds for a connection and its TLS.
_CONNECT_SECONDS: Final = 5.0
#: Seconds to find out what is wrong with a server's TLS.
_ASK_SECONDS: Final = 2.0
#: How awscrt fails; what it notices at once, a connection that is closed already say, is a RuntimeError.
_FAILURES: Final = (TimeoutError, AwsCrtError, RuntimeError)
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")


class S3Place(NamedTuple):
    """A place in a bucket. ``prefix`` is empty or ends in ``/``."""

    bucket: str
    prefix: str
    region: str
    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        """As a message names it."""
        return f"s3://{self.bucket}/{self.prefix} at {self.host}:{self.port}"


class Answer(NamedTuple):
    """What a server answered. ``code`` is S3's name of an error, ``etag`` as it came, ``date`` its clock's."""

    status: int
    etag: str
    code: str
    date: str
    body: bytes


class NotSent(Exception):
    """Nothing of the request was sent."""


class NotAnswered(Exception):
    """Some of the request was sent, and no whole answer came: it may have been taken, or may yet be."""


class S3Client:
    """Sends requests. Thread-safe; one thread of its own serves all of them.

    Args:
        place: Where to.
        credentials_file: A file of profiles that holds the credentials; empty: what every AWS tool would use.
        ca_file: PEM certificates that sign the server's; empty: those that this host trusts.

    Raises:
        ConfigInvalid: A file cannot be used.
    """

    def __init__(self, place: S3Place, credentials_file: str = "", ca_file: str = "") -> None:
        self.place = place
        loops = EventLoopGroup(1)
        self._bootstrap = ClientBootstrap(loops, DefaultHostResolver(loops))
        self._credentials = AwsCredentialsProvider.new_default_chain(self._bootstrap)
        if credentials_file:
            read_setting_file(f"anchor.credentials_file = {credentials_file!r}", credentials_file, secret=True)
            self._credentials = AwsCredentialsProvider.new_profile(
                self._bootstrap, credentials_filepath=credentials_file, config_filepath=os.devnull
            )
        self._authorities = read_authorities(f"anchor.ca_file = {ca_file!r}", ca_file) if ca_file else b""
        self._tls = _tls(place.host, self._authorities) if place.tls else None
        host = f"[{place.host}]" if ":" in place.host else place.host
        self._host = host if place.port == (443 if place.tls else 80) else f"{host}:{place.port}"

    def send(self, method: str, key: str, deadline: float, headers: dict[str, str], body: bytes = b"") -> Answer:
        """Send one request, and wait for its answer.

        Args:
            method: HTTP method.
            key: Of the object, below the place's prefix; unreserved characters only.
            deadline: When to give up, by ``time.monotonic()``.
            headers: Beside those that signing needs.
            body: What is sent.

        Returns:
            The answer, with at most one byte more of its body than a checkpoint may have.

        Raises:
            NotSent: As it says; with a reason for people.
            NotAnswered: As it says; with a reason for people.
        """
        fields = HttpHeaders([("host", self._host), *headers.items()])
        if method == "PUT":
            fields.add("content-length", str(len(body)))
        request = HttpRequest(method, f"/{self.place.bucket}/{self.place.prefix}{key}", fields, BytesIO(body))
        try:
            _wait(self._sign(request, body), deadline)
        except _FAILURES as error:
            raise NotSent(f"there are no credentials to sign with ({_told(error)})") from error
        try:
            connection = self._connect(deadline)
        except _FAILURES as error:
            raise NotSent(f"it cannot be reached ({self._tls_fault(deadline) or _told(error)})") from error
        try:
            return _exchange(connection, request, deadline)
        except _FAILURES as error:
            raise NotAnswered(f"it did not answer ({_told(error)})") from error
        finally:
            connection.close()

    def _sign(self, request: HttpRequest, body: bytes) -> Future[Any]:
        config = AwsSigningConfig(
            AwsSigningAlgorithm.V4,
            AwsSignatureType.HTTP_REQUEST_HEADERS,
            self._credentials,
            self.place.region,
            "s3",
            use_double_uri_encode=False,
            should_normalize_uri_path=False,
            signed_body_value=sha256(body).hexdigest(),
            signed_body_header_type=AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
        )
        signing: Future[Any] = aws_sign_request(request, config)
        return signing

    def _connect(self, deadline: float) -> Any:  # noqa: ANN401 - awscrt has no types
        """Connect; a connection that comes too late is closed as it comes."""
        options = SocketOptions()
        options.connect_timeout_ms = round(_CONNECT_SECONDS * 1000)
        coming = HttpClientConnection.new(self.place.host, self.place.port, self._bootstrap, options, self._tls)
        try:
            return _wait(coming, min(deadline, time.monotonic() + _CONNECT_SECONDS))
        except TimeoutError:
            coming.add_done_callback(_close_late)
            raise

    def _tls_fault(self, deadline: float) -> str:
        """What is wrong with the server's certificate, if that is it: awscrt tells of a failed handshake late or never.

        It blinds timing attacks by a pause that is longer than a call may take.
        """
        if self._tls is None:
            return ""
        authorities = self._authorities.decode("ascii", "ignore")
        seconds = min(max(deadline - time.monotonic(), 0.1), _ASK_SECONDS)
        try:
            with (
                socket.create_connection((self.place.host, self.place.port), seconds) as plain,
                ssl.create_default_context(cadata=authorities or None).wrap_socket(
                    plain, server_hostname=self.place.host
                ),
            ):
                return ""
        except ssl.SSLCertVerificationError as error:
            return f"its certificate is not trusted: {error.verify_message}; see anchor.ca_file"
        except OSError:
            return ""


def _exchange(connection: Any, request: HttpRequest, deadline: float) -> Answer:  # noqa: ANN401 - as above
    """Send a signed request over a new connection, and take its answer."""
    heads: list[tuple[int, dict[str, str]]] = []
    pieces: list[bytes] = []
    taken = 0

    def on_head(*, status_code: int, headers: list[tuple[str, str]], **_: object) -> None:
        heads.append((status_code, {name.lower(): value for name, value in headers}))

    def on_body(*, chunk: bytes, **_: object) -> None:
        nonlocal taken
        pieces.append(bytes(chunk[: MAX_NOTE_BYTES + 1 - taken]))
        taken += len(pieces[-1])

    stream = connection.request(request, on_head, on_body)
    stream.activate()
    _wait(stream.completion_future, deadline)
    status, fields = heads[-1]
    body = b"".join(pieces)
    code = _CODE.search(body) if status >= 300 else None
    return Answer(status, fields.get("etag", ""), code[1].decode() if code else "", fields.get("date", ""), body)


def _wait(future: Future[Any], deadline: float) -> Any:  # noqa: ANN401 - as above
    return future.result(max(deadline - time.monotonic(), 0))


def _close_late(coming: Future[Any]) -> None:
    if coming.exception() is None:
        coming.result().close()


def _told(error: Exception) -> str:
    if isinstance(error, AwsCrtError):
        return f"{error.name}: {error.message}"
    return str(error) or "not in time"


def _tls(host: str, authorities: bytes) -> Any:  # noqa: ANN401 - as above
    options = TlsContextOptions()
    options.min_tls_ver = TlsVersion.TLSv1_2
    options.alpn_list = ["http/1.1"]
    if authorities:
        options.override_default_trust_store(authorities)
    made = ClientTlsContext(options).new_connection_options()
    made.set_server_name(host)
    return made
