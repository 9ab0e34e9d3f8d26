"""What somebody might try against a record, each with the answer that it must get."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from botocore.exceptions import ClientError

from tests.demo.firm import TRADES
from tests.demo.server import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.demo.firm import Firm, Place

DONE: Final = "done"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something to try.

    Attributes:
        what: In plain words.
        who: Tries it.
        call: Does it, given that person's client.
        answer: The S3 error code that must come, or :data:`DONE`.
        reason: What the record must give as its reason.
    """

    what: str
    who: str
    call: Callable[[Any], dict[str, Any]]
    answer: str
    reason: str = ""


class Answered(NamedTuple):
    """An attempt, and the seq of the record that was durable before its answer left."""

    attempt: Attempt
    seq: int


def attempts(firm: Firm, first: Mapping[str, Place], drafts: Sequence[Place]) -> list[Attempt]:
    """The demo's attempts.

    Args:
        firm: For its dates.
        first: A ticket under COMPLIANCE, a mail under its bucket's default, a report in a strict bucket.
        drafts: Under GOVERNANCE; the second one also under a legal hold.
    """
    report = first["report"]
    locked, mailed, draft, held = (place._asdict() for place in (first["ticket"], first["mail"], *drafts))
    blotter = {"Bucket": report.Bucket, "Key": report.Key}
    sooner = firm.until - timedelta(days=1)
    weaker = {"Mode": "GOVERNANCE", "RetainUntilDate": firm.until}
    shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": sooner}
    denied, retention = "AccessDenied", "retention"
    return [
        Attempt("delete a ticket", "root", lambda s3: s3.delete_object(**locked), denied, retention),
        Attempt("delete it with the bypass", "root", lambda s3: s3.delete_object(
            **locked, BypassGovernanceRetention=True), denied, retention),
        Attempt("make its retention a day shorter", "root", lambda s3: s3.put_object_retention(
            **locked, Retention=shorter), denied, retention),
        Attempt("turn COMPLIANCE into GOVERNANCE", "root", lambda s3: s3.put_object_retention(
            **locked, Retention=weaker, BypassGovernanceRetention=True), denied, retention),
        Attempt("delete an e-mail", "records-desk", lambda s3: s3.delete_object(**mailed), denied, retention),
        Attempt("suspend versioning", "root", lambda s3: s3.put_bucket_versioning(
            Bucket=TRADES, VersioningConfiguration={"Status": "Suspended"}), "InvalidBucketState",
            "invalid_bucket_state"),
        Attempt("delete the whole bucket", "root", lambda s3: s3.delete_bucket(Bucket=TRADES), "BucketNotEmpty",
            "bucket_not_empty"),
        Attempt("overwrite in a strict bucket", "order-system", lambda s3: s3.put_object(
            **blotter, Body=b"nothing happened today"), denied, "strict"),
        Attempt("hide it behind a delete marker", "root", lambda s3: s3.delete_object(**blotter), denied, "strict"),
        Attempt("lift a legal hold", "order-system", lambda s3: s3.put_object_legal_hold(
            **held, LegalHold={"Status": "OFF"}), denied, "policy"),
        Attempt("delete what is under a hold", "root", lambda s3: s3.delete_object(
            **held, BypassGovernanceRetention=True), denied, "legal_hold"),
        Attempt("delete a GOVERNANCE draft", "records-desk", lambda s3: s3.delete_object(**draft), denied, retention),
        Attempt("the same with the bypass", "records-desk", lambda s3: s3.delete_object(
            **draft, BypassGovernanceRetention=True), DONE),
    ]  # fmt: skip


def make(firm: Firm, wanted: Sequence[Attempt]) -> list[Answered]:
    """Make attempts, one after the other.

    Raises:
        Failed: One was answered otherwise than it must be.
    """
    return [Answered(attempt, _make(firm, attempt)) for attempt in wanted]


def _make(firm: Firm, attempt: Attempt) -> int:
    try:
        response, answer = attempt.call(firm.clients[attempt.who]), DONE
    except ClientError as error:
        response, answer = error.response, error.response["Error"]["Code"]
    if answer != attempt.answer:
        raise Failed(f"{attempt.what} ({attempt.who}): answered {answer}, but {attempt.answer} must come")
    reference = response["ResponseMetadata"]["HTTPHeaders"].get("x-strongroom-record", "")
    try:
        return int(reference.split("/")[1])
    except (IndexError, ValueError) as error:
        raise Failed(f"{attempt.what} ({attempt.who}): the answer names no record") from error
