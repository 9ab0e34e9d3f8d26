"""The sections ``[kafka]`` and ``[relay]`` of the configuration."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from audit.errors import ConfigInvalid

#: What the relay is made of: another value of these would break what it promises, or names what has a setting here.
RESERVED: Final = frozenset(
    {
        "acks", "bootstrap.servers", "enable.gapless.guarantee", "enable.idempotence", "isolation.level",
        "message.timeout.ms", "metadata.broker.list", "request.required.acks", "sasl.mechanism", "sasl.mechanisms",
        "sasl.password", "sasl.username", "security.protocol", "ssl.ca.location", "ssl.certificate.location",
        "ssl.key.location", "transactional.id",
    }
)  # fmt: skip


class KafkaSection(msgspec.Struct, frozen=True, kw_only=True):
    """How Kafka is reached.

    Attributes:
        bootstrap: HOST:PORT of brokers, with commas between them; empty: there is no Kafka.
        tls: Speak TLS.
        tls_ca_file: PEM certificates that sign the brokers'; empty: those that this host trusts.
        tls_cert_file: PEM certificate chain that the relay shows; with it ``tls_key_file``.
        tls_key_file: PEM private key of that certificate, not encrypted.
        sasl_mechanism: How the relay signs in; empty: not at all.
        sasl_username: As whom.
        sasl_password_file: File whose first line is the password.
        librdkafka: Settings of librdkafka by their own names, handed on as they are.
    """

    bootstrap: str = ""
    tls: bool = False
    tls_ca_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    sasl_username: str = ""
    sasl_password_file: str = ""
    librdkafka: dict[str, str] = {}

    def check(self) -> None:
        """What no single type can say.

        Raises:
            ConfigInvalid: Some of it does not go together.
        """
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ConfigInvalid("kafka.tls_cert_file and kafka.tls_key_file belong together: set both or neither")
        if (self.tls_ca_file or self.tls_cert_file) and not self.tls:
            raise ConfigInvalid("kafka.tls_ca_file and kafka.tls_cert_file need kafka.tls = true")
        if self.sasl_mechanism and not (self.sasl_username and self.sasl_password_file):
            raise ConfigInvalid("kafka.sasl_mechanism needs kafka.sasl_username and kafka.sasl_password_file")
        if (self.sasl_username or self.sasl_password_file) and not self.sasl_mechanism:
            raise ConfigInvalid("kafka.sasl_username and kafka.sasl_password_file need kafka.sasl_mechanism")
        for name in self.librdkafka:
            if name in RESERVED:
                raise ConfigInvalid(f"kafka.librdkafka: {name} is the relay's own, or has a setting of its own")


class RelaySection(msgspec.Struct, frozen=True, kw_only=True):
    """The relay of records to Kafka; it runs where ``kafka.bootstrap`` is set.

    Attributes:
        topics: What the names of its topics begin with: ``NAME.records``, ``NAME.checkpoints``, ``NAME.cursors``.
        create_topics: Make them where they are not there; else only check them.
        replication_factor: Of topics that it makes; 0: three, or as many as there are brokers.
        keep_days: How long topics that it makes keep records, in days; 0: for good.
        max_outage_days: How long readers may be away, in days; a topic that keeps records for less is warned of.
        max_lag_records: Records that may wait for Kafka before new writes are refused with 503; 0: any number.
        max_lag_seconds: For how long a record may, in seconds; 0: for any time.
    """

    topics: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9._-]{1,128}\Z")] = "strongroom"
    create_topics: bool = True
    replication_factor: Annotated[int, Meta(ge=0, le=32767)] = 0
    keep_days: Annotated[int, Meta(ge=0, le=36500)] = 0
    max_outage_days: Annotated[int, Meta(ge=1, le=3650)] = 7
    max_lag_records: Annotated[int, Meta(ge=0, le=1 << 40)] = 0
    max_lag_seconds: Annotated[int, Meta(ge=0, le=1 << 31)] = 0
