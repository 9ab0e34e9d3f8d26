"""The firm that keeps its records: its people, its buckets, and how each kind of record is stored."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import boto3
import msgspec
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.demo.day import Item
    from tests.demo.server import Server, Vault

#: Requests in flight while the day is stored.
CONNECTIONS: Final = 8
#: Retention of trading records and of correspondence, in years (17 CFR 240.17a-4(a) and (b)).
TRADE_YEARS: Final = 6
MAIL_YEARS: Final = 3

#: Who there is beside the first principal, and in which role.
PEOPLE: Final = {"records-desk": "owner", "order-system": "writer", "compliance": "compliance"}
TRADES: Final = "trades"
MAIL: Final = "mail"
DRAFTS: Final = "drafts"
REPORTS: Final = "reports"
_BUCKETS: Final = {"ticket": TRADES, "fix": TRADES, "mail": MAIL, "report": REPORTS}


class Place(NamedTuple):
    """Where a record was stored; names boto3's arguments."""

    Bucket: str
    Key: str
    VersionId: str


class Firm:
    """People with keys to a running vault.

    Args:
        vault: Initialised.
        server: That serves it.
    """

    def __init__(self, vault: Vault, server: Server) -> None:
        self._url = server.s3
        lines = (vault.data / "root.credentials").read_text().splitlines()
        access_key, secret = (line.partition(" = ")[2] for line in lines)
        self.clients: dict[str, Any] = {"root": self._client(access_key, secret)}
        for name, role in PEOPLE.items():
            made = vault.run("principal", "add", name, "--role", role, "--data", vault.data, "--json")
            keys = msgspec.json.decode(made)
            self.clients[name] = self._client(keys["access_key"], keys["secret_key"])
        known = msgspec.json.decode(vault.run("principal", "list", "--data", vault.data, "--json"))
        #: People's names by their ids, which is what records say.
        self.names: dict[str, str] = {row["principal"]: row["name"] for row in known}
        self.until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=366 * TRADE_YEARS)

    def _client(self, access_key: str, secret: str) -> Any:
        config = Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},  # each attempt is a record: do not make more than we say
            max_pool_connections=CONNECTIONS,
            proxies={},
        )
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self._url,
            region_name="us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            config=config,
        )

    def open_buckets(self) -> None:
        """Make the firm's buckets, all with Object Lock; the one for reports is strict, the one for mail has a default.

        Without the default each e-mail would have to bring its own date.
        """
        desk = self.clients["records-desk"]
        for bucket in (TRADES, MAIL, DRAFTS):
            desk.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        desk.meta.events.register_first("before-sign.s3.CreateBucket", _ask_for_strict)
        desk.create_bucket(Bucket=REPORTS, ObjectLockEnabledForBucket=True)
        desk.meta.events.unregister("before-sign.s3.CreateBucket", _ask_for_strict)
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": MAIL_YEARS}}
        desk.put_object_lock_configuration(
            Bucket=MAIL, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )

    def store(self, items: Sequence[Item]) -> list[Place]:
        """Store records as the system that makes them does: several at a time."""
        pool = ThreadPoolExecutor(CONNECTIONS)
        try:
            return list(pool.map(self._put, items))
        finally:
            pool.shutdown(cancel_futures=True)

    def _put(self, item: Item) -> Place:
        bucket = _BUCKETS[item.kind]
        lock = {} if bucket == MAIL else {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": self.until}
        made = self.clients["order-system"].put_object(
            Bucket=bucket, Key=item.key, Body=item.data, ContentType=item.media_type, **lock
        )
        return Place(bucket, item.key, made["VersionId"])

    def store_drafts(self) -> tuple[Place, Place]:
        """Store two drafts under GOVERNANCE; the second one then comes under a legal hold."""
        desk = self.clients["records-desk"]
        lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": self.until}
        drafts = []
        for key in ("letter-1.txt", "letter-2.txt"):
            made = desk.put_object(Bucket=DRAFTS, Key=key, Body=b"Dear client,\n", **lock)
            drafts.append(Place(DRAFTS, key, made["VersionId"]))
        self.clients["compliance"].put_object_legal_hold(**drafts[1]._asdict(), LegalHold={"Status": "ON"})
        return drafts[0], drafts[1]

    def read(self, place: Place) -> bytes:
        """Read a record back."""
        data: bytes = self.clients["records-desk"].get_object(**place._asdict())["Body"].read()
        return data


def isolate() -> None:
    """Let no setting of the AWS tools, meant for another place, reach this process."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _ask_for_strict(request: Any, **_: object) -> None:
    request.headers["x-strongroom-bucket-strict"] = "true"
