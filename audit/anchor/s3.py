"""An anchor on an S3 server: one object an origin, changed by conditional PUT (RFC 9110 §13.1; AWS S3 User Guide).

    no value yet   PUT with ``If-None-Match: *``
    a value        PUT with ``If-Match`` and the ETag that came with that value

The server must be read-after-write consistent, as S3 is since 2020, and refuse a condition that does not hold. One that
ignores conditions would let two writers sign two histories, so before its first use each process asks the server to
refuse some, at an object of its own that nothing reads.

Objects are named as the files of a file anchor are, by the SHA-256 of the origin in hex: to move an anchor is to copy
it. In a bucket that keeps versions every checkpoint that was ever anchored stays, and under Object Lock nobody can take
one away: whoever may read the bucket sees the log's whole signed history. A strict bucket of Strongroom takes no
overwrites and is no place for an anchor.

Not handled here: the wire (``audit.anchor.s3_request``), and trying again (see :class:`audit.anchor.Anchor`).
"""

from __future__ import annotations

import base64
import time
from email.utils import parsedate_to_datetime
from hashlib import md5, sha256
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from audit.anchor.s3_request import NotAnswered, NotSent
from audit.errors import AnchorConflict, AnchorUnavailable, AnchorUnknown, ConfigInvalid
from audit.note import MAX_NOTE_BYTES

if TYPE_CHECKING:
    from audit.anchor.s3_request import Answer, S3Client

#: The longest that a call takes, in seconds. A seal that meets an unknown swap makes two, which fit into the time that
#: a server's stop has for it (``audit.background``).
CALL_SECONDS: Final = 12
#: The object at which the server shows that it honours conditions.
PROBE: Final = "conditional-writes"
_PROBE_TEXT: Final = b"Here Strongroom asks whether conditional writes are honoured. Nothing reads this object.\n"
#: No object's: the ETag of an object that was put whole is the MD5 of something, or longer.
_NO_ETAG: Final = '"00000000000000000000000000000000"'
#: Answers below 500 after which nothing says that the request was not taken.
_UNSURE: Final = frozenset({408, 499})
#: What to do about an answer.
_HINTS: Final = {
    "AccessDenied": "these credentials need s3:GetObject, s3:PutObject and s3:ListBucket there",
    "AuthorizationHeaderMalformed": "is the bucket in another region? name it (region=)",
    "ExpiredToken": "the credentials have expired",
    "InvalidAccessKeyId": "the server does not know these credentials",
    "NoSuchBucket": "make the bucket, best with versions and Object Lock",
    "PermanentRedirect": "is the bucket in another region? name it (region=)",
    "SignatureDoesNotMatch": "the secret is not that of the access key",
}


class _Held(NamedTuple):
    """A value, and the ETag that came with it."""

    value: bytes
    etag: str


class S3Anchor:
    """:class:`~audit.anchor.Anchor` over a place in a bucket. A call takes at most :data:`CALL_SECONDS`.

    Args:
        client: Sends the requests.
    """

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self._held: dict[str, _Held] = {}  # what was there last, so that a swap need not look first; may be outdated
        self._probing = Lock()
        self._probed = False

    def read(self, origin: str) -> bytes | None:
        """See :meth:`audit.anchor.Anchor.read`.

        Raises:
            ConfigInvalid: The server does not honour conditions.
        """
        deadline = time.monotonic() + CALL_SECONDS
        self._probe(deadline)
        found = self._get(origin, deadline)
        return found.value if found is not None else None

    def swap(self, origin: str, expected: bytes | None, new: bytes) -> None:
        """See :meth:`audit.anchor.Anchor.swap`.

        Raises:
            ConfigInvalid: The server does not honour conditions.
        """
        deadline = time.monotonic() + CALL_SECONDS
        self._probe(deadline)
        held = self._held.pop(origin, None)
        if held is None or held.value != expected:
            held = self._get(origin, deadline)
            if (held.value if held is not None else None) != expected:
                raise AnchorConflict(origin, held.value if held is not None else None)
        condition = {"if-match": held.etag} if held is not None else {"if-none-match": "*"}
        try:
            answer = self._put(_name(origin), condition, new, deadline)
        except NotSent as error:
            raise self._unavailable(str(error)) from error
        except NotAnswered as error:
            raise AnchorUnknown(f"the anchor {self._client.place} may have stored a checkpoint: {error}") from error
        if answer.status in {200, 201, 204}:
            if answer.etag:
                self._held[origin] = _Held(new, answer.etag)
            return
        if answer.status >= 500 or answer.status < 300 or answer.status in _UNSURE:
            raise AnchorUnknown(f"the anchor {self._client.place} may have stored a checkpoint: {_worded(answer)}")
        if _not_as_expected(answer):
            found = self._get(origin, deadline)
            if (found.value if found is not None else None) != expected:
                raise AnchorConflict(origin, found.value if found is not None else None)
        self._refused(answer)  # also where it is as expected, and another write was only about to change it

    def _get(self, origin: str, deadline: float) -> _Held | None:
        """What is there now.

        Raises:
            AnchorUnavailable: That is not known.
        """
        try:
            answer = self._client.send("GET", _name(origin), deadline, {})
        except (NotSent, NotAnswered) as error:
            raise self._unavailable(str(error)) from error
        if answer.status == 404 and answer.code == "NoSuchKey":
            return None
        if answer.status != 200:
            self._refused(answer)
        if len(answer.body) > MAX_NOTE_BYTES:
            raise self._unavailable(f"its {_name(origin)} is larger than a checkpoint may be")
        if not answer.etag:
            raise self._unavailable("it gives no ETag")
        self._held[origin] = _Held(answer.body, answer.etag)
        return self._held[origin]

    def _put(self, name: str, condition: dict[str, str], body: bytes, deadline: float) -> Answer:
        digest = base64.b64encode(md5(body, usedforsecurity=False).digest()).decode()  # Object Lock asks for it
        about = {"content-type": "text/plain; charset=utf-8", "content-md5": digest}
        return self._client.send("PUT", name, deadline, {**about, **condition}, body)

    def _probe(self, deadline: float) -> None:
        """Have the server refuse what it must, once a process. The anchor's own objects are not touched.

        Raises:
            ConfigInvalid: It does not.
            AnchorUnavailable: That is not known.
        """
        with self._probing:
            if self._probed:
                return
            try:
                answer = self._put(PROBE, {"if-match": _NO_ETAG}, _PROBE_TEXT, deadline)
                self._require_refused(answer, "If-Match")
                answer = self._put(PROBE, {"if-none-match": "*"}, _PROBE_TEXT, deadline)
                if answer.status in {200, 201, 204}:  # it was not there, or this condition is ignored
                    answer = self._put(PROBE, {"if-none-match": "*"}, _PROBE_TEXT, deadline)
                self._require_refused(answer, "If-None-Match")
            except (NotSent, NotAnswered) as error:
                raise self._unavailable(str(error)) from error
            self._probed = True

    def _require_refused(self, answer: Answer, condition: str) -> None:
        if answer.status < 300 or answer.status in {400, 501}:
            raise ConfigInvalid(
                f"the S3 server of the anchor {self._client.place} does not honour {condition} ({_worded(answer)}): "
                "two writers could not be told apart there; use another server"
            )
        if not _not_as_expected(answer):
            self._refused(answer)

    def _refused(self, answer: Answer) -> NoReturn:
        """Raise for an answer after which nothing was changed."""
        raise self._unavailable(f"it answered {_worded(answer)}")

    def _unavailable(self, problem: str) -> AnchorUnavailable:
        return AnchorUnavailable(f"the anchor {self._client.place}: {problem}")


def _name(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()


def _not_as_expected(answer: Answer) -> bool:
    """Whether a conditional PUT was refused for its condition; of an object that is not there AWS says so with 404."""
    return answer.status == 412 or (answer.status == 404 and answer.code == "NoSuchKey")


def _worded(answer: Answer) -> str:
    """An answer for people: status, S3's name of the error, and what to do."""
    text = f"{answer.status} {answer.code}".rstrip()
    if answer.code == "RequestTimeTooSkewed":
        return f"{text}: {_skew(answer.date)}"
    return f"{text}: {_HINTS[answer.code]}" if answer.code in _HINTS else text


def _skew(date: str) -> str:
    """How far this machine's clock is from the server's."""
    try:
        ahead = time.time() - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return "this machine's clock and the server's do not agree"
    return f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the server's"
