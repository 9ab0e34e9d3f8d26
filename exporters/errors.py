"""Errors of the workers, typed like ``audit.errors``: retryable ones are waited out, fatal ones need somebody."""

from __future__ import annotations

from audit.errors import AuditError


class BrokerUnavailable(AuditError):
    """Kafka does not answer, or not as it should; what it was asked may be asked again."""

    code = "broker-unavailable"
    status = 503
    retryable = True


class BrokerRefused(AuditError):
    """Kafka does not let us: a certificate, a password, an ACL. Where somebody changes that, it goes on by itself."""

    code = "broker-refused"
    status = 503
    retryable = True


class TopicUnfit(AuditError):
    """A topic is missing, or is not one that records can be kept in; the message names the setting."""

    code = "topic-unfit"
    status = 503
    retryable = True


class SessionOver(AuditError):
    """A transaction was not, or may not have been, committed: what is in Kafka is looked at again.

    Attributes:
        fenced: Another producer of the same transactional id may be why.
    """

    code = "session-over"
    status = 503
    retryable = True

    def __init__(self, why: str, *, fenced: bool = False) -> None:
        super().__init__(why)
        self.fenced = fenced


class TopicRecreated(AuditError):
    """The topic is another one than the stream was assigned to: somebody deleted it and made it again."""

    code = "topic-recreated"
    fatal = True


class CopyDisagrees(AuditError):
    """What Kafka holds is not what the ledger holds."""

    code = "copy-disagrees"
    fatal = True


class RelayFenced(AuditError):
    """Another relay of this stream has begun since; there is one at a time."""

    code = "relay-fenced"
    fatal = True
